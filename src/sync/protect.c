/* Mutexes with a priority ceiling, for gthreads: libc's would change the priority of a kernel
 * thread whose id is the gthread's, and there is none.
 *
 * The word is NPTL's, for pthread_mutex_setprioceiling is libc's: the ceiling above, 0/1/2 below;
 * waiters sleep in the kernel.  As natively only a thread with a real-time policy, at or below the
 * ceiling, may lock one; nobody's priority is raised, as gthreads have none to the kernel.
 */
#include "src/sched.h"
#include "src/sync/mutex_int.h"

#define CEILING 0xfff80000u
enum { SHIFT = 19 };

bool ghi_protect_ours(const pthread_mutex_t *m)
{
	return (m->__data.__kind & PROTECT) && ghi_self();
}

static bool may_lock(const struct ghi_gthread *self, int ceiling)
{
	int policy = self->prio.policy, priority = self->prio.priority;

	if (!(self->prio.has & GHI_PRIO_POLICY)) { /* as in the process */
		policy = (int)ghi_sys(SYS_sched_getscheduler, sys_getpid());
		ghi_sys(SYS_sched_getparam, sys_getpid(), &priority);
	}
	return (policy == SCHED_FIFO || policy == SCHED_RR) && priority <= ceiling;
}

static long futex(pthread_mutex_t *m, int op, uint32_t value, const struct timespec *at)
{
	op |= m->__data.__kind & SHARED ? 0 : FUTEX_PRIVATE_FLAG;
	return ghi_sys(SYS_futex, ghi_mutex_word(m), op, value, at, 0, FUTEX_BITSET_MATCH_ANY);
}

static int wait(pthread_mutex_t *m, uint32_t value, const struct ghi_until *until)
{
	struct ghi_gthread *self = ghi_self();
	bool timed = until && until->abs;

	if (timed && ghi_ts_invalid(until->abs))
		return EINVAL;
	if (timed && until->abs->tv_sec < 0)
		return ETIMEDOUT; /* the kernel knows no time before the epoch */
	ghi_blocking_begin(self);
	long r = futex(m,
		       FUTEX_WAIT_BITSET |
			   (timed && until->clock == CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0),
		       value, timed ? until->abs : NULL);
	ghi_blocking_end(self);
	return r == -ETIMEDOUT ? ETIMEDOUT : 0;
}

int ghi_protect_lock(pthread_mutex_t *m, const struct ghi_until *until, bool try)
{
	int32_t me = ghi_lock_owner();
	int r;
	uint32_t take = 1; /* 2 once we have waited: others may wait behind us */

	if (load_relaxed(&m->__data.__owner) == me && (r = ghi_mutex_again(m)) >= 0)
		return r;
	for (;;) {
		uint32_t seen = load_relaxed(ghi_mutex_word(m)), ceiling = seen & CEILING;
		if (!may_lock(ghi_self(), (int)(ceiling >> SHIFT)))
			return EINVAL;
		if (seen == ceiling) {
			if (cas_acquire(ghi_mutex_word(m), &seen, ceiling | take))
				break;
			continue;
		}
		if (try)
			return EBUSY;
		if (seen != (ceiling | 2) && !cas_acquire(ghi_mutex_word(m), &seen, ceiling | 2))
			continue;
		take = 2;
		if ((r = wait(m, ceiling | 2, until)))
			return r;
	}
	m->__data.__count = 1;
	m->__data.__owner = me;
	m->__data.__nusers++;
	return 0;
}

int ghi_protect_unlock(pthread_mutex_t *m)
{
	uint32_t seen = load_relaxed(ghi_mutex_word(m));

	if (ghi_mutex_not_mine(m))
		return EPERM;
	if (ghi_mutex_once_less(m))
		return 0;
	store_relaxed(&m->__data.__owner, 0);
	m->__data.__nusers--;
	int kind = m->__data.__kind; /* before the last touch: it may be destroyed then */
	while (!cas_release(ghi_mutex_word(m), &seen, seen & CEILING))
		;
	if ((seen & ~CEILING) > 1)
		ghi_sys(SYS_futex, ghi_mutex_word(m),
			FUTEX_WAKE | (kind & SHARED ? 0 : FUTEX_PRIVATE_FLAG), 1);
	return 0;
}
