/* Signals: actions, masks, waiting for one, longjmp. */
#include <setjmp.h>
#include <string.h>

#include "hooks/hook.h"
#include "src/wait.h"

static uint64_t bits_of(const sigset_t *s)
{
	uint64_t set;
	memcpy(&set, s, sizeof(set));
	return set;
}

static void set_of(sigset_t *s, uint64_t bits)
{
	memset(s, 0, sizeof(*s));
	memcpy(s, &bits, sizeof(bits));
}

EXPORT int sigaction(int sig, const struct sigaction *a, struct sigaction *old)
{
	if (!ghi_signal_taken_over)
		return REAL(sigaction)(sig, a, old);
	return (int)ghi_ret(-ghi_signal_action(sig, a, old));
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

EXPORT int pthread_sigmask(int how, const sigset_t *s, sigset_t *old)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return REAL(pthread_sigmask)(how, s, old);
	uint64_t now = self->sigmask, next = now;
	if (s) {
		switch (how) {
		case SIG_BLOCK:
			next |= bits_of(s);
			break;
		case SIG_UNBLOCK:
			next &= ~bits_of(s);
			break;
		case SIG_SETMASK:
			next = bits_of(s);
			break;
		default:
			return EINVAL;
		}
	}
	if (old)
		set_of(old, now);
	if (s)
		ghi_signal_set_mask(self, next);
	return 0;
}

EXPORT int sigprocmask(int how, const sigset_t *s, sigset_t *old)
{
	if (!ghi_self())
		return REAL(sigprocmask)(how, s, old);
	return (int)ghi_ret(-pthread_sigmask(how, s, old));
}

EXPORT int sigpending(sigset_t *s)
{
	HOOK_ENTER(self, REAL(sigpending)(s));
	int r = REAL(sigpending)(s);
	if (r == 0)
		set_of(s, bits_of(s) | (ghi_signal_queued(self) & self->sigmask));
	return r;
}

EXPORT int sigaltstack(const stack_t *s, stack_t *old)
{
	HOOK_ENTER(self, REAL(sigaltstack)(s, old));
	char here;
	bool on = self->altstack_sp && &here > (char *)self->altstack_sp &&
		  &here <= (char *)self->altstack_sp + self->altstack_size;
	stack_t was = {.ss_sp = self->altstack_sp,
		       .ss_size = self->altstack_size,
		       .ss_flags = on		       ? SS_ONSTACK
				   : self->altstack_sp ? 0
						       : SS_DISABLE};
	if (s) {
		int flags = s->ss_flags & ~(int)(1u << 31); /* SS_AUTODISARM */
		if (on)
			return (int)ghi_ret(-EPERM);
		if (flags & ~(SS_DISABLE | SS_ONSTACK))
			return (int)ghi_ret(-EINVAL);
		if (!(flags & SS_DISABLE) && s->ss_size < 2048)
			return (int)ghi_ret(-ENOMEM);
		self->altstack_sp = flags & SS_DISABLE ? NULL : s->ss_sp;
		self->altstack_size = flags & SS_DISABLE ? 0 : s->ss_size;
	}
	if (old)
		*old = was;
	return 0;
}

/* ---- waiting for signals -------------------------------------------------------------------- */

/* Until a handler has run. */
static int wait_handler(struct ghi_gthread *self)
{
	while (!self->sig_ran) {
		int w = ghi_wait_until(self, GHI_NEVER, GHI_PARK_FOREVER);
		if (w == -ECANCELED)
			return w;
	}
	return -EINTR;
}

EXPORT int pause(void)
{
	HOOK_ENTER(self, REAL(pause)());
	ghi_cancel_point(self);
	self->sig_ran = 0;
	int r = wait_handler(self);
	if (r == -ECANCELED)
		ghi_cancel_point(self);
	return (int)ghi_ret(-EINTR);
}

EXPORT int sigsuspend(const sigset_t *s)
{
	HOOK_ENTER(self, REAL(sigsuspend)(s));
	uint64_t old = self->sigmask;
	ghi_cancel_point(self);
	self->sig_ran = 0;
	ghi_signal_set_mask(self, bits_of(s)); /* pending ones run here */
	int r = wait_handler(self);
	ghi_signal_set_mask(self, old);
	if (r == -ECANCELED)
		ghi_cancel_point(self);
	return (int)ghi_ret(-EINTR);
}

/* All block the signal, so it stays pending in the kernel, where libc's call finds it; one that was
 * queued for this very gthread is with us. */
static int take_queued(struct ghi_gthread *self, uint64_t want, siginfo_t *info)
{
	return (ghi_signal_queued(self) & want) ? ghi_signal_take(self, want, info) : 0;
}

static int found(siginfo_t *ret, const siginfo_t *info, int sig)
{
	if (ret) {
		*ret = *info;
		if (ret->si_code == SI_TKILL) /* as glibc reports it */
			ret->si_code = SI_USER;
	}
	return sig;
}

EXPORT int signalfd(int fd, const sigset_t *s, int flags)
{
	if (ghi_signal_taken_over)
		ghi_signal_fd_mask |= bits_of(s);
	return REAL(signalfd)(fd, s, flags);
}

EXPORT int sigtimedwait(const sigset_t *s, siginfo_t *info, const struct timespec *t)
{
	HOOK_ENTER(self, REAL(sigtimedwait)(s, info, t));
	siginfo_t mine;
	int sig;
	ghi_cancel_point(self);
	if (t && ghi_ts_invalid(t))
		return (int)ghi_ret(-EINVAL);
	uint64_t end = t ? ghi_deadline_in(ghi_ts_to_ns(t)) : GHI_NEVER;
	uint64_t want = bits_of(s);
	self->sig_ran = 0;
	for (;;) {
		if ((sig = take_queued(self, want, &mine))) {
			return found(info, &mine, sig);
		}
		/* In slices: a signal sent to this gthread by another wakes the kernel wait with a
		 * kick, and one that raced it is found by the next slice. */
		uint64_t now = ghi_now(), slice = end > now ? end - now : 0;
		struct timespec ts = ghi_ns_to_ts(slice > 50 * GHI_MS ? 50 * GHI_MS : slice);
		long r = BLOCKING(self, ghi_sys(SYS_rt_sigtimedwait, &want, &mine, &ts, 8));
		if (r > 0)
			return found(info, &mine, (int)r);
		if (ghi_cancel_requested(self))
			ghi_cancel_point(self);
		if (r == -EINTR && self->sig_ran)
			return (int)ghi_ret(-EINTR);
		if (r != -EAGAIN && r != -EINTR)
			return (int)ghi_ret(r);
		if (end != GHI_NEVER && ghi_now() >= end && !(ghi_signal_queued(self) & want))
			return (int)ghi_ret(-EAGAIN);
	}
}

EXPORT int sigwaitinfo(const sigset_t *s, siginfo_t *info)
{
	if (!ghi_self())
		return REAL(sigwaitinfo)(s, info);
	return sigtimedwait(s, info, NULL);
}

EXPORT int sigwait(const sigset_t *s, int *sig)
{
	HOOK_ENTER(self, REAL(sigwait)(s, sig));
	siginfo_t info;
	int r, saved = errno;
	(void)self;
	while ((r = sigtimedwait(s, &info, NULL)) < 0 && errno == EINTR)
		;
	if (r < 0)
		return errno;
	errno = saved;
	*sig = r;
	return 0;
}

/* ---- longjmp -------------------------------------------------------------------------------- */

/* libc restores the kernel mask inside longjmp; the books must follow. */
static void note_jump(struct __jmp_buf_tag *env)
{
	struct ghi_gthread *self = ghi_self();
	if (self && !(self->flags & GHI_G_NATIVE) && env->__mask_was_saved) {
		uint64_t mask;
		memcpy(&mask, &env->__saved_mask, sizeof(mask));
		ghi_nosig_enter();
		ghi_signal_note_mask(self, mask);
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

/* ---- to one thread -------------------------------------------------------------------------- */

static struct ghi_gthread *live(pthread_t t)
{
	return ghi_runtime_running() && t ? ghi_gthread_of((uintptr_t)t) : NULL;
}

static int send_to(struct ghi_gthread *g, int sig, const siginfo_t *info)
{
	if (sig < 0 || sig >= GHI_NSIG || sig == 32 || sig == 33)
		return EINVAL;
	uint32_t life = load_acquire(&g->life);
	if (life == GHI_LIFE_FREE)
		return ESRCH;
	if (sig == 0 || life == GHI_LIFE_DEAD)
		return 0;
	/* To oneself: by the kernel, synchronously.  While it is blocked it must wait with the
	 * gthread, not with the kernel thread that happens to run it. */
	if (g == ghi_self() && !(g->sigmask >> (sig - 1) & 1)) {
		siginfo_t si = *info;
		long r = info->si_code == SI_TKILL
			     ? ghi_sys(SYS_tgkill, sys_getpid(), sys_gettid(), sig)
			     : ghi_sys(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), sig, &si);
		return r < 0 ? (int)-r : 0;
	}
	struct sigaction a;
	ghi_signal_action(sig, NULL, &a);
	if (!(a.sa_flags & SA_SIGINFO) && a.sa_handler == SIG_DFL &&
	    !(g->sigmask >> (sig - 1) & 1)) {
		/* The default action concerns the whole process. */
		long r = ghi_sys(SYS_kill, sys_getpid(), sig);
		return r < 0 ? (int)-r : 0;
	}
	if (!(a.sa_flags & SA_SIGINFO) && a.sa_handler == SIG_IGN)
		return 0;
	return ghi_signal_send(g, sig, info);
}

EXPORT int pthread_kill(pthread_t t, int sig)
{
	struct ghi_gthread *g = live(t);
	if (!g)
		return REAL(pthread_kill)(t, sig);
	siginfo_t info = {.si_signo = sig, .si_code = SI_TKILL};
	info.si_pid = sys_getpid();
	info.si_uid = (uid_t)ghi_sys(SYS_getuid);
	return send_to(g, sig, &info);
}

EXPORT int raise(int sig)
{
	struct ghi_gthread *self = ghi_self();
	return self ? (int)ghi_ret(-pthread_kill((pthread_t)self->tp, sig)) : REAL(raise)(sig);
}

EXPORT int pthread_sigqueue(pthread_t t, int sig, const union sigval v)
{
	struct ghi_gthread *g = live(t);
	if (!g)
		return REAL(pthread_sigqueue)(t, sig, v);
	siginfo_t info = {.si_signo = sig, .si_code = SI_QUEUE};
	info.si_pid = sys_getpid();
	info.si_uid = (uid_t)ghi_sys(SYS_getuid);
	info.si_value = v;
	return send_to(g, sig, &info);
}

EXPORT pid_t gettid(void)
{
	struct ghi_gthread *self = ghi_self();
	return self ? self->tid : sys_gettid();
}

EXPORT int tgkill(pid_t pid, pid_t tid, int sig)
{
	HOOK_ENTER(self, (int)ghi_ret(ghi_sys(SYS_tgkill, pid, tid, sig)));
	siginfo_t info = {.si_signo = sig, .si_code = SI_TKILL};
	info.si_pid = sys_getpid();
	info.si_uid = (uid_t)ghi_sys(SYS_getuid);
	(void)self;
	if (pid == sys_getpid())
		for (struct ghi_gthread *g = ghi_runtime_main(); g; g = NULL)
			if (g->tid == tid)
				return (int)ghi_ret(-send_to(g, sig, &info));
	if (pid == sys_getpid() && tid > 1 << 22)
		for (struct ghi_gthread *g = ghi_gthread_all(); g; g = g->all_next)
			if (g->tid == tid && load_acquire(&g->life) == GHI_LIFE_ALIVE)
				return (int)ghi_ret(-send_to(g, sig, &info));
	return (int)ghi_ret(ghi_sys(SYS_tgkill, pid, tid, sig));
}
