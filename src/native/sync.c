/* Mutexes and condition variables of the native API, on the word and the queue of src/sync/word.h.
 *
 * Owns: their kinds and owners.  Called by: programs.  Must not know: pthread's types.
 *
 * A plain mutex is its word and nothing else: one compare-and-swap in, one exchange out.
 */
#include <limits.h>

#include <greenhook/sync.h>
#include "src/native/misuse.h"
#include "src/native/until.h"
#include "src/sync/word.h"

_Static_assert(sizeof(gh_mutex) == 16 && sizeof(gh_cond) == 8, "part of the ABI");

int gh_mutex_init(gh_mutex *m, int kind)
{
	if (!m || kind < GH_MUTEX_PLAIN || kind > GH_MUTEX_RECURSIVE)
		return GHI_MISUSE(-EINVAL, "the mutex is NULL, or there is no kind %d", kind);
	*m = (gh_mutex){.kind = (uint32_t)kind};
	return 0;
}

static bool mine(const gh_mutex *m)
{
	return load_relaxed(&m->owner) == ghi_native_owner();
}

static void own(gh_mutex *m)
{
	if (m->kind == GH_MUTEX_PLAIN)
		return;
	store_relaxed(&m->owner, ghi_native_owner());
	m->count = 1;
}

/* Its owner locks it: 0 once more, -EDEADLK, -EAGAIN. */
static int again(gh_mutex *m)
{
	if (m->kind == GH_MUTEX_CHECKED)
		return -EDEADLK;
	if (m->count == UINT32_MAX)
		return -EAGAIN;
	m->count++;
	return 0;
}

static int lock_slow(gh_mutex *m, const struct ghi_until *until)
{
	if (m->kind != GH_MUTEX_PLAIN && mine(m))
		return again(m);
	if (!ghi_word_try(&m->word)) {
		int r = ghi_word_lock_slow(&m->word, until);
		if (r)
			return -r;
	}
	own(m);
	return 0;
}

int gh_mutex_lock(gh_mutex *m)
{
	if (!m)
		return GHI_NULL("mutex");
	if (__builtin_expect(m->kind == GH_MUTEX_PLAIN && ghi_word_try(&m->word), 1))
		return 0;
	return lock_slow(m, NULL);
}

int gh_mutex_lock_until(gh_mutex *m, gh_time until)
{
	struct ghi_native_until u;
	return m ? lock_slow(m, ghi_native_until(&u, until)) : GHI_NULL("mutex");
}

int gh_mutex_lock_try(gh_mutex *m)
{
	if (!m)
		return GHI_NULL("mutex");
	if (m->kind == GH_MUTEX_RECURSIVE && mine(m))
		return again(m);
	if (!ghi_word_try(&m->word))
		return -EBUSY;
	own(m);
	return 0;
}

int gh_mutex_unlock(gh_mutex *m)
{
	if (!m)
		return GHI_NULL("mutex");
	if (m->kind != GH_MUTEX_PLAIN) {
		if (!mine(m))
			return -EPERM;
		if (--m->count)
			return 0;
		store_relaxed(&m->owner, 0);
	}
	uint32_t was = ghi_word_unlock(&m->word);
	if (__builtin_expect(was == 2, 0))
		ghi_native_make_way(&m->word);
	return was ? 0 : GHI_MISUSE(-EPERM, "the mutex is not locked");
}

/* ---- condition variables ----------------------------------------------------------------------
 */

static void give_up(void *arg)
{
	gh_mutex_unlock(arg);
}

int gh_cond_wait_until(gh_cond *c, gh_mutex *m, gh_time until)
{
	if (!c || !m)
		return GHI_NULL("condition or the mutex");
	if (m->kind == GH_MUTEX_PLAIN ? load_relaxed(&m->word) == 0 : !mine(m))
		return GHI_MISUSE(-EPERM, "the caller has not locked the mutex");
	/* A mutex that one unlock leaves locked is nobody's to wait for. */
	bool twice = m->kind == GH_MUTEX_RECURSIVE && m->count > 1;
	struct ghi_cond_sleep s = {.cond = &c->word,
				   .mutex = twice ? NULL : &m->word,
				   .release = give_up,
				   .arg = m,
				   .deadline = ghi_native_deadline(until)};
	int r = ghi_cond_sleep(&s);
	if (!s.released)
		return r;
	if (twice) {
		m->count++;
	} else {
		ghi_word_lock_slow(&m->word, NULL); /* as 2: others may have been moved to it */
		own(m);
	}
	return r == -EINTR ? 0 : r;
}

int gh_cond_wait(gh_cond *c, gh_mutex *m)
{
	return gh_cond_wait_until(c, m, GH_FOREVER);
}

int gh_cond_signal(gh_cond *c)
{
	if (!c)
		return GHI_NULL("condition");
	ghi_cond_wake(&c->word, 1);
	return 0;
}

int gh_cond_broadcast(gh_cond *c)
{
	if (!c)
		return GHI_NULL("condition");
	ghi_cond_wake(&c->word, INT_MAX);
	return 0;
}
