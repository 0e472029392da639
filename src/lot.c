/* Address-hashed wait queues; see lot.h. */
#include <errno.h>
#include <limits.h>

#include "src/lot.h"
#include "src/park.h"
#include "src/sched.h"
#include "src/timer.h"
#include "src/wait.h"

enum { BUCKETS = 4096 }; /* 24 bytes each, zero pages until used */

static struct bucket {
	ghi_lock_t lock;
	struct ghi_list waiters;
} buckets[BUCKETS];

struct waiter {
	struct ghi_list link;  /* next NULL: not queued; under the bucket lock of `key` */
	const void *key;       /* changes under both bucket locks when moved */
	struct ghi_gthread *g; /* NULL: a kernel thread, which sleeps on `word` */
	uint32_t word;	       /* park_word.h, used as a futex */
	uint32_t bits;
	void *token;
};

static struct bucket *bucket_of(const void *key)
{
	uint64_t h = (uintptr_t)key * 0x9e3779b97f4a7c15ull;
	return &buckets[h >> 52];
}

/* Kernel threads cannot be readied from a list: they are woken at once, under the bucket lock, so
 * their stack frame is alive. */
static bool notify(struct waiter *w, struct ghi_gthread **ret_ready)
{
	if (w->g)
		return ghi_park_notify(w->g, GHI_WOKEN_LOT, ret_ready);
	if (ghi_wake_notify(&w->word, GHI_WOKEN_LOT) == GHI_NOTIFY_LOST)
		return false;
	sys_futex_wake(&w->word, 1);
	return true;
}

static uint32_t sleep_kernel_thread(struct waiter *w, uint64_t deadline, bool uninterruptible)
{
	struct timespec ts = ghi_ns_to_ts(deadline);
	for (;;) {
		if (ghi_wake_notified(&w->word))
			return GHI_WOKEN_LOT;
		long r = sys_futex_wait_until(&w->word, GHI_WAKE_ARMED,
					      deadline == GHI_NEVER ? NULL : &ts);
		uint32_t seen = GHI_WAKE_ARMED;
		if (r == -ETIMEDOUT || (r == -EINTR && !uninterruptible))
			/* Decide against a waker that is on its way. */
			return cas_acquire(&w->word, &seen, (uint32_t)GHI_WAKE_IDLE)
				       ? (r == -EINTR ? GHI_WOKEN_SIGNAL : GHI_WOKEN_TIMEOUT)
				       : GHI_WOKEN_LOT;
	}
}

/* Locks the bucket a waiter is in, which may change until it is locked. */
static struct bucket *lock_waiter(struct waiter *w)
{
	for (;;) {
		const void *key = load_relaxed(&w->key);
		struct bucket *b = bucket_of(key);
		ghi_lock(&b->lock);
		if (load_relaxed(&w->key) == key)
			return b;
		ghi_unlock(&b->lock);
	}
}

int ghi_lot_wait(const struct ghi_lot_wait *req)
{
	struct ghi_gthread *self = ghi_self();
	struct bucket *b = bucket_of(req->key);
	struct waiter w = {.key = req->key,
			   .g = self,
			   .bits = req->bits ? req->bits : ~0u,
			   .token = req->token};
	struct ghi_timer timer;
	uint32_t wakeup;
	int r = 0;

	if (req->deadline == 0)
		return -ETIMEDOUT;
	ghi_nosig_enter();
	if (!self)
		ghi_wake_arm(&w.word);
	else if (req->uninterruptible)
		r = ghi_wait_arm_uncancellable(self, req->why, req->key);
	else
		r = ghi_wait_arm(self, req->why, req->key);
	if (r)
		goto out;
	ghi_lock(&b->lock);
	if (req->validate && !req->validate(req->arg)) { /* (L1) */
		ghi_unlock(&b->lock);
		if (self) {
			ghi_wake_take(&self->wake);
			self->reason = GHI_PARK_NONE;
		}
		r = -EAGAIN;
		goto out;
	}
	ghi_list_append(&b->waiters, &w.link); /* (L2) */
	ghi_unlock(&b->lock);
	if (req->before_park)
		req->before_park(req->arg); /* (L3) */
	if (!self) {
		wakeup = sleep_kernel_thread(&w, req->deadline, req->uninterruptible);
	} else if (req->deadline == GHI_NEVER) {
		wakeup = ghi_park(self);
	} else {
		ghi_timer_start(&timer, self, req->deadline);
		wakeup = ghi_park(self);
		ghi_timer_cancel(&timer);
	}
	/* A waker of a kernel thread may still be in its bucket, between notify and futex_wake. */
	if (wakeup != GHI_WOKEN_LOT || !self) {
		b = lock_waiter(&w);
		if (w.link.next)
			ghi_list_remove(&w.link);
		ghi_unlock(&b->lock);
	}
	r = ghi_wait_result(wakeup);
	/* Moved on from a condition variable: the signal was this waiter's, it may not be lost to a
	 * deadline or a cancellation that came while it queued for the mutex. */
	if (req->token && load_relaxed(&w.key) != req->key)
		r = 0;
out:
	ghi_nosig_leave();
	return r;
}

static bool any_left(struct bucket *b, const void *key)
{
	if (ghi_list_empty(&b->waiters))
		return false;
	for (struct ghi_list *n = b->waiters.next; n != &b->waiters; n = n->next)
		if (ghi_container(n, struct waiter, link)->key == key)
			return true;
	return false;
}

int ghi_lot_wake(const void *key, int n, uint32_t bits, void (*more)(void *arg, bool remain),
		 void *arg)
{
	struct bucket *b = bucket_of(key);
	struct ghi_gthread *ready = NULL;
	int woken = 0;

	ghi_nosig_enter();
	ghi_lock(&b->lock);
	for (struct ghi_list *l = b->waiters.next, *next; l && l != &b->waiters && woken < n;
	     l = next) {
		struct waiter *w = ghi_container(l, struct waiter, link);
		next = l->next;
		if (w->key != key || !(w->bits & (bits ? bits : ~0u)))
			continue;
		ghi_list_remove(l);
		woken += notify(w, &ready);
	}
	if (more)
		more(arg, any_left(b, key));
	ghi_unlock(&b->lock);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return woken;
}

/* Two bucket locks, always in address order. */
static void lock_two(struct bucket *a, struct bucket *b)
{
	ghi_lock(a < b ? &a->lock : &b->lock);
	if (a != b)
		ghi_lock(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
	ghi_unlock(&a->lock);
	if (a != b)
		ghi_unlock(&b->lock);
}

static void move(struct waiter *w, struct bucket *to, const void *key)
{
	ghi_list_remove(&w->link);
	store_relaxed(&w->key, key);
	ghi_list_append(&to->waiters, &w->link);
}

int ghi_lot_requeue(const void *from, const void *to, int n, int m, bool (*validate)(void *arg),
		    void *arg, int *ret_moved)
{
	struct bucket *a = bucket_of(from), *b = bucket_of(to);
	struct ghi_gthread *ready = NULL;
	int woken = 0, moved = 0;

	ghi_nosig_enter();
	lock_two(a, b);
	if (validate && !validate(arg)) {
		unlock_two(a, b);
		ghi_nosig_leave();
		return -EAGAIN;
	}
	for (struct ghi_list *l = a->waiters.next, *next, *end = a->waiters.prev; l && l != &a->waiters;
	     l = next) {
		struct waiter *w = ghi_container(l, struct waiter, link);
		next = l == end ? &a->waiters : l->next; /* not those moved behind it */
		if (w->key != from)
			continue;
		if (woken < n) {
			ghi_list_remove(l);
			woken += notify(w, &ready);
		} else if (moved < m) {
			move(w, b, to);
			moved++;
		} else {
			break;
		}
	}
	unlock_two(a, b);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	*ret_moved = moved;
	return woken;
}

int ghi_lot_morph(const void *key, int n, bool (*hold)(void *token, bool one_is_awake),
		  void (*more)(void *arg, bool remain), void *arg)
{
	struct bucket *b = bucket_of(key);
	struct ghi_gthread *ready = NULL;
	int taken = 0, woken = 0;

	ghi_nosig_enter();
	while (taken < n) {
		/* The mutex, and with it the second bucket, is known only from the waiter. */
		struct waiter *w = NULL;
		ghi_lock(&b->lock);
		for (struct ghi_list *l = b->waiters.next; l && l != &b->waiters; l = l->next)
			if (ghi_container(l, struct waiter, link)->key == key) {
				w = ghi_container(l, struct waiter, link);
				break;
			}
		if (!w)
			break;
		struct bucket *mb = w->token ? bucket_of(w->token) : b;
		if (mb != b && mb < b) {
			void *token = w->token;
			ghi_unlock(&b->lock);
			lock_two(b, mb);
			w = NULL; /* it may be gone: look again for one with this mutex */
			for (struct ghi_list *l = b->waiters.next; l && l != &b->waiters; l = l->next) {
				struct waiter *c = ghi_container(l, struct waiter, link);
				if (c->key == key) {
					w = c->token == token ? c : NULL;
					break;
				}
			}
			if (!w) {
				unlock_two(b, mb);
				continue;
			}
		} else if (mb != b) {
			ghi_lock(&mb->lock);
		}
		if (w->token && hold(w->token, woken > 0)) {
			move(w, mb, w->token);
			if (more)
				more(arg, any_left(b, key));
			taken++;
		} else {
			ghi_list_remove(&w->link);
			/* Before the notify: whoever wakes may free the object. */
			if (more)
				more(arg, any_left(b, key));
			bool won = notify(w, &ready);
			woken += won;
			taken += won;
		}
		if (mb != b)
			ghi_unlock(&mb->lock);
		if (taken < n) {
			ghi_unlock(&b->lock);
			continue;
		}
		break;
	}
	/* The loop leaves with the bucket locked.  With nobody taken the object is still the caller's;
	 * otherwise it may be gone. */
	if (n > 0) {
		if (more && taken == 0)
			more(arg, false);
		ghi_unlock(&b->lock);
	}
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return taken;
}

void ghi_lot_after_fork(void)
{
	for (int i = 0; i < BUCKETS; i++) {
		buckets[i].lock = 0;
		ghi_list_init(&buckets[i].waiters);
	}
}
