/* The rule of priorities: whose turn it is on a slot, so that nobody waits for ever.
 *
 * Owns: struct ghi_turns.  Called by: sched.c, the holder of the slot.  Must not know: queues.
 * Compiled twice: tests/test_turns.c walks it with small ages.
 *
 * What waits for a slot stands in one of GHI_TURNS classes.  The highest one that waits has the
 * turn, unless one below has waited for its age, counted in switches of the slot: then that one
 * has it, once.  Where several have, the one that has waited longest.
 *
 *   (A1) a class ages from the first question at which somebody waits in it
 *   (A2) a class that has had a turn begins to age anew
 *   (A3) of those that are due the one whose last turn is longest ago has the next one
 *
 * Why nobody waits for ever: a class that is due stays due until it has a turn, and each of the
 * others that was due before it has one turn at most before it does, by A2 and A3.  So a class has
 * a turn within its age, plus the number of classes, of those switches that ask.  The fast path of
 * the scheduler, which serves GHI_TURN_NORMAL, asks every 64 switches (docs/scheduler.md), and at
 * each switch while a class above normal waits.
 */
#ifndef GHI_PROTO_TURNS_H
#define GHI_PROTO_TURNS_H

#include <stdbool.h>
#include <stdint.h>

enum ghi_turn {
	GHI_TURN_HOGS, /* those that compute, whatever their level */
	GHI_TURN_LOWEST,
	GHI_TURN_LOW,
	GHI_TURN_INBOX,	 /* level normal, made runnable by threads without a slot */
	GHI_TURN_NORMAL, /* the ring */
	GHI_TURN_HIGH,
	GHI_TURN_HIGHEST,
	GHI_TURNS
};

#ifndef GHI_AGE_BELOW
#define GHI_AGE_BELOW 64u /* switches; of what stands behind the ring */
#define GHI_AGE_ABOVE 8u  /* of the ring and of HIGH, behind those above */
#endif

struct ghi_turns {
	uint32_t last[GHI_TURNS]; /* tick of the last turn, or since when somebody waits */
	uint32_t asked;		  /* tick of the last question */
	uint32_t waited;	  /* the classes in which somebody waited then */
};

static inline uint32_t ghi_turns_age(unsigned turn)
{
	return turn < GHI_TURN_NORMAL ? GHI_AGE_BELOW : GHI_AGE_ABOVE;
}

/* Is any of those that wait due? */
static inline bool ghi_turns_due(const struct ghi_turns *t, uint32_t tick, unsigned waiting)
{
	for (unsigned i = 0; i < GHI_TURNS; i++)
		if (waiting & t->waited & 1u << i && tick - t->last[i] >= ghi_turns_age(i))
			return true;
	return false;
}

/* One of level normal that stood elsewhere has the turn: those that wait here age all the same
 * (A1), or they would stay behind as long as somebody else's rings hold out. */
static inline void ghi_turns_pass(struct ghi_turns *t, uint32_t tick, unsigned waiting)
{
	for (unsigned i = 0; i < GHI_TURNS; i++)
		if (waiting & ~t->waited & 1u << i)
			t->last[i] = tick;
	t->waited = waiting;
	t->asked = tick;
	t->last[GHI_TURN_NORMAL] = tick;
}

/* waiting: a bit for each class that somebody waits in; not 0.  tick: the slot's count of
 * switches, which wraps. */
static inline unsigned ghi_turns_pick(struct ghi_turns *t, uint32_t tick, unsigned waiting)
{
	unsigned best = 0;
	uint32_t longest = 0;

	if (tick - t->asked > 1) /* the fast path had the ones between */
		t->last[GHI_TURN_NORMAL] = tick;
	t->asked = tick;
	for (unsigned i = 0; i < GHI_TURNS; i++) {
		if (!(waiting & 1u << i))
			continue;
		if (!(t->waited & 1u << i))
			t->last[i] = tick; /* (A1) */
		uint32_t aged = tick - t->last[i];
		if (longest == 0)
			best = i;				  /* the highest */
		if (aged >= ghi_turns_age(i) && aged > longest) { /* (A3) */
			longest = aged;
			best = i;
		}
	}
	t->waited = waiting;
	t->last[best] = tick; /* (A2) */
	return best;
}

/* n switches were no turns: two handed over to each other.  Nobody has aged by them, but for a few.
 */
static inline void ghi_turns_skip(struct ghi_turns *t, uint32_t n)
{
	n = n > GHI_AGE_BELOW / 4 ? n - GHI_AGE_BELOW / 4 : 0;
	for (unsigned i = 0; i < GHI_TURNS; i++)
		t->last[i] += n;
	t->asked += n;
}

/* If somebody waits in it, that one has the answer to the next question. */
static inline void ghi_turns_next(struct ghi_turns *t, uint32_t tick, unsigned turn)
{
	t->waited |= 1u << turn;
	t->last[turn] = tick - INT32_MAX;
}
/* The class waits already: it is due. */
static inline void ghi_turns_make_due(struct ghi_turns *t, uint32_t tick, unsigned turn)
{
	if (tick - t->last[turn] < ghi_turns_age(turn))
		t->last[turn] = tick - ghi_turns_age(turn);
}

#endif
