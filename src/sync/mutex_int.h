/* What the three kinds of mutexes share: see sync.h.
 *
 * Owns: the bits of NPTL's __kind, and what asking again and giving up mean to whoever holds one.
 * Included by mutex.c, protect.c and robust.c only.
 */
#ifndef GHI_SYNC_MUTEX_INT_H
#define GHI_SYNC_MUTEX_INT_H

#include <errno.h>

#include "src/sync/sync.h"

enum { TYPE = 3, RECURSIVE = 1, ERRORCHECK = 2, PROTECT = 64, SHARED = 128 };

static inline uint32_t *ghi_mutex_word(pthread_mutex_t *m)
{
	return (uint32_t *)&m->__data.__lock;
}

/* Its holder locks it: 0 once more, EAGAIN too often, EDEADLK; -1: he waits for himself. */
static inline int ghi_mutex_again(pthread_mutex_t *m)
{
	int type = m->__data.__kind & TYPE;

	if (type == ERRORCHECK)
		return EDEADLK;
	if (type != RECURSIVE)
		return -1;
	if (m->__data.__count + 1 == 0)
		return EAGAIN;
	m->__data.__count++;
	return 0;
}

/* Its holder unlocks it: true when he holds it still. */
static inline bool ghi_mutex_once_less(pthread_mutex_t *m)
{
	return (m->__data.__kind & TYPE) == RECURSIVE && --m->__data.__count != 0;
}

/* The kinds that let nobody else unlock them; not for robust ones, which keep their holder apart.
 */
static inline bool ghi_mutex_not_mine(const pthread_mutex_t *m)
{
	int type = m->__data.__kind & TYPE;

	return (type == RECURSIVE || type == ERRORCHECK) &&
	       load_relaxed(&m->__data.__owner) != ghi_lock_owner();
}

#endif
