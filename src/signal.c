/* The program's signal actions, and the start of it all; see signal.h. */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>

#include "src/crash.h"
#include "src/real.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal_int.h"

#define CRASHES (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGABRT))

enum { ALTSTACK = 32 << 10 };

bool ghi_signal_active, ghi_signal_taken_over;

static struct sigaction actions[GHI_NSIG]; /* as the program set them; under actions_lock */
static ghi_lock_t actions_lock;

bool ghi_sig_is_handler(const struct sigaction *a)
{
	return (a->sa_flags & SA_SIGINFO) || (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

void ghi_sig_copy_action(int sig, struct sigaction *ret)
{
	*ret = actions[sig]; /* torn only if the program changes it at this very moment */
	if (ret->sa_flags & SA_RESETHAND) {
		struct sigaction dfl = {.sa_handler = SIG_DFL};
		actions[sig] = dfl;
		ghi_real_sigaction(sig, &dfl, NULL);
	}
}

/* What the kernel is told for an action of the program. */
static void install(int sig)
{
	struct sigaction k = actions[sig];
	if (ghi_sig_is_handler(&k)) {
		k.sa_sigaction = ghi_sig_on_signal;
		k.sa_flags = (k.sa_flags | SA_SIGINFO) & ~(int)(SA_RESETHAND | SA_ONSTACK);
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
	ghi_nosig_enter();
	ghi_lock(&actions_lock);
	if (old)
		*old = actions[sig];
	if (act) {
		actions[sig] = *act;
		install(sig);
	}
	ghi_unlock(&actions_lock);
	ghi_nosig_leave();
	return 0;
}

void ghi_signal_worker_init(struct ghi_worker *w)
{
	/* The lower part of the native stack, which only faults use. */
	stack_t ss = {.ss_sp = w->native->stack_lo, .ss_size = ALTSTACK}, old = {0};
	ghi_sys(SYS_sigaltstack, &ss, &old);
	struct ghi_gthread *m = ghi_runtime_main();
	if (m && m->worker == w && !(old.ss_flags & SS_DISABLE) && !m->altstack_sp) {
		m->altstack_sp = old.ss_sp;
		m->altstack_size = old.ss_size;
		m->altstack_flags = 0;
	}
}

void ghi_signal_start(struct ghi_gthread *main_thread)
{
	/* glibc uses these two for cancellation and set*id, which we replace; it lets nobody else
	 * install or block them. */
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} kick = {ghi_sig_on_kick, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, ghi_ctx_sigreturn, 0},
	  cast_action = {ghi_sig_on_cast, SA_SIGINFO | SA_RESTART | 0x04000000, ghi_ctx_sigreturn,
			 0};

	ghi_sys(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	actions_lock = 0;
	ghi_sig_mask_reset();
	ghi_sig_cast_reset();
	ghi_sig_route_reset();
	ghi_sig_queue_reset();
	for (int sig = 1; sig < GHI_NSIG && !ghi_signal_taken_over; sig++) {
		if (sig == 32 || sig == 33 || ghi_real_sigaction(sig, NULL, &actions[sig]) < 0)
			continue;
		if (ghi_sig_is_handler(&actions[sig]) || (BIT(sig) & CRASHES))
			install(sig);
	}
	ghi_sys(SYS_rt_sigaction, GHI_SIG_KICK, &kick, NULL, 8);
	ghi_sys(SYS_rt_sigaction, GHI_SIG_CAST, &cast_action, NULL, 8);
	ghi_signal_active = ghi_signal_taken_over = true;
	ghi_signal_count(main_thread->sigmask, 1);
}
