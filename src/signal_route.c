/* Arrival and routing: which gthread gets a signal, and how it is interrupted; see signal.h. */
#include <linux/membarrier.h>

#include "src/cancel.h"
#include "src/monitor.h"
#include "src/park.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal_int.h"

uint64_t ghi_signal_fd_mask;
static struct ghi_siginfo_node *undecided; /* Treiber stack, pushed by on_signal */

static struct ghi_gthread *main_if_open(int sig)
{
	struct ghi_gthread *m = ghi_runtime_main();
	return m && load_relaxed(&m->life) == GHI_LIFE_ALIVE &&
		       !(load_relaxed(&m->sigmask) & BIT(sig))
		   ? m
		   : NULL;
}

static void arrived(struct ghi_gthread *self, int sig, siginfo_t *info, void *uc)
{
	if ((BIT(sig) & FAULTS) && info->si_code > 0) {
		ghi_sig_run_in_place(self, sig, info, uc);
		return;
	}
	bool native = self && (self->flags & GHI_G_NATIVE);
	if (ghi_signal_active && (self || sys_gettid() == ghi_monitor_tid())) {
		/* The kernel sends SIGPIPE and SIGXFSZ to the thread whose write failed. */
		bool own = info->si_code == SI_TKILL ||
			   ((sig == SIGPIPE || sig == SIGXFSZ) && info->si_pid == sys_getpid());
		struct ghi_gthread *m = own ? NULL : main_if_open(sig);
		if (!self || native || ghi_tls.nosig || (m && m != self)) {
			struct ghi_siginfo_node *n = ghi_sig_node_new(sig, info);
			if (n) {
				ghi_sig_push(&undecided, n);
				ghi_monitor_poke();
				return;
			}
			if (!self || native || ghi_tls.nosig)
				return; /* 2048 signals wait already */
		}
	}
	ghi_sig_run_in_place(self, sig, info, uc);
}

void ghi_sig_on_signal(int sig, siginfo_t *info, void *uc)
{
	arrived(ghi_self(), sig, info, uc);
	/* A kick may have come in front of this handler, whose return restarts the call. */
	ghi_cancel_leave_window(uc);
}

void ghi_sig_fence_everywhere(void)
{
	if (ghi_sys(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0)
		fence_seq_cst();
}

void ghi_signal_interrupt(struct ghi_gthread *g, enum ghi_wakeup why)
{
	struct ghi_gthread *ready = NULL;

	store_relaxed(&g->sig_pending, 1u); /* (G1) */
	ghi_sig_fence_everywhere();	    /* (G2) */
	ghi_nosig_enter();
	ghi_park_notify(g, why, &ready); /* (G3) */
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	if (ready || g == ghi_self())
		return;
	/* It runs: in its own code it notices nothing, so its kernel thread gets a kick. */
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (load_relaxed(&w->current) == g && w->tid > 0)
			ghi_sys(SYS_tgkill, sys_getpid(), w->tid, GHI_SIG_KICK);
}

int ghi_signal_send(struct ghi_gthread *target, int sig, const siginfo_t *info)
{
	if ((ghi_signal_fd_mask & BIT(sig)) && (load_relaxed(&target->sigmask) & BIT(sig)))
		return (info->si_code == SI_QUEUE
			    ? ghi_sys(SYS_rt_sigqueueinfo, sys_getpid(), sig, info)
			    : ghi_sys(SYS_kill, sys_getpid(), sig)) < 0
			   ? EAGAIN
			   : 0;
	struct ghi_siginfo_node *n = ghi_sig_node_new(sig, info);
	if (!n)
		return EAGAIN;
	if (!ghi_sig_enqueue(target, n))
		return 0;
	fence_seq_cst(); /* (U2) */
	if (!(load_relaxed(&target->sigmask) & BIT(sig)))
		ghi_signal_interrupt(target, GHI_WOKEN_SIGNAL);
	return 0;
}

void ghi_signal_dispatch(void)
{
	struct ghi_siginfo_node *n = ghi_sig_take_all(&undecided), *next;
	for (; n; n = next) {
		next = n->next;
		struct ghi_gthread *g = main_if_open(n->sig);
		for (struct ghi_gthread *c = ghi_gthread_all(); !g && c; c = c->all_next)
			if (load_acquire(&c->life) == GHI_LIFE_ALIVE &&
			    !(c->flags & GHI_G_NATIVE) &&
			    !(load_relaxed(&c->sigmask) & BIT(n->sig)))
				g = c;
		if (!g)
			g = ghi_runtime_main(); /* all block it by now: it waits with main */
		if (!ghi_sig_enqueue(g, n))
			continue;
		fence_seq_cst(); /* (U2) */
		if (!(load_relaxed(&g->sigmask) & BIT(n->sig)))
			ghi_signal_interrupt(g, GHI_WOKEN_SIGNAL);
	}
}

void ghi_sig_route_reset(void)
{
	undecided = NULL;
}
