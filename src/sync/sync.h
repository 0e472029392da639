/* Locks on NPTL-compatible words, shared by the pthread hooks and the native API.
 *
 * Owns: the algorithms.  Called by: hooks/, src/native/.  Must not know: who calls.  Every function
 * works for gthreads and for kernel threads alike, and before the runtime has started.
 *
 * All static initialisers and what libc's own *_init functions write are valid; the meaning of the
 * mutex words is NPTL's (lock 0/1/2, owner, count, kind), so a debugger reads them as ever. Objects
 * that other processes may share, are libc's: `ours` answers false
 * and the hook calls libc; robust and priority-protected mutexes have algorithms of their own.  All
 * return 0 or a positive errno, like pthreads.
 */
#ifndef GHI_SYNC_H
#define GHI_SYNC_H

#include <pthread.h>
#include <semaphore.h>

#include "src/gthread.h"

/* An absolute deadline in the clock the program named; NULL abs: none. */
struct ghi_until {
	clockid_t clock;
	const struct timespec *abs;
};

/* The id that owns locks: the tid in the caller's thread control block. */
static inline int32_t ghi_lock_owner(void)
{
	int32_t tid = ghi_tls.tid;
	return __builtin_expect(tid != 0, 1) ? tid : (ghi_tls.tid = sys_gettid());
}

/* Set for good when the runtime turns out to be inert, while there is one thread: a wait for a
 * condition or a semaphore is a cancellation point, and only libc can cancel its own threads in it.
 * From then on mutexes (which its pthread_cond_wait releases), conditions and semaphores are
 * libc's; whatever state they are in, with nobody waiting, is valid there. */
extern bool ghi_sync_native;

bool ghi_mutex_ours(const pthread_mutex_t *m);
int ghi_mutex_lock(pthread_mutex_t *m, const struct ghi_until *until);
int ghi_mutex_trylock(pthread_mutex_t *m);
/* 0, EPERM, or GHI_MUTEX_MAKE_WAY: it is unlocked, and who waits for it was overtaken for so long
 * that the caller should let others run before it locks again. */
enum { GHI_MUTEX_MAKE_WAY = -1 };
int ghi_mutex_unlock(pthread_mutex_t *m);
/* For cond.c: what unlocking would refuse, 0 or an errno, of any kind of mutex; nothing happens. */
int ghi_mutex_cond_check(pthread_mutex_t *m);
/* Gives up one lock; false: it is recursive and still held.  And takes it back, as one of several
 * that may wait for it. */
bool ghi_mutex_cond_unlock(pthread_mutex_t *m);
void ghi_mutex_cond_relock(pthread_mutex_t *m, bool held);

/* Robust mutexes, private and shared; robust.c. */
enum { GHI_MUTEX_ROBUST = 16 };
static inline bool ghi_mutex_robust(const pthread_mutex_t *m)
{
	return m->__data.__kind & GHI_MUTEX_ROBUST;
}
/* Not when the kernel or libc's own threads have to know better; then it is libc's. */
bool ghi_robust_ours(const pthread_mutex_t *m);
int ghi_robust_lock(pthread_mutex_t *m, const struct ghi_until *until, bool try);
int ghi_robust_unlock(pthread_mutex_t *m);
bool ghi_robust_held(const pthread_mutex_t *m);
/* The calling thread ends: what it holds is marked as left by a dead owner. */
void ghi_robust_exit(void);
/* Around a wait of libc's on a condition: the mutex as libc itself would hold it. */
void ghi_robust_lend(pthread_mutex_t *m);
void ghi_robust_take_back(pthread_mutex_t *m);
void ghi_robust_after_fork(void);

/* Mutexes with a priority ceiling, on gthreads; protect.c. */
bool ghi_protect_ours(const pthread_mutex_t *m);
int ghi_protect_lock(pthread_mutex_t *m, const struct ghi_until *until, bool try);
int ghi_protect_unlock(pthread_mutex_t *m);

bool ghi_cond_ours(const pthread_cond_t *c);
/* m: one of ours or not; lock and unlock go through the given functions.  -ECANCELED when the
 * caller must act on a cancellation, mutex held. */
int ghi_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, const struct ghi_until *until,
		  int (*lock)(pthread_mutex_t *), int (*unlock)(pthread_mutex_t *));
int ghi_cond_signal(pthread_cond_t *c, int n);
/* The clock of pthread_condattr_setclock. */
clockid_t ghi_cond_clock(const pthread_cond_t *c);

bool ghi_rwlock_ours(const pthread_rwlock_t *l);
int ghi_rwlock_rdlock(pthread_rwlock_t *l, const struct ghi_until *until, bool try);
int ghi_rwlock_wrlock(pthread_rwlock_t *l, const struct ghi_until *until, bool try);
int ghi_rwlock_unlock(pthread_rwlock_t *l);
/* Somebody reads, or the caller writes. */
bool ghi_rwlock_held(const pthread_rwlock_t *l);

bool ghi_sem_ours(const sem_t *s);
/* 0, or a positive errno; EINTR after a handler ran; -ECANCELED as above. */
int ghi_sem_wait(sem_t *s, const struct ghi_until *until, bool try);
int ghi_sem_post(sem_t *s);

int ghi_barrier_init(pthread_barrier_t *b, unsigned count);
bool ghi_barrier_ours(const pthread_barrier_t *b);
int ghi_barrier_wait(pthread_barrier_t *b);
/* Until a deadline, and a cancellation point: -ETIMEDOUT or -ECANCELED, and the caller has not
 * arrived. */
int ghi_barrier_wait_until(pthread_barrier_t *b, uint64_t deadline);
int ghi_barrier_destroy(pthread_barrier_t *b);

extern uint32_t ghi_once_generation; /* grows in a fork's child */
void ghi_once_after_fork(void);
int ghi_once(pthread_once_t *o, void (*fn)(void));
int ghi_once_with(pthread_once_t *o, void (*fn)(void *), void *arg);

/* deadline for a lot wait, EINVAL for a malformed time (checked only by those that must wait). */
int ghi_until_deadline(const struct ghi_until *until, uint64_t *ret_deadline);

#endif
