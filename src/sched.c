/* Switching between gthreads and the search order; see sched.h.
 *
 * Lock order: nothing here is held over a switch; the locks of the two queues are leaves.
 */
#include "src/base/probe.h"
#include "src/cputime.h"
#include "src/own.h"
#include "src/park.h"
#include "src/poller.h"
#include "src/proto/idle_word.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/timer.h"
#include "src/trace.h"
#include "src/warn.h"

struct ghi_slot *ghi_slots;
unsigned ghi_nslots;

/* How many switches pass between two looks at the inbox, timers and events when there is always
 * something in the local queue.  Small enough that I/O is not starved, large enough to amortise. */
enum { FAIR_TICKS = 64, INBOX_BATCH = 32 };

/* Queues that all slots share.  inbox: gthreads made runnable by threads without a slot, and what
 * did not fit into a ring.  hogs: those that compute, served last. */
struct queue {
	ghi_lock_t lock;
	struct ghi_gthread *head, **tail;
	size_t length; /* read without the lock as a hint */
};
static struct queue inbox, hogs;

void ghi_sched_inbox_push(struct ghi_gthread *g)
{
	bool hog = load_relaxed(&g->hog);
	if (hog && g->own) {
		ghi_own_wake(g);
		return;
	}
	struct queue *q = hog ? &hogs : &inbox;
	g->next = NULL;
	ghi_lock(&q->lock);
	if (!q->head)
		q->tail = &q->head;
	*q->tail = g;
	q->tail = &g->next;
	store_relaxed(&q->length, q->length + 1);
	ghi_unlock(&q->lock);
}

/* The one that computes on the reserve (below); set under the lock of the hogs. */
static struct ghi_gthread *on_reserve;

/* The last few kernel threads below the cap are for those that will not keep them, and for one that
 * computes, for which all others may be waiting in the kernel.  A worker that goes to sleep counts
 * as asleep before it looks for the last time, so none is forgotten. */
static bool reserve_begun(uint64_t *ret_reserve)
{
	uint64_t cap = ghi_config.max_workers, reserve = cap / 8 < 16 ? cap / 8 : 16;
	*ret_reserve = reserve;
	return ghi_worker_count() - ghi_worker_asleep() > cap - reserve;
}

static bool hogs_may_run(void)
{
	uint64_t reserve;
	return load_relaxed(&hogs.length) &&
	       (!reserve_begun(&reserve) || (reserve > 1 && !load_relaxed(&on_reserve)));
}

static struct ghi_gthread *hog_get(void)
{
	uint64_t reserve;

	if (!hogs_may_run())
		return NULL;
	ghi_lock(&hogs.lock);
	bool begun = reserve_begun(&reserve);
	struct ghi_gthread *g = begun && (reserve < 2 || on_reserve) ? NULL : hogs.head;
	if (g) {
		if (begun)
			store_relaxed(&on_reserve, g);
		hogs.head = g->next;
		store_relaxed(&hogs.length, hogs.length - 1);
	}
	ghi_unlock(&hogs.lock);
	return g;
}

/* It lets others run, itself: the next one may have the reserve. */
static void hog_leaves(struct ghi_gthread *self)
{
	if (load_relaxed(&on_reserve) == self)
		store_relaxed(&on_reserve, (struct ghi_gthread *)NULL);
}

/* Takes one to run and moves a fair share of the rest into the holder's ring. */
static struct ghi_gthread *inbox_get(struct ghi_slot *s)
{
	if (!load_relaxed(&inbox.length))
		return NULL;
	ghi_lock(&inbox.lock);
	struct ghi_gthread *first = inbox.head;
	size_t share = first ? inbox.length / ghi_nslots + 1 : 0;
	if (share > INBOX_BATCH)
		share = INBOX_BATCH;
	for (size_t i = 0; i < share && inbox.head; i++) {
		struct ghi_gthread *g = inbox.head;
		struct ghi_gthread *next = g->next; /* the ring may hand g to a thief at once */
		if (i && !ghi_ring_put(&s->ring, g))
			break;
		inbox.head = next;
		store_relaxed(&inbox.length, inbox.length - 1);
	}
	ghi_unlock(&inbox.lock);
	return first;
}

/* By the holder in phase SCHED. */
static void push_local(struct ghi_slot *s, struct ghi_gthread *g)
{
	if (load_relaxed(&g->hog) || !ghi_ring_put(&s->ring, g))
		ghi_sched_inbox_push(g);
}

/* Somebody asks what is made ready, and when. */
static __attribute__((noinline)) void ready_rare(struct ghi_gthread *g)
{
	for (; g; g = g->next) {
		if (load_relaxed(&ghi_stats_watching))
			g->ready_at = ghi_now();
		if (ghi_trace_on())
			ghi_trace_ready(g);
	}
}

void ghi_ready_batch(struct ghi_gthread *g)
{
	struct ghi_gthread *self = ghi_self();
	struct ghi_worker *w = self ? self->worker : NULL;
	struct ghi_slot *s = w ? w->slot : NULL;

	if (!g)
		return;
	/* A worker asleep in the poller may have been handed a slot this very moment, by another
	 * thread or by its own call below; it becomes the holder only when it is awake. */
	if (s && (self->flags & GHI_G_NATIVE) && !w->in_sched)
		s = NULL;
	if (__builtin_expect(
		load_relaxed(&ghi_cputime_exact) & (GHI_SWITCH_WATCHED | GHI_SWITCH_TRACED), 0))
		ready_rare(g);
	if (s && w->in_sched) {
		for (struct ghi_gthread *next; g; g = next) {
			next = g->next;
			GHI_PROBE1(ready, GHI_IN(g->id));
			push_local(s, g);
		}
	} else if (s && ghi_slot_enter(&s->owner, (uintptr_t)w)) {
		for (struct ghi_gthread *next; g; g = next) {
			next = g->next;
			GHI_PROBE1(ready, GHI_IN(g->id));
			push_local(s, g);
		}
		ghi_slot_leave(&s->owner, (uintptr_t)w);
	} else {
		if (s)
			w->slot = s = NULL; /* taken by the monitor while this gthread ran */
		for (struct ghi_gthread *next; g; g = next) {
			next = g->next;
			GHI_PROBE1(ready, GHI_IN(g->id));
			ghi_sched_inbox_push(g);
		}
	}
	if (!s || ghi_nslots > 1) /* the only slot is ours: nobody to wake */
		ghi_worker_notify();
}

void ghi_ready(struct ghi_gthread *g)
{
	g->next = NULL;
	ghi_ready_batch(g);
}

/* Events and timers, without sleeping; readies what they woke. */
static void look_around(struct ghi_slot *s)
{
	uint64_t now = ghi_now();
	ghi_clock_note(now);
	ghi_timers_run(s->timers, now);
	s->stats.events += (unsigned)ghi_poller_poll(0);
	s->stats.switches += (uint32_t)(s->tick - s->stats.counted);
	s->stats.counted = s->tick;
}

void ghi_sched_queued(size_t *ret_inbox, size_t *ret_hogs)
{
	*ret_inbox = load_relaxed(&inbox.length);
	*ret_hogs = load_relaxed(&hogs.length);
}

/* The next gthread for a holder in phase SCHED, without stealing or sleeping:
 *   1. every FAIR_TICKS switches, and first thing on a slot taken from one that computed: due
 *      timers, events, then the inbox before the ring
 *   2. every FAIR_TICKS switches: one that computes
 *   3. the slot's own ring, first in first out
 *   4. the inbox
 *   5. due timers and events, which fill the ring
 *   6. those that compute
 */
static struct ghi_gthread *next_local(struct ghi_worker *w)
{
	struct ghi_slot *s = w->slot;
	struct ghi_gthread *g;

	if (__builtin_expect((int32_t)(s->tick - s->next_poll) >= 0, 0)) {
		s->next_poll = s->tick + FAIR_TICKS;
		look_around(s);
		if ((g = inbox_get(s)))
			return g;
	}
	if (__builtin_expect((int32_t)(s->tick - s->next_hog) >= 0, 0)) {
		s->next_hog = s->tick + FAIR_TICKS;
		if ((g = hog_get()))
			return g;
	}
	if ((g = ghi_ring_get(&s->ring)) || (g = inbox_get(s)))
		return g;
	look_around(s);
	return ghi_ring_get(&s->ring) ?: hog_get();
}

/* For a searching worker on its native context, after next_local found nothing: steal half of
 * somebody's ring, from a random start; run others' due timers. */
struct ghi_gthread *ghi_sched_search(struct ghi_worker *w)
{
	struct ghi_slot *s = w->slot;
	struct ghi_gthread *g = next_local(w);
	if (g)
		return g;
	uint64_t now = ghi_now();
	s->rng = s->rng * 1664525u + 1013904223u;
	unsigned start = (s->rng >> 8) % ghi_nslots;
	for (unsigned i = 0; i < ghi_nslots; i++) {
		struct ghi_slot *from = &ghi_slots[(start + i) % ghi_nslots];
		if (from == s)
			continue;
		if ((g = ghi_ring_steal(&s->ring, &from->ring))) {
			s->stats.steals++;
			return g;
		}
		if (ghi_timers_next(from->timers) <= now) {
			ghi_timers_run(from->timers,
				       now); /* fills our ring, and a thief's must be empty */
			if ((g = ghi_ring_get(&s->ring)))
				return g;
		}
	}
	return ghi_ring_get(&s->ring) ?: inbox_get(s);
}

/* (S3) of idle_word.h: anything runnable anywhere?  Called after the slot was given back. */
bool ghi_sched_any_work(void)
{
	if (load_relaxed(&inbox.length) || hogs_may_run())
		return true;
	for (unsigned i = 0; i < ghi_nslots; i++)
		if (ghi_ring_length(&ghi_slots[i].ring))
			return true;
	return false;
}

struct ghi_gthread *ghi_sched_take_waiting(struct ghi_slot *s)
{
	return ghi_ring_get(&s->ring) ?: hog_get();
}

bool ghi_sched_others_wait(const struct ghi_slot *s)
{
	return ghi_ring_length(&s->ring) || load_relaxed(&inbox.length) || hogs_may_run();
}

/* On the stack that was switched to: finish for the one that left. */
static inline void finish_switch(struct ghi_worker *w)
{
	ghi_commit_fn commit = w->commit;
	if (commit) {
		w->commit = NULL;
		commit(w->left, w);
	}
}

static struct ghi_affinity everywhere; /* what an unbound gthread runs on */

static long bind_worker(struct ghi_worker *w, struct ghi_affinity *a)
{
	struct ghi_affinity *set = a ? a : &everywhere;
	w->affinity = a;
	return ghi_sys(SYS_sched_setaffinity, 0, set->bytes, set->cpus);
}

void ghi_sched_init(void)
{
	long r = ghi_sys(SYS_sched_getaffinity, 0, sizeof(everywhere.cpus), everywhere.cpus);
	everywhere.bytes = r > 0 ? (size_t)r : 0;
}

long ghi_sched_bind(struct ghi_gthread *self, struct ghi_affinity *a)
{
	ghi_nosig_enter();
	long r = ghi_sys(SYS_sched_setaffinity, 0, a->bytes, a->cpus);
	if (r == 0) {
		self->affinity = a;
		self->worker->affinity = a;
	}
	ghi_nosig_leave();
	return r;
}

/* What no gthread asked for: the next switch binds anew. */
struct ghi_affinity ghi_sched_unsure;

void ghi_sched_bind_other(struct ghi_gthread *g, struct ghi_affinity *a)
{
	store_release(&g->affinity, a);
	/* A switch to g stores `current` and then reads its affinity: it is seen here, or sees. */
	ghi_sig_fence_everywhere();
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (load_acquire(&w->current) == g && w->tid > 0) {
			/* It may switch away at any moment, hence twice. */
			store_release(&w->affinity, &ghi_sched_unsure);
			ghi_sys(SYS_sched_setaffinity, w->tid, a->bytes, a->cpus);
			store_release(&w->affinity, &ghi_sched_unsure);
		}
}

const struct ghi_affinity *ghi_sched_everywhere(void)
{
	return &everywhere;
}

/* Moves the thread pointer where one of the two shares the worker's block with its native context
 * (docs/design.md, "Light gthreads").  Signals are deferred on either side throughout: nosig is
 * never 0 here, so a handler that looks at a block between two of these stores does nothing but
 * queue. */
static __attribute__((noinline)) void switch_block(struct ghi_worker *w, struct ghi_gthread *from,
						   struct ghi_gthread *to)
{
	struct ghi_tls *b = w->block;

	if (from->flags & GHI_G_SHARED)
		from->nosig = b->nosig;
	if (!(to->flags & GHI_G_SHARED)) {
		ghi_tp_set(to->tp);
		return;
	}
	b->self = to;
	b->nosig = to->nosig;
	b->tid = to->tid;
	to->tp = w->native->tp;
	if (!(from->flags & GHI_G_SHARED))
		ghi_tp_set(to->tp);
}

/* The rest of a switch that most do not need. */
static __attribute__((noinline)) void switch_rare(struct ghi_worker *w, struct ghi_gthread *from,
						  struct ghi_gthread *to, uint32_t rare)
{
	if (rare & GHI_SWITCH_CHARGED || !w->slot)
		ghi_cputime_charge(w, from);
	if (rare & GHI_SWITCH_WATCHED && w->slot)
		ghi_stats_resumed(&w->slot->stats, to);
	if (rare & GHI_SWITCH_TRACED)
		ghi_trace_switch(w, from, to);
	if (rare & GHI_SWITCH_WARNED)
		ghi_warn_look(from);
}

static __attribute__((noinline)) void switch_mask(struct ghi_worker *w, struct ghi_gthread *to)
{
	if (to->flags & GHI_G_NATIVE)
		return;
	sys_sigprocmask(SIG_SETMASK, &to->sigmask, NULL);
	store_release(&w->kmask, to->sigmask); /* in force: signal_mask.c waits for it */
}

static __attribute__((noinline)) void switch_affinity(struct ghi_worker *w, struct ghi_gthread *to)
{
	if (!(to->flags & GHI_G_NATIVE))
		bind_worker(w, to->affinity);
}

/* Leaves `from` for `to` on the same worker.  Returns when somebody resumes `from`, possibly on
 * another kernel thread. */
static void switch_to(struct ghi_worker *w, struct ghi_gthread *from, struct ghi_gthread *to,
		      ghi_commit_fn commit)
{
	struct ghi_slot *s = w->slot;
	uint32_t rare = load_relaxed(&ghi_cputime_exact);

	if (__builtin_expect(s != NULL, 1)) {
		s->tick++;
		s->running = to;
	}
	from->switches++;
	w->commit = commit;
	w->left = from;
	if (__builtin_expect(rare || !s, 0))
		switch_rare(w, from, to, rare);
	GHI_PROBE2(switch, GHI_IN(from->id), GHI_IN(to->id));
	w->current = to;
	to->worker = w;
	if (__builtin_expect(to->sigmask != w->kmask, 0))
		switch_mask(w, to);
	if (__builtin_expect(to->affinity != w->affinity, 0))
		switch_affinity(w, to);
	if (__builtin_expect((from->flags | to->flags) & GHI_G_SHARED, 0))
		switch_block(w, from, to);
	else
		ghi_tp_set(to->tp);
	ghi_ctx_switch(&from->sp, to->sp);
}

/* Phase SCHED ends: back to the program's code. */
static inline void to_user(struct ghi_worker *w)
{
	w->in_sched = false;
	if (w->slot)
		ghi_slot_leave(&w->slot->owner, (uintptr_t)w);
}

void ghi_sched_arrived(struct ghi_gthread *self)
{
	struct ghi_worker *w = self->worker;
	finish_switch(w);
	if (self->flags & GHI_G_NATIVE)
		return;
	to_user(w);
}

void ghi_sched_leave(struct ghi_gthread *self, ghi_commit_fn commit)
{
	struct ghi_worker *w = self->worker;
	struct ghi_gthread *next;

	ghi_assert(ghi_tls.nosig > 0);
	if (__builtin_expect(load_relaxed(&self->hog), 0)) {
		hog_leaves(self);
		if (!self->own)
			store_relaxed(&self->hog, self->hog - 1);
	}
	if (w->slot && !ghi_slot_enter(&w->slot->owner, (uintptr_t)w))
		w->slot = NULL;
	w->in_sched = w->slot != NULL;
	next = w->slot ? next_local(w) : NULL;
	if (!next) {
		if (ghi_wake_notified(&self->wake)) { /* the look around woke this very gthread */
			to_user(w);
			return;
		}
		next = w->native;
	}
	switch_to(w, self, next, commit);
	ghi_sched_arrived(self);
}

/* By a worker on its native context that holds a slot in phase SCHED. */
void ghi_sched_resume(struct ghi_worker *w, struct ghi_gthread *next)
{
	w->in_sched = true;
	switch_to(w, w->native, next, NULL);
	finish_switch(w);
}

static void commit_yield(struct ghi_gthread *left, struct ghi_worker *w)
{
	if (w->slot)
		push_local(w->slot, left);
	else
		ghi_sched_inbox_push(left);
	/* No fence: one gthread went in and one came out.  A sleeper that misses this one is woken
	 * by the next yield, or by the monitor. */
	if (ghi_idle_slots(load_relaxed(&ghi_idle_word)))
		ghi_worker_notify();
}

void ghi_yield(void)
{
	struct ghi_gthread *self = ghi_self();
	if (!self || (self->flags & GHI_G_NATIVE))
		return;
	if (self->own) { /* it holds no slot: the kernel lets others run */
		self->yield_please &= GHI_YIELD_LIGHT;
		ghi_sys(SYS_sched_yield);
		return;
	}
	ghi_nosig_enter();
	bool was_long = self->yield_please & GHI_YIELD_ASKED;
	if (__builtin_expect(was_long, 0))
		self->yield_please &= GHI_YIELD_LIGHT;
	hog_leaves(self);
	struct ghi_worker *w = self->worker;
	if (w->slot && !ghi_slot_enter(&w->slot->owner, (uintptr_t)w))
		w->slot = NULL;
	if (w->slot && was_long) /* switches are rare here: counting them would starve events */
		w->slot->next_poll = w->slot->tick;
	w->in_sched = w->slot != NULL;
	struct ghi_gthread *next = w->slot ? next_local(w) : NULL;
	if (w->slot && !next) { /* nobody else wants to run */
		to_user(w);
	} else {
		/* Without a slot this gthread goes to the inbox: somebody else's turn. */
		switch_to(w, self, next ? next : w->native, commit_yield);
		ghi_sched_arrived(self);
	}
	ghi_nosig_leave();
}

void ghi_sched_move(struct ghi_gthread *self)
{
	struct ghi_worker *w = self->worker;
	if (w->slot && !ghi_slot_enter(&w->slot->owner, (uintptr_t)w))
		w->slot = NULL;
	w->in_sched = w->slot != NULL;
	struct ghi_gthread *next = w->slot ? next_local(w) : NULL;
	switch_to(w, self, next ? next : w->native, commit_yield);
	ghi_sched_arrived(self);
}

void ghi_blocking_begin(struct ghi_gthread *self)
{
	struct ghi_worker *w = self->worker;
	if (w->slot && !ghi_slot_block(&w->slot->owner, (uintptr_t)w))
		w->slot = NULL;
}

void ghi_blocking_end(struct ghi_gthread *self)
{
	struct ghi_worker *w = self->worker;
	if (w->slot && !ghi_slot_unblock(&w->slot->owner, (uintptr_t)w))
		w->slot = NULL; /* handed to another worker; the next park or ready goes without */
}

void ghi_sched_after_fork(void)
{
	inbox = hogs = (struct queue){0};
	on_reserve = NULL;
}
