/* Arrival and routing: which gthread gets a signal, and how it is interrupted; see signal.h.
 *
 * What cannot be decided where it arrives (inside the runtime, on the wrong gthread, on the
 * monitor) is pushed on `undecided` and the monitor places it.  What all gthreads block by then
 * waits in limbo (signal_limbo.c), until one unblocks it, is made, or calls sigwait().
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>

#include "src/cancel.h"
#include "src/monitor.h"
#include "src/park.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal_int.h"
#include "src/signal_timer.h"

uint64_t ghi_signal_fd_mask;
static struct ghi_siginfo_node *undecided; /* Treiber stack, pushed by anybody */
static bool strangers;			   /* kernel threads that are not ours may accept signals */

void ghi_signal_stranger(void)
{
	if (ghi_signal_active && !ghi_tls.lent && !load_relaxed(&strangers))
		store_relaxed(&strangers, true);
}

static struct ghi_gthread *main_if_open(int sig)
{
	struct ghi_gthread *m = ghi_runtime_main();
	return m && load_relaxed(&m->life) == GHI_LIFE_ALIVE && ghi_sig_accepts(m, sig) ? m : NULL;
}

/* All gthreads block it, and not just while a handler runs: a signalfd is what takes it. */
static bool for_signalfd(int sig)
{
	return ghi_signal_fd_mask & ghi_signal_monitor_mask() & BIT(sig);
}

/* Nobody accepts it, as far as the books say: what is in limbo is found by who changes that. */
static bool nobody_accepts(int sig)
{
	return !load_relaxed(&ghi_sig_waiting) && (ghi_signal_monitor_mask() & BIT(sig));
}

/* The kernel's own preference is main; else any. */
static struct ghi_gthread *find_open(int sig)
{
	struct ghi_gthread *g = main_if_open(sig);
	for (struct ghi_gthread *c = ghi_gthread_all(); !g && c; c = c->all_next)
		if (load_acquire(&c->life) == GHI_LIFE_ALIVE && !(c->flags & GHI_G_NATIVE) &&
		    ghi_sig_accepts(c, sig))
			g = c;
	return g;
}

/* It keeps its place among those of its number (O4), unless it is the kernel's to keep. */
static bool in_order(int sig)
{
	return sig >= FIRST_QUEUED && !(load_relaxed(&ghi_signal_fd_mask) & BIT(sig));
}

void ghi_sig_reroute(struct ghi_siginfo_node *n)
{
	n->target = NULL;
	if (in_order(n->sig))
		ghi_sig_limbo_put(n);
	else
		ghi_sig_push(&undecided, n);
	ghi_monitor_poke();
}

/* ---- arrival ----------------------------------------------------------------------------------
 */

/* One that send_due() sent: the node holds what it was sent with. */
static bool from_batch(struct ghi_gthread *self, int sig, siginfo_t *info)
{
	if (!(self->sig.in_place & BIT(sig)))
		return false;
	for (struct ghi_siginfo_node **p = &self->sig.batch; *p; p = &(*p)->next)
		if ((*p)->sig == sig) {
			struct ghi_siginfo_node *n = *p;
			*p = n->next;
			ghi_sig_node_take(self, n, info);
			break;
		}
	self->sig.in_place &= ~BIT(sig);
	self->sig.at_bottom = self->sig.bottom;
	self->sig.bottom = false;
	return true;
}

/* Within the runtime, on the gthread that is to run it: at the end of the bracket. */
static void leave_with_self(struct ghi_gthread *self, struct ghi_siginfo_node *n)
{
	struct ghi_gthread *none = NULL;
	ghi_sig_enqueue(self, n);
	store_relaxed(&self->sig_pending, 1u);
	/* It may be about to park; it cannot have left its stack, on which this runs. */
	ghi_park_notify(self, GHI_WOKEN_SIGNAL, &none);
	ghi_assert(!none);
}

/* A kernel thread that is no worker holds a lock, which the handler may want as well: the signal is
 * blocked, and pending again, until the bracket ends or the thread goes to sleep in it. */
static void hold_back(int sig, siginfo_t *info, ucontext_t *uc)
{
	uint64_t mask;

	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	mask |= BIT(sig);
	memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
	ghi_tls.held_back |= BIT(sig);
	ghi_sys(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), sig, info);
}

void ghi_signal_let_go(void)
{
	uint64_t held = ghi_tls.held_back;
	ghi_tls.held_back = 0;
	if (held)
		sys_sigprocmask(SIG_UNBLOCK, &held, NULL);
}

/* A guard page made by MADV_GUARD_INSTALL is told as no mapping at all; libc's is a mapping without
 * rights, which is what handlers look for. */
static void name_guard(const struct ghi_gthread *self, int sig, siginfo_t *info)
{
	char *at = info->si_addr;
	if (sig == SIGSEGV && info->si_code == SEGV_MAPERR && at < self->stack_lo &&
	    at >= self->stack_lo - self->guard)
		info->si_code = SEGV_ACCERR;
}

static void arrived(struct ghi_gthread *self, int sig, siginfo_t *info, void *uc)
{
	bool native = self && (self->flags & GHI_G_NATIVE);
	/* Its thread block is lent to a child: the handler waits until it is back. */
	struct ghi_gthread *lender = ghi_tls.lent ? ghi_tls.lender : NULL;
	if (lender && lender->worker->tid != sys_gettid())
		lender = NULL; /* this is the child */

	bool fault = (BIT(sig) & FAULTS) && info->si_code > 0;
	if (fault && self)
		name_guard(self, sig, info);
	bool foreign = !self && !lender && sys_gettid() != ghi_monitor_tid();
	if (foreign && ghi_locks_held() && ghi_signal_active && !fault) {
		hold_back(sig, info, uc);
		return;
	}
	if (fault || foreign || !ghi_signal_active ||
	    (self && !native && !ghi_tls.nosig && from_batch(self, sig, info))) {
		ghi_sig_deliver(sig, info, uc);
		return;
	}
	/* To this kernel thread: the kernel sends SIGPIPE and SIGXFSZ to whose write failed. */
	bool own = info->si_code == SI_TKILL ||
		   ((sig == SIGPIPE || sig == SIGXFSZ) && info->si_pid == sys_getpid());
	struct ghi_gthread *m = own ? NULL : main_if_open(sig);
	bool here = self && !native && (own || (m ? m == self : ghi_sig_accepts(self, sig)));
	if (here && !ghi_tls.nosig && !self->sig.looping && !self->sig.in_place) {
		ghi_sig_deliver(sig, info, uc);
		return;
	}
	if (!own && !ghi_sig_claim_shared(sig))
		return; /* one waits already */
	struct ghi_siginfo_node *n = ghi_sig_node_new(sig, info, !own);
	if (!n)
		return; /* no memory */
	if (here && load_relaxed(&self->life) == GHI_LIFE_ALIVE) {
		leave_with_self(self, n);
		return;
	}
	n->target = own && !native ? (self ? self : lender) : NULL;
	ghi_sig_push(&undecided, n);
	ghi_monitor_poke();
}

void ghi_sig_on_signal(int sig, siginfo_t *info, void *uc)
{
	ghi_tls.frames++;
	arrived(ghi_self(), sig, info, uc);
	/* A kick may have come in front of this handler, whose return restarts the call. */
	ghi_cancel_leave_window(uc);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

void ghi_sig_fence_everywhere(void)
{
	if (ghi_sys(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0)
		fence_seq_cst();
}

/* Too many signals may be queued for a moment. */
static void kick(int tid)
{
	for (int i = 0; i < 100; i++) {
		long r = ghi_sys(SYS_tgkill, sys_getpid(), tid, GHI_SIG_KICK);
		if (r == 0 || r == -ESRCH)
			return;
		ghi_sys(SYS_sched_yield);
	}
}

void ghi_signal_notify(struct ghi_gthread *g, enum ghi_wakeup why, struct ghi_gthread **ret_ready)
{
	struct ghi_gthread *before = *ret_ready;

	ghi_park_notify(g, why, ret_ready); /* (G3) */
	if (*ret_ready != before || g == ghi_self())
		return;
	/* It runs: in its own code it notices nothing, so its kernel thread gets a kick. */
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (load_relaxed(&w->current) == g && w->tid > 0)
			kick(w->tid);
}

void ghi_signal_interrupt(struct ghi_gthread *g, enum ghi_wakeup why)
{
	struct ghi_gthread *ready = NULL;

	store_relaxed(&g->sig_pending, 1u); /* (G1) */
	ghi_sig_fence_everywhere();	    /* (G2) */
	ghi_nosig_enter();
	ghi_signal_notify(g, why, &ready);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
}

/* Something is in its queue; it is interrupted when it must look. */
static void must_look(struct ghi_gthread *g, int sig, bool shared)
{
	if (g == ghi_self()) { /* it looks at the end of this bracket */
		store_relaxed(&g->sig_pending, 1u);
		return;
	}
	fence_seq_cst(); /* (U2) */
	/* One for the process that it has just blocked it passes on. */
	if (shared || ghi_sig_accepts(g, sig))
		ghi_signal_interrupt(g, GHI_WOKEN_SIGNAL);
}

static void give(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	int sig = n->sig;
	bool shared = n->shared;
	if (ghi_sig_enqueue(g, n))
		must_look(g, sig, shared);
}

/* A default action concerns the whole process.  It has happened when the call returns: the kernel
 * would choose any kernel thread, and the caller would go on for a moment. */
static bool strike(struct ghi_gthread *self, int sig, const siginfo_t *info)
{
	return !(self->sigmask & BIT(sig)) &&
	       ghi_sys(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), sig, info) == 0;
}

/* A signal that stops voids SIGCONT wherever it waits, and the other way round.  What waits in the
 * kernel is taken; what the kernel itself sends it treats so, too. */
static void stop_or_continue(int sig)
{
	const uint64_t stops = BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU);
	const struct timespec now = {0, 0};
	uint64_t other = sig == SIGCONT			     ? stops
			 : (stops | BIT(SIGSTOP)) & BIT(sig) ? BIT(SIGCONT)
							     : 0;
	siginfo_t info;

	if (!other)
		return;
	while (ghi_sys(SYS_rt_sigtimedwait, &other, &info, &now, 8) > 0)
		;
	for (; other; other &= other - 1)
		ghi_sig_flush(__builtin_ctzll(other) + 1);
}

/* To one thread that blocks it, but any reader of a signalfd may have it.  The kernel lets nobody
 * but the first thread say SI_TKILL to the process. */
static int by_kernel(int sig, const siginfo_t *info)
{
	if (!ghi_sig_goes_to_kernel(sig, info))
		return EAGAIN;
	long r = info->si_code == SI_QUEUE ? ghi_sys(SYS_rt_sigqueueinfo, sys_getpid(), sig, info)
					   : ghi_sys(SYS_kill, sys_getpid(), sig);
	return r < 0 ? EAGAIN : 0;
}

int ghi_signal_send(struct ghi_gthread *g, int sig, const siginfo_t *info)
{
	if (sig < 0 || sig >= GHI_NSIG || (sig && (BIT(sig) & GHI_SIG_OURS)))
		return EINVAL;
	uint32_t life = load_acquire(&g->life);
	if (life == GHI_LIFE_FREE)
		return ESRCH;
	if (sig == 0 || life == GHI_LIFE_DEAD)
		return 0;
	stop_or_continue(sig);
	struct sigaction act = ghi_sig_action_of(sig);
	if (ghi_sig_accepts(g, sig) && !(load_relaxed(&g->sig.waits) & BIT(sig))) {
		if (ghi_sig_is_ignored(sig, &act))
			return 0;
		/* A default action concerns the whole process. */
		if (!ghi_sig_is_handler(&act) && g != ghi_self()) {
			long r = ghi_sys(SYS_kill, sys_getpid(), sig);
			return r < 0 ? (int)-r : 0;
		}
	}
	if (sig == SIGSTOP && g == ghi_self() && strike(g, sig, info))
		return 0;
	if (sig == SIGKILL || sig == SIGSTOP) {
		ghi_sys(SYS_kill, sys_getpid(), sig);
		return 0;
	}
	if ((ghi_signal_fd_mask & BIT(sig)) && !ghi_sig_accepts(g, sig))
		return by_kernel(sig, info);
	struct ghi_siginfo_node *n = ghi_sig_node_new(sig, info, false);
	if (!n)
		return EAGAIN;
	ghi_nosig_enter();
	give(g, n);
	ghi_nosig_leave();
	return 0;
}

void ghi_signal_claim(struct ghi_gthread *self, int sig)
{
	const struct timespec now = {0, 0};
	uint64_t set = BIT(sig);
	siginfo_t info;

	if (!(self->sigmask & set) || ghi_sys(SYS_rt_sigtimedwait, &set, &info, &now, 8) != sig)
		return;
	ghi_nosig_enter();
	struct ghi_siginfo_node *n = ghi_sig_node_new(sig, &info, false);
	if (n)
		give(self, n);
	ghi_nosig_leave();
}

static void give_shared(struct ghi_gthread *g, struct ghi_siginfo_node *n);
static void hand_out(int sig, struct ghi_gthread *first);

/* A real-time signal that has a handler, by way of limbo, so that those of its number keep their
 * order; 1, or -EAGAIN: too many wait.  0: only the kernel knows who takes it. */
static int send_in_order(struct ghi_gthread *self, int sig, const siginfo_t *info)
{
	if (load_relaxed(&strangers) && nobody_accepts(sig))
		return 0;
	if (ghi_sig_no_room(sig, info))
		return -EAGAIN;
	ghi_nosig_enter();
	struct ghi_siginfo_node *n = ghi_sig_node_new(sig, info, true);
	if (n) {
		ghi_sig_limbo_send(n); /* (X1) */
		hand_out(sig, self);
		if (!in_order(sig)) /* a signalfd was made meanwhile, which does not see limbo */
			ghi_monitor_poke();
	}
	ghi_nosig_leave();
	return n ? 1 : 0; /* without memory the kernel does it */
}

/* Main, the caller or whoever else does not block it has it when the call returns: what the caller
 * does next must not overtake it, and a thread that ends after the call has handled it.  Not when
 * main blocks it and is in sigwait(): what was sent before it waited is pending in the kernel, and
 * this must not overtake that. */
static int sent_here(struct ghi_gthread *self, int sig, const siginfo_t *info)
{
	struct sigaction act;
	if (sig < 1 || sig >= GHI_NSIG)
		return false;
	stop_or_continue(sig);
	if (BIT(sig) & UNBLOCKABLE)
		return sig == SIGSTOP && strike(self, sig, info);
	act = ghi_sig_action_of(sig);
	if (in_order(sig) && ghi_sig_is_handler(&act))
		return send_in_order(self, sig, info);
	struct ghi_gthread *g = main_if_open(sig);
	if (!g && ghi_sig_accepts(self, sig))
		g = self;
	/* Open somewhere; where nobody is found, whoever has it open is in a handler and gets it
	 * when that ends: by way of the kernel and the monitor it could come after the thread's
	 * end. */
	bool open = g || !(ghi_signal_monitor_mask() & BIT(sig));
	if (!g && open)
		g = find_open(sig);
	if (!g && (ghi_signal_fd_mask & BIT(sig))) /* which does not see limbo */
		return false;
	if (g && (load_relaxed(&g->sigmask) & BIT(sig)))
		return false;
	if (open && !ghi_sig_is_handler(&act) && !ghi_sig_is_ignored(sig, &act))
		return strike(self, sig, info);
	if (!open || !ghi_sig_is_handler(&act))
		return false;
	ghi_nosig_enter();
	bool claimed = ghi_sig_claim_shared(sig);
	struct ghi_siginfo_node *n = claimed ? ghi_sig_node_new(sig, info, true) : NULL;
	bool done = n || !claimed; /* without memory the kernel does it */
	if (n && g)
		give_shared(g, n);
	else if (n)
		ghi_sig_place_now(n);
	else if (claimed)
		ghi_sig_unclaim_shared(sig);
	ghi_nosig_leave();
	return done;
}

int ghi_signal_send_process(struct ghi_gthread *self, int sig, const siginfo_t *info)
{
	int r = sent_here(self, sig, info);
	if (r == 0 && sig >= FIRST_QUEUED && sig < GHI_NSIG &&
	    (ghi_signal_monitor_mask() & BIT(sig)) && !ghi_sig_goes_to_kernel(sig, info))
		return -EAGAIN;
	return r;
}

/* Also before there are threads. */
void ghi_signal_for_fd(uint64_t set)
{
	fetch_or_acq_rel(&ghi_signal_fd_mask, set);
	if (!ghi_signal_active || !(ghi_sig_limbo_bits() & set))
		return;
	ghi_nosig_enter();
	ghi_sig_limbo_to_kernel(set);
	ghi_nosig_leave();
}

int ghi_sig_send_timer(struct ghi_gthread *g, const siginfo_t *info, struct ghi_sigtimer *t,
		       uint32_t use)
{
	struct ghi_siginfo_node *n = ghi_sig_node_new(info->si_signo, info, false);
	if (!n)
		return -1;
	n->timer = t;
	n->timer_use = use;
	give(g, n);
	return 0;
}

/* ---- the monitor's part -----------------------------------------------------------------------
 */

/* Who was given something may end meanwhile: what was for the process is taken back then. */
static void take_back(struct ghi_gthread *g)
{
	struct ghi_siginfo_node *n, *next;
	fence_seq_cst(); /* pairs with ghi_signal_drop_queued */
	if (load_relaxed(&g->life) == GHI_LIFE_ALIVE)
		return;
	for (n = ghi_sig_take_all(&g->sig.incoming); n; n = next) {
		next = n->next;
		if (n->shared)
			ghi_sig_reroute(n);
		else
			ghi_sig_node_free(g, n);
	}
}

static void give_shared(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	give(g, n);
	take_back(g);
}

/* All of a number that wait in limbo, to whoever is open for it. */
static void hand_out(int sig, struct ghi_gthread *first)
{
	while ((ghi_sig_limbo_bits() & BIT(sig)) && !nobody_accepts(sig)) {
		struct ghi_gthread *g = main_if_open(sig);
		if (!g && first && ghi_sig_accepts(first, sig))
			g = first;
		if (!g && !(g = find_open(sig)))
			return;
		if (ghi_sig_limbo_give(g, sig)) {
			must_look(g, sig, true);
			take_back(g);
		}
	}
}

/* Pending in the kernel, as if it had just been sent. */
static void back_to_kernel(struct ghi_siginfo_node *n)
{
	siginfo_t info = n->info;
	int sig = n->sig;
	ghi_sig_node_free(NULL, n);
	ghi_sys(SYS_rt_sigqueueinfo, sys_getpid(), sig, &info);
}

void ghi_sig_place_now(struct ghi_siginfo_node *n)
{
	int sig = n->sig;
	if (ghi_signal_fd_mask & BIT(sig)) { /* does not see limbo: by way of the kernel */
		ghi_sig_reroute(n);
		return;
	}
	ghi_sig_limbo_put(n); /* (X1) */
	hand_out(sig, NULL);
}

static void place(struct ghi_siginfo_node *n)
{
	struct sigaction act = ghi_sig_action_of(n->sig);
	struct ghi_gthread *g = n->target;

	if (ghi_sig_is_void(n)) {
		ghi_sig_node_free(NULL, n);
	} else if (!n->shared) {
		if (g && load_acquire(&g->life) == GHI_LIFE_ALIVE)
			give(g, n);
		else
			ghi_sig_node_free(NULL, n);
	} else if ((g = find_open(n->sig))) {
		bool waits = load_relaxed(&g->sig.waits) & BIT(n->sig);
		if (!waits && !ghi_sig_is_handler(&act)) { /* changed meanwhile: the kernel's */
			back_to_kernel(n);
		} else if (in_order(n->sig)) {
			int sig = n->sig;
			ghi_sig_limbo_put(n);
			hand_out(sig, NULL);
		} else {
			give_shared(g, n);
		}
	} else if (for_signalfd(n->sig)) {
		/* Who closed the last mask waits for the monitor to close its own; whoever opens
		 * one tells it. */
		uint64_t bit = BIT(n->sig);
		sys_sigprocmask(SIG_BLOCK, &bit, NULL);
		back_to_kernel(n);
	} else {
		ghi_sig_limbo_put(n);
	}
}

void ghi_signal_dispatch(void)
{
	struct ghi_siginfo_node *n, *next, *all = NULL;

	ghi_sigtimer_run();
	while (load_relaxed(&undecided))
		for (n = ghi_sig_take_all(&undecided); n; n = next) {
			next = n->next;
			place(n);
		}
	for (uint64_t look = ghi_sig_limbo_bits(); look; look &= look - 1) {
		int sig = __builtin_ctzll(look) + 1;
		struct ghi_gthread *g = find_open(sig);
		struct sigaction act = ghi_sig_action_of(sig);
		if (g && (ghi_sig_is_handler(&act) || (load_relaxed(&g->sig.waits) & BIT(sig))))
			hand_out(sig, NULL);
		else if (g || for_signalfd(sig))
			while ((n = ghi_sig_limbo_take(BIT(sig))))
				ghi_sig_push(&all, n);
	}
	for (n = ghi_sig_take_all(&all); n; n = next) { /* it may go back there */
		next = n->next;
		place(n);
	}
}

void ghi_sig_route_reset(void)
{
	undecided = NULL;
	strangers = false;
	ghi_sig_limbo_reset();
}
