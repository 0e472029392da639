/* Masks: which signals are open somewhere, and the mask of the running gthread; see signal.h. */
#include <string.h>

#include "src/monitor.h"
#include "src/sched.h"
#include "src/signal_int.h"

enum { MASKS = 32 };

/* How many gthreads run with each mask; which signals are open somewhere. */
static struct {
	ghi_lock_t lock;
	struct {
		uint64_t mask;
		uint64_t count;
	} of[MASKS];
	uint64_t open;
} masks;

void ghi_signal_count(uint64_t mask, int delta)
{
	uint64_t open = 0;
	int at = -1;

	ghi_lock(&masks.lock);
	for (int i = 0; i < MASKS && at < 0; i++)
		if (masks.of[i].mask == mask && masks.of[i].count)
			at = i;
	for (int i = 0; i < MASKS && at < 0 && delta > 0; i++)
		if (!masks.of[i].count)
			at = i;
	bool changed = false;
	if (at >= 0) {
		masks.of[at].mask = mask;
		uint64_t was = masks.of[at].count;
		masks.of[at].count += (uint64_t)(int64_t)delta;
		changed = !was != !masks.of[at].count;
	}
	if (changed) {
		for (int i = 0; i < MASKS; i++)
			if (masks.of[i].count)
				open |= ~masks.of[i].mask;
		changed = open != masks.open;
		masks.open = open;
	}
	ghi_unlock(&masks.lock);
	if (changed && ghi_signal_active)
		ghi_monitor_update_mask();
}

uint64_t ghi_signal_monitor_mask(void)
{
	ghi_lock(&masks.lock);
	uint64_t open = masks.open;
	ghi_unlock(&masks.lock);
	return (~open | FAULTS) & ~GHI_SIG_OURS;
}

void ghi_signal_note_mask(struct ghi_gthread *self, uint64_t mask)
{
	uint64_t old = self->sigmask;
	self->worker->kmask = mask;
	if (mask == old)
		return;
	store_relaxed(&self->sigmask, mask);
	fence_seq_cst(); /* (U1) */
	ghi_signal_count(mask, 1);
	ghi_signal_count(old, -1);
	if ((old & ~mask) & ghi_signal_queued(self))
		store_relaxed(&self->sig_pending, 1u);
}

void ghi_signal_set_mask(struct ghi_gthread *self, uint64_t mask)
{
	mask &= ~(BIT(SIGKILL) | BIT(SIGSTOP) | BIT(32) | BIT(33));
	ghi_nosig_enter();
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	ghi_signal_note_mask(self, mask);
	ghi_nosig_leave();
}

void ghi_sig_mask_reset(void)
{
	memset(&masks, 0, sizeof(masks));
}
