/* Kernel threads: creating them, their loop, sleep and wake; see sched.h and proto/idle_word.h.
 *
 * A worker's native context is a gthread of its own (TCB, TLS, stack from the same recipe), so that
 * the kernel thread has a valid thread pointer whatever it does.  Workers are made with clone()
 * directly: glibc never learns of them, so fork() in a child does not reclaim their stacks.
 *
 * A worker that finds nothing puts itself on the list of sleepers *before* it gives its slot back,
 * so whoever claims that slot finds somebody to hand it to.
 *
 * A sleeper that nobody needed for a while ends its kernel thread (retire): it leaves the list of
 * sleepers under the lock, so no slot can be on its way to it.  Its struct, native stack and TCB
 * wait for the next kernel thread; the kernel clears `tid` when the old one has left the stack.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/wait.h>

#include "src/monitor.h"
#include "src/own.h"
#include "src/poller.h"
#include "src/proto/idle_word.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/tls.h"

enum { NATIVE_STACK = 128 << 10, ALTSTACK = 48 << 10, SEARCH_ROUNDS = 3 };

#define IDLE_MASK (~GHI_SIG_OURS)

uint32_t ghi_idle_word;

/* Everything about who sleeps and which slots are idle. */
static struct {
	ghi_lock_t lock;
	struct ghi_worker *sleepers; /* last in, first out: the warmest cache */
	struct ghi_worker *poller;   /* the one that sleeps in the poller, woken last */
	bool poller_inside; /* until it has really left: a kick must not reach a second one */
	struct ghi_slot *slots;
	unsigned asleep;
	struct ghi_worker *retired; /* without a kernel thread, or about to be */
} idle;

static struct ghi_worker *all_workers; /* newest first; pushed only */
static uint32_t nworkers;

struct ghi_worker *ghi_worker_all(void)
{
	return load_acquire(&all_workers);
}

unsigned ghi_worker_count(void)
{
	return load_relaxed(&nworkers);
}

unsigned ghi_worker_asleep(void)
{
	return load_relaxed(&idle.asleep);
}

/* Under the lock. */
static struct ghi_worker *pop_sleeper(void)
{
	struct ghi_worker *w = idle.sleepers;
	if (w)
		idle.sleepers = w->sleep_next;
	else if ((w = idle.poller))
		idle.poller = NULL;
	if (w) {
		w->asleep = false;
		idle.asleep--;
	}
	return w;
}

static void remove_sleeper(struct ghi_worker *w)
{
	if (idle.poller == w) {
		idle.poller = NULL;
		idle.poller_inside = false;
	}
	for (struct ghi_worker **p = &idle.sleepers; *p; p = &(*p)->sleep_next)
		if (*p == w) {
			*p = w->sleep_next;
			break;
		}
	w->asleep = false;
	idle.asleep--;
}

/* Gives a slot to a worker that was popped from the sleepers, and wakes it. */
static void give_and_wake(struct ghi_worker *w, struct ghi_slot *s, bool polling)
{
	w->slot = s;
	ghi_slot_give(&s->owner, (uintptr_t)w);
	store_release(&w->wake, 1u); /* pairs with the load in sleep_now */
	if (polling)
		ghi_poller_kick();
	else
		sys_futex_wake(&w->wake, 1);
}

void ghi_worker_idle_slot(struct ghi_slot *s)
{
	ghi_slot_give(&s->owner, 0);
	ghi_lock(&idle.lock);
	s->idle_next = idle.slots;
	idle.slots = s;
	ghi_unlock(&idle.lock);
	ghi_idle_give_slot(&ghi_idle_word, false);
}

/* After a claim in the idle word: the list cannot be empty. */
static struct ghi_slot *pop_slot_locked(void)
{
	struct ghi_slot *s = idle.slots;
	ghi_assert(s != NULL);
	idle.slots = s->idle_next;
	return s;
}

struct ghi_slot *ghi_worker_take_idle_slot(void)
{
	ghi_lock(&idle.lock);
	struct ghi_slot *s = pop_slot_locked();
	ghi_unlock(&idle.lock);
	return s;
}

void ghi_worker_notify(void)
{
	if (!ghi_idle_claim_for_wake(&ghi_idle_word))
		return;
	ghi_nosig_enter();
	ghi_lock(&idle.lock);
	struct ghi_worker *w = pop_sleeper();
	if (w) {
		struct ghi_slot *s = pop_slot_locked();
		bool polling = w->polling;
		w->searching = true; /* the count we claimed is his now */
		ghi_unlock(&idle.lock);
		give_and_wake(w, s, polling);
	} else {
		/* Every worker is busy or stuck.  Making one takes memory, and this may be called
		 * from inside an allocator: the monitor does it. */
		ghi_unlock(&idle.lock);
		fetch_add_acq_rel(&ghi_idle_word, GHI_IDLE_SLOT - GHI_IDLE_SEARCH);
		ghi_monitor_poke();
	}
	ghi_nosig_leave();
}

/* Under the lock: one whose kernel thread has ended. */
static struct ghi_worker *pop_retired(void)
{
	for (struct ghi_worker **p = &idle.retired; *p; p = &(*p)->sleep_next) {
		struct ghi_worker *w = *p;
		if (load_acquire(&w->tid) == 0) { /* pairs with the kernel's last store */
			*p = w->sleep_next;
			return w;
		}
	}
	return NULL;
}

static void push_retired(struct ghi_worker *w)
{
	ghi_lock(&idle.lock);
	w->sleep_next = idle.retired;
	idle.retired = w;
	ghi_unlock(&idle.lock);
}

static struct ghi_worker *worker_new(void);
static int worker_clone(struct ghi_worker *w);

bool ghi_worker_hand_slot(struct ghi_slot *s, bool may_create)
{
	ghi_lock(&idle.lock);
	struct ghi_worker *w = pop_sleeper();
	bool polling = w && w->polling,
	     may = may_create && ghi_worker_count() < ghi_config.max_workers;
	struct ghi_worker *retired = w || !may ? NULL : pop_retired();
	if (w)
		w->searching = false;
	ghi_unlock(&idle.lock);
	if (w) {
		give_and_wake(w, s, polling);
		return true;
	}
	if (!may || !(w = retired ? retired : worker_new()))
		return false;
	w->slot = s;
	ghi_slot_give(&s->owner, (uintptr_t)w);
	if (worker_clone(w) == 0)
		return true;
	ghi_debug(1, "cannot make another kernel thread; the process limit is reached");
	w->slot = NULL;
	push_retired(w);
	return false;
}

/* Not the one in the poller: with every slot idle it is the only one that sees events. */
bool ghi_worker_run(struct ghi_gthread *g)
{
	ghi_lock(&idle.lock);
	struct ghi_worker *w = idle.sleepers, *other = NULL;
	if (w) {
		idle.sleepers = w->sleep_next;
		w->asleep = false;
		idle.asleep--;
	} else if (ghi_worker_count() < ghi_config.max_workers) {
		other = pop_retired();
	}
	ghi_unlock(&idle.lock);
	if (w) {
		w->assigned = g;
		store_release(&w->wake, 1u); /* pairs with the load in sleep_now */
		sys_futex_wake(&w->wake, 1);
		return true;
	}
	if (!other && (ghi_worker_count() >= ghi_config.max_workers || !(other = worker_new())))
		return false;
	other->slot = NULL;
	other->assigned = g;
	if (worker_clone(other) == 0)
		return true;
	other->assigned = NULL;
	push_retired(other);
	return false;
}

static void left_poller(struct ghi_worker *w)
{
	ghi_lock(&idle.lock);
	w->polling = false;
	idle.poller_inside = false;
	ghi_unlock(&idle.lock);
}

/* A worker that sleeps accepts no signal of the program: the mask of the gthread that it ran last
 * may be open for one that all gthreads block by now.  The monitor receives what is open. */
static void close_mask(struct ghi_worker *w)
{
	if (w->kmask == IDLE_MASK)
		return;
	uint64_t mask = IDLE_MASK;
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	store_release(&w->kmask, mask); /* in force: signal_mask.c waits for it */
}

/* Did it make a child that still lives, or does it trace somebody?  The kernel asks by kernel
 * thread, and reaps nothing. */
static bool is_parent(void)
{
	return ghi_sys(SYS_waitid, P_ALL, 0, NULL,
		       WEXITED | WNOHANG | WNOWAIT | __WNOTHREAD | __WALL, NULL) != -ECHILD;
}

/* Nobody needed it for idle_ms: the kernel thread ends, unless a waker was faster or only as many
 * sleep as there are slots.  The initial one stays: its end would show in /proc.  So does the
 * parent of a child, which would be told that its parent died (PR_SET_PDEATHSIG). */
static void retire(struct ghi_worker *w)
{
	if (is_parent())
		return;
	ghi_lock(&idle.lock);
	if (!w->asleep || w->initial || idle.asleep <= ghi_nslots + 1) {
		ghi_unlock(&idle.lock);
		return;
	}
	remove_sleeper(w);
	fetch_add_relaxed(&nworkers, (uint32_t)-1);
	w->sleep_next = idle.retired;
	idle.retired = w;
	ghi_unlock(&idle.lock);
	ghi_sys(SYS_exit, 0);
}

/* Puts itself to sleep; returns with a slot. */
static void sleep_now(struct ghi_worker *w)
{
	struct timespec limit = ghi_ns_to_ts(ghi_config.idle_ms * GHI_MS);

	for (;;) {
		if (w->polling) {
			ghi_poller_sleep();
			if (load_acquire(&w->wake)) {
				left_poller(w);
				return; /* somebody gave us a slot */
			}
			/* Events: take a slot for them, unless a waker was faster. */
			if (!ghi_sched_any_work())
				continue;
			ghi_lock(&idle.lock);
			if (!w->asleep) {
				ghi_unlock(&idle.lock);
				while (!load_acquire(&w->wake)) /* he is between pop and give */
					cpu_relax();
				left_poller(w);
				return;
			}
			if (ghi_idle_claim(&ghi_idle_word, true)) {
				struct ghi_slot *s = pop_slot_locked();
				remove_sleeper(w);
				w->polling = false;
				ghi_unlock(&idle.lock);
				w->slot = s;
				w->searching = true;
				ghi_slot_give(&s->owner, (uintptr_t)w);
				return;
			}
			ghi_unlock(&idle.lock); /* all slots busy: they will find the inbox */
		} else {
			if (load_acquire(&w->wake))
				return;
			if (sys_futex_wait(&w->wake, 0, &limit) == -ETIMEDOUT)
				retire(w);
		}
	}
}

/* Gives the slot back, if any, looks once more, sleeps.  Returns with a slot in phase SCHED. */
static void go_idle(struct ghi_worker *w)
{
	struct ghi_slot *s = w->slot;

	ghi_lock(&idle.lock);
	w->wake = 0;
	w->asleep = true;
	w->slot = NULL;
	w->in_sched = false;
	idle.asleep++;
	w->polling = !idle.poller_inside;
	if (w->polling) {
		idle.poller = w;
		idle.poller_inside = true;
	} else {
		w->sleep_next = idle.sleepers;
		idle.sleepers = w;
	}
	bool was_searching = w->searching;
	w->searching = false;
	if (s) {
		ghi_slot_give(&s->owner, 0);
		s->idle_next = idle.slots;
		idle.slots = s;
	}
	ghi_unlock(&idle.lock);
	if (s)
		ghi_idle_give_slot(&ghi_idle_word, was_searching); /* (S1),(S2) */
	if (ghi_sched_any_work()) {				   /* (S3) */
		ghi_lock(&idle.lock);
		if (w->asleep && ghi_idle_claim(&ghi_idle_word, true)) { /* (S4) */
			struct ghi_slot *again = pop_slot_locked();
			remove_sleeper(w);
			ghi_unlock(&idle.lock);
			w->polling = false;
			w->slot = again;
			w->searching = true;
			ghi_slot_give(&again->owner, (uintptr_t)w);
			w->in_sched = true;
			return;
		}
		ghi_unlock(&idle.lock);
	}
	close_mask(w);
	sleep_now(w); /* (S5) */
	w->in_sched = true;
}

void ghi_worker_loop(struct ghi_worker *w)
{
	for (;;) {
		if (w->own || w->leaving) {
			close_mask(w);
			ghi_own_turn(w);
			continue;
		}
		struct ghi_gthread *assigned = w->assigned;
		if (assigned) { /* as after a hand-off: it runs on without a slot */
			w->assigned = NULL;
			ghi_sched_resume(w, assigned);
			continue;
		}
		if (!w->slot) {
			go_idle(w);
			ghi_monitor_wake_if_asleep();
			continue;
		}
		w->in_sched = true;
		struct ghi_gthread *g = NULL;
		for (int i = 0; i < SEARCH_ROUNDS && !(g = ghi_sched_search(w)); i++) {
			if (!w->searching && !(w->searching = ghi_idle_start_search(
						   &ghi_idle_word, (ghi_nslots + 1) / 2)))
				break;
			cpu_relax();
		}
		if (!g) {
			go_idle(w);
			ghi_monitor_wake_if_asleep();
			continue;
		}
		if (w->searching) {
			w->searching = false;
			if (ghi_idle_stop_search(&ghi_idle_word)) /* (F1) */
				ghi_worker_notify();
		}
		ghi_sched_resume(w, g);
	}
}

/* ---- making kernel threads ------------------------------------------------------------------ */

static void native_entry(void *arg)
{
	struct ghi_gthread *native = arg;
	struct ghi_worker *w = native->worker;

	ghi_sched_arrived(native);
	ghi_worker_loop(w);
}

/* First code of a cloned kernel thread: already on its native stack and TCB. */
static void clone_entry(void *arg)
{
	struct ghi_worker *w = arg;

	/* The monitor, which is not bound, made all but those that are owned. */
	w->affinity = w->own ? &ghi_sched_unsure : NULL;
	w->cpu_mark = 0;
	/* Broadcasts must reach it at any time; everything else waits until it runs a gthread. */
	w->kmask = IDLE_MASK;
	sys_sigprocmask(SIG_SETMASK, &w->kmask, NULL);
	ghi_sys(SYS_prctl, PR_SET_NAME, "greenhook");
	ghi_signal_worker_init(w);
	ghi_worker_loop(w);
}

static struct ghi_worker *worker_new(void)
{
	static const struct ghi_gthread_attr attr = {
	    .stack_size = NATIVE_STACK, .guard_size = 4096, .detached = true};
	long r = ghi_sys(SYS_mmap, NULL, sizeof(struct ghi_worker), 3, 0x22, -1, 0);
	if (r < 0 && r > -4096)
		return NULL;
	struct ghi_worker *w = (struct ghi_worker *)r;
	w->native = ghi_gthread_new(&attr, NULL, NULL, native_entry);
	if (!w->native)
		return NULL;
	w->native->flags |= GHI_G_NATIVE;
	w->native->worker = w;
	w->current = w->native;
	/* Signals are deferred on a native context for good: its bracket never ends. */
	return w;
}

static void enlist(struct ghi_worker *w)
{
	if (w->enlisted)
		return;
	w->enlisted = true;
	struct ghi_worker *seen = load_relaxed(&all_workers);
	do
		w->all_next = seen;
	while (!cas_release(&all_workers, &seen, w));
}

static int worker_clone(struct ghi_worker *w)
{
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		    CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	void *sp = (void *)((uintptr_t)w->native->stack_hi & ~15ul);
	uint64_t all = ~0ull, old;

	/* Handlers must not run before the worker knows itself. */
	sys_sigprocmask(SIG_SETMASK, &all, &old);
	w->kmask = ~0ull;
	enlist(w);
	fetch_add_relaxed(&nworkers, 1u);
	long r = ghi_ctx_clone(flags, sp, w->native->tp, clone_entry, w, &w->tid);
	sys_sigprocmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		fetch_add_relaxed(&nworkers, (uint32_t)-1);
	return r < 0 ? (int)r : 0;
}

bool ghi_worker_start_own(struct ghi_gthread *g)
{
	ghi_nosig_enter();
	ghi_lock(&idle.lock);
	struct ghi_worker *w = pop_retired();
	ghi_unlock(&idle.lock);
	if (!w && !(w = worker_new())) {
		ghi_nosig_leave();
		return false;
	}
	w->wake = 0;
	w->own = g;
	g->own = w;
	store_relaxed(&g->hog, 1u);
	bool made = worker_clone(w) == 0;
	if (made) {
		fetch_add_relaxed(&nworkers, (uint32_t)-1);
	} else {
		g->own = NULL;
		w->own = NULL;
		store_relaxed(&g->hog, 0u);
		push_retired(w);
	}
	ghi_nosig_leave();
	return made;
}

void ghi_worker_end_own(struct ghi_worker *w)
{
	ghi_lock(&idle.lock);
	w->leaving = false;
	w->sleep_next = idle.retired;
	idle.retired = w;
	ghi_unlock(&idle.lock);
	ghi_sys(SYS_exit, 0);
	__builtin_unreachable();
}

void ghi_worker_keep(struct ghi_gthread *self)
{
	struct ghi_worker *w = self->worker;
	struct ghi_slot *s = w->slot;

	if (s && !ghi_slot_enter(&s->owner, (uintptr_t)w))
		s = NULL;
	w->slot = NULL;
	w->wake = 0;
	w->own = self;
	self->own = w;
	store_relaxed(&self->hog, 1u);
	fetch_add_relaxed(&nworkers, (uint32_t)-1);
	if (!s)
		return;
	s->running = NULL;
	if (!ghi_worker_hand_slot(s, false)) { /* only the monitor may make one */
		ghi_worker_idle_slot(s);
		ghi_monitor_poke();
	}
}

int ghi_worker_start_first(struct ghi_gthread *main_thread)
{
	struct ghi_worker *w = worker_new();
	if (!w)
		return -ENOMEM;
	w->tid = sys_gettid();
	w->kmask = main_thread->sigmask;
	w->current = main_thread;
	w->slot = &ghi_slots[0];
	w->slot->running = main_thread;
	main_thread->worker = w;
	w->initial = true;
	enlist(w);
	nworkers = 1;
	ghi_signal_worker_init(w);
	ghi_slot_give(&ghi_slots[0].owner, (uintptr_t)w);
	ghi_slot_leave(&ghi_slots[0].owner, (uintptr_t)w);
	for (unsigned i = 1; i < ghi_nslots; i++)
		ghi_worker_idle_slot(&ghi_slots[i]);
	return 0;
}

/* Only the calling kernel thread is left; the runtime starts anew at the next pthread_create. */
void ghi_worker_after_fork(void)
{
	ghi_idle_word = 0;
	idle.lock = 0;
	idle.sleepers = idle.poller = NULL;
	idle.poller_inside = false;
	idle.slots = NULL;
	idle.asleep = 0;
	idle.retired = NULL;
	ghi_worker_stat_after_fork();
	all_workers = NULL;
	nworkers = 0;
}
