/* Switching between gthreads and the search order; see sched.h.
 *
 * Lock order: nothing here is held over a switch.
 */
#include "src/base/probe.h"
#include "src/cputime.h"
#include "src/handover.h"
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
uint32_t ghi_yields_mask = 255;

/* How many switches pass between two looks at events and at what waits beside the ring when there
 * is always something in it.  Small enough that I/O is not starved, large enough to amortise. */
enum { FAIR_TICKS = 64 };
/* Where switches are rare, those below normal age by time. */
#define BELOW_NS (100 * GHI_MS)

/* By the holder in phase SCHED. */
static void push_local(struct ghi_slot *s, struct ghi_gthread *g)
{
	if (load_relaxed(&g->apart) || !ghi_ring_put(&s->ring, g))
		ghi_queues_push(g);
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
			ghi_queues_push(g);
		}
	}
	if (!s || ghi_nslots > 1) /* the only slot is ours: nobody to wake */
		ghi_worker_notify();
}

void ghi_ready_first(struct ghi_gthread *g)
{
	struct ghi_gthread *self = ghi_self();
	struct ghi_worker *w = self ? self->worker : NULL;
	struct ghi_slot *s = w && !w->in_sched ? w->slot : NULL;

	if (!s || load_relaxed(&g->apart) || self->flags & GHI_G_NATIVE ||
	    !ghi_slot_enter(&s->owner, (uintptr_t)w)) {
		ghi_ready(g);
		return;
	}
	if (__builtin_expect(
		load_relaxed(&ghi_cputime_exact) & (GHI_SWITCH_WATCHED | GHI_SWITCH_TRACED), 0)) {
		g->next = NULL;
		ready_rare(g);
	}
	GHI_PROBE1(ready, GHI_IN(g->id));
	ghi_handover_offer(s, g);
	ghi_slot_leave(&s->owner, (uintptr_t)w);
	if (ghi_nslots > 1)
		ghi_worker_notify();
}

void ghi_ready(struct ghi_gthread *g)
{
	g->next = NULL;
	ghi_ready_batch(g);
}

/* A class below normal that has waited since the last time, and had no turn, is due. */
static void age_by_time(struct ghi_slot *s, unsigned turn)
{
	if (s->turns.waited & 1u << turn && s->turns.last[turn] == s->below_last[turn])
		ghi_turns_make_due(&s->turns, s->tick, turn);
	s->below_last[turn] = s->turns.last[turn];
}

void ghi_sched_look_around(struct ghi_slot *s)
{
	uint64_t now = ghi_now();
	s->next_poll = s->tick + FAIR_TICKS;
	s->looked_at = now;
	if (now - s->below_at > BELOW_NS) {
		s->below_at = now;
		age_by_time(s, GHI_TURN_LOWEST);
		age_by_time(s, GHI_TURN_LOW);
	}
	ghi_clock_note(now);
	ghi_timers_run(s->timers, now);
	s->stats.events += (unsigned)ghi_poller_poll(0);
	s->stats.switches += (uint32_t)(s->tick - s->stats.counted);
	s->stats.counted = s->tick;
}

/* Half of somebody's ring, from a random start; the holder's own must be empty.  also_timers: runs
 * others' due timers. */
static struct ghi_gthread *steal(struct ghi_slot *s, bool also_timers)
{
	uint64_t now = also_timers ? ghi_now() : 0;
	struct ghi_gthread *g;

	s->rng = s->rng * 1664525u + 1013904223u;
	unsigned start = (s->rng >> 8) % ghi_nslots;
	for (unsigned i = 0; i < ghi_nslots; i++) {
		struct ghi_slot *from = &ghi_slots[(start + i) % ghi_nslots];
		if (from == s)
			continue;
		for (void *entry; (entry = ghi_ring_steal(&s->ring, &from->ring));) {
			s->stats.steals++;
			if ((g = ghi_entry_gthread(entry)) || (g = ghi_entries_get(s)))
				return g;
		}
		if (also_timers && ghi_timers_next(from->timers) <= now) {
			ghi_timers_run(from->timers,
				       now); /* fills our ring, and a thief's must be empty */
			if ((g = ghi_entries_get(s)))
				return g;
		}
	}
	return NULL;
}

/* One of a class: those pinned to the slot and the others take turns. */
static struct ghi_gthread *take(struct ghi_slot *s, unsigned turn)
{
	if (turn == GHI_TURN_INBOX)
		return ghi_queues_inbox(s);
	bool pin_first = s->pin_first >> turn & 1;
	struct ghi_gthread *g = pin_first ? ghi_queues_take_pinned(s, turn) : NULL;

	s->pin_first ^= 1u << turn;
	if (!g)
		g = turn == GHI_TURN_NORMAL ? ghi_entries_get(s) : ghi_queues_take(turn);
	return g || pin_first ? g : ghi_queues_take_pinned(s, turn);
}

static unsigned who_waits(const struct ghi_slot *s)
{
	return ghi_queues_waiting(s) | (ghi_ring_length(&s->ring) ? 1u << GHI_TURN_NORMAL : 0);
}

/* By the rule of src/proto/turns.h.  Before anything below normal has a turn that is not due,
 * events and timers are looked at, which fill the ring, and the rings of others. */
static __attribute__((noinline)) struct ghi_gthread *next_by_turn(struct ghi_slot *s)
{
	const unsigned below = 1u << GHI_TURN_LOWEST | 1u << GHI_TURN_LOW;
	struct ghi_gthread *g = NULL;
	unsigned waiting = who_waits(s);
	if (s->handed) {
		ghi_turns_skip(&s->turns, s->handed);
		s->handed = 0;
	}
	bool nothing = waiting < 1u << GHI_TURN_INBOX;
	bool poll = (int32_t)(s->tick - s->next_poll) >= 0, looked = nothing || poll;

	if (looked) {
		ghi_sched_look_around(s);
		waiting = who_waits(s);
	}
	s->turn_at = s->looked_at;
	/* Those above normal keep this slot busy: it takes its share of the others' rings.  Or only
	 * those below are left, or nobody: one yields again and again. */
	bool busy = poll && waiting >= 1u << GHI_TURN_HIGH && !(waiting & 1u << GHI_TURN_NORMAL);
	bool idle = waiting & below && waiting < 1u << GHI_TURN_INBOX &&
		    !ghi_turns_due(&s->turns, s->tick, waiting);
	bool alone = poll && !waiting;
	if ((busy || idle || alone) && (g = steal(s, false)))
		ghi_turns_pass(&s->turns, s->tick, waiting);
	while (waiting && !g) {
		unsigned turn = ghi_turns_pick(&s->turns, s->tick, waiting);
		waiting &= ~(1u << turn);
		g = take(s, turn); /* NULL: somebody was faster */
	}
	if (!g && !looked) {
		ghi_sched_look_around(s);
		g = ghi_entries_get(s);
	}
	s->next_turn = s->next_poll;
	if (waiting && ghi_turns_due(&s->turns, s->tick + 1, waiting))
		s->next_turn = s->tick + 1;
	return g;
}

static __attribute__((noinline)) struct ghi_gthread *first_of_offers(struct ghi_slot *s,
								     void *entry)
{
	return ghi_entry_gthread(entry) ?: ghi_entries_get(s);
}

static inline const struct ghi_gthread *front(const struct ghi_ring *r, uint32_t at)
{
	uintptr_t entry = (uintptr_t)load_relaxed(&r->buf[at % GHI_RING_SIZE]);
	return (void *)(entry & ~(uintptr_t)GHI_OFFER_BITS); // NOLINT
}

/* Thousands that take turns have all left the cache when their next one comes: what a switch needs
 * of those at the front of a long ring is fetched while others run, first the gthread, and with it
 * at hand its stack.  A hint: a gthread is never unmapped, whoever has it by now. */
static inline void fetch_ahead(const struct ghi_ring *r)
{
	enum { LONG = 64 };
	uint32_t h = load_relaxed(&r->head);
	if ((int32_t)(load_relaxed(&r->tail) - h) < LONG)
		return;
	const struct ghi_gthread *next = front(r, h), *after = front(r, h + 1);
	__builtin_prefetch(after, 1);
	__builtin_prefetch((const char *)after + 64, 1);
	__builtin_prefetch(load_relaxed(&next->sp), 1);
}

/* The front of the ring, if it is its turn; NULL: somebody has to ask whose turn it is. */
static inline struct ghi_gthread *next_of_ring(struct ghi_slot *s)
{
	void *entry;

	if (__builtin_expect((int32_t)(s->tick - s->next_turn) >= 0, 0) ||
	    __builtin_expect(load_relaxed(&ghi_queues_hint.apart), 0) ||
	    !(entry = ghi_ring_get(&s->ring)))
		return NULL;
	fetch_ahead(&s->ring);
	return __builtin_expect(!ghi_entry_is_offer(entry), 1) ? entry : first_of_offers(s, entry);
}

/* The next gthread for a holder in phase SCHED, without sleeping (docs/scheduler.md, "Search
 * order"). */
static inline struct ghi_gthread *next_local(struct ghi_slot *s)
{
	return next_of_ring(s) ?: next_by_turn(s);
}

/* For a searching worker on its native context, where most often somebody has just left the slot
 * and looked at events, or it has itself: it sleeps in the same call that would tell of new ones.
 */
struct ghi_gthread *ghi_sched_search(struct ghi_worker *w)
{
	struct ghi_slot *s = w->slot;
	bool looked = (int32_t)(s->next_poll - s->tick) >= FAIR_TICKS - 1;
	struct ghi_gthread *g = looked && !who_waits(s) ? NULL : next_local(s);
	if (g || (g = steal(s, true)) || (g = ghi_entries_get(s)))
		return g;
	return ghi_queues_inbox(s);
}

/* (S3) of idle_word.h: anything runnable anywhere?  Called after the slot was given back. */
bool ghi_sched_any_work(void)
{
	if (ghi_queues_any())
		return true;
	for (unsigned i = 0; i < ghi_nslots; i++)
		if (ghi_ring_length(&ghi_slots[i].ring))
			return true;
	return false;
}

struct ghi_gthread *ghi_sched_take_waiting(struct ghi_slot *s)
{
	return ghi_queues_take(GHI_TURN_HIGHEST)
		       ?: ghi_queues_take(GHI_TURN_HIGH)
				  ?: ghi_entries_get(s) ?: ghi_queues_take(GHI_TURN_HOGS);
}

bool ghi_sched_others_wait(const struct ghi_slot *s)
{
	return ghi_ring_length(&s->ring) || ghi_queues_waiting(s);
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

/* Into phase SCHED, if the slot is still there. */
static inline struct ghi_worker *leave_begins(struct ghi_gthread *self)
{
	struct ghi_worker *w = self->worker;

	ghi_assert(ghi_tls.nosig > 0);
	if (__builtin_expect(load_relaxed(&self->hog), 0)) {
		ghi_queues_hog_leaves(self);
		if (!self->own)
			store_relaxed(&self->hog, self->hog - 1);
	}
	if (w->slot && !ghi_slot_enter(&w->slot->owner, (uintptr_t)w))
		w->slot = NULL;
	w->in_sched = w->slot != NULL;
	return w;
}

void ghi_sched_leave(struct ghi_gthread *self, ghi_commit_fn commit)
{
	struct ghi_worker *w = leave_begins(self);
	struct ghi_gthread *next = NULL;

	if (__builtin_expect(self->hands_to != NULL, 0)) {
		if (w->slot)
			next = ghi_handover_next(w->slot, self);
		else
			ghi_handover_give_up(self);
	}
	if (!next && w->slot)
		next = next_local(w->slot);
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

void ghi_sched_end(struct ghi_gthread *self, ghi_commit_fn commit)
{
	struct ghi_worker *w = leave_begins(self);
	struct ghi_gthread *next = NULL;

	if (w->slot) {
		self->hands_to = ghi_handover_to_joiner(w->slot, self);
		next = self->hands_to ?: next_local(w->slot);
	}
	switch_to(w, self, next ? next : w->native, commit);
	__builtin_unreachable();
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
		ghi_queues_push(left);
	/* No fence: one gthread went in and one came out.  A sleeper that misses this one is woken
	 * by the next yield, or by the monitor. */
	if (ghi_idle_slots(load_relaxed(&ghi_idle_word)))
		ghi_worker_notify();
}

/* For one that yields.  With nobody to make way for events are looked at every so many times, not
 * at each: a spin with yields makes no system call of each. */
static inline struct ghi_gthread *next_for_yield(struct ghi_slot *s)
{
	struct ghi_gthread *g = next_of_ring(s);
	if (g || (int32_t)(s->tick - s->next_poll) >= 0 || ghi_sched_others_wait(s))
		return g ?: next_by_turn(s);
	s->next_poll--;
	return NULL;
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
	/* Who it makes way for may stand behind this kernel thread, on another slot. */
	if (__builtin_expect((++self->worker->yields & ghi_yields_mask) == 0, 0))
		ghi_sys(SYS_sched_yield);
	ghi_nosig_enter();
	bool was_long = self->yield_please & GHI_YIELD_ASKED;
	if (__builtin_expect(was_long, 0))
		self->yield_please &= GHI_YIELD_LIGHT;
	ghi_queues_hog_leaves(self);
	struct ghi_worker *w = self->worker;
	if (w->slot && !ghi_slot_enter(&w->slot->owner, (uintptr_t)w))
		w->slot = NULL;
	if (w->slot && was_long) /* switches are rare here: counting them would starve events */
		ghi_sched_look_soon(w->slot);
	w->in_sched = w->slot != NULL;
	struct ghi_gthread *next = w->slot ? next_for_yield(w->slot) : NULL;
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
	struct ghi_gthread *next = w->slot ? next_local(w->slot) : NULL;
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
