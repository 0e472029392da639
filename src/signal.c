/* The program's signal actions, start and fork; see signal.h.
 *
 * The kernel has ghi_sig_on_signal for every action that is a handler; the table here has what the
 * program set.  A fork's child gets the program's own actions back until its runtime starts.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>

#include "src/crash.h"
#include "src/real.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal_int.h"

#define CRASHES		   (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGABRT))
#define IGNORED_BY_DEFAULT (BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT))

/* The kernel drops the flags that it does not know, and a program may look. */
#define KNOWN_FLAGS                                                                                \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |         \
	 (int)SA_RESETHAND | 0x800 /* SA_EXPOSE_TAGBITS */)

enum { ALTSTACK = 32 << 10 };

bool ghi_signal_active, ghi_signal_taken_over;

/* As the program set them; changed under actions_lock. */
static struct sigaction actions[GHI_NSIG];
static ghi_lock_t actions_lock;
uint64_t ghi_sig_flushes = 1;
static uint64_t flushed_at[GHI_NSIG];

bool ghi_sig_is_handler(const struct sigaction *a)
{
	return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN;
}

bool ghi_sig_is_ignored(int sig, const struct sigaction *a)
{
	return a->sa_handler == SIG_IGN ||
	       (a->sa_handler == SIG_DFL && (BIT(sig) & IGNORED_BY_DEFAULT));
}

uint64_t ghi_signal_handlers(void)
{
	uint64_t set = 0;
	for (int sig = 1; sig < GHI_NSIG; sig++)
		if (sig != GHI_SIG_CAST && sig != GHI_SIG_KICK && ghi_sig_is_handler(&actions[sig]))
			set |= BIT(sig);
	return set;
}

bool ghi_signal_is_default(int sig)
{
	return actions[sig].sa_handler == SIG_DFL;
}

uint64_t ghi_signal_handlers_behind(void)
{
	uint64_t set = 0;
	struct ghi_kernel_action k;
	for (int sig = 1; sig < GHI_NSIG; sig++) {
		if (sig == 32 || sig == GHI_SIG_CAST || sig == GHI_SIG_KICK ||
		    ghi_sys(SYS_rt_sigaction, sig, NULL, &k, 8) < 0)
			continue;
		uintptr_t handler = (uintptr_t)k.handler;
		if (handler > (uintptr_t)SIG_IGN && handler != (uintptr_t)ghi_sig_on_signal &&
		    handler != (uintptr_t)ghi_crash_on_signal)
			set |= BIT(sig);
	}
	return set;
}

struct sigaction ghi_sig_action_of(int sig)
{
	return actions[sig]; /* torn only if the program changes it at this very moment */
}

void ghi_sig_copy_action(int sig, struct sigaction *ret)
{
	*ret = actions[sig];
	if (!(ret->sa_flags & SA_RESETHAND) || !ghi_sig_is_handler(ret))
		return;
	/* Of several threads that come here at once one has the handler.  No bracket is needed: all
	 * signals are blocked. */
	ghi_lock_raw(&actions_lock);
	*ret = actions[sig];
	if ((ret->sa_flags & SA_RESETHAND) && ghi_sig_is_handler(ret)) {
		/* The kernel resets the handler only; flags and mask stay. */
		actions[sig].sa_handler = SIG_DFL;
		struct sigaction dfl = actions[sig];
		ghi_real_sigaction(sig, &dfl, NULL);
	}
	ghi_unlock_raw(&actions_lock);
}

bool ghi_sig_is_void(const struct ghi_siginfo_node *n)
{
	return n->born < load_relaxed(&flushed_at[n->sig]) || ghi_sig_timer_gone(n);
}

void ghi_sig_flush(int sig)
{
	uint64_t now = fetch_add_acq_rel(&ghi_sig_flushes, (uint64_t)1) + 1;
	store_release(&flushed_at[sig], now);
	struct ghi_gthread *self = ghi_self();
	ghi_nosig_enter();
	ghi_sig_limbo_drop_void(sig);
	if (self) /* its own no longer count (RLIMIT_SIGPENDING); others see to theirs */
		ghi_sig_collect(self);
	ghi_nosig_leave();
}

/* What the kernel is told for an action of the program. */
static void install(int sig)
{
	struct sigaction k = actions[sig];
	if (ghi_sig_is_handler(&k)) {
		k.sa_sigaction = ghi_sig_on_signal;
		k.sa_flags = (k.sa_flags | SA_SIGINFO) & ~(int)SA_RESETHAND;
		memcpy(&k.sa_mask, &ghi_sig_everything, sizeof(ghi_sig_everything));
		if (BIT(sig) & FAULTS)
			k.sa_flags |= SA_ONSTACK;
	} else if (k.sa_handler == SIG_DFL && (BIT(sig) & CRASHES) && ghi_config.crash_report) {
		k.sa_sigaction = ghi_crash_on_signal;
		k.sa_flags = SA_SIGINFO | SA_ONSTACK;
		sigemptyset(&k.sa_mask);
	}
	ghi_real_sigaction(sig, &k, NULL);
}

int ghi_signal_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (sig < 1 || sig >= GHI_NSIG || sig == 32 || sig == 33)
		return EINVAL;
	if (act && (sig == SIGKILL || sig == SIGSTOP))
		return EINVAL;
	if (ghi_tls.lent) { /* the child of a vfork changes its own actions, not ours */
		struct sigaction k;
		if (old && ghi_real_sigaction(sig, NULL, &k) == 0)
			*old = k.sa_sigaction == ghi_sig_on_signal ||
				       k.sa_sigaction == ghi_crash_on_signal
				   ? actions[sig]
				   : k;
		return act && ghi_real_sigaction(sig, act, NULL) < 0 ? errno : 0;
	}
	ghi_nosig_enter();
	ghi_lock(&actions_lock);
	struct sigaction was = actions[sig];
	if (act) {
		actions[sig] = *act;
		sigdelset(&actions[sig].sa_mask, SIGKILL);
		sigdelset(&actions[sig].sa_mask, SIGSTOP);
		actions[sig].sa_flags = (act->sa_flags & KNOWN_FLAGS) | RESTORER;
		install(sig);
		if (ghi_sig_is_ignored(sig, act)) /* blocked or not; the kernel did its own */
			ghi_sig_flush(sig);
	}
	if (old)
		*old = was;
	ghi_unlock(&actions_lock);
	ghi_nosig_leave();
	return 0;
}

void ghi_sig_worker_altstack(const struct ghi_worker *w, stack_t *ret)
{
	/* The lower part of the native stack, which nothing else reaches. */
	*ret = (stack_t){.ss_sp = w->native->stack_lo, .ss_size = ALTSTACK};
}

void ghi_signal_worker_init(struct ghi_worker *w)
{
	stack_t ss, old = {0};
	ghi_sig_worker_altstack(w, &ss);
	ghi_sys(SYS_sigaltstack, &ss, &old);
	struct ghi_gthread *m = ghi_runtime_main();
	if (m && m->worker == w) {
		bool none = old.ss_flags & SS_DISABLE;
		m->altstack_sp = none ? NULL : old.ss_sp;
		m->altstack_size = none ? 0 : old.ss_size;
		m->altstack_flags = none ? 0 : old.ss_flags & ~SS_ONSTACK;
	}
}

void ghi_signal_before_threads(void)
{
	/* With a second thread it would wait for every CPU: 10 ms and more. */
	ghi_sys(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

void ghi_signal_start(struct ghi_gthread *main_thread)
{
	/* glibc uses these two for cancellation and set*id, which we replace; it lets nobody else
	 * install or block them. */
	struct ghi_kernel_action kick = {ghi_sig_on_kick, SA_SIGINFO | RESTORER, ghi_ctx_sigreturn,
					 ~0ull};

	actions_lock = 0;
	ghi_sig_mask_reset();
	ghi_sig_cast_reset();
	ghi_sig_route_reset();
	ghi_sig_queue_reset();
	ghi_sig_wait_reset();
	memset(&main_thread->sig, 0, sizeof(main_thread->sig));
	for (int sig = 1; sig < GHI_NSIG && !ghi_signal_taken_over; sig++) {
		if (sig == 32 || sig == 33 || ghi_real_sigaction(sig, NULL, &actions[sig]) < 0)
			continue;
		if (ghi_sig_is_handler(&actions[sig]) || (BIT(sig) & CRASHES))
			install(sig);
	}
	ghi_sys(SYS_rt_sigaction, GHI_SIG_KICK, &kick, NULL, 8);
	ghi_sig_cast_install();
	ghi_signal_active = ghi_signal_taken_over = true;
	ghi_signal_thread_begins(main_thread);
	ghi_sig_from_kernel_at_start(main_thread);
	ghi_sig_cast_start();
}

void ghi_signal_thread_begins(struct ghi_gthread *g)
{
	g->sig.counted = g->sigmask;
	ghi_signal_count(g->sigmask, 1);
	g->sig.flushed = load_acquire(&ghi_sig_flushes); /* none of them was its own */
}

void ghi_signal_thread_ends(struct ghi_gthread *self)
{
	ghi_signal_count(self->sig.counted, -1);
	ghi_signal_drop_queued(self);
}

void ghi_signal_fork_child(struct ghi_gthread *self)
{
	ghi_signal_active = false;
	ghi_sig_timer_reset();
	if (self) {
		stack_t alt = {.ss_sp = self->altstack_sp,
			       .ss_size = self->altstack_size,
			       .ss_flags = self->altstack_sp ? self->altstack_flags : SS_DISABLE};
		self->sig_pending = 0;
		memset(&self->sig, 0, sizeof(self->sig)); /* a child has no pending signals */
		ghi_sys(SYS_sigaltstack, &alt, NULL);
	}
	for (int sig = 1; sig < GHI_NSIG; sig++) {
		bool crash = actions[sig].sa_handler == SIG_DFL && (BIT(sig) & CRASHES);
		if (ghi_sig_is_handler(&actions[sig]) || crash)
			ghi_real_sigaction(sig, &actions[sig], NULL);
	}
	ghi_signal_taken_over = false;
}
