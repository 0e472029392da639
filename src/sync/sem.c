/* Unnamed semaphores and barriers.
 *
 * A semaphore is NPTL's 64-bit word: the value below, the number of waiters above; libc's sem_init
 * and sem_getvalue stay valid.  A poster's last touch of the semaphore is its compare-and-swap.
 * A barrier is ours alone (pthread_barrier_init is replaced): a lock word, an arrival count, a
 * round, and the number of threads inside, which destroy waits for.
 */
#include <errno.h>
#include <limits.h>

#include "src/lot.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/sync/word.h"

#define ONE_WAITER (1ull << 32)

struct sem {
	uint64_t data;
	int shared; /* NPTL's name: private; zero when private */
};

bool ghi_sem_ours(const sem_t *s)
{
	return !ghi_sync_native && ((const struct sem *)s)->shared == 0;
}

static bool sem_take(struct sem *s)
{
	uint64_t d = load_relaxed(&s->data);
	while ((uint32_t)d)
		if (cas_acquire(&s->data, &d, d - 1))
			return true;
	return false;
}

static bool sem_empty(void *arg)
{
	return (uint32_t)load_relaxed((uint64_t *)arg) == 0;
}

int ghi_sem_wait(sem_t *sem, const struct ghi_until *until, bool try)
{
	struct sem *s = (struct sem *)sem;
	struct ghi_gthread *self = ghi_self();
	uint64_t deadline, since = 0;

	if (sem_take(s))
		return 0;
	if (try)
		return EAGAIN;
	int r = ghi_until_deadline(until, &deadline);
	if (r)
		return r;
	if (self)
		self->sig_ran = 0;
	fetch_add_acq_rel(&s->data, ONE_WAITER);
	while (!r && !sem_take(s)) {
		ghi_overtaken_note(s, &since);
		struct ghi_lot_wait w = {.key = s,
					 .validate = sem_empty,
					 .arg = &s->data,
					 .deadline = deadline,
					 .why = GHI_PARK_SEM};
		int why = deadline == GHI_PASSED ? -ETIMEDOUT : ghi_lot_wait(&w);
		if (why == -ETIMEDOUT && !ghi_until_deadline(until, &deadline) &&
		    deadline == GHI_PASSED)
			r = ETIMEDOUT;
		else if (why == -EINTR &&
			 (!self || (self->sig_ran &
				    (deadline == GHI_NEVER ? GHI_SIG_RAN_NORESTART : GHI_SIG_RAN))))
			r = EINTR;
		else if (why == -ECANCELED)
			r = why;
	}
	/* A token that came with the end of the wait is not lost: whoever waits next takes it; but
	 * a wake-up meant for us may have been consumed.  Pass it on. */
	uint64_t d = fetch_add_acq_rel(&s->data, 0 - ONE_WAITER);
	if (r && (uint32_t)d && d >> 32 > 1)
		ghi_lot_wake(s, 1, 0, NULL, NULL);
	return r;
}

int ghi_sem_post(sem_t *sem)
{
	struct sem *s = (struct sem *)sem;
	uint64_t d = load_relaxed(&s->data);

	do
		if ((uint32_t)d == SEM_VALUE_MAX)
			return EOVERFLOW;
	while (!cas_acq_rel(&s->data, &d, d + 1));
	if (d >> 32)
		ghi_lot_wake(s, 1, 0, NULL, NULL);
	return 0;
}

struct barrier {
	ghi_lock_t lock;
	uint32_t count, arrived, round;
	uint32_t shared; /* NPTL keeps its flag here too */
	uint32_t inside;
};
_Static_assert(sizeof(struct barrier) <= sizeof(pthread_barrier_t), "barrier must fit");

int ghi_barrier_init(pthread_barrier_t *barrier, unsigned count)
{
	struct barrier *b = (struct barrier *)barrier;
	if (count == 0 || count > INT_MAX)
		return EINVAL;
	*b = (struct barrier){.count = count, .shared = 0x67686200}; /* marks it as ours */
	return 0;
}

bool ghi_barrier_ours(const pthread_barrier_t *b)
{
	return ((const struct barrier *)b)->shared == 0x67686200;
}

struct arrival {
	struct barrier *b;
	uint32_t round;
};

static bool same_round(void *arg)
{
	struct arrival *a = arg;
	return load_relaxed(&a->b->round) == a->round;
}

/* It will not wait any longer: true when it can still be taken out of its round. */
static bool withdraw(struct barrier *b, uint32_t round)
{
	ghi_nosig_enter();
	ghi_lock(&b->lock);
	bool mine = b->round == round;
	if (mine)
		b->arrived--;
	ghi_unlock(&b->lock);
	ghi_nosig_leave();
	return mine;
}

static int barrier_wait(struct barrier *b, uint64_t deadline, bool cancellable)
{
	struct arrival me = {.b = b};
	bool last;
	int r = 0;

	fetch_add_acq_rel(&b->inside, 1u);
	ghi_nosig_enter();
	ghi_lock(&b->lock);
	me.round = b->round;
	last = ++b->arrived == b->count;
	if (last) {
		b->arrived = 0;
		store_release(&b->round, b->round + 1);
	}
	ghi_unlock(&b->lock);
	ghi_nosig_leave();
	if (last)
		ghi_lot_wake(b, INT_MAX, 0, NULL, NULL);
	while (!last && load_acquire(&b->round) == me.round) {
		struct ghi_lot_wait w = {.key = b,
					 .validate = same_round,
					 .arg = &me,
					 .deadline = deadline,
					 .why = GHI_PARK_BARRIER,
					 .uninterruptible = !cancellable};
		r = ghi_lot_wait(&w);
		if (cancellable && (r == -ETIMEDOUT || r == -ECANCELED) && withdraw(b, me.round))
			break;
		r = 0;
	}
	fetch_add_acq_rel(&b->inside, 0u - 1); /* the last touch */
	return last ? PTHREAD_BARRIER_SERIAL_THREAD : r;
}

int ghi_barrier_wait(pthread_barrier_t *barrier)
{
	return barrier_wait((struct barrier *)barrier, GHI_NEVER, false);
}

int ghi_barrier_wait_until(pthread_barrier_t *barrier, uint64_t deadline)
{
	return barrier_wait((struct barrier *)barrier, deadline, true);
}

int ghi_barrier_destroy(pthread_barrier_t *barrier)
{
	struct barrier *b = (struct barrier *)barrier;
	if (load_relaxed(&b->arrived))
		return EBUSY;
	while (load_acquire(&b->inside)) { /* on their way out */
		if (ghi_self())
			ghi_yield();
		else
			ghi_sys(SYS_sched_yield);
	}
	return 0;
}
