/* Signal actions, routing and deferred handlers; see signal.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "src/cancel.h"
#include "src/crash.h"
#include "src/monitor.h"
#include "src/park.h"
#include "src/real.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal.h"

#define BIT(sig) (1ull << ((sig)-1))
#define FAULTS	 (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGSYS))
#define CRASHES	 (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGABRT))

enum { NODES = 2048, MASKS = 32, ALTSTACK = 32 << 10 };

struct ghi_siginfo_node {
	struct ghi_siginfo_node *next;
	uint32_t used;
	int sig;
	siginfo_t info;
};

bool ghi_signal_active, ghi_signal_taken_over;
uint64_t ghi_signal_fd_mask;

static struct sigaction actions[GHI_NSIG]; /* as the program set them; under actions_lock */
static ghi_lock_t actions_lock;
static struct ghi_siginfo_node nodes[NODES];
static uint32_t next_node;
static struct ghi_siginfo_node *undecided; /* Treiber stack, pushed by on_signal */

/* How many gthreads run with each mask; which signals are open somewhere. */
static struct {
	ghi_lock_t lock;
	struct {
		uint64_t mask;
		uint64_t count;
	} of[MASKS];
	uint64_t open;
} masks;

static bool is_handler(const struct sigaction *a)
{
	return (a->sa_flags & SA_SIGINFO) || (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

/* ---- queues: async-signal-safe -------------------------------------------------------------- */

static struct ghi_siginfo_node *node_new(int sig, const siginfo_t *info)
{
	for (int tries = 0; tries < NODES; tries++) {
		struct ghi_siginfo_node *n = &nodes[fetch_add_relaxed(&next_node, 1u) % NODES];
		uint32_t free = 0;
		if (!cas_acquire(&n->used, &free, 1u))
			continue;
		n->sig = sig;
		if (info)
			n->info = *info;
		else
			memset(&n->info, 0, sizeof(n->info));
		n->info.si_signo = sig;
		return n;
	}
	return NULL;
}

/* Taken from the queue of g (NULL: of nobody): another one of its kind may be queued again. */
static void node_free(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	if (g)
		fetch_and_acq_rel(&g->sig_std, ~BIT(n->sig));
	store_release(&n->used, 0u);
}

static void push(struct ghi_siginfo_node **stack, struct ghi_siginfo_node *n)
{
	struct ghi_siginfo_node *seen = load_relaxed(stack);
	do
		n->next = seen;
	while (!cas_release(stack, &seen, n));
}

/* Standard signals do not queue: false when one waits already. */
static bool enqueue(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	if (n->sig < 32 && (fetch_or_acq_rel(&g->sig_std, BIT(n->sig)) & BIT(n->sig))) {
		node_free(NULL, n);
		return false;
	}
	push(&g->sigq, n);
	return true;
}

/* Everything on the stack, oldest first. */
static struct ghi_siginfo_node *take_all(struct ghi_siginfo_node **stack)
{
	struct ghi_siginfo_node *n = xchg_acq_rel(stack, (struct ghi_siginfo_node *)NULL);
	struct ghi_siginfo_node *out = NULL;
	while (n) {
		struct ghi_siginfo_node *next = n->next;
		n->next = out;
		out = n;
		n = next;
	}
	return out;
}

/* ---- running handlers ----------------------------------------------------------------------- */

struct call {
	struct sigaction act;
	int sig;
	siginfo_t *info;
	void *uc;
};

static void call_handler(void *arg)
{
	struct call *c = arg;
	if (c->act.sa_flags & SA_SIGINFO)
		c->act.sa_sigaction(c->sig, c->info, c->uc);
	else
		c->act.sa_handler(c->sig);
}

static void copy_action(int sig, struct sigaction *ret)
{
	*ret = actions[sig]; /* torn only if the program changes it at this very moment */
	if (ret->sa_flags & SA_RESETHAND) {
		struct sigaction dfl = {.sa_handler = SIG_DFL};
		actions[sig] = dfl;
		ghi_real_sigaction(sig, &dfl, NULL);
	}
}

static bool on_altstack(const struct ghi_gthread *g, const char *sp)
{
	return sp > (char *)g->altstack_sp && sp <= (char *)g->altstack_sp + g->altstack_size;
}

/* Calls the handler, on the gthread's alternate stack when it asked for one, on `below` (the
 * interrupted stack) when the kernel put us elsewhere, or right here. */
static void call_on_its_stack(struct ghi_gthread *self, struct call *c, char *below)
{
	char here;
	if (self && (c->act.sa_flags & SA_ONSTACK) && self->altstack_sp &&
	    !on_altstack(self, below ? below : &here))
		ghi_ctx_call_on((char *)self->altstack_sp + self->altstack_size, call_handler, c);
	else if (below)
		ghi_ctx_call_on(below, call_handler, c);
	else
		call_handler(c);
}

/* The kernel has set the mask for the handler and restores it afterwards; the books follow. */
static void run_in_place(struct ghi_gthread *self, int sig, siginfo_t *info, ucontext_t *uc)
{
	struct call c = {.sig = sig, .info = info, .uc = uc};
	char *below = NULL;

	copy_action(sig, &c.act);
	if (!is_handler(&c.act))
		return;
#if defined(__x86_64__)
	if (BIT(sig) & FAULTS) /* these arrive on the worker's alternate stack */
		below = (char *)uc->uc_mcontext.gregs[REG_RSP] - 128;
#endif
	if (!self || (self->flags & GHI_G_NATIVE)) {
		call_handler(&c);
		return;
	}
	self->sig_ran |=
	    (c.act.sa_flags & SA_RESTART) ? GHI_SIG_RAN : GHI_SIG_RAN | GHI_SIG_RAN_NORESTART;
	uint64_t before, during;
	memcpy(&before, &uc->uc_sigmask, sizeof(before));
	sys_sigprocmask(SIG_BLOCK, NULL, &during);
	self->sigmask = self->worker->kmask = during;
	call_on_its_stack(self, &c, below);
	memcpy(&before, &uc->uc_sigmask, sizeof(before)); /* the handler may edit it */
	sys_sigprocmask(SIG_SETMASK, &before, NULL);	  /* it may have parked and moved */
	store_relaxed(&self->sigmask, before);
	self->worker->kmask = before;
	/* What was queued meanwhile and is open again. */
	fence_seq_cst(); /* (U1) */
	if (load_relaxed(&self->sigq) && ghi_signal_due(self))
		ghi_signal_run_pending();
}

static void run_queued(struct ghi_gthread *self, struct ghi_siginfo_node *n)
{
	struct call c = {.sig = n->sig};
	siginfo_t info = n->info;
	ucontext_t uc;
	uint64_t add, old = self->sigmask;
	int saved_errno = errno;

	node_free(self, n);
	copy_action(c.sig, &c.act);
	if (!is_handler(&c.act)) {
		if (c.act.sa_handler == SIG_DFL) /* the default action, by the kernel itself */
			ghi_sys(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), c.sig, &info);
		return;
	}
	memset(&uc, 0, sizeof(uc));
	memcpy(&uc.uc_sigmask, &old, sizeof(old));
	uc.uc_stack.ss_flags = SS_DISABLE;
	c.info = &info;
	c.uc = &uc;
	memcpy(&add, &c.act.sa_mask, sizeof(add));
	if (!(c.act.sa_flags & SA_NODEFER))
		add |= BIT(c.sig);
	self->sig_ran |=
	    (c.act.sa_flags & SA_RESTART) ? GHI_SIG_RAN : GHI_SIG_RAN | GHI_SIG_RAN_NORESTART;
	uint32_t ran = self->sig_ran; /* a nested wait in the handler resets it */
	ghi_signal_set_mask(self, old | add);
	call_on_its_stack(self, &c, NULL);
	self = ghi_self();
	ghi_signal_set_mask(self, old);
	self->sig_ran |= ran;
	errno = saved_errno;
}

void ghi_signal_run_pending(void)
{
	struct ghi_gthread *self = ghi_self();

	for (;;) {
		store_relaxed(&self->sig_pending, 0u);
		struct ghi_siginfo_node *n = take_all(&self->sigq), *next, *first = NULL;
		for (; n; n = next) {
			next = n->next;
			if (!first && !(self->sigmask & BIT(n->sig)))
				first = n;
			else
				push(&self->sigq, n);
		}
		if (!first)
			break;
		run_queued(self, first); /* one at a time: the handler may leave by siglongjmp */
	}
	if ((self->cancel & GHI_CANCEL_ASYNC) && ghi_cancel_requested(self))
		ghi_cancel_point(self);
	if (ghi_cancel_requested(self)) /* for the next cancellation point */
		store_relaxed(&self->sig_pending, 1u);
}

void ghi_signal_drop_queued(struct ghi_gthread *self)
{
	struct ghi_siginfo_node *n = take_all(&self->sigq), *next;
	for (; n; n = next) {
		next = n->next;
		node_free(self, n);
	}
}

uint64_t ghi_signal_queued(struct ghi_gthread *g)
{
	uint64_t set = 0;
	for (struct ghi_siginfo_node *n = load_acquire(&g->sigq); n; n = n->next)
		set |= BIT(n->sig);
	return set;
}

int ghi_signal_take(struct ghi_gthread *self, uint64_t want, siginfo_t *ret_info)
{
	struct ghi_siginfo_node *n = take_all(&self->sigq), *next;
	int sig = 0;
	for (; n; n = next) {
		next = n->next;
		if (!sig && (want & BIT(n->sig))) {
			sig = n->sig;
			*ret_info = n->info;
			node_free(self, n);
		} else {
			push(&self->sigq, n);
		}
	}
	return sig;
}

bool ghi_signal_due(struct ghi_gthread *self)
{
	return (ghi_signal_queued(self) & ~self->sigmask) != 0;
}

/* ---- arrival and routing -------------------------------------------------------------------- */

static struct ghi_gthread *main_if_open(int sig)
{
	struct ghi_gthread *m = ghi_runtime_main();
	return m && load_relaxed(&m->life) == GHI_LIFE_ALIVE &&
		       !(load_relaxed(&m->sigmask) & BIT(sig))
		   ? m
		   : NULL;
}

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	struct ghi_gthread *self = ghi_self();

	if ((BIT(sig) & FAULTS) && info->si_code > 0) {
		run_in_place(self, sig, info, uc);
		return;
	}
	bool native = self && (self->flags & GHI_G_NATIVE);
	if (ghi_signal_active && (self || sys_gettid() == ghi_monitor_tid())) {
		/* The kernel sends SIGPIPE and SIGXFSZ to the thread whose write failed. */
		bool own = info->si_code == SI_TKILL ||
			   ((sig == SIGPIPE || sig == SIGXFSZ) && info->si_pid == sys_getpid());
		struct ghi_gthread *m = own ? NULL : main_if_open(sig);
		if (!self || native || ghi_tls.nosig || (m && m != self)) {
			struct ghi_siginfo_node *n = node_new(sig, info);
			if (n) {
				push(&undecided, n);
				ghi_monitor_poke();
				return;
			}
			if (!self || native || ghi_tls.nosig)
				return; /* 2048 signals wait already */
		}
	}
	run_in_place(self, sig, info, uc);
}

static void full_fence_everywhere(void)
{
	if (ghi_sys(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0)
		fence_seq_cst();
}

void ghi_signal_interrupt(struct ghi_gthread *g, enum ghi_wakeup why)
{
	struct ghi_gthread *ready = NULL;

	store_relaxed(&g->sig_pending, 1u); /* (G1) */
	full_fence_everywhere();	    /* (G2) */
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
	struct ghi_siginfo_node *n = node_new(sig, info);
	if (!n)
		return EAGAIN;
	if (!enqueue(target, n))
		return 0;
	fence_seq_cst(); /* (U2) */
	if (!(load_relaxed(&target->sigmask) & BIT(sig)))
		ghi_signal_interrupt(target, GHI_WOKEN_SIGNAL);
	return 0;
}

void ghi_signal_dispatch(void)
{
	struct ghi_siginfo_node *n = take_all(&undecided), *next;
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
		if (!enqueue(g, n))
			continue;
		fence_seq_cst(); /* (U2) */
		if (!(load_relaxed(&g->sigmask) & BIT(n->sig)))
			ghi_signal_interrupt(g, GHI_WOKEN_SIGNAL);
	}
}

/* ---- kicks and broadcasts ------------------------------------------------------------------- */

static struct {
	ghi_lock_t lock;
	void (*fn)(void *);
	void *arg;
	uint32_t round, left;
} cast;

/* With SA_RESTART: a blocked call of the program must not notice. */
static void on_cast(int sig, siginfo_t *info, void *uc)
{
	if (info->si_code == SI_QUEUE && info->si_ptr == &cast) {
		load_acquire (&cast.fn)(cast.arg);
		fetch_add_acq_rel(&cast.left, (uint32_t)-1);
		sys_futex_wake(&cast.left, 1);
	}
}

/* Without it: a handler of the program is due, which decides what becomes of the call. */
static void on_kick(int sig, siginfo_t *info, void *uc)
{
	struct ghi_gthread *self = ghi_self();
	if (!self || (self->flags & GHI_G_NATIVE) || ghi_tls.nosig ||
	    !load_relaxed(&self->sig_pending))
		return;
	uint64_t before, during;
	memcpy(&before, &((ucontext_t *)uc)->uc_sigmask, sizeof(before));
	sys_sigprocmask(SIG_SETMASK, &before, &during);
	ghi_signal_run_pending();
}

void ghi_signal_broadcast(void (*fn)(void *), void *arg)
{
	struct {
		uint64_t ino;
		int64_t off;
		unsigned short len;
		unsigned char type;
		char name[];
	} * d;
	char buf[4096] __attribute__((aligned(8)));
	static int done[4096];
	int ndone = 0, me = sys_gettid(), pid = sys_getpid();
	bool again = true;

	ghi_nosig_enter();
	while (!cas_acquire(&cast.lock, &(ghi_lock_t){0}, 1u))
		ghi_sys(SYS_sched_yield);
	store_release(&cast.fn, fn);
	cast.arg = arg;
	fn(arg);
	done[ndone++] = me;
	while (again) { /* until a look at the list finds nobody new: threads may make threads */
		again = false;
		long fd = ghi_sys(SYS_openat, AT_FDCWD, "/proc/self/task",
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		if (fd < 0)
			break;
		for (long n; (n = ghi_sys(SYS_getdents64, fd, buf, sizeof(buf))) > 0;)
			for (long at = 0; at < n; at += d->len) {
				d = (void *)(buf + at);
				int tid = 0, known = 0;
				for (char *c = d->name; *c >= '0' && *c <= '9'; c++)
					tid = tid * 10 + *c - '0';
				for (int i = 0; i < ndone; i++)
					known |= done[i] == tid;
				if (!tid || known || ndone == 4096)
					continue;
				siginfo_t si = {.si_signo = GHI_SIG_CAST, .si_code = SI_QUEUE};
				si.si_ptr = &cast;
				store_release(&cast.left, 1u);
				again = true;
				done[ndone++] = tid;
				if (ghi_sys(SYS_rt_tgsigqueueinfo, pid, tid, GHI_SIG_CAST, &si) < 0)
					continue; /* it ended */
				struct timespec limit = {.tv_sec = 1};
				while (load_acquire(&cast.left))
					if (sys_futex_wait(&cast.left, 1, &limit) == -ETIMEDOUT &&
					    ghi_sys(SYS_tgkill, pid, tid, 0) < 0)
						break;
			}
		ghi_sys(SYS_close, fd);
	}
	store_release(&cast.lock, 0u);
	ghi_nosig_leave();
}

/* ---- masks and actions ---------------------------------------------------------------------- */

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

/* What the kernel is told for an action of the program. */
static void install(int sig)
{
	struct sigaction k = actions[sig];
	if (is_handler(&k)) {
		k.sa_sigaction = on_signal;
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
	} kick = {on_kick, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, ghi_ctx_sigreturn, 0},
	  cast_action = {on_cast, SA_SIGINFO | SA_RESTART | 0x04000000, ghi_ctx_sigreturn, 0};

	ghi_sys(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	memset(&masks, 0, sizeof(masks));
	actions_lock = cast.lock = 0;
	undecided = NULL;
	for (int i = 0; i < NODES; i++)
		nodes[i].used = 0;
	for (int sig = 1; sig < GHI_NSIG && !ghi_signal_taken_over; sig++) {
		if (sig == 32 || sig == 33 || ghi_real_sigaction(sig, NULL, &actions[sig]) < 0)
			continue;
		if (is_handler(&actions[sig]) || (BIT(sig) & CRASHES))
			install(sig);
	}
	ghi_sys(SYS_rt_sigaction, GHI_SIG_KICK, &kick, NULL, 8);
	ghi_sys(SYS_rt_sigaction, GHI_SIG_CAST, &cast_action, NULL, 8);
	ghi_signal_active = ghi_signal_taken_over = true;
	ghi_signal_count(main_thread->sigmask, 1);
}
