/* Cancellation requests; see cancel.h. */
#include <ucontext.h>

#include "src/cancel.h"
#include "src/park.h"
#include "src/real.h"
#include "src/sanitizer.h"
#include "src/sched.h"
#include "src/signal.h"

bool ghi_cancel_mark(struct ghi_gthread *target)
{
	if (fetch_or_acq_rel(ghi_cancel_word(target), (uint32_t)GHI_CANCEL_REQUESTED) &
	    (GHI_CANCEL_REQUESTED | GHI_CANCEL_EXITING | GHI_CANCEL_ENDED))
		return false;
	/* Whoever enables cancellation does it by a locked instruction and then looks at
	 * sig_pending before it parks: it sees the store, or the load after the fence sees it
	 * enabled. */
	store_relaxed(&target->sig_pending, 1u);
	return true;
}

void ghi_cancel_request(struct ghi_gthread *target)
{
	if (!ghi_cancel_mark(target))
		return;
	fence_seq_cst();
	if (!(load_relaxed(ghi_cancel_word(target)) & GHI_CANCEL_DISABLED))
		ghi_signal_interrupt(target, GHI_WOKEN_CANCEL);
}

void ghi_cancel_notify(struct ghi_gthread *target, struct ghi_gthread **ret_ready)
{
	if (!(load_relaxed(ghi_cancel_word(target)) & GHI_CANCEL_DISABLED))
		ghi_signal_notify(target, GHI_WOKEN_CANCEL, ret_ready);
}

void ghi_cancel_point(struct ghi_gthread *self)
{
	if (__builtin_expect(!ghi_cancel_requested(self), 1))
		return;
	if (self->task) {
		self->sig_ran |= GHI_SIG_RAN | GHI_SIG_RAN_NORESTART;
		return;
	}
	self->result = PTHREAD_CANCELED;
	ghi_sanitizer_unwinds();
	ghi_real_pthread_exit(PTHREAD_CANCELED);
}

bool ghi_cancel_disable(struct ghi_gthread *self, bool disable)
{
	uint32_t *word = ghi_cancel_word(self);
	uint32_t old = disable ? fetch_or_acq_rel(word, (uint32_t)GHI_CANCEL_DISABLED)
			       : fetch_and_acq_rel(word, ~(uint32_t)GHI_CANCEL_DISABLED);
	if (!disable && ghi_cancel_requested(self)) /* (Y1), (Y2) in docs/wakeup.md */
		store_relaxed(&self->sig_pending, 1u);
	return old & GHI_CANCEL_DISABLED;
}

extern const char ghi_cancel_window[], ghi_cancel_window_end[], ghi_cancel_window_exit[];

void ghi_cancel_leave_window(void *uc)
{
#if defined(__x86_64__)
	struct ghi_gthread *self = ghi_self();
	greg_t *pc = &((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
	if ((uintptr_t)*pc >= (uintptr_t)ghi_cancel_window &&
	    (uintptr_t)*pc < (uintptr_t)ghi_cancel_window_end && self && ghi_cancel_requested(self))
		*pc = (greg_t)ghi_cancel_window_exit;
#endif
}
