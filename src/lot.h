/* The parking lot: wait queues keyed by address, for gthreads and kernel threads alike.
 *
 * Owns: hashed buckets, waiters.  Called by: sync/, hooks (futex, join).  Must not know: what the
 * word at the address means.
 *
 *   waiter                                       waker
 *   (L1) bucket lock; validate(): is the         (K1) changes the word
 *        word still such that it must wait?      (K2) bucket lock; takes waiters out, notifies them
 *   (L2) joins the queue; unlock                 (K3) unlock; readies them; never touches the
 *   (L3) before_park() (unlock a mutex); parks        address again (it may be freed by now)
 *
 * No wake-up is lost: K2 comes after K1; if L1 is before K2, the waiter is found, else validate
 * sees K1.  A waiter that ended otherwise (time, signal) takes the bucket lock and leaves by
 * itself.  One whose wake-ups are delivered stays in the queue while handlers of the program run on
 * its stack; unwinding takes it out.
 */
#ifndef GHI_LOT_H
#define GHI_LOT_H

#include "src/gthread.h"

struct ghi_lot_wait {
	const void *key;
	bool (*validate)(void *arg);	/* under the bucket lock; NULL: always true */
	void (*before_park)(void *arg); /* queued, nothing locked; NULL: nothing */
	void *arg;
	uint64_t deadline; /* GHI_NEVER: none */
	enum ghi_reason why;
	uint32_t bits;	      /* which wakers it answers to; 0 means all */
	void *token;	      /* for requeue: the mutex a condition's waiter goes on to */
	bool uninterruptible; /* not a cancellation point: a request is left for later */
	/* A wake-up is delivered, not a hint: handlers run while it stays queued, and whoever was
	 * taken out by a waker reports that, whatever else ended its wait.  For ghi_lot_morph. */
	bool delivered;
};
/* 0 woken, 1 granted (ghi_lot_grant), -EAGAIN validate said no, -ETIMEDOUT, -EINTR, -ECANCELED. */
int ghi_lot_wait(const struct ghi_lot_wait *w);

/* Wakes up to n waiters whose bits match; returns how many.  more (may be NULL), called under the
 * bucket lock, learns whether waiters remain. */
int ghi_lot_wake(const void *key, int n, uint32_t bits, void (*more)(void *arg, bool remain),
		 void *arg);
/* One gthread that waits there, and that any slot may run, taken out and notified: the caller runs
 * it.  NULL: there is none. */
struct ghi_gthread *ghi_lot_take(const void *key);
/* Takes out all waiters whose bits match, with what they wait for: grant(), called under the bucket
 * lock with their number and whether others remain, gives it to them or refuses.  Whatever else
 * ends their waits, these return 1.  How many; 0 when it refused. */
int ghi_lot_grant(const void *key, uint32_t bits, bool (*grant)(void *arg, int n, bool remain),
		  void *arg);
/* Wakes up to n, moves up to m others to another key; under both bucket locks, after validate()
 * (-EAGAIN when it fails).  Returns woken, and moved in *ret_moved. */
int ghi_lot_requeue(const void *from, const void *to, int n, int m, bool (*validate)(void *arg),
		    void *arg, int *ret_moved);
/* For condition variables: takes up to n waiters and moves each to its token when hold() says that
 * somebody will release that mutex with a wake-up; wakes it otherwise.  one_is_awake: a waiter was
 * woken under the same hold of the buckets.  Returns taken; more() as above. */
int ghi_lot_morph(const void *key, int n, bool (*hold)(void *token, bool one_is_awake),
		  void (*more)(void *arg, bool remain), void *arg);
/* The gthread jumps out of handlers that run while it waits: it waits no longer.  (A jump inside a
 * handler looks the same; the wait then ends as if woken.) */
void ghi_lot_abandon(struct ghi_gthread *self);
/* How a kernel thread sleeps on a wake word that is armed and visible to wakers, who call
 * sys_futex_wake after the notify: enum ghi_wakeup.  After anything else than a wake-up the caller
 * has to make sure that no waker is on its way. */
uint32_t ghi_lot_sleep_kernel(uint32_t *word, uint64_t deadline, bool cancellable,
			      bool interruptible);
/* In a fork's child.  green: the caller is a gthread. */
void ghi_lot_after_fork(bool green);

#endif
