/* Explores protocol 4, who holds a slot (src/proto/slot_word.h): two workers and the monitor.
 *
 * Owns: the model of one slot whose holder enters, leaves and blocks, and is robbed by the monitor.
 * Called by: model_main.c.  Must not know: memory orders, schedules.
 *
 * Claims: what only the holder may do is never done by two at once, and every new holder sees the
 * run queue as the last one left it (the ring's tail is "ours alone", so a stale one loses a task).
 * A robbed worker becomes a spare and may get the slot again: from the monitor while it sleeps, or
 * by its own hand from the list of free slots when the monitor found no spare.
 */
#define GHI_RING_SIZE 8u
#include "src/proto/ring.h"
#include "src/proto/slot_word.h"
#include "tests/models.h"

enum { W, V, MONITOR, THREADS, ROUNDS = 2, TAKES = 2 };

static struct {
	uintptr_t owner;
	struct ghi_ring ring;
	uint32_t queue; /* plain: stands for timers and all else that only the holder touches */
	struct model_lock lock; /* of the two below */
	bool spare[THREADS], is_free;
	struct model_gate given[THREADS];
	/* ghost */
	int inside, puts;
} s;
static _Alignas(64) char worker_at[THREADS][64];

static uintptr_t address(int w)
{
	return (uintptr_t)worker_at[w];
}

static void setup(void)
{
	s = (__typeof__(s)){.owner = address(W) | GHI_SLOT_SCHED};
	s.spare[V] = true;
	model_name(&s.owner, 8, "owner");
	model_name(&s.queue, 4, "queue");
}

static void touch(void)
{
	model_assert(s.inside++ == 0);
	plain_write(&s.queue, plain_read(&s.queue) + 1);
	model_assert(ghi_ring_put(&s.ring, &s.puts));
	s.puts++;
	model_assert(s.inside-- == 1);
}

/* Program code of worker w, from SCHED to SCHED; it blocks in every second round.  False: the slot
 * is gone. */
static bool program(int w, bool blocks)
{
	bool late_touch = model_mutated("E2 after E3");

	if (!late_touch)
		touch();
	ghi_slot_leave(&s.owner, address(w));
	if (late_touch)
		touch();
	if (blocks) {
		if (!ghi_slot_block(&s.owner, address(w)))
			return false;
		if (!ghi_slot_unblock(&s.owner, address(w)))
			return false;
	}
	return ghi_slot_enter(&s.owner, address(w)) || model_mutated("E1 unchecked");
}

/* The way back of a worker without a slot. */
static void become_holder(int w)
{
	model_lock(&s.lock);
	bool mine = s.is_free;
	s.is_free = false;
	s.spare[w] = !mine;
	model_unlock(&s.lock);
	if (mine)
		ghi_slot_give(&s.owner, address(w)); /* by its own hand */
	else
		model_wait(&s.given[w]);
}

static void worker(int w)
{
	bool holds = w == W;

	for (int round = 0; round < ROUNDS; round++) {
		if (!holds && w == V && round == 0)
			model_wait(&s.given[V]); /* sleeps as a spare from the start */
		else if (!holds)
			become_holder(w);
		holds = program(w, round % 2 == (w == W));
	}
	if (holds) { /* at the end of its program it passes the slot on, as when it goes idle */
		touch();
		model_lock(&s.lock);
		int next = s.spare[W] ? W : s.spare[V] ? V : THREADS;
		if (next == THREADS)
			s.is_free = true;
		else
			s.spare[next] = false;
		ghi_slot_give(&s.owner, next < THREADS ? address(next) : 0);
		model_unlock(&s.lock);
		if (next < THREADS)
			model_post(&s.given[next]);
	}
}

static bool take(uintptr_t seen)
{
	if (model_mutated("M1 takes in SCHED"))
		return (seen & ~(uintptr_t)7) && cas_acq_rel(&s.owner, &seen, GHI_SLOT_TAKEN);
	return ghi_slot_take(&s.owner, seen);
}

static void monitor(void)
{
	for (int i = 0; i < TAKES; i++) {
		uintptr_t seen = load_relaxed(&s.owner);
		if (!take(seen))
			continue;
		model_lock(&s.lock);
		int next = s.spare[V] ? V : s.spare[W] ? W : THREADS;
		if (next < THREADS)
			s.spare[next] = false;
		ghi_slot_give(&s.owner, next < THREADS ? address(next) : 0);
		if (next == THREADS)
			s.is_free = true;
		model_unlock(&s.lock);
		if (next < THREADS)
			model_post(&s.given[next]);
	}
}

static void thread(int self)
{
	if (self == MONITOR)
		monitor();
	else
		worker(self);
}

static void final(void)
{
	model_assert(s.ring.tail - s.ring.head == (uint32_t)s.puts);
	model_assert(s.queue == (uint32_t)s.puts);
	for (int i = 0; i < s.puts; i++)
		model_assert(s.ring.buf[i] == &s.puts);
}

static const struct model_mutant mutants[] = {
    {"E1 not atomic", "ghi_slot_enter", NULL, MODEL_CAS, MODEL_SPLIT},
    {"E3 relaxed", "ghi_slot_leave", NULL, MODEL_STORE, MODEL_RELAX},
    {"M1 not atomic", "ghi_slot_take", NULL, MODEL_CAS, MODEL_SPLIT},
    {"M1 without acquire", "ghi_slot_take", NULL, MODEL_CAS, MODEL_RELAX},
    {"block not atomic", "ghi_slot_block", NULL, MODEL_CAS, MODEL_SPLIT},
    {"unblock not atomic", "ghi_slot_unblock", NULL, MODEL_CAS, MODEL_SPLIT},
    {.name = "E1 unchecked"},
    {.name = "E2 after E3"},
    {.name = "M1 takes in SCHED"},
    {.name = NULL},
};

const struct model model_handoff = {
    .name = "handoff",
    .threads = THREADS,
    .may_sleep = 1 << W | 1 << V,
    .preemptions = 3,
    .late = 2,
    .setup = setup,
    .thread = thread,
    .final = final,
    .mutants = mutants,
};
