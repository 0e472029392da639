/* When a light gthread must not park; see hook.h.
 *
 * Owns: where libc's code lies.  Called by: the guard of hooks.  Must not know: which call.
 *
 * libc keeps addresses in the thread block while it calls itself, and its recursive locks (a
 * FILE's) are keyed by that block, which other light gthreads share: so a call that comes from
 * libc's own code (through a detour) waits in the kernel, on the worker it is on, and the monitor
 * hands the slot over. The same in a handler, which may have interrupted any code.
 */
#include <link.h>

#include "hooks/hook.h"

static uintptr_t libc_lo, libc_hi;

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + p->p_vaddr, hi = lo + p->p_memsz;
		if (p->p_type == PT_LOAD && (p->p_flags & PF_X) && lo <= (uintptr_t)arg &&
		    (uintptr_t)arg < hi) {
			libc_lo = lo;
			libc_hi = hi;
			return 1;
		}
	}
	return 0;
}

void ghi_light_prepare(void)
{
	dl_iterate_phdr(look_at, (void *)REAL(__libc_start_main));
}

/* A handler that was left by a jump is found by the stack. */
static bool in_handler(struct ghi_gthread *self)
{
	char *here = __builtin_frame_address(0), *frame = self->handler_sp;
	if (!frame)
		return false;
	if (here <= frame && here >= self->stack_lo)
		return true;
	if (self->altstack_sp && here >= (char *)self->altstack_sp &&
	    here < (char *)self->altstack_sp + self->altstack_size)
		return true;
	self->handler_sp = NULL;
	return false;
}

struct ghi_gthread *ghi_hook_look(struct ghi_gthread *self, const void *caller)
{
	if (self->flags & GHI_G_LIGHT) {
		if ((uintptr_t)caller - libc_lo < libc_hi - libc_lo || in_handler(self))
			return NULL;
		if (!(load_relaxed(&self->yield_please) & GHI_YIELD_ASKED))
			return self;
	}
	ghi_yield();
	return self;
}

struct ghi_gthread *ghi_hook_light_of(struct ghi_gthread *native)
{
	struct ghi_gthread *self = ghi_self();
	return self && (self->flags & GHI_G_LIGHT) && self->worker->native == native ? self : NULL;
}
