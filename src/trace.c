/* Writing records; see trace.h and docs/trace.md. */
#include <string.h>
#include <sys/mman.h>

#include "src/trace.h"

enum { MOST_RECORDS = 1 << 15, LEAST_RECORDS = 1 << 10, ALL_BYTES = 64 << 20 };

_Static_assert(sizeof(struct ghi_trace_record) == 64, "one line of the cache");

/* The heads do not lie with the records: those are given back after a trace. */
static struct ring {
	uint64_t head; /* how many were ever written */
	struct ghi_trace_record *records;
} __attribute__((aligned(64))) rings[GHI_MAX_SLOTS + 1];
static ghi_lock_t away_lock; /* of rings[ghi_nslots]; a leaf */
static uint32_t capacity;    /* of each, a power of two */

/* By the only one who may write to that ring now. */
static void put(struct ring *r, const struct ghi_trace_record *what)
{
	struct ghi_trace_record *records = load_acquire(&r->records);
	uint64_t n = r->head;

	if (!records)
		return;
	struct ghi_trace_record *to = &records[n & (capacity - 1)];
	store_relaxed(&to->seq, (uint64_t)0); /* (T1) */
	fence_release();		      /* (T2) */
	to->at = what->at;		      /* (T3) */
	to->kind = what->kind;
	to->why = what->why;
	to->from = what->from;
	to->to = what->to;
	to->object = what->object;
	to->g = what->g;
	to->tid = what->tid;
	store_release(&to->seq, n + 1); /* (T4) */
	store_release(&r->head, n + 1); /* (T5) */
}

static void put_away(const struct ghi_trace_record *what)
{
	ghi_lock(&away_lock);
	put(&rings[ghi_nslots], what);
	ghi_unlock(&away_lock);
}

static uint64_t id_of(const struct ghi_gthread *g)
{
	return g->flags & GHI_G_NATIVE ? 0 : g->id;
}

void ghi_trace_switch(struct ghi_worker *w, struct ghi_gthread *from, struct ghi_gthread *to)
{
	bool native = from->flags & GHI_G_NATIVE;
	struct ghi_trace_record what = {
	    .at = ghi_now(),
	    .kind = GHI_TRACE_SWITCH,
	    .why = native					   ? GHI_PARK_NONE
		   : from->reason				   ? from->reason
		   : load_relaxed(&from->life) == GHI_LIFE_EXITING ? GHI_TRACE_ENDS
								   : GHI_TRACE_YIELDS,
	    .from = id_of(from),
	    .to = id_of(to),
	    .object = native || !from->reason ? 0 : (uintptr_t)from->waits_for,
	    .g = to->flags & GHI_G_NATIVE ? NULL : to,
	    .tid = w->tid,
	};
	if (w->slot)
		put(&rings[w->slot->index], &what);
	else
		put_away(&what);
}

/* Into the ring of the caller's slot, if it still holds one.  As in ghi_ready_batch: one asleep in
 * the poller may have been given a slot this very moment, and holds it only when it is awake. */
static void put_here(struct ghi_trace_record *what)
{
	struct ghi_gthread *self = ghi_self();
	struct ghi_worker *w = self ? self->worker : NULL;
	struct ghi_slot *s = w ? w->slot : NULL;

	if (self)
		what->from = id_of(self);
	what->tid = w ? w->tid : sys_gettid();
	if (s && w->in_sched) {
		put(&rings[s->index], what);
	} else if (s && !(self->flags & GHI_G_NATIVE) && ghi_slot_enter(&s->owner, (uintptr_t)w)) {
		put(&rings[s->index], what);
		ghi_slot_leave(&s->owner, (uintptr_t)w);
	} else {
		put_away(what);
	}
}

static void put_about(enum ghi_trace_kind kind, struct ghi_gthread *g)
{
	struct ghi_trace_record what = {.at = ghi_now(), .kind = kind, .to = g->id, .g = g};
	put_here(&what);
}

void ghi_trace_ready(struct ghi_gthread *g)
{
	put_about(GHI_TRACE_READY, g);
}

void ghi_trace_spawn(struct ghi_gthread *g)
{
	put_about(GHI_TRACE_SPAWN, g);
}

void ghi_trace_event(int fd, uint32_t events)
{
	struct ghi_trace_record what = {
	    .at = ghi_now(), .kind = GHI_TRACE_EVENT, .why = events, .object = (unsigned)fd};
	put_here(&what);
}

void ghi_trace_handoff(struct ghi_slot *s, struct ghi_worker *from, bool blocked, uint64_t at)
{
	struct ghi_gthread *g = s->running;
	bool known = g && !(g->flags & GHI_G_NATIVE);
	struct ghi_trace_record what = {.at = at,
					.kind = GHI_TRACE_HANDOFF,
					.why = blocked,
					.from = known ? g->id : 0,
					.g = known ? g : NULL,
					.tid = from->tid};
	put(&rings[s->index], &what);
}

/* ---- for the reader ------------------------------------------------------------------------- */

bool ghi_trace_rings(void)
{
	unsigned n = ghi_nslots + 1, each = MOST_RECORDS;

	if (rings[0].records)
		return true;
	while (each > LEAST_RECORDS && n * each > ALL_BYTES / sizeof(struct ghi_trace_record))
		each /= 2;
	long r =
	    ghi_sys(SYS_mmap, NULL, n * each * sizeof(struct ghi_trace_record),
		    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r < 0 && r > -4096)
		return false;
	capacity = each;
	for (unsigned i = n; i-- > 0;)
		store_release(&rings[i].records, (struct ghi_trace_record *)r + (size_t)i * each);
	return true;
}

void ghi_trace_rings_empty(void)
{
	ghi_sys(SYS_madvise, rings[0].records,
		(ghi_nslots + 1) * capacity * sizeof(struct ghi_trace_record), MADV_DONTNEED);
}

uint64_t ghi_trace_head(unsigned ring)
{
	return load_acquire(&rings[ring].head); /* (U1) pairs with T5 */
}

unsigned ghi_trace_capacity(void)
{
	return capacity;
}

bool ghi_trace_read(unsigned ring, uint64_t n, struct ghi_trace_record *ret)
{
	const struct ghi_trace_record *from = &rings[ring].records[n & (capacity - 1)];

	if (load_acquire(&from->seq) != n + 1) /* (U2) */
		return false;
	*ret = *(const volatile struct ghi_trace_record *)from; /* (U3) */
	fence_acquire();					/* (U4) */
	return load_relaxed(&from->seq) == n + 1;		/* (U5) */
}

/* In a fork's child, which may have another number of slots. */
void ghi_trace_rings_forget(void)
{
	if (rings[0].records)
		ghi_sys(SYS_munmap, rings[0].records,
			(ghi_nslots + 1) * capacity * sizeof(struct ghi_trace_record));
	memset(rings, 0, sizeof(rings));
	away_lock = 0;
}
