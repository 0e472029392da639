/* Address-hashed wait queues; see lot.h. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "src/kwait.h"
#include "src/lot.h"
#include "src/lot_queue.h"
#include "src/park.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/stack.h"
#include "src/wait.h"

/* So many that of a million keys few share one: each who waits passes by the keys before its own,
 * each of which lies on a stack of its own.  24 bytes each, on whole pages, zero until used. */
enum { BUCKET_BITS = 16, BUCKETS = 1 << BUCKET_BITS };

static struct ghi_lot_bucket buckets[BUCKETS] __attribute__((aligned(GHI_PAGE)));
_Static_assert(sizeof(buckets) % GHI_PAGE == 0, "given back as a whole");
static uint32_t kernel_waits; /* a kernel thread waited here, once */

static struct ghi_lot_bucket *bucket_of(const void *key)
{
	uint64_t h = (uintptr_t)key * 0x9e3779b97f4a7c15ull;
	return &buckets[h >> (64 - BUCKET_BITS)];
}

/* Kernel threads cannot be readied from a list: they are woken at once, under the bucket lock, so
 * their stack frame is alive. */
static bool notify(struct ghi_lot_waiter *w, struct ghi_gthread **ret_ready)
{
	if (w->away)
		return false;
	if (w->g)
		return ghi_park_notify(w->g, GHI_WOKEN_LOT, ret_ready);
	if (ghi_wake_notify(&w->word, GHI_WOKEN_LOT) == GHI_NOTIFY_LOST)
		return false;
	sys_futex_wake(&w->word, 1);
	return true;
}

static uint32_t sleep_on_word(uint32_t *word, uint64_t deadline, bool uninterruptible)
{
	struct timespec ts = ghi_ns_to_ts(deadline);
	ghi_signal_let_go();
	for (;;) {
		if (ghi_wake_notified(word))
			return load_relaxed(word) >> GHI_WAKE_SHIFT;
		long r =
		    sys_futex_wait_until(word, GHI_WAKE_ARMED, deadline == GHI_NEVER ? NULL : &ts);
		uint32_t seen = GHI_WAKE_ARMED;
		if (r == -ETIMEDOUT || (r == -EINTR && !uninterruptible))
			/* Decide against a waker that is on its way. */
			return cas_acquire(word, &seen, (uint32_t)GHI_WAKE_IDLE)
				   ? (r == -EINTR ? GHI_WOKEN_SIGNAL : GHI_WOKEN_TIMEOUT)
				   : seen >> GHI_WAKE_SHIFT;
	}
}

uint32_t ghi_lot_sleep_kernel(uint32_t *word, uint64_t deadline, bool cancellable,
			      bool interruptible)
{
	struct ghi_kwait *k = cancellable ? ghi_tls.kwait : NULL;

	if (k && !ghi_kwait_begin(k, word))
		return GHI_WOKEN_CANCEL;
	bool less = k && k->deadline < deadline && !(load_relaxed(k->cancel_word) & GHI_CANCEL_ANY);
	uint32_t wakeup = sleep_on_word(word, less ? k->deadline : deadline, !interruptible);
	if (k)
		ghi_kwait_end(k);
	if (less && wakeup == GHI_WOKEN_TIMEOUT) {
		k->expired(k);
		wakeup = GHI_WOKEN_CANCEL;
	}
	return wakeup;
}

/* Locks the bucket a waiter is in, which may change until it is locked. */
static struct ghi_lot_bucket *lock_waiter(struct ghi_lot_waiter *w)
{
	for (;;) {
		const void *key = load_relaxed(&w->key);
		struct ghi_lot_bucket *b = bucket_of(key);
		ghi_lock(&b->lock);
		if (load_relaxed(&w->key) == key)
			return b;
		ghi_unlock(&b->lock);
	}
}

static bool leave_queue(struct ghi_lot_waiter *w)
{
	struct ghi_lot_bucket *b = lock_waiter(w);
	bool was = ghi_lot_queued(w);
	if (was)
		ghi_lot_dequeue(w);
	ghi_unlock(&b->lock);
	return was;
}

/* Away: a waker that takes it out must not touch its wake word, where a nested wait may be. */
static bool set_away(struct ghi_lot_waiter *w, bool away)
{
	struct ghi_lot_bucket *b = lock_waiter(w);
	bool was = ghi_lot_queued(w);
	w->away = away;
	ghi_unlock(&b->lock);
	return was;
}

void ghi_lot_abandon(struct ghi_gthread *self)
{
	ghi_nosig_enter();
	for (struct ghi_lot_waiter *w = self->away; w; w = w->outer)
		leave_queue(w);
	self->away = NULL;
	ghi_nosig_leave();
}

/* A handler left by unwinding: a cancellation, or an exception. */
static void unwound(struct ghi_lot_waiter **w)
{
	struct ghi_gthread *self = ghi_self();
	if (!*w || !self || self->away != *w)
		return;
	self->away = (*w)->outer;
	ghi_nosig_enter();
	leave_queue(*w);
	ghi_nosig_leave();
}

/* Handlers are due on a waiter that stays in its queue: they run here.  0: go on waiting, 1: it was
 * taken out meanwhile, or -errno. */
static int run_handlers(const struct ghi_lot_wait *req, struct ghi_lot_waiter *w)
{
	struct ghi_gthread *self = w->g;
	int r;

	do {
		struct ghi_lot_waiter *left __attribute__((cleanup(unwound))) = w;
		set_away(w, true);
		w->outer = self->away;
		self->away = w;
		ghi_nosig_leave();
		ghi_nosig_enter();
		left = NULL;
		/* The handler forked and this is the child, whose lot is empty; or it jumped from
		 * one handler to another (ghi_lot_abandon). */
		if (ghi_self() != self || self->away != w)
			return 1;
		self->away = w->outer;
		r = req->uninterruptible ? ghi_wait_arm_uncancellable(self, req->why, req->key)
					 : ghi_wait_arm(self, req->why, req->key);
	} while (r == -EINTR); /* another one */
	if (!set_away(w, false)) {
		if (!r)
			ghi_park_disarm(self);
		return 1;
	}
	return r;
}

/* Queued: sleeps, and is in no queue afterwards. */
static int sleep_queued(const struct ghi_lot_wait *req, struct ghi_lot_waiter *w)
{
	struct ghi_gthread *self = w->g, *none = NULL;
	uint32_t wakeup;
	int r;

	if (!self) {
		wakeup = ghi_lot_sleep_kernel(&w->word, req->deadline, !req->uninterruptible,
					      !req->uninterruptible && !req->delivered);
		/* A waker may still be in its bucket, between notify and futex_wake. */
		bool was = leave_queue(w);
		return wakeup == GHI_WOKEN_LOT || (req->delivered && !was)
			   ? 0
			   : ghi_wait_result(wakeup);
	}
	wakeup = ghi_wait_park_until(self, req->deadline);
	/* An outer bracket would keep the handlers from running. */
	while (wakeup == GHI_WOKEN_SIGNAL && req->delivered && ghi_tls.nosig == 1) {
		if ((r = run_handlers(req, w)) > 0)
			return 0;
		if (r < 0)
			return leave_queue(w) && load_relaxed(&w->key) == req->key ? r : 0;
		/* Handlers took what was left: others that signal without end may be faster than
		 * the timer each time. */
		if (req->deadline <= ghi_now())
			ghi_park_notify(self, GHI_WOKEN_TIMEOUT, &none);
		wakeup = ghi_wait_park_until(self, req->deadline);
	}
	if (wakeup == GHI_WOKEN_LOT)
		return 0;
	bool was = leave_queue(w);
	/* Moved on from a condition variable: the signal was this waiter's, it may not be lost to a
	 * deadline or a cancellation that came while it queued for the mutex. */
	if (req->delivered && (!was || load_relaxed(&w->key) != req->key))
		return 0;
	return ghi_wait_result(wakeup);
}

int ghi_lot_wait(const struct ghi_lot_wait *req)
{
	struct ghi_gthread *self = ghi_self();
	struct ghi_lot_bucket *b = bucket_of(req->key);
	struct ghi_lot_waiter w = {
	    .key = req->key, .g = self, .bits = req->bits ? req->bits : ~0u, .token = req->token};
	int r = 0;

	if (req->deadline == 0)
		return -ETIMEDOUT;
	if (!self && ghi_runtime_atfork) /* with GREENHOOK=0 nobody else has */
		ghi_runtime_atfork();
	ghi_nosig_enter();
	if (!self) {
		w.block = ghi_tp_get();
		store_relaxed(&kernel_waits, 1u);
		ghi_wake_arm(&w.word);
	} else if (req->uninterruptible)
		r = ghi_wait_arm_uncancellable(self, req->why, req->key);
	else
		r = ghi_wait_arm(self, req->why, req->key);
	if (r)
		goto out;
	ghi_lock(&b->lock);
	if (req->validate && !req->validate(req->arg)) { /* (L1) */
		ghi_unlock(&b->lock);
		if (self)
			ghi_park_disarm(self);
		r = -EAGAIN;
		goto out;
	}
	ghi_lot_enqueue(b, &w); /* (L2) */
	ghi_unlock(&b->lock);
	if (req->before_park)
		req->before_park(req->arg); /* (L3) */
	r = sleep_queued(req, &w);
	if (w.granted)
		r = 1;
out:
	ghi_nosig_leave();
	return r;
}

int ghi_lot_wake(const void *key, int n, uint32_t bits, void (*more)(void *arg, bool remain),
		 void *arg)
{
	struct ghi_lot_bucket *b = bucket_of(key);
	struct ghi_gthread *ready = NULL;
	int woken = 0;

	ghi_nosig_enter();
	ghi_lock(&b->lock);
	GHI_LOT_FOR_EACH (w, b, key) {
		if (woken >= n)
			break;
		if (!(w->bits & (bits ? bits : ~0u)))
			continue;
		ghi_lot_dequeue(w);
		woken += notify(w, &ready);
	}
	if (more)
		more(arg, ghi_lot_first(b, key) != NULL);
	ghi_unlock(&b->lock);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return woken;
}

struct ghi_gthread *ghi_lot_take(const void *key)
{
	struct ghi_lot_bucket *b = bucket_of(key);
	struct ghi_gthread *ready = NULL;

	ghi_lock(&b->lock);
	struct ghi_lot_waiter *w = ghi_lot_first(b, key);
	if (w && w->g && !w->away && !load_relaxed(&w->g->apart)) {
		ghi_lot_dequeue(w);
		notify(w, &ready);
	}
	ghi_unlock(&b->lock);
	return ready;
}

int ghi_lot_grant(const void *key, uint32_t bits, bool (*grant)(void *arg, int n, bool remain),
		  void *arg)
{
	struct ghi_lot_bucket *b = bucket_of(key);
	struct ghi_gthread *ready = NULL;
	bool remain = false;
	int n = 0;

	ghi_nosig_enter();
	ghi_lock(&b->lock);
	GHI_LOT_FOR_EACH (w, b, key) {
		bool match = w->bits & bits;
		n += match;
		remain |= !match;
	}
	if (!grant(arg, n, remain))
		n = 0;
	GHI_LOT_FOR_EACH (w, b, key) {
		if (!n)
			break;
		if (!(w->bits & bits))
			continue;
		ghi_lot_dequeue(w);
		w->granted = true;
		notify(w, &ready); /* or it is on its way out, and finds that it was taken out */
	}
	ghi_unlock(&b->lock);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return n;
}

/* Two bucket locks, always in address order. */
static void lock_two(struct ghi_lot_bucket *a, struct ghi_lot_bucket *b)
{
	ghi_lock(a < b ? &a->lock : &b->lock);
	if (a != b)
		ghi_lock(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct ghi_lot_bucket *a, struct ghi_lot_bucket *b)
{
	ghi_unlock(&a->lock);
	if (a != b)
		ghi_unlock(&b->lock);
}

static void move(struct ghi_lot_waiter *w, struct ghi_lot_bucket *to, const void *key)
{
	ghi_lot_dequeue(w);
	store_relaxed(&w->key, key);
	ghi_lot_enqueue(to, w);
}

int ghi_lot_requeue(const void *from, const void *to, int n, int m, bool (*validate)(void *arg),
		    void *arg, int *ret_moved)
{
	struct ghi_lot_bucket *a = bucket_of(from), *b = bucket_of(to);
	struct ghi_gthread *ready = NULL;
	int woken = 0, moved = 0;

	ghi_nosig_enter();
	lock_two(a, b);
	if (validate && !validate(arg)) {
		unlock_two(a, b);
		ghi_nosig_leave();
		return -EAGAIN;
	}
	GHI_LOT_FOR_EACH (w, a, from) { /* not those moved behind the last one, with to == from */
		if (woken < n) {
			ghi_lot_dequeue(w);
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

/* Locks the bucket of `key` and that of its first waiter's token, which is known only from the
 * waiter.  NULL: nobody waits; the bucket of `key` alone is locked. */
static struct ghi_lot_waiter *lock_first(struct ghi_lot_bucket *b, const void *key,
					 struct ghi_lot_bucket **ret_second)
{
	for (;;) {
		ghi_lock(&b->lock);
		struct ghi_lot_waiter *w = ghi_lot_first(b, key);
		void *token = w ? w->token : NULL;
		struct ghi_lot_bucket *second = token ? bucket_of(token) : b;
		*ret_second = second;
		if (!w || second == b)
			return w;
		if (b < second) {
			ghi_lock(&second->lock);
			return w;
		}
		ghi_unlock(&b->lock);
		lock_two(b, second);
		if ((w = ghi_lot_first(b, key)) && w->token == token)
			return w;
		unlock_two(b, second); /* it went, somebody else is first: again */
	}
}

/* The moves of one section are seen together: a waiter that was woken in it, takes the mutex and
 * releases it, comes for the mutex's bucket, which is ours until all of the section are moved.  So
 * "one is awake" holds within a section, and each section starts anew. */
int ghi_lot_morph(const void *key, int n, bool (*hold)(void *token, bool one_is_awake),
		  void (*more)(void *arg, bool remain), void *arg)
{
	enum { SECTION = 256 };
	struct ghi_lot_bucket *b = bucket_of(key), *second;
	struct ghi_gthread *ready = NULL;
	struct ghi_lot_waiter *w;
	int taken = 0;

	ghi_nosig_enter();
	while (taken < n && (w = lock_first(b, key, &second))) {
		void *token = w->token;
		bool awake = false;
		for (int i = 0; i < SECTION && taken < n && w && w->token == token; i++) {
			bool moves = token && hold(token, awake);
			if (moves)
				move(w, second, token);
			else
				ghi_lot_dequeue(w);
			/* Before the notify: whoever wakes may free the object. */
			struct ghi_lot_waiter *next = ghi_lot_first(b, key);
			if (more)
				more(arg, next != NULL);
			/* Not parked: it runs a handler, or has just been woken otherwise, and will
			 * find itself taken.  It is no unlocker of the mutex for those behind it.
			 */
			if (!moves)
				awake |= notify(w, &ready);
			taken++;
			w = next;
		}
		if (second != b)
			ghi_unlock(&second->lock);
		ghi_unlock(&b->lock);
		if (!w)
			goto out; /* the object may be gone */
	}
	if (taken < n) { /* lock_first found nobody and left its bucket locked */
		if (more && taken == 0)
			more(arg, false);
		ghi_unlock(&b->lock);
	}
out:
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return taken;
}

/* Of any bucket: a waiter may have been on its way from one to another. */
static bool is_head(const struct ghi_list *l)
{
	return (uintptr_t)l - (uintptr_t)buckets < sizeof(buckets);
}

/* Of w's key: those that are the calling kernel thread's. */
static void note_mine(struct ghi_lot_waiter *w, struct ghi_lot_waiter **mine)
{
	for (; w && !w->seen; w = w->queue.next ? ghi_lot_after(w) : NULL) {
		w->seen = true;
		if (!w->g && w->block == ghi_tp_get()) {
			w->outer = *mine;
			*mine = w;
		}
	}
}

/* The caller may have forked in a handler that interrupted its wait, as a kernel thread, which goes
 * on with it.  The others' memory is still there, but nobody to wake.  Whoever held the lock may
 * have left `prev` behind, and a last one without `next`, or two firsts. */
void ghi_lot_after_fork(bool green)
{
	struct ghi_lot_waiter *mine = NULL, *w;

	/* A green one's wait is left behind in any case. */
	for (int i = 0; i < BUCKETS && !green && kernel_waits; i++)
		for (struct ghi_list *l = buckets[i].firsts.next; l && !is_head(l); l = l->next)
			note_mine(ghi_container(l, struct ghi_lot_waiter, first), &mine);
	kernel_waits = mine != NULL;
	/* Writing to all of them would copy all that were ever used. */
	if (ghi_sys(SYS_madvise, buckets, sizeof(buckets), MADV_DONTNEED) < 0)
		memset(buckets, 0, sizeof(buckets));
	while ((w = mine)) {
		mine = w->outer;
		w->seen = false;
		w->first = (struct ghi_list){0};
		ghi_lot_enqueue(bucket_of(w->key), w);
	}
}
