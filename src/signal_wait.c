/* sigwait and its family: parked until a signal of a set is pending; see signal.h.
 *
 * A signal may be pending in three places: in the gthread's own queue (sent to it), in limbo, and
 * in the kernel, which keeps what was sent to the process while every thread blocks it.  Only the
 * kernel can hand out the last, and tells through a signalfd that the poller watches.
 *
 *   waiter                                        who sends
 *   (V1) arm; on the list, `waits` is stored;     thread: (S1) pushes on its queue
 *        the signalfd covers the set                      (S2) fence, reads `waits`, interrupts
 *   (V2) fence; looks at its queue and limbo      kernel: (S3) pending
 *   (V3) takes what the kernel has, under the             (S4) wakes the signalfd: an edge for the
 *        waiters' lock                                         poller, which takes what the kernel
 *   (V4) parks                                                 has, under the waiters' lock
 *
 * Nothing is lost: S1 before V2 is found there, else S2 sees V1.  S3 before V3 is found there; else
 * S4 comes after V1, so there is an edge, and whoever handles it finds the waiter on the list.  A
 * change of the covered set raises an edge by itself.  Limbo: its fence X1 against the one of V2.
 * Nothing is lost to a waiter that ends otherwise: what it was given is in its record, which it
 * reads under the lock when it leaves the list.
 */
#include <errno.h>

#include "src/cancel.h"
#include "src/park.h"
#include "src/poller.h"
#include "src/sched.h"
#include "src/signal_int.h"
#include "src/timer.h"
#include "src/wait.h"

struct waiter {
	struct ghi_list link;
	struct ghi_gthread *g;
	uint64_t want;
	int sig; /* what it was given; 0: nothing yet, and it is on the list */
	siginfo_t info;
};

static struct {
	ghi_lock_t lock;
	struct ghi_list list;
	uint64_t covered; /* by the signalfd */
} waiters;

uint32_t ghi_sig_waiting;

/* Without a signalfd (descriptor limit, sandbox): look again so often. */
enum { SLICE_MS = 20 };

/* Under the lock. */
static uint64_t wanted(void)
{
	uint64_t set = 0;
	for (struct ghi_list *l = waiters.list.next; l && l != &waiters.list; l = l->next)
		set |= ghi_container(l, struct waiter, link)->want;
	return set;
}

/* Under the lock: each signal that is pending in the kernel goes to the longest waiter for it. */
static void serve(struct ghi_gthread **ret_ready)
{
	const struct timespec now = {0, 0};
	siginfo_t info;
	uint64_t set;

	while ((set = wanted())) {
		long sig = ghi_sys(SYS_rt_sigtimedwait, &set, &info, &now, 8);
		if (sig == -EINTR)
			continue;
		if (sig == -EAGAIN || sig == 0)
			return;
		/* Refused: whoever waits is told, one after another, as if it had asked itself. */
		struct ghi_list *l = waiters.list.next;
		while (sig > 0 && !(ghi_container(l, struct waiter, link)->want & BIT(sig)))
			l = l->next;
		struct waiter *w = ghi_container(l, struct waiter, link);
		w->sig = (int)sig;
		w->info = info;
		ghi_list_remove(&w->link);
		ghi_park_notify(w->g, GHI_WOKEN_LOT, ret_ready);
	}
}

/* Under the lock.  False: there is none. */
static bool cover(uint64_t set)
{
	if ((waiters.covered & set) == set)
		return true;
	if (ghi_poller_signals(set | waiters.covered) < 0)
		return false;
	waiters.covered |= set;
	return true;
}

void ghi_signal_waiters_look(void)
{
	struct ghi_gthread *ready = NULL;

	ghi_nosig_enter();
	ghi_lock(&waiters.lock);
	serve(&ready);
	/* What nobody waits for any more need not wake the poller again. */
	uint64_t set = wanted();
	if (set != waiters.covered && ghi_poller_signals(set) == 0)
		waiters.covered = set;
	ghi_unlock(&waiters.lock);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
}

/* What was sent to the process and waits here, and the kernel has a lower number: that one. */
static int lower_in_kernel(struct ghi_gthread *self, uint64_t want, siginfo_t *info)
{
	const struct timespec now = {0, 0};
	uint64_t here = (self->sig.own[GHI_TO_PROCESS].bits | ghi_sig_limbo_bits()) & want;

	if (!here || (self->sig.own[GHI_TO_THREAD].bits & want))
		return 0;
	want &= BIT(ghi_sig_first(here)) - 1;
	long sig = want ? ghi_sys(SYS_rt_sigtimedwait, &want, info, &now, 8) : 0;
	return sig > 0 ? (int)sig : 0;
}

/* From its own queue or limbo; 0: nothing. */
static int take_own(struct ghi_gthread *self, uint64_t want, siginfo_t *info)
{
	struct ghi_siginfo_node *n;
	int sig;

	ghi_sig_collect(self);
	if ((sig = lower_in_kernel(self, want, info)))
		return sig;
	while (!(n = ghi_sig_pick(self, want)) && (ghi_sig_limbo_bits() & want))
		ghi_sig_limbo_to(self, want);
	if (!n)
		return 0;
	sig = n->sig;
	ghi_sig_node_take(self, n, info);
	return sig;
}

/* Once around; 0: woken for nothing. */
static int wait_once(struct ghi_gthread *self, uint64_t want, siginfo_t *info, uint64_t deadline)
{
	struct waiter w = {.g = self, .want = want};
	struct ghi_gthread *ready = NULL;
	uint32_t wakeup = 0;
	bool sliced = false;
	int sig, r;

	r = ghi_wait_arm(self, GHI_PARK_SIGNAL, NULL); /* (V1) */
	store_relaxed(&self->sig.waits, want);
	fetch_add_relaxed(&ghi_sig_waiting, 1u);
	ghi_lock(&waiters.lock);
	if (!r && !cover(want)) {
		uint64_t slice = ghi_deadline_in(SLICE_MS * GHI_MS);
		sliced = slice < deadline;
		deadline = sliced ? slice : deadline;
	}
	ghi_list_append(&waiters.list, &w.link);
	fence_seq_cst(); /* (V2) */
	sig = take_own(self, want, info);
	if (!sig)
		serve(&ready); /* (V3) */
	bool park = !r && !sig && !w.sig;
	if (!park && !w.sig)
		ghi_list_remove(&w.link);
	ghi_unlock(&waiters.lock);
	if (park) {
		ghi_ready_batch(ready);
		ready = NULL;
		wakeup = ghi_wait_park_until(self, deadline); /* (V4) */
		ghi_lock(&waiters.lock);
		if (!w.sig)
			ghi_list_remove(&w.link);
		ghi_unlock(&waiters.lock);
	} else if (!r) {
		ghi_park_disarm(self);
	}
	store_relaxed(&self->sig.waits, 0ull); /* (Y1) */
	ghi_sig_limbo_settle();
	fetch_add_relaxed(&ghi_sig_waiting, -1u);
	if (w.sig) {
		sig = w.sig;
		*info = w.info;
	} else if (park && (sig = take_own(self, want, info)) == 0) {
		r = sliced && wakeup == GHI_WOKEN_TIMEOUT ? 0 : ghi_wait_result(wakeup);
	}
	ghi_ready_batch(ready);
	return sig ? sig : r;
}

int ghi_signal_wait(struct ghi_gthread *self, uint64_t want, siginfo_t *ret_info, uint64_t deadline)
{
	int r;

	want &= ~UNBLOCKABLE;
	self->sig_ran = 0;
	for (;;) {
		ghi_nosig_enter();
		r = wait_once(self, want, ret_info, deadline);
		ghi_nosig_leave(); /* handlers run */
		if (r > 0)
			return r;
		if (r == -ETIMEDOUT)
			return -EAGAIN;
		if (r == -ECANCELED && ghi_cancel_requested(self))
			return r;
		if (self->sig_ran)
			return -EINTR;
		if (r < 0 && r != -EINTR && r != -ECANCELED)
			return r;
	}
}

void ghi_sig_wait_reset(void)
{
	waiters.lock = 0;
	waiters.list = (struct ghi_list){0};
	waiters.covered = 0;
	ghi_sig_waiting = 0;
}
