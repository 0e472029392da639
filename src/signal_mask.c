/* Masks: which signals are open somewhere, and the mask of the running gthread; see signal.h.
 *
 * For each signal it is counted how many gthreads block it.  What not all of them block is open,
 * and the monitor accepts it.  The mask during a handler is not counted: a signal that is then
 * blocked by all waits in limbo (signal_route.c) until the handler ends.
 *
 * A signal that is open nowhere must be blocked on every kernel thread before the call that closed
 * it returns, or the kernel would drop or kill by it: the monitor takes its new mask, and a worker
 * that still has the mask of the gthread it ran last, on its way to sleep, is waited for.
 */
#include <string.h>

#include "src/monitor.h"
#include "src/sched.h"
#include "src/signal_int.h"

static struct {
	ghi_lock_t lock;
	uint64_t total, empty;	    /* gthreads; those that block nothing */
	uint64_t blocked[GHI_NSIG]; /* by the others */
	uint64_t open;
} masks;

uint64_t ghi_signal_mask_of(const sigset_t *s)
{
	uint64_t mask;
	memcpy(&mask, s, sizeof(mask));
	return mask & ~UNBLOCKABLE;
}

static void add(uint64_t mask, uint64_t delta)
{
	masks.total += delta;
	if (!mask)
		masks.empty += delta;
	for (; mask; mask &= mask - 1)
		masks.blocked[__builtin_ctzll(mask) + 1] += delta;
}

static bool still_closed(uint64_t closed)
{
	ghi_lock(&masks.lock);
	bool r = !(masks.open & closed);
	ghi_unlock(&masks.lock);
	return r;
}

/* Nobody runs with `closed` open any more but a worker that searches, for a moment. */
static void wait_for_workers(struct ghi_worker *own, uint64_t closed)
{
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		while (w != own && (closed & ~load_relaxed(&w->kmask)) &&
		       load_relaxed(&w->tid) > 0 && still_closed(closed))
			ghi_sys(SYS_sched_yield);
}

/* After `masks.open` changed: the caller's kernel thread, the monitor and the workers follow. */
static void in_force(uint64_t closed)
{
	struct ghi_gthread *self = ghi_self();
	struct ghi_worker *w = self ? self->worker : NULL;

	if (!ghi_signal_active)
		return;
	if (w && (closed & ~w->kmask)) { /* the last that did not block it ends */
		uint64_t all = ~GHI_SIG_OURS;
		sys_sigprocmask(SIG_SETMASK, &all, NULL);
		store_relaxed(&w->kmask, all);
	}
	ghi_monitor_update_mask();
	if (closed)
		wait_for_workers(w, closed);
}

/* Under the lock; true when something changed. */
static bool look(uint64_t *ret_closed)
{
	uint64_t open = masks.empty ? ~0ull : 0, was = masks.open;

	for (int sig = 1; !masks.empty && sig < GHI_NSIG; sig++)
		if (masks.blocked[sig] < masks.total)
			open |= BIT(sig);
	masks.open = open;
	*ret_closed = was & ~open;
	return open != was;
}

void ghi_signal_count(uint64_t mask, int delta)
{
	uint64_t closed;
	ghi_lock(&masks.lock);
	add(mask, (uint64_t)(int64_t)delta);
	bool changed = look(&closed);
	ghi_unlock(&masks.lock);
	if (changed)
		in_force(closed);
	if (ghi_sig_limbo_bits() & ~mask)
		ghi_monitor_poke(); /* a new thread may take it */
}

uint64_t ghi_signal_monitor_mask(void)
{
	ghi_lock(&masks.lock);
	uint64_t open = masks.open;
	ghi_unlock(&masks.lock);
	return (~open | FAULTS) & ~GHI_SIG_OURS;
}

/* A gthread goes from one counted mask to another. */
static void recount(struct ghi_gthread *self, uint64_t mask)
{
	if (self->sig.counted == mask)
		return;
	uint64_t closed;
	ghi_lock(&masks.lock);
	add(mask, 1);
	add(self->sig.counted, -1ull);
	bool changed = look(&closed);
	ghi_unlock(&masks.lock);
	self->sig.counted = mask;
	if (changed)
		in_force(closed);
}

void ghi_sig_mask_book(struct ghi_gthread *self, uint64_t mask)
{
	store_relaxed(&self->sigmask, mask);
	store_relaxed(&self->worker->kmask, mask);
}

/* After the books and the kernel were changed from `old`. */
static void consequences(struct ghi_gthread *self, uint64_t old, uint64_t counted)
{
	uint64_t mask = self->sigmask, closed = counted & ~old, opened = old & ~mask;

	fence_seq_cst(); /* (U1) */
	recount(self, counted);
	/* What was sent to the process goes to somebody who does not block it ... */
	if (closed)
		ghi_sig_limbo_settle(); /* (Y2) */
	if (closed && (ghi_sig_collect(self) & closed))
		while (self->sig.own[GHI_TO_PROCESS].bits & closed)
			ghi_sig_reroute(ghi_sig_remove(
			    &self->sig.own[GHI_TO_PROCESS],
			    ghi_sig_first(self->sig.own[GHI_TO_PROCESS].bits & closed)));
	/* ... such as this one now. */
	while (opened && (ghi_sig_limbo_bits() & opened))
		ghi_sig_limbo_to(self, opened);
	if (opened && (ghi_sig_collect(self) & opened))
		store_relaxed(&self->sig_pending, 1u);
}

static void note(struct ghi_gthread *self, uint64_t mask, uint64_t counted)
{
	uint64_t old = self->sigmask;
	store_relaxed(&self->worker->kmask, mask);
	if (mask == old && self->sig.counted == counted)
		return;
	ghi_tls.nosig++;
	store_relaxed(&self->sigmask, mask);
	consequences(self, old, counted);
	ghi_tls.nosig--;
}

void ghi_signal_note_mask(struct ghi_gthread *self, uint64_t mask)
{
	note(self, mask, mask);
}

void ghi_sig_note_outer(struct ghi_gthread *self, uint64_t mask)
{
	note(self, mask, self->sig.counted & mask);
}

/* The books first: a signal that was pending comes within the system call, and is ours. */
static void change(struct ghi_gthread *self, uint64_t mask)
{
	uint64_t old = self->sigmask;
	ghi_sig_mask_book(self, mask);
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	consequences(self, old, mask);
}

void ghi_signal_set_mask(struct ghi_gthread *self, uint64_t mask)
{
	ghi_nosig_enter();
	change(self, mask & ~UNBLOCKABLE);
	ghi_nosig_leave();
}

void ghi_signal_mask_for_wait(struct ghi_gthread *self, uint64_t mask)
{
	ghi_nosig_enter();
	self->sig.saved = self->sigmask;
	self->sig.restore = true;
	change(self, mask & ~UNBLOCKABLE);
	ghi_nosig_leave();
}

void ghi_signal_mask_after_wait(struct ghi_gthread *self)
{
	if (!self->sig.restore)
		return; /* a handler ran, and returned to the old mask */
	ghi_nosig_enter();
	/* The old mask is in force before anything else is delivered. */
	self->sig.restore = false;
	change(self, self->sig.saved);
	ghi_nosig_leave();
}

void ghi_sig_mask_reset(void)
{
	memset(&masks, 0, sizeof(masks));
}
