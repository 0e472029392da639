/* Kernel threads: their loop, sleep and wake, who gets a slot; see sched.h and proto/idle_word.h.
 *
 * A worker that finds nothing puts itself on the list of sleepers *before* it gives its slot back,
 * so whoever claims that slot finds somebody to hand it to.
 *
 * A sleeper that nobody needed for a while ends its kernel thread (retire): it leaves the list of
 * sleepers under the lock, so no slot can be on its way to it.  Making kernel threads, and what
 * waits for the next one, is worker_make.c's.
 */
#include <errno.h>
#include <sys/wait.h>

#include "src/monitor.h"
#include "src/own.h"
#include "src/poller.h"
#include "src/proto/idle_word.h"
#include "src/sched.h"
#include "src/signal.h"

enum { SEARCH_ROUNDS = 3 };

uint32_t ghi_idle_word;

/* Everything about who sleeps and which slots are idle. */
static struct {
	ghi_lock_t lock;
	struct ghi_worker *sleepers; /* last in, first out: the warmest cache */
	struct ghi_worker *poller;   /* the one that sleeps in the poller, woken last */
	bool poller_inside; /* until it has really left: a kick must not reach a second one */
	struct ghi_slot *slots;
	unsigned asleep;
} idle;

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

/* Somebody to run what the caller has: a sleeper (*ret_asleep, to be woken), or one that has no
 * kernel thread yet.  poller_too: the one in the poller will do when no other sleeps. */
static struct ghi_worker *obtain(bool poller_too, bool may_create, bool *ret_asleep)
{
	ghi_lock(&idle.lock);
	struct ghi_worker *w = idle.sleepers || poller_too ? pop_sleeper() : NULL;
	ghi_unlock(&idle.lock);
	*ret_asleep = w != NULL;
	if (!w && may_create && ghi_worker_count() < ghi_config.max_workers)
		w = ghi_worker_spare();
	return w;
}

bool ghi_worker_hand_slot(struct ghi_slot *s, bool may_create)
{
	bool asleep;
	struct ghi_worker *w = obtain(true, may_create, &asleep);
	if (!w)
		return false;
	if (asleep) {
		give_and_wake(w, s, w->polling); /* he changes it only when he is awake */
		return true;
	}
	w->slot = s;
	ghi_slot_give(&s->owner, (uintptr_t)w);
	if (ghi_worker_clone(w) == 0)
		return true;
	ghi_debug(1, "cannot make another kernel thread; the process limit is reached");
	w->slot = NULL;
	ghi_worker_shelve(w);
	return false;
}

/* This one and no other; false: it is not idle, or on its way to somebody. */
static bool claim_slot(struct ghi_slot *s)
{
	bool claimed = false;
	ghi_lock(&idle.lock);
	struct ghi_slot **p = &idle.slots;
	while (*p && *p != s)
		p = &(*p)->idle_next;
	/* Which of those on the list a claim takes makes no difference to other claims. */
	if (*p && (claimed = ghi_idle_claim(&ghi_idle_word, false)))
		*p = s->idle_next;
	ghi_unlock(&idle.lock);
	return claimed;
}

bool ghi_worker_staff(struct ghi_slot *s, bool may_create)
{
	ghi_nosig_enter();
	bool claimed = claim_slot(s), staffed = claimed && ghi_worker_hand_slot(s, may_create);
	if (claimed && !staffed) {
		ghi_worker_idle_slot(s);
		if (!may_create)
			ghi_monitor_poke(); /* it may make a worker */
	}
	ghi_nosig_leave();
	return staffed || !claimed;
}

void ghi_worker_staff_pinned(bool may_create)
{
	if (!load_relaxed(&ghi_queues_hint.apart))
		return;
	for (unsigned i = 0; i < ghi_nslots; i++)
		if (load_relaxed(&ghi_slots[i].owner) == GHI_SLOT_FREE &&
		    ghi_queues_pinned_wait(&ghi_slots[i]) &&
		    !ghi_worker_staff(&ghi_slots[i], may_create))
			return;
}

/* Not the one in the poller: with every slot idle it is the only one that sees events. */
bool ghi_worker_run(struct ghi_gthread *g)
{
	bool asleep;
	struct ghi_worker *w = obtain(false, true, &asleep);
	if (!w)
		return false;
	w->assigned = g;
	if (asleep) {
		store_release(&w->wake, 1u); /* pairs with the load in sleep_now */
		sys_futex_wake(&w->wake, 1);
		return true;
	}
	if (ghi_worker_clone(w) == 0)
		return true;
	w->assigned = NULL;
	ghi_worker_shelve(w);
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
	if (w->kmask == GHI_WORKER_IDLE_MASK)
		return;
	uint64_t mask = GHI_WORKER_IDLE_MASK;
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	store_release(&w->kmask, mask); /* in force: signal_mask.c waits for it */
}

/* Did it make a child that still lives, or does it trace somebody?  The kernel asks by kernel
 * thread, and reaps nothing. */
static bool is_parent(void)
{
	siginfo_t none; /* the kernel would take NULL, valgrind complains */
	return ghi_sys(SYS_waitid, P_ALL, 0, &none,
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
	ghi_worker_discount(); /* with the line above under one lock: the difference counts */
	ghi_unlock(&idle.lock);
	ghi_worker_end(w);
}

/* Puts itself to sleep; returns with a slot, or with a gthread to run without one. */
static void sleep_now(struct ghi_worker *w)
{
	struct timespec limit = ghi_ns_to_ts(ghi_config.idle_ms * GHI_MS);

	for (;;) {
		if (w->polling) {
			ghi_poller_sleep();
			ghi_clock_note(ghi_now()); /* it stood still meanwhile */
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

/* Gives the slot back, if any, looks once more, sleeps.  Returns with a slot in phase SCHED, or
 * with a gthread to run without one. */
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
	ghi_worker_staff_pinned(false); /* (S3) of "Pinned": this worker may be the one it wakes */
	if (ghi_sched_any_work()) {	/* (S3) */
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
	ghi_worker_discount();
	if (!s)
		return;
	s->running = NULL;
	if (!ghi_worker_hand_slot(s, false)) { /* only the monitor may make one */
		ghi_worker_idle_slot(s);
		ghi_monitor_poke();
	}
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
	ghi_worker_stat_after_fork();
	ghi_worker_forget_all();
}
