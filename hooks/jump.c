/* longjmp: libc restores the kernel mask inside; the books must follow.  What the calls hold that a
 * handler leaves is given back. */
#include <setjmp.h>

#include "hooks/held.h"
#include "src/lot.h"

static void note_jump(struct __jmp_buf_tag *env)
{
	struct ghi_gthread *self = ghi_self();
	ghi_held_jump();
	if (self && self->away)
		ghi_lot_abandon(self);
	if (self && !(self->flags & GHI_G_NATIVE) && env->__mask_was_saved) {
		ghi_nosig_enter();
		if (!(self->flags & GHI_G_LIGHT)) /* which looks at the stack (light.c) */
			self->handler_sp = NULL;
		ghi_signal_note_mask(self, ghi_hook_bits(&env->__saved_mask));
		ghi_nosig_leave();
	}
}

EXPORT _Noreturn void siglongjmp(sigjmp_buf env, int val)
{
	note_jump(env);
	REAL(siglongjmp)(env, val);
	__builtin_unreachable();
}

EXPORT _Noreturn void longjmp(jmp_buf env, int val)
{
	note_jump(env);
	REAL(longjmp)(env, val);
	__builtin_unreachable();
}

EXPORT _Noreturn void _longjmp(jmp_buf env, int val)
{
	note_jump(env);
	REAL(_longjmp)(env, val);
	__builtin_unreachable();
}

EXPORT _Noreturn void __longjmp_chk(jmp_buf env, int val)
{
	note_jump(env);
	/* The fortified check compares frames and knows one alternate stack, not ours per gthread.
	 */
	REAL(longjmp)(env, val);
	__builtin_unreachable();
}
