/* Explores who starts a gthread that has not run yet (src/proto/start_word.h): its creator, who
 * also waits for its end, a thief, and another one who waits for it.
 *
 * Owns: the model of one gthread with three lives: the first two are offered in the creator's ring,
 * the third stands in the inbox, as if the ring were full.  What handover.c and queues.c do is told
 * again here.  Called by: model_main.c.  Must not know: memory orders, schedules.
 *
 * Claims: each life is started exactly once, and who starts it sees what its creator wrote; an
 * offer that an earlier life left behind may start a later one, or nothing.
 */
#define GHI_RING_SIZE	4u
#define GHI_OFFER_LIVES 2u
#include "src/proto/ring.h"
#include "src/proto/start_word.h"
#include "tests/models.h"

enum { CREATOR, THIEF, WAITER, THREADS, LIVES = 3 };

static struct {
	struct ghi_ring ring[2]; /* of the creator and of the thief */
	uint32_t word;
	uint32_t ended; /* lives that have */
	uint32_t body;	/* plain: written by the creator, read by who starts it */
	uint32_t inbox; /* under its lock: 1, it stands in it */
	struct model_lock lock;
	int made, runs[LIVES]; /* ghost */
} s;

static void setup(void)
{
	s = (__typeof__(s)){.made = 0};
	model_name(&s.word, 4, "word");
	model_name(&s.ended, 4, "ended");
	model_name(&s.inbox, 4, "inbox");
	model_name(s.ring[CREATOR].buf, sizeof(s.ring[CREATOR].buf), "C.buf");
	model_name(s.ring[THIEF].buf, sizeof(s.ring[THIEF].buf), "T.buf");
	model_watch(s.ring[CREATOR].buf, sizeof(s.ring[CREATOR].buf));
	model_watch(s.ring[THIEF].buf, sizeof(s.ring[THIEF].buf));
}

static void run(void)
{
	uint32_t life = plain_read(&s.body) - 100;

	model_note("starts life %d", (int)life);
	model_assert(life < LIVES && s.runs[life]++ == 0);
	store_release(&s.ended, life + 1);
}

static void make(void)
{
	plain_write(&s.body, (uint32_t)s.made++ + 100);
	if (s.made < LIVES) {
		uintptr_t tag = ghi_start_offer(&s.word);
		model_assert(ghi_ring_put(&s.ring[CREATOR], (void *)tag));
		return;
	}
	model_lock(&s.lock);
	store_relaxed(&s.inbox, 1u);
	ghi_start_queue(&s.word);
	model_unlock(&s.lock);
}

/* An entry of a ring: all are offers, of the same one. */
static void look_at(void *entry)
{
	if (entry && ghi_start_take(&s.word, (unsigned)(uintptr_t)entry))
		run();
}

/* By who takes it from the front, if it stands there, or out of the middle, if its word says so. */
static void from_inbox(bool front)
{
	model_lock(&s.lock);
	bool ours = (!front || load_relaxed(&s.inbox)) && ghi_start_withdraw(&s.word);
	if (ours) {
		model_assert(load_relaxed(&s.inbox));
		store_relaxed(&s.inbox, 0u);
	}
	model_unlock(&s.lock);
	if (ours)
		run();
}

static void withdraw(void)
{
	if (ghi_start_take(&s.word, 0))
		run();
	else if (ghi_start_queued(&s.word))
		from_inbox(false);
}

static void thread(int self)
{
	switch (self) {
	case CREATOR:
		for (uint32_t life = 0; life < LIVES && load_acquire(&s.ended) == life; life++) {
			make();
			withdraw();
		}
		look_at(ghi_ring_get(&s.ring[CREATOR]));
		from_inbox(true);
		break;
	case THIEF:
		look_at(ghi_ring_steal(&s.ring[THIEF], &s.ring[CREATOR]));
		look_at(ghi_ring_get(&s.ring[THIEF]));
		break;
	case WAITER:
		withdraw();
		break;
	}
}

static void final(void)
{
	for (int i = CREATOR; i <= THIEF; i++)
		for (uint32_t at = s.ring[i].head; at != s.ring[i].tail; at++)
			look_at(s.ring[i].buf[at % GHI_RING_SIZE]);
	from_inbox(true);
	for (int i = 0; i < s.made; i++)
		model_assert(s.runs[i] == 1);
}

static const struct model_mutant mutants[] = {
    {"B3 not atomic", "ghi_start_take", NULL, MODEL_CAS, MODEL_SPLIT},
    {"B3 relaxed", "ghi_start_take", NULL, MODEL_CAS, MODEL_RELAX},
    {"B2 relaxed", "ghi_start_offer", NULL, MODEL_STORE, MODEL_RELAX},
    {"B2 after the put", "ghi_start_offer", NULL, MODEL_STORE, MODEL_LATE},
    {"B2 forgotten", "ghi_start_offer", NULL, MODEL_STORE, MODEL_DROP},
    {"B6 leaves the word", "ghi_start_withdraw", NULL, MODEL_STORE, MODEL_DROP},
    {.name = NULL},
};

const struct model model_start = {
    .name = "start",
    .threads = THREADS,
    .preemptions = 3,
    .late = 1,
    .setup = setup,
    .thread = thread,
    .final = final,
    .mutants = mutants,
};
