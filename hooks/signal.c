/* Signals: actions, masks, the alternate stack. */
#include <string.h>

#include "hooks/hook.h"
#include "hooks/offload.h"
#include "src/sanitizer.h"

static void set_of(sigset_t *s, uint64_t bits)
{
	memset(s, 0, sizeof(*s));
	memcpy(s, &bits, sizeof(bits));
}

EXPORT int sigaction(int sig, const struct sigaction *a, struct sigaction *old)
{
	if (!ghi_signal_taken_over)
		return REAL(sigaction)(sig, a, old);
	struct sigaction was;
	int r = ghi_signal_action(sig, a, &was);
	if (r == 0 && old)
		*old = was; /* may be the same as a */
	return (int)ghi_ret(-r);
}

static uint64_t interrupting; /* siginterrupt(3): these do not restart with signal() */

static ghi_handler_fn set_handler(int sig, ghi_handler_fn h, int flags, bool block_self)
{
	struct sigaction a = {.sa_handler = h, .sa_flags = flags}, old;
	if (h == SIG_ERR || sig < 1 || sig >= GHI_NSIG) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (block_self)
		sigaddset(&a.sa_mask, sig);
	return sigaction(sig, &a, &old) < 0 ? SIG_ERR : old.sa_handler;
}

EXPORT ghi_handler_fn signal(int sig, ghi_handler_fn h)
{
	if (!ghi_signal_taken_over)
		return REAL(signal)(sig, h);
	bool restart = sig < 1 || sig > 64 || !(interrupting >> (sig - 1) & 1);
	return set_handler(sig, h, restart ? SA_RESTART : 0, true);
}

EXPORT ghi_handler_fn __sysv_signal(int sig, ghi_handler_fn h)
{
	if (!ghi_signal_taken_over)
		return REAL(__sysv_signal)(sig, h);
	return set_handler(sig, h, (int)(SA_RESETHAND | SA_NODEFER), false);
}

EXPORT int siginterrupt(int sig, int flag)
{
	struct sigaction a;
	if (!ghi_signal_taken_over)
		return REAL(siginterrupt)(sig, flag);
	if (sigaction(sig, NULL, &a) < 0)
		return -1;
	if (flag) {
		interrupting |= 1ull << (sig - 1);
		a.sa_flags &= ~SA_RESTART;
	} else {
		interrupting &= ~(1ull << (sig - 1));
		a.sa_flags |= SA_RESTART;
	}
	return sigaction(sig, &a, NULL);
}

/* ---- masks ---------------------------------------------------------------------------------- */

static int noted(int r)
{
	if (r == 0)
		ghi_sanitizer_note_mask();
	ghi_signal_stranger();
	return r;
}

EXPORT int pthread_sigmask(int how, const sigset_t *s, sigset_t *old)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return noted(REAL(pthread_sigmask)(how, s, old));
	uint64_t now = self->sigmask, next = now;
	if (s) {
		switch (how) {
		case SIG_BLOCK:
			next |= ghi_hook_bits(s);
			break;
		case SIG_UNBLOCK:
			next &= ~ghi_hook_bits(s);
			break;
		case SIG_SETMASK:
			next = ghi_hook_bits(s);
			break;
		default:
			return EINVAL;
		}
	}
	sigset_t was;
	set_of(&was, now);
	if (s)
		ghi_signal_set_mask(self, next);
	return old && ghi_copy_out(old, &was, sizeof(now)) < 0 ? EFAULT : 0;
}

EXPORT int sigprocmask(int how, const sigset_t *s, sigset_t *old)
{
	if (!ghi_self())
		return noted(REAL(sigprocmask)(how, s, old));
	return (int)ghi_ret(-pthread_sigmask(how, s, old));
}

EXPORT int sigpending(sigset_t *s)
{
	HOOK_ENTER(self, REAL(sigpending)(s));
	int r = REAL(sigpending)(s);
	if (r == 0)
		set_of(s, ghi_hook_bits(s) | (ghi_signal_queued(self) & self->sigmask));
	return r;
}

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

/* As the kernel does it, for a stack that the kernel does not know. */
EXPORT int sigaltstack(const stack_t *s, stack_t *old)
{
	HOOK_ENTER(self, REAL(sigaltstack)(s, old));
	char here;
	int auto_disarm = self->altstack_flags & (int)SS_AUTODISARM;
	bool on = self->altstack_sp && !auto_disarm && &here > (char *)self->altstack_sp &&
		  &here <= (char *)self->altstack_sp + self->altstack_size;
	stack_t was = {.ss_sp = self->altstack_sp,
		       .ss_size = self->altstack_size,
		       .ss_flags = !self->altstack_sp ? SS_DISABLE
				   : on		      ? SS_ONSTACK
						      : auto_disarm};
	stack_t new;
	if (s && ghi_copy_in(&new, s, sizeof(new)) < 0)
		return (int)ghi_ret(-EFAULT);
	if (s) {
		s = &new;
		int mode = s->ss_flags & ~(int)SS_AUTODISARM;
		if (on)
			return (int)ghi_ret(-EPERM);
		if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
			return (int)ghi_ret(-EINVAL);
		bool none = mode == SS_DISABLE;
		if (!none && s->ss_size < 2048) /* the kernel's MINSIGSTKSZ */
			return (int)ghi_ret(-ENOMEM);
		self->altstack_sp = none ? NULL : s->ss_sp;
		self->altstack_size = none ? 0 : s->ss_size;
		self->altstack_flags = s->ss_flags & (int)SS_AUTODISARM;
	}
	if (old && ghi_copy_out(old, &was, sizeof(was)) < 0)
		return (int)ghi_ret(-EFAULT);
	return 0;
}
