/* pthread_once: states as in NPTL (0 new, bit 0 in progress with the fork generation above, 2
 * done), so that libstdc++ and others that look at the word agree.  An initialiser that is
 * cancelled or left by an exception leaves it new. */
#include <limits.h>

#include "src/lot.h"
#include "src/sync/sync.h"

enum { BUSY = 1, DONE = 2, GENERATION = 4 };

uint32_t
    ghi_once_generation; /* += GENERATION in a fork's child: nobody runs what was in progress */

static void abandon(void *arg)
{
	pthread_once_t *o = arg;
	store_release((uint32_t *)o, 0u);
	ghi_lot_wake(o, INT_MAX, 0, NULL, NULL);
}

static bool busy(void *arg)
{
	return load_relaxed((uint32_t *)arg) == (BUSY | ghi_once_generation);
}

int ghi_once(pthread_once_t *o, void (*fn)(void))
{
	uint32_t *word = (uint32_t *)o;

	for (;;) {
		uint32_t s = load_acquire(word);
		if (s & DONE)
			return 0;
		if (s == (BUSY | ghi_once_generation)) {
			struct ghi_lot_wait w = {.key = o,
						 .validate = busy,
						 .arg = word,
						 .deadline = GHI_NEVER,
						 .why = GHI_PARK_ONCE,
						 .uninterruptible = true};
			ghi_lot_wait(&w);
			continue;
		}
		if (cas_acq_rel(word, &s, (uint32_t)BUSY | ghi_once_generation))
			break;
	}
	pthread_cleanup_push(abandon, o);
	fn();
	pthread_cleanup_pop(0);
	store_release(word, (uint32_t)DONE);
	ghi_lot_wake(o, INT_MAX, 0, NULL, NULL);
	return 0;
}
