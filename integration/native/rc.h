/* What the programs of this folder share beyond check.h. */
#ifndef RC_H
#define RC_H

#include <greenhook.h>

#include "../programs/check.h"

/* A fact: the call returns `want`, 0 or a negative errno. */
#define RC(want, call)                                                                             \
	do {                                                                                       \
		int rc_ = (call);                                                                  \
		check_report(rc_ == (want), #call " is " #want, strerror(rc_ < 0 ? -rc_ : 0),      \
			     __LINE__, 0);                                                         \
	} while (0)
#define QRC(want, call)                                                                            \
	do {                                                                                       \
		int rc_ = (call);                                                                  \
		check_report(rc_ == (want), #call " is " #want, strerror(rc_ < 0 ? -rc_ : 0),      \
			     __LINE__, 1);                                                         \
	} while (0)

#endif
