# Unit tests (libcheck) and the protocol explorers; included by the top-level Makefile.
.PHONY: unit unit-build unit-models
unit-build: $(B)/tests/models
unit: unit-models

# The explorer (model.c and the memory it simulates) and one model per protocol of src/proto/.
# Never sanitized: its threads are longjmp'ed coroutines.  -O3: it is nothing but small functions.
MODEL_CFLAGS := -std=gnu11 -O3 -g -Wall -Wextra -Werror -D_GNU_SOURCE -DGHI_MODEL -I. -MMD -MP
MODEL_OBJ := $(patsubst %,$(B)/tests/model/%.o,model model_words model_tso model_weak model_memory \
	model_sync model_main model_park model_runq_2 model_runq_4 model_worker model_handoff)

$(B)/tests/models: $(MODEL_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -o $@ $^

$(B)/tests/model/model_runq_%.o: tests/model_runq.c
	@mkdir -p $(@D)
	@echo "  CC      $< (ring of $*)"
	$(Q)$(CC) $(MODEL_CFLAGS) -DGHI_RING_SIZE=$*u -c -o $@ $<

$(B)/tests/model/%.o: tests/%.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(MODEL_CFLAGS) -c -o $@ $<

# make unit-models MODEL=park: one model and its mutants
unit-models: $(B)/tests/models
	$(Q)$(B)/tests/models $(MODEL)

-include $(MODEL_OBJ:.o=.d)
