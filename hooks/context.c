/* swapcontext, setcontext: libc switches the kernel's signal mask with the context; the books on
 * the mask must follow, or the next gthread on this kernel thread would run with it.
 *
 * getcontext and makecontext need nothing: a context is stack and registers, the thread pointer
 * stays with the thread, and whatever stack a gthread is on when it parks is resumed.
 */
#include <ucontext.h>

#include "hooks/hook.h"

static void note_mask(uint64_t mask)
{
	struct ghi_gthread *self = ghi_self();
	if (!self || (self->flags & GHI_G_NATIVE) || self->sigmask == mask)
		return;
	ghi_nosig_enter();
	ghi_signal_note_mask(self, mask);
	ghi_nosig_leave();
}

EXPORT int swapcontext(ucontext_t *from, const ucontext_t *to)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return REAL(swapcontext)(from, to);
	uint64_t mine = self->sigmask;
	note_mask(ghi_hook_bits(&to->uc_sigmask));
	int r = REAL(swapcontext)(from, to);
	/* Resumed, perhaps by another thread, perhaps by the end of a context that is linked to
	 * this one: in any case with the mask that was saved. */
	note_mask(mine);
	return r;
}

EXPORT int setcontext(const ucontext_t *to)
{
	note_mask(ghi_hook_bits(&to->uc_sigmask));
	return REAL(setcontext)(to);
}
