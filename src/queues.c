/* The queues beside the rings; see queues.h.
 *
 * Lock order: all are leaves.
 */
#include "src/handover.h"
#include "src/own.h"
#include "src/sched.h"

enum { INBOX_BATCH = 32 };

struct ghi_queue ghi_queues_shared[GHI_TURNS];
#define shared ghi_queues_shared
struct ghi_queues_hint ghi_queues_hint __attribute__((aligned(64)));

static bool filled(const struct ghi_queue *q)
{
	return load_relaxed(&q->length) != 0;
}

/* Where those in the shared queue of a class are counted; NULL: nowhere. */
static uint32_t *hint_of(unsigned turn)
{
	switch (turn) {
	case GHI_TURN_LOWEST:
	case GHI_TURN_LOW:
		return &ghi_queues_hint.below;
	case GHI_TURN_HIGH:
	case GHI_TURN_HIGHEST:
		return &ghi_queues_hint.apart;
	default:
		return NULL;
	}
}

static void append_locked(struct ghi_queue *q, struct ghi_gthread *g)
{
	g->next = NULL;
	g->prev = q->tail;
	*(q->tail ? &q->tail->next : &q->head) = g;
	q->tail = g;
	store_relaxed(&q->length, q->length + 1);
}

static void remove_locked(struct ghi_queue *q, struct ghi_gthread *g)
{
	*(g->prev ? &g->prev->next : &q->head) = g->next;
	*(g->next ? &g->next->prev : &q->tail) = g->prev;
	store_relaxed(&q->length, q->length - 1);
}

static void push(struct ghi_queue *q, struct ghi_gthread *g, uint32_t *hint)
{
	ghi_lock(&q->lock);
	append_locked(q, g);
	if (hint)
		fetch_add_relaxed(hint, 1u);
	ghi_unlock(&q->lock);
}

static struct ghi_gthread *take(struct ghi_queue *q, uint32_t *hint)
{
	if (!filled(q))
		return NULL;
	ghi_lock(&q->lock);
	struct ghi_gthread *g = q->head;
	if (g) {
		remove_locked(q, g);
		if (hint)
			fetch_add_relaxed(hint, (uint32_t)-1);
	}
	ghi_unlock(&q->lock);
	return g;
}

/* ---- those that compute --------------------------------------------------------------------- */

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
	return filled(&shared[GHI_TURN_HOGS]) &&
	       (!reserve_begun(&reserve) || (reserve > 1 && !load_relaxed(&on_reserve)));
}

static struct ghi_gthread *hog_get(void)
{
	struct ghi_queue *hogs = &shared[GHI_TURN_HOGS];
	uint64_t reserve;

	if (!hogs_may_run())
		return NULL;
	ghi_lock(&hogs->lock);
	bool begun = reserve_begun(&reserve);
	struct ghi_gthread *g = begun && (reserve < 2 || on_reserve) ? NULL : hogs->head;
	if (g) {
		if (begun)
			store_relaxed(&on_reserve, g);
		remove_locked(hogs, g);
	}
	ghi_unlock(&hogs->lock);
	return g;
}

/* The next one may have the reserve. */
void ghi_queues_hog_leaves(struct ghi_gthread *self)
{
	if (load_relaxed(&on_reserve) == self)
		store_relaxed(&on_reserve, (struct ghi_gthread *)NULL);
}

/* ---- the inbox ------------------------------------------------------------------------------ */

/* Takes one to run and moves a fair share of the rest into the holder's ring. */
struct ghi_gthread *ghi_queues_inbox(struct ghi_slot *s)
{
	struct ghi_queue *inbox = &shared[GHI_TURN_INBOX];

	if (!filled(inbox))
		return NULL;
	ghi_lock(&inbox->lock);
	struct ghi_gthread *first = inbox->head;
	size_t share = first ? inbox->length / ghi_nslots + 1 : 0;
	if (share > INBOX_BATCH)
		share = INBOX_BATCH;
	for (size_t i = 0; i < share && inbox->head; i++) {
		struct ghi_gthread *g = inbox->head;
		if (i && ghi_ring_length(&s->ring) >= GHI_RING_SIZE)
			break;
		remove_locked(inbox, g); /* the ring may hand it to a thief at once */
		if (i)
			ghi_entry_put(s, g);
		else
			ghi_start_withdraw(&g->start_word);
	}
	ghi_unlock(&inbox->lock);
	return first;
}

void ghi_queues_push_first(struct ghi_gthread *g)
{
	struct ghi_queue *inbox = &shared[GHI_TURN_INBOX];

	if (load_relaxed(&g->apart)) {
		ghi_queues_push(g);
		return;
	}
	ghi_lock(&inbox->lock);
	append_locked(inbox, g);
	ghi_start_queue(&g->start_word);
	ghi_unlock(&inbox->lock);
}

bool ghi_queues_withdraw(struct ghi_gthread *g)
{
	struct ghi_queue *inbox = &shared[GHI_TURN_INBOX];

	if (!ghi_start_queued(&g->start_word))
		return false;
	ghi_lock(&inbox->lock);
	bool ours = ghi_start_withdraw(&g->start_word);
	if (ours)
		remove_locked(inbox, g);
	ghi_unlock(&inbox->lock);
	return ours;
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* By level, from GHI_LEVEL_MIN; the inbox is the shared queue of level normal, as its ring is no
 * place for threads without a slot. */
static const uint8_t turn_of_level[] = {GHI_TURN_LOWEST, GHI_TURN_LOW, GHI_TURN_NORMAL,
					GHI_TURN_HIGH, GHI_TURN_HIGHEST};

void ghi_queues_push(struct ghi_gthread *g)
{
	bool hog = load_relaxed(&g->hog);
	if (hog && g->own) {
		ghi_own_wake(g);
		return;
	}
	unsigned turn = turn_of_level[load_relaxed(&g->level) - GHI_LEVEL_MIN];
	unsigned pin = g->pin;
	if (__builtin_expect(pin && pin <= ghi_nslots, 0)) {
		struct ghi_slot *s = &ghi_slots[pin - 1];
		push(&s->pinned[turn], g, &ghi_queues_hint.apart);
		fence_seq_cst(); /* (R2) of docs/scheduler.md, "Pinned": pairs with (S2) */
		if (load_relaxed(&s->owner) == GHI_SLOT_FREE)
			ghi_worker_staff(s, false);
		return;
	}
	if (hog)
		turn = GHI_TURN_HOGS;
	else if (turn == GHI_TURN_NORMAL)
		turn = GHI_TURN_INBOX;
	push(&shared[turn], g, hint_of(turn));
}

struct ghi_gthread *ghi_queues_take(unsigned turn)
{
	return turn == GHI_TURN_HOGS ? hog_get() : take(&shared[turn], hint_of(turn));
}

struct ghi_gthread *ghi_queues_take_pinned(struct ghi_slot *s, unsigned turn)
{
	return take(&s->pinned[turn], &ghi_queues_hint.apart);
}

static bool any_hint(void)
{
	return load_relaxed(&ghi_queues_hint.apart) || load_relaxed(&ghi_queues_hint.below);
}

unsigned ghi_queues_waiting_beside(const struct ghi_slot *s)
{
	unsigned waiting = hogs_may_run() ? 1u << GHI_TURN_HOGS : 0;
	for (unsigned i = GHI_TURN_LOWEST; i < GHI_TURNS && any_hint(); i++)
		if (filled(&shared[i]) || filled(&s->pinned[i]))
			waiting |= 1u << i;
	return waiting;
}

bool ghi_queues_any(void)
{
	if (filled(&shared[GHI_TURN_INBOX]) || hogs_may_run())
		return true;
	for (unsigned i = GHI_TURN_LOWEST; i < GHI_TURNS && any_hint(); i++)
		if (filled(&shared[i]))
			return true;
	return false;
}

bool ghi_queues_pinned_wait(const struct ghi_slot *s)
{
	for (unsigned i = GHI_TURN_LOWEST; i < GHI_TURNS; i++)
		if (filled(&s->pinned[i]))
			return true;
	return false;
}

void ghi_queues_lengths(size_t *ret_inbox, size_t *ret_hogs)
{
	size_t n = 0;
	for (unsigned i = GHI_TURN_LOWEST; i < GHI_TURNS; i++)
		n += load_relaxed(&shared[i].length);
	*ret_inbox = n;
	*ret_hogs = load_relaxed(&shared[GHI_TURN_HOGS].length);
}

void ghi_queues_after_fork(void)
{
	for (unsigned i = 0; i < GHI_TURNS; i++)
		shared[i] = (struct ghi_queue){0};
	ghi_queues_hint.apart = ghi_queues_hint.below = 0;
	on_reserve = NULL;
}
