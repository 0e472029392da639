/* The search for rings; see deadlock.h. */
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include <greenhook/sync.h>
#include "src/control.h"
#include "src/deadlock.h"
#include "src/inspect.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/stuck.h"
#include "src/warn.h"

enum { AT_ONCE = 2048, EDGES_AT_ONCE = 512, MAX_EDGES = 1 << 17, MAX_RING = 16, MAX_TOLD = 64 };

static struct {
	enum { RESTS, WALKS, DOUBTS } phase;
	uint64_t spent, next; /* for how long in all, when next */
	uint64_t parks;	      /* that there had been when it began */
	struct ghi_gthread *at;
	struct ghi_deadlock_edge *edges; /* MAX_EDGES of them; NULL: none mapped */
	uint32_t n;
	bool too_many;
	bool again; /* somebody waits for a lock that may be held for long (warn.h) */
	/* The ring that is doubted, or is to be told. */
	struct ghi_deadlock_edge ring[MAX_RING];
	uint32_t length;	 /* may be more than fit */
	uint32_t found;		 /* to be told; cleared by the control thread */
	uint64_t told[MAX_TOLD]; /* the lowest id of each */
	unsigned ntold;
} search;

/* How often somebody parked for what an edge can be made of; counted when he is PARKED. */
static uint64_t parks(void)
{
	uint64_t n = 0;
	for (unsigned r = 0; r < GHI_PARK_NREASONS; r++) {
		if (!ghi_deadlock_edge(r))
			continue;
		n += load_acquire(&ghi_stats_parks_away[r]);
		for (unsigned i = 0; i < ghi_nslots; i++)
			n += load_acquire(&ghi_slots[i].stats.parks[r]);
	}
	return n;
}

/* A gh_mutex has its owner where a pthread mutex has it, and nothing where that has its kind.  But
 * it has an owner only when it lets nobody else unlock it, and then its own kind, not 0, stands
 * where a recursive pthread mutex counts; other pthread mutexes have 0 there. */
static bool only_owner(uint32_t reason, uintptr_t waits_for)
{
	enum { TYPE = 3, ERRORCHECK = 2 };
	_Static_assert(offsetof(gh_mutex, owner) == offsetof(pthread_mutex_t, __data.__owner) &&
			   offsetof(gh_mutex, kind) == offsetof(pthread_mutex_t, __data.__count),
		       "read as one");
	if (reason != GHI_PARK_MUTEX)
		return reason == GHI_PARK_JOIN;
	return ghi_inspect_word(waits_for + offsetof(pthread_mutex_t, __data.__count)) ||
	       (ghi_inspect_word(waits_for + offsetof(pthread_mutex_t, __data.__kind)) & TYPE) ==
		   ERRORCHECK;
}

/* False: it waits for nobody that is known, or moved while it was read. */
static bool edge_of(struct ghi_gthread *g, struct ghi_deadlock_edge *ret)
{
	uint32_t switches = load_acquire(&g->switches);
	if ((load_acquire(&g->wake) & GHI_WAKE_MASK) != GHI_WAKE_PARKED)
		return false;
	uint32_t reason = load_relaxed(&g->reason);
	if (!ghi_deadlock_edge(reason) || g->deadline != GHI_NEVER)
		return false;
	*ret = (struct ghi_deadlock_edge){.g = g,
					  .id = g->id,
					  .waits_for = (uintptr_t)g->waits_for,
					  .joined_at = (uintptr_t)g->joined_at,
					  .tid = g->tid,
					  .switches = switches,
					  .reason = reason};
	bool joins = reason == GHI_PARK_JOIN;
	ret->owner = joins ? 0 : ghi_inspect_owner(reason, ret->waits_for);
	ret->only_owner = only_owner(reason, ret->waits_for);
	return (joins || ret->owner) &&
	       (load_acquire(&g->wake) & GHI_WAKE_MASK) == GHI_WAKE_PARKED &&
	       load_acquire(&g->switches) == switches;
}

/* ---- the walk ------------------------------------------------------------------------------- */

static void rest(uint64_t now)
{
	if (search.edges)
		ghi_sys(SYS_munmap, search.edges, MAX_EDGES * sizeof(*search.edges));
	search.edges = NULL;
	search.phase = RESTS;
	search.next = now + (search.spent > 5 * GHI_MS ? 200 * search.spent : GHI_SEC);
}

static bool begin(void)
{
	long r = ghi_sys(SYS_mmap, NULL, MAX_EDGES * sizeof(*search.edges), 3, 0x4022, -1, 0);
	if (r < 0 && r > -4096)
		return false; /* search.parks stands: tried again */
	search.parks = parks();
	search.spent = 0;
	search.n = 0;
	search.too_many = false;
	search.edges = (struct ghi_deadlock_edge *)r;
	search.phase = WALKS;
	search.at = ghi_gthread_all();
	struct ghi_gthread *main_thread = ghi_runtime_main();
	if (main_thread && edge_of(main_thread, &search.edges[0]))
		search.n = 1;
	return true;
}

/* True: it has been through. */
static bool walk(void)
{
	struct ghi_gthread *g = search.at;
	unsigned looked = 0, first = search.n;

	for (; g && looked < AT_ONCE && search.n - first < EDGES_AT_ONCE; g = g->all_next) {
		looked++;
		if (load_acquire(&g->life) != GHI_LIFE_ALIVE ||
		    (g->flags & (GHI_G_NATIVE | GHI_G_MAIN)) ||
		    !edge_of(g, &search.edges[search.n]))
			continue;
		if (++search.n == MAX_EDGES) {
			search.too_many = true; /* `greenhook dump` looks at any number */
			return true;
		}
	}
	search.at = g;
	return !g;
}

/* Edges by their gthread's tid, and, in the other half, by what its joiners wait for. */
struct table {
	uint32_t *slot, mask;
};

static uint32_t *slot_of(const struct table *t, const struct ghi_deadlock_edge *e, bool joined)
{
	uint64_t key = joined ? e->joined_at : (uint32_t)e->tid;
	uint32_t at = (uint32_t)(key * 0x9e3779b97f4a7c15u >> 32) & t->mask;
	uint32_t *half = t->slot + (joined ? t->mask + 1 : 0);

	for (; half[at]; at = (at + 1) & t->mask) {
		const struct ghi_deadlock_edge *seen = &search.edges[half[at] - 1];
		if (joined ? seen->joined_at == e->joined_at : seen->tid == e->tid)
			break;
	}
	return &half[at];
}

/* Whom it waits for, if that one waits as well. */
static struct ghi_deadlock_edge *next_of(const struct table *t, const struct ghi_deadlock_edge *e)
{
	struct ghi_deadlock_edge wanted = {.tid = e->owner, .joined_at = e->waits_for};
	uint32_t n = *slot_of(t, &wanted, e->reason == GHI_PARK_JOIN);
	return n ? &search.edges[n - 1] : NULL;
}

static bool was_told(uint64_t id)
{
	for (unsigned i = 0; i < search.ntold && i < MAX_TOLD; i++)
		if (search.told[i] == id)
			return true;
	return false;
}

/* The ring through e; its lowest id names it. */
static void keep_ring(const struct table *t, struct ghi_deadlock_edge *e, uint64_t *ret_lowest)
{
	struct ghi_deadlock_edge *first = e;
	search.length = 0;
	*ret_lowest = e->id;
	do {
		if (search.length < MAX_RING)
			search.ring[search.length] = *e;
		search.length++;
		if (e->id < *ret_lowest)
			*ret_lowest = e->id;
		e = next_of(t, e);
	} while (e != first);
}

static bool find_ring(void)
{
	uint32_t size = 64;
	bool found = false;

	while (size < 2 * search.n)
		size *= 2;
	long r = ghi_sys(SYS_mmap, NULL, 2 * size * sizeof(uint32_t), 3, 0x22, -1, 0);
	if (r < 0 && r > -4096)
		return false;
	struct table t = {(uint32_t *)r, size - 1};
	for (uint32_t i = 0; i < search.n; i++)
		for (int joined = 0; joined < 2; joined++)
			*slot_of(&t, &search.edges[i], joined) = i + 1;
	for (uint32_t i = 0; i < search.n && !found; i++) {
		struct ghi_deadlock_edge *e = &search.edges[i];
		uint64_t lowest;
		while (e && !e->met) {
			e->met = i + 1;
			e = next_of(&t, e);
		}
		if (!e || e->met != i + 1 || next_of(&t, e) == e)
			continue;
		keep_ring(&t, e, &lowest);
		found = !was_told(lowest);
	}
	ghi_sys(SYS_munmap, t.slot, 2 * size * sizeof(uint32_t));
	return found;
}

/* ---- the second look ------------------------------------------------------------------------ */

static bool still_stands(void)
{
	struct ghi_deadlock_edge now;
	for (uint32_t i = 0; i < search.length && i < MAX_RING; i++) {
		const struct ghi_deadlock_edge *e = &search.ring[i];
		if (!edge_of(e->g, &now) || now.id != e->id || now.switches != e->switches ||
		    now.owner != e->owner || now.waits_for != e->waits_for)
			return false;
	}
	return true;
}

static void conclude(uint64_t now)
{
	uint64_t lowest = search.ring[0].id;

	/* More than fit cannot be looked at again all; they are left to `greenhook dump`. */
	if (search.length <= MAX_RING && still_stands()) {
		for (uint32_t i = 1; i < search.length; i++)
			if (search.ring[i].id < lowest)
				lowest = search.ring[i].id;
		search.told[search.ntold++ % MAX_TOLD] = lowest;
		store_release(&search.found, 1u);
		ghi_control_errand();
		search.parks--; /* there may be another one: walk again */
	}
	rest(now);
}

static bool rings_news(void)
{
	return search.again || search.parks != parks();
}

bool ghi_deadlock_news(void)
{
	return ghi_config.deadlock && (rings_news() || ghi_stuck_news());
}

static uint64_t look_for_rings(uint64_t now)
{
	if (search.phase == RESTS) {
		if (load_acquire(&search.found))
			return search.next > now ? search.next : now + GHI_SEC;
		if (now < search.next)
			return search.next;
		/* Not at each look: the counters lie on lines that others write to. */
		search.next = now + GHI_SEC;
		if (!rings_news())
			return GHI_NEVER;
		if (!begin())
			return search.next;
	}
	if (search.phase == DOUBTS) {
		if (now >= search.next)
			conclude(now);
		return search.next;
	}
	bool through = walk();
	if (through)
		search.again = ghi_config.warn && ghi_warn_locks(search.edges, search.n, now);
	bool found = through && search.n && !search.too_many && find_ring();
	search.spent += ghi_now() - now;
	if (!through)
		return now + GHI_MS;
	if (found) {
		search.phase = DOUBTS;
		search.next = now + GHI_SEC;
	} else {
		rest(now);
	}
	return search.next;
}

uint64_t ghi_deadlock_look(uint64_t now)
{
	if (!ghi_config.deadlock)
		return GHI_NEVER;
	uint64_t rings = look_for_rings(now), all = ghi_stuck_look(now);
	return rings < all ? rings : all;
}

void ghi_deadlock_after_fork(void)
{
	if (search.edges)
		ghi_sys(SYS_munmap, search.edges, MAX_EDGES * sizeof(*search.edges));
	memset(&search, 0, sizeof(search));
	ghi_stuck_after_fork();
}

void ghi_deadlock_tell(void)
{
	bool told = ghi_stuck_tell();
	if (load_acquire(&search.found)) {
		ghi_deadlock_print(search.ring, search.length);
		store_release(&search.found, 0u);
		told = true;
	}
	if (told && ghi_config.deadlock > 1) {
		ghi_say("GREENHOOK_DEADLOCK=2: ending the process");
		ghi_sys(SYS_kill, sys_getpid(), SIGABRT);
	}
}
