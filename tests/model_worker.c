/* Explores protocol 3, workers going to sleep against ready() (src/proto/idle_word.h).
 *
 * Owns: the model of two slots, two workers, and one producer that calls ready() twice.  The
 * producer stands for a worker busy with a long task: it has a ring of its own and never runs what
 * it makes ready.  Called by: model_main.c.  Must not know: memory orders, schedules.
 *
 * A task ends only when both tasks have begun, so the two workers are both needed: a missed link of
 * the wake-up chain is a deadlock, as is a worker asleep while a task is queued.
 * A token stands for "one idle slot and one searching count, handed to a sleeper" (R4).  Workers
 * start either asleep, or about to look for work.
 */
#define GHI_RING_SIZE 4u
#include "src/proto/idle_word.h"
#include "src/proto/ring.h"
#include "tests/models.h"

enum { WORKER_0, WORKER_1, PRODUCER, THREADS, TASKS = 2 };

static struct {
	uint32_t idle;
	struct ghi_ring ring, own[THREADS];
	struct model_gate tokens;
	uint32_t task[TASKS];
	/* ghost */
	bool asleep_first;
	int begun, ended;
} s;

static void setup(void)
{
	s = (__typeof__(s)){.asleep_first = model_choose(2)};
	if (s.asleep_first)
		s.idle = 2 * GHI_IDLE_SLOT;
	model_name(&s.idle, 4, "idle");
	model_name(&s.ring.head, 4, "head");
	model_name(&s.ring.tail, 4, "tail");
	model_name(s.ring.buf, sizeof(s.ring.buf), "buf");
}

/* The word in memory: never more than the two slots, never more searchers than workers. */
static void check_counts(void)
{
	model_assert(ghi_idle_slots(s.idle) <= 2);
	model_assert(ghi_idle_searching(s.idle) <= 2);
}

static void wake_one(void)
{
	bool claimed = ghi_idle_claim_for_wake(&s.idle);
	check_counts();
	if (claimed)
		model_post(&s.tokens); /* R4 */
}

static bool all_begun(int unused)
{
	(void)unused;
	return s.begun == TASKS;
}

/* As a searcher: true when a task was found and run. */
static bool search(int self)
{
	if (!ghi_ring_steal(&s.own[self], &s.ring))
		return false;
	bool last = ghi_idle_stop_search(&s.idle); /* F1 */
	check_counts();
	if (last && !model_mutated("F1 wakes nobody"))
		wake_one();
	model_note("runs a task");
	s.begun++;
	model_block(all_begun, 0);
	s.ended++;
	return true;
}

/* S1 .. S4.  True: it holds a slot again, as a searcher. */
static bool give_up(bool was_searching)
{
	bool look_first = model_mutated("S3 before S1"), more = false;

	if (model_mutated("S1 forgets the search"))
		was_searching = false;
	if (look_first)
		more = ghi_ring_length(&s.ring) > 0;
	ghi_idle_give_slot(&s.idle, was_searching);
	check_counts();
	if (!look_first)
		more = ghi_ring_length(&s.ring) > 0; /* S3 */
	if (!more || model_mutated("S3 skipped"))
		return false;
	return ghi_idle_claim(&s.idle, true); /* S4 */
}

static void worker(int self)
{
	bool holds = !s.asleep_first, searching = false;

	for (;;) {
		if (!holds) {
			model_wait(&s.tokens); /* S5 */
			holds = searching = true;
		}
		if (!searching)
			searching = ghi_idle_start_search(&s.idle, 1);
		check_counts();
		if (searching && search(self))
			searching = false;
		else
			holds = searching = give_up(searching);
	}
}

static void producer(void)
{
	for (int i = 0; i < TASKS; i++) {
		bool wake_first = model_mutated("R4 before R1");
		if (wake_first)
			wake_one();
		ghi_ring_put(&s.ring, &s.task[i]); /* R1 */
		if (!wake_first && !model_mutated("R2..R4 skipped"))
			wake_one();
	}
}

static void thread(int self)
{
	if (self == PRODUCER)
		producer();
	else
		worker(self);
}

static void final(void)
{
	model_assert(s.ended == TASKS);
	model_assert(s.tokens.posts == 0);
	model_assert(s.idle == 2 * GHI_IDLE_SLOT); /* all slots idle, nobody counted as searching */
}

static const struct model_mutant mutants[] = {
    {"R2 dropped", "ghi_idle_claim_for_wake", NULL, MODEL_FENCE, MODEL_DROP},
    {"S2 dropped", "ghi_idle_give_slot", NULL, MODEL_FENCE, MODEL_DROP},
    {"R4 not atomic", "ghi_idle_claim_for_wake", NULL, MODEL_CAS, MODEL_SPLIT},
    {"S4 not atomic", "ghi_idle_claim", NULL, MODEL_CAS, MODEL_SPLIT},
    {"S1 not atomic", "ghi_idle_give_slot", NULL, MODEL_ADD, MODEL_SPLIT},
    {"F1 not atomic", "ghi_idle_stop_search", NULL, MODEL_ADD, MODEL_SPLIT},
    {.name = "S3 skipped"},
    {.name = "S3 before S1"},
    {.name = "S1 forgets the search"},
    {.name = "F1 wakes nobody"},
    {.name = "R4 before R1"},
    {.name = "R2..R4 skipped"},
    {.name = NULL},
};

const struct model model_worker = {
    .name = "worker",
    .threads = THREADS,
    .may_sleep = 1 << WORKER_0 | 1 << WORKER_1,
    .preemptions = 3,
    .late = 1,
    .setup = setup,
    .thread = thread,
    .final = final,
    .mutants = mutants,
};
