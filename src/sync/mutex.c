/* Mutexes: NPTL's three-state word, waiters in the parking lot.
 *
 * lock 0 free, 1 held, 2 held and somebody may wait.  Unlocking 2 wakes one waiter, who takes the
 * lock as 2 because others may wait behind him.  After the word is released the unlocker touches
 * only the lot, never the mutex: it may be destroyed and freed by then.
 */
#include "src/lot.h"
#include "src/sync/mutex_int.h"
#include "src/sync/word.h"

bool ghi_sync_native;
const void *ghi_overtaken[GHI_OVERTAKEN_SLOTS];

bool ghi_mutex_ours(const pthread_mutex_t *m)
{
	return !ghi_sync_native && !(m->__data.__kind & (GHI_MUTEX_ROBUST | PROTECT | SHARED));
}

int ghi_until_deadline(const struct ghi_until *until, uint64_t *ret_deadline)
{
	*ret_deadline = GHI_NEVER;
	if (!until || !until->abs)
		return 0;
	if (ghi_ts_invalid(until->abs))
		return EINVAL;
	*ret_deadline = ghi_deadline_at(until->clock, until->abs);
	return 0;
}

static bool still_contended(void *word)
{
	return load_relaxed((uint32_t *)word) == 2;
}

int ghi_word_lock_slow(uint32_t *word, const struct ghi_until *until)
{
	uint64_t deadline, since = 0;

	while (xchg_acq_rel(word, 2u) != 0) {
		ghi_overtaken_note(word, &since);
		/* Converted anew each time: the wall clock may have been set meanwhile. */
		int r = ghi_until_deadline(until, &deadline);
		if (r)
			return r;
		if (deadline == GHI_PASSED)
			return ETIMEDOUT;
		struct ghi_lot_wait w = {.key = word,
					 .validate = still_contended,
					 .arg = word,
					 .deadline = deadline,
					 .why = GHI_PARK_MUTEX,
					 .uninterruptible = true};
		r = ghi_lot_wait(&w);
		if (r == -ETIMEDOUT && !ghi_until_deadline(until, &deadline) &&
		    deadline == GHI_PASSED)
			return ETIMEDOUT;
	}
	return 0;
}

static inline int acquire(pthread_mutex_t *m, const struct ghi_until *until)
{
	if (__builtin_expect(ghi_word_try(ghi_mutex_word(m)), 1))
		return 0;
	return ghi_word_lock_slow(ghi_mutex_word(m), until);
}

static inline void own(pthread_mutex_t *m, int32_t me)
{
	m->__data.__owner = me;
	m->__data.__nusers++;
}

int ghi_mutex_lock(pthread_mutex_t *m, const struct ghi_until *until)
{
	int32_t me = ghi_lock_owner();
	int type = m->__data.__kind & TYPE, r;

	if ((type == RECURSIVE || type == ERRORCHECK) && load_relaxed(&m->__data.__owner) == me)
		return ghi_mutex_again(m);
	if ((r = acquire(m, until)))
		return r;
	if (type == RECURSIVE)
		m->__data.__count = 1;
	own(m, me);
	return 0;
}

int ghi_mutex_trylock(pthread_mutex_t *m)
{
	int32_t me = ghi_lock_owner();
	int type = m->__data.__kind & TYPE;

	if (type == RECURSIVE && load_relaxed(&m->__data.__owner) == me)
		return ghi_mutex_again(m);
	if (!ghi_word_try(ghi_mutex_word(m)))
		return EBUSY;
	if (type == RECURSIVE)
		m->__data.__count = 1;
	own(m, me);
	return 0;
}

int ghi_mutex_unlock(pthread_mutex_t *m)
{
	if (ghi_mutex_not_mine(m))
		return EPERM;
	if (ghi_mutex_once_less(m))
		return 0;
	store_relaxed(&m->__data.__owner, 0);
	m->__data.__nusers--;
	uint32_t was = ghi_word_unlock(ghi_mutex_word(m));
	return was == 2 && ghi_word_overtaken(ghi_mutex_word(m)) ? GHI_MUTEX_MAKE_WAY : 0;
}

/* As in NPTL the users of a mutex include those that wait on a condition with it, so that it cannot
 * be destroyed meanwhile. */
bool ghi_mutex_cond_unlock(pthread_mutex_t *m)
{
	if (ghi_mutex_once_less(m))
		return false;
	store_relaxed(&m->__data.__owner, 0);
	ghi_word_unlock(ghi_mutex_word(m));
	return true;
}

void ghi_mutex_cond_relock(pthread_mutex_t *m, bool held)
{
	bool recursive = (m->__data.__kind & TYPE) == RECURSIVE;
	if (held) {
		m->__data.__count++;
		return;
	}
	ghi_word_lock_slow(ghi_mutex_word(m),
			   NULL); /* as 2: others may have been moved to this mutex with us */
	if (recursive)
		m->__data.__count = 1;
	m->__data.__owner = ghi_lock_owner();
}

int ghi_mutex_cond_check(pthread_mutex_t *m)
{
	if (ghi_robust_ours(m))
		return ghi_robust_held(m) ? 0 : EPERM;
	return ghi_mutex_not_mine(m) ? EPERM : 0;
}

/* Under the bucket locks of the condition and of the mutex. */
bool ghi_word_hold_for_waiter(void *mutex, bool one_is_awake)
{
	uint32_t *word = mutex;
	uint32_t seen = load_relaxed(word);

	if (one_is_awake)
		return true; /* it relocks as 2, and its unlock then needs our bucket lock */
	while (seen != 0)
		if (seen == 2 || cas_acq_rel(word, &seen, 2u))
			return true; /* its holder unlocks a 2 and then comes for our bucket lock */
	return false;
}
