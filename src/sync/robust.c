/* Robust mutexes: a lock that its holder's death hands on with EOWNERDEAD.
 *
 * Any of them may be shared with other processes, greenhook's or not, so the lock word is the one
 * the kernel and NPTL agree on: the holder's kernel tid, bit 31 "somebody waits", bit 30 "the
 * holder died".  The kernel walks a dying thread's list of held locks and marks those whose word
 * names it.  A gthread is no thread of the kernel's, so the whole process holds its robust mutexes
 * in the name of its initial thread, the keeper, whose kernel thread lives as long as the process:
 * all are on the keeper's list, under list_lock.  Which gthread holds one is kept beside the word,
 * where NPTL counts the spins of adaptive mutexes.  When a gthread ends ghi_robust_exit() does what
 * the kernel does for a thread.
 *
 * __owner is NPTL's: the holder's id, or a mark that the state is inconsistent or lost for good;
 * pthread_mutex_consistent is libc's.  Waiters sleep in the kernel.  Priority inheritance makes no
 * difference here.
 */
#include <limits.h>
#include <stddef.h>

#include "src/runtime.h"
#include "src/sched.h"
#include "src/sync/mutex_int.h"
#include "src/tls.h"

#define WAITERS 0x80000000u
#define DIED	0x40000000u
#define TID	0x3fffffffu
enum { INCONSISTENT = INT_MAX, NOTRECOVERABLE = INT_MAX - 1 };

/* What the kernel knows: entries are linked by their addresses, NPTL's list through __list. */
struct head {
	void *next;
	long futex_offset;
	void *pending;
};

static ghi_lock_t list_lock;
static struct head *list; /* the keeper's */
static int list_pid;	  /* the process it was asked for */

static int32_t *holder_of(const pthread_mutex_t *m)
{
	return (int32_t *)((char *)m + offsetof(struct __pthread_mutex_s, __spins));
}

static pthread_mutex_t *mutex_of(void *entry)
{
	return (pthread_mutex_t *)((char *)entry -
				   offsetof(struct __pthread_mutex_s, __list.__next));
}

static void link_to(struct head *h, pthread_mutex_t *m)
{
	void **entry = (void **)&m->__data.__list.__next;
	void **next = h->next;
	entry[0] = next;
	entry[-1] = h;
	next[-1] = entry; /* the head has a `prev` in front of it too */
	__asm__ volatile("" ::: "memory");
	h->next = entry; /* the kernel may walk at any instruction */
}

static void unlink_it(pthread_mutex_t *m)
{
	void **entry = (void **)&m->__data.__list.__next;
	void **next = entry[0], **prev = entry[-1];
	prev[0] = next;
	next[-1] = prev;
	entry[0] = entry[-1] = NULL;
}

bool ghi_robust_ours(const pthread_mutex_t *m)
{
	if (!ghi_mutex_robust(m) || ghi_runtime_inert())
		return false;
	int pid = sys_getpid();
	if (load_acquire(&list_pid) == pid) /* then `list` is seen as well */
		return true;
	struct head *h = NULL;
	size_t len;
	if (ghi_sys(SYS_get_robust_list, pid, &h, &len) < 0 || !h)
		return false;
	store_relaxed(&list, h);
	store_release(&list_pid, pid);
	return true;
}

/* Changes to the list and to words, with the mutex named to the kernel meanwhile. */
static struct head *begin(pthread_mutex_t *m)
{
	ghi_nosig_enter();
	ghi_lock(&list_lock);
	list->pending = &m->__data.__list.__next;
	__asm__ volatile("" ::: "memory");
	return list;
}

static void end(void)
{
	__asm__ volatile("" ::: "memory");
	list->pending = NULL;
	ghi_unlock(&list_lock);
	ghi_nosig_leave();
}

static bool held_by(const pthread_mutex_t *m, int pid, int32_t me)
{
	return (load_relaxed((uint32_t *)&m->__data.__lock) & TID) == (uint32_t)pid &&
	       load_relaxed(holder_of(m)) == me;
}

bool ghi_robust_held(const pthread_mutex_t *m)
{
	return held_by(m, sys_getpid(), ghi_lock_owner());
}

static void wake(pthread_mutex_t *m)
{
	ghi_sys(SYS_futex, ghi_mutex_word(m), FUTEX_WAKE, 1);
}

static bool swap(pthread_mutex_t *m, uint32_t *seen, int pid, uint32_t waiters)
{
	uint32_t kept = *seen & DIED ? *seen & WAITERS : 0;
	struct head *h = begin(m);
	bool got = cas_acquire(ghi_mutex_word(m), seen, (uint32_t)pid | kept | waiters);
	if (got) {
		store_relaxed(holder_of(m), ghi_lock_owner());
		link_to(h, m);
	}
	end();
	return got;
}

static void release(pthread_mutex_t *m, int owner, bool user)
{
	begin(m);
	unlink_it(m);
	m->__data.__owner = owner;
	if (user)
		m->__data.__nusers--;
	store_relaxed(holder_of(m), 0);
	uint32_t was =
	    xchg_acq_rel(ghi_mutex_word(m), 0u); /* the last touch: it may be destroyed */
	end();
	if (was & WAITERS)
		wake(m);
}

/* The lock was taken when its word said `seen`. */
static int taken(pthread_mutex_t *m, uint32_t seen)
{
	if (seen & DIED) {
		m->__data.__count = 1;
		m->__data.__owner = INCONSISTENT;
		return EOWNERDEAD; /* the dead one's place among the users is ours */
	}
	if (m->__data.__owner == NOTRECOVERABLE) {
		m->__data.__count = 0;
		release(m, NOTRECOVERABLE, false);
		wake(m); /* whoever waits learns the same */
		return ENOTRECOVERABLE;
	}
	m->__data.__count = 1;
	m->__data.__owner = ghi_lock_owner();
	m->__data.__nusers++;
	return 0;
}

static int wait(pthread_mutex_t *m, uint32_t seen, const struct ghi_until *until)
{
	struct ghi_gthread *self = ghi_self();
	int op = FUTEX_WAIT_BITSET;

	if (until && until->abs && ghi_ts_invalid(until->abs))
		return EINVAL;
	if (until && until->abs && until->abs->tv_sec < 0)
		return ETIMEDOUT; /* the kernel knows no time before the epoch */
	if (until && until->clock == CLOCK_REALTIME)
		op |= FUTEX_CLOCK_REALTIME;
	if (!(seen & WAITERS) && !cas_acq_rel(ghi_mutex_word(m), &seen, seen | WAITERS))
		return 0; /* look again */
	if (self)
		ghi_blocking_begin(self);
	long r = ghi_sys(SYS_futex, ghi_mutex_word(m), op, seen | WAITERS,
			 until ? until->abs : NULL, 0, FUTEX_BITSET_MATCH_ANY);
	if (self)
		ghi_blocking_end(self);
	return r == -ETIMEDOUT ? ETIMEDOUT : 0;
}

int ghi_robust_lock(pthread_mutex_t *m, const struct ghi_until *until, bool try)
{
	int pid = sys_getpid(), r;
	uint32_t waiters = 0; /* once we have waited, others may wait behind us */

	if (held_by(m, pid, ghi_lock_owner()) && (r = ghi_mutex_again(m)) >= 0)
		return r;
	for (;;) {
		uint32_t seen = load_relaxed(ghi_mutex_word(m));
		if (seen == 0 || (seen & DIED)) {
			if (swap(m, &seen, pid, waiters))
				return taken(m, seen);
			continue;
		}
		if (try)
			return EBUSY;
		if ((r = wait(m, seen, until)))
			return r;
		waiters = WAITERS;
	}
}

int ghi_robust_unlock(pthread_mutex_t *m)
{
	bool lost = m->__data.__owner == INCONSISTENT;

	if (!ghi_robust_held(m))
		return EPERM;
	if (ghi_mutex_once_less(m))
		return lost ? ENOTRECOVERABLE : 0;
	release(m, lost ? NOTRECOVERABLE : 0, true);
	return 0;
}

void ghi_robust_exit(void)
{
	int32_t me = ghi_lock_owner();
	int pid;

	if (!list || list->next == list)
		return; /* almost always: the kernel is not asked who we are */
	if (list_pid != (pid = sys_getpid()))
		return;
	for (;;) {
		pthread_mutex_t *m = NULL;
		uint32_t was = 0;
		ghi_nosig_enter();
		ghi_lock(&list_lock);
		for (void **e = list->next; e != (void *)list; e = e[0])
			if (held_by(mutex_of(e), pid, me))
				m = mutex_of(e);
		if (m) {
			list->pending = &m->__data.__list.__next;
			__asm__ volatile("" ::: "memory");
			unlink_it(m);
			store_relaxed(holder_of(m), 0);
			was = load_relaxed(ghi_mutex_word(m));
			while (!cas_acq_rel(ghi_mutex_word(m), &was, (was & WAITERS) | DIED))
				;
			__asm__ volatile("" ::: "memory");
			list->pending = NULL;
		}
		ghi_unlock(&list_lock);
		ghi_nosig_leave();
		if (!m)
			return;
		if (was & WAITERS)
			wake(m);
	}
}

static void rename_to(pthread_mutex_t *m, uint32_t tid)
{
	uint32_t seen = load_relaxed(ghi_mutex_word(m));
	while (!cas_acq_rel(ghi_mutex_word(m), &seen, (seen & ~TID) | tid))
		;
}

/* libc's condition wait releases and takes the mutex by NPTL's own code, in the name of the thread
 * block it runs on and on that one's list.  Only a process that is killed within these few
 * instructions leaves a mutex that the kernel does not know. */
void ghi_robust_lend(pthread_mutex_t *m)
{
	begin(m);
	unlink_it(m);
	link_to((struct head *)(ghi_tp_get() + (uintptr_t)ghi_libc.robust), m);
	rename_to(m, (uint32_t)ghi_lock_owner());
	end();
}

void ghi_robust_take_back(pthread_mutex_t *m)
{
	struct head *own = (void *)(ghi_tp_get() + (uintptr_t)ghi_libc.robust);

	if (own->next != &m->__data.__list.__next)
		return; /* it could not be had again */
	struct head *h = begin(m);
	unlink_it(m);
	link_to(h, m);
	store_relaxed(holder_of(m), ghi_lock_owner());
	rename_to(m, (uint32_t)sys_getpid());
	end();
}

void ghi_robust_after_fork(void)
{
	list_lock = 0;
	list_pid = 0;
}
