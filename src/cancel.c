/* Cancellation requests; see cancel.h. */
#include "src/cancel.h"
#include "src/park.h"
#include "src/real.h"
#include "src/sched.h"
#include "src/signal.h"

void ghi_cancel_request(struct ghi_gthread *target)
{
	fetch_or_acq_rel(&target->cancel, (uint32_t)GHI_CANCEL_REQUESTED);
	if (load_relaxed(&target->cancel) & (GHI_CANCEL_DISABLED | GHI_CANCEL_EXITING))
		return;
	ghi_signal_interrupt(target, GHI_WOKEN_CANCEL);
}

void ghi_cancel_point(struct ghi_gthread *self)
{
	if (__builtin_expect(!ghi_cancel_requested(self), 1))
		return;
	fetch_or_acq_rel(&self->cancel, (uint32_t)GHI_CANCEL_EXITING);
	self->result = PTHREAD_CANCELED;
	ghi_real_pthread_exit(PTHREAD_CANCELED);
}
