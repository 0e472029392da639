/* pthread_once: states as in NPTL (0 new, bit 0 in progress with the fork generation above, 2
 * done), so that libstdc++ and others that look at the word agree.  An initialiser that is
 * cancelled or left by an exception leaves it new. */
#include <limits.h>

#include "src/lot.h"
#include "src/sync/sync.h"

enum { BUSY = 1, DONE = 2, GENERATION = 4 };

uint32_t ghi_once_generation;

/* Nobody runs what was in progress. */
void ghi_once_after_fork(void)
{
	store_relaxed(&ghi_once_generation, ghi_once_generation + GENERATION);
}

/* libc runs these by themselves when the initialiser has no unwind tables. */
extern void _pthread_cleanup_push(struct _pthread_cleanup_buffer *, void (*)(void *), void *);
extern void _pthread_cleanup_pop(struct _pthread_cleanup_buffer *, int);

struct run {
	pthread_once_t *o; /* NULL: over */
	bool listed;
	struct _pthread_cleanup_buffer buffer;
};

/* By an exception or the unwinding of a cancellation, or by libc from its list of buffers. */
static void abandon(void *arg)
{
	struct run *r = arg;
	pthread_once_t *o = r->o;
	if (!o)
		return;
	r->o = NULL;
	if (r->listed)
		_pthread_cleanup_pop(&r->buffer, 0);
	store_release((uint32_t *)o, 0u);
	ghi_lot_wake(o, INT_MAX, 0, NULL, NULL);
}

static bool busy(void *arg)
{
	return load_relaxed((uint32_t *)arg) == (BUSY | ghi_once_generation);
}

int ghi_once_with(pthread_once_t *o, void (*fn)(void *), void *arg)
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
	struct ghi_gthread *self = ghi_self();
	/* The list of buffers is the thread block's, which a light gthread shares. */
	struct run run = {.o = o, .listed = !self || !(self->flags & GHI_G_LIGHT)};
	if (run.listed)
		_pthread_cleanup_push(&run.buffer, abandon, &run);
	pthread_cleanup_push(abandon, &run);
	fn(arg);
	pthread_cleanup_pop(0);
	if (run.listed)
		_pthread_cleanup_pop(&run.buffer, 0);
	store_release(word, (uint32_t)DONE);
	ghi_lot_wake(o, INT_MAX, 0, NULL, NULL);
	return 0;
}

static void without_argument(void *fn)
{
	((void (*)(void))fn)();
}

int ghi_once(pthread_once_t *o, void (*fn)(void))
{
	return ghi_once_with(o, without_argument, (void *)fn);
}
