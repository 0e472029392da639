/* The list of models, for the runner.  Owns: nothing. */
#ifndef GHI_TESTS_MODELS_H
#define GHI_TESTS_MODELS_H

#include "tests/model.h"

extern const struct model model_park, model_runq_2, model_runq_4, model_worker, model_handoff,
    model_chan, model_pinned, model_bell, model_start;

#endif
