/* Explores how an idle slot is woken for a gthread that is pinned to it (docs/scheduler.md,
 * "Pinned"), beside workers that go to sleep and another waker (src/proto/idle_word.h).
 *
 * Owns: the model of two slots, two workers, one that pushes a gthread pinned to slot 0, one that
 * pushes one to the inbox, and the monitor, which only those poke that found nobody asleep.
 * One of the workers may come back from the kernel without a slot: then a waker finds a slot that
 * is idle and nobody asleep.  What worker.c does is told again here: the list of idle slots and
 * sleepers under one lock, who is handed what.  Called by: model_main.c.  Must not know: memory
 * orders, schedules.
 */
#include "src/proto/idle_word.h"
#include "tests/models.h"

enum { WORKER_0, WORKER_1, PINNER, WAKER, MONITOR, THREADS, SLOTS = 2, WORKERS = 2 };

static struct {
	uint32_t idle, owner[SLOTS]; /* 1: somebody has it */
	uint32_t pinned, inbox;	     /* lengths; pinned: of slot 0 */
	struct model_lock queues, list;
	struct model_gate gate[WORKERS], poke;
	/* Under the lock of the list. */
	bool asleep[WORKERS];
	int slots[SLOTS], nslots; /* last in, first out */
	/* Ghost: what a worker was handed, with its gate. */
	int given[WORKERS];
	bool searching[WORKERS];
	enum {
		HOLDS,
		SLEEPS,
		BLOCKED
	} begins; /* worker 1; BLOCKED: in the kernel, without a slot */
} s;

/* -1: none. */
static int first_slot(int w)
{
	if (w == WORKER_0)
		return s.begins == BLOCKED ? 1 : 0;
	return s.begins == HOLDS ? 1 : -1;
}

static void setup(void)
{
	s = (__typeof__(s)){.begins = model_choose(3)};
	for (int slot = 0; slot < SLOTS; slot++) {
		if (slot == first_slot(WORKER_0) || slot == first_slot(WORKER_1)) {
			s.owner[slot] = 1;
		} else {
			s.idle = GHI_IDLE_SLOT;
			s.slots[s.nslots++] = slot;
		}
	}
	s.asleep[WORKER_1] = s.begins == SLEEPS;
	model_name(&s.idle, 4, "idle");
	model_name(s.owner, sizeof(s.owner), "owner");
	model_name(&s.pinned, 4, "pinned");
	model_name(&s.inbox, 4, "inbox");
}

static int pop_sleeper(void)
{
	for (int w = 0; w < WORKERS; w++)
		if (s.asleep[w]) {
			s.asleep[w] = false;
			return w;
		}
	return -1;
}

static bool remove_slot(int slot)
{
	for (int i = 0; i < s.nslots; i++)
		if (s.slots[i] == slot) {
			s.slots[i] = s.slots[--s.nslots];
			return true;
		}
	return false;
}

static void give_and_wake(int w, int slot, bool searching)
{
	s.given[w] = slot;
	s.searching[w] = searching;
	store_release(&s.owner[slot], 1u);
	model_post(&s.gate[w]);
}

/* R2 to R4 of idle_word.h. */
static void notify(void)
{
	if (!ghi_idle_claim_for_wake(&s.idle))
		return;
	model_lock(&s.list);
	int w = pop_sleeper();
	if (w >= 0) {
		model_assert(s.nslots > 0);
		int slot = s.slots[--s.nslots];
		model_unlock(&s.list);
		give_and_wake(w, slot, true);
	} else {
		model_unlock(&s.list);
		fetch_add_acq_rel(&s.idle, GHI_IDLE_SLOT - GHI_IDLE_SEARCH);
		model_post(&s.poke);
	}
}

/* R4 of the pinned. */
static void staff(void)
{
	model_lock(&s.list);
	bool there = remove_slot(0), claimed = false;
	if (there &&
	    !(claimed = model_mutated("R4 does not claim") || ghi_idle_claim(&s.idle, false)))
		s.slots[s.nslots++] = 0;
	model_unlock(&s.list);
	if (!claimed)
		return;
	model_lock(&s.list);
	int w = pop_sleeper();
	model_unlock(&s.list);
	if (w >= 0) {
		give_and_wake(w, 0, false);
		return;
	}
	model_lock(&s.list);
	s.slots[s.nslots++] = 0;
	model_unlock(&s.list);
	ghi_idle_give_slot(&s.idle, false);
	if (!model_mutated("nobody is poked"))
		model_post(&s.poke);
}

static void staff_pinned(void)
{
	if (load_relaxed(&s.owner[0]) == 0 && load_relaxed(&s.pinned))
		staff();
}

static bool take(uint32_t *length)
{
	if (!load_relaxed(length))
		return false;
	model_lock(&s.queues);
	uint32_t n = load_relaxed(length);
	if (n)
		store_relaxed(length, n - 1);
	model_unlock(&s.queues);
	return n != 0;
}

static void push(uint32_t *length)
{
	model_lock(&s.queues);
	store_relaxed(length, load_relaxed(length) + 1);
	model_unlock(&s.queues);
}

/* S1 to S5; true: it has a slot again. */
static bool go_idle(int self, int *slot, bool *searching)
{
	bool first = model_mutated("S3 before S1");

	if (first)
		staff_pinned();
	model_lock(&s.list);
	s.asleep[self] = true;
	if (*slot >= 0) {
		store_release(&s.owner[*slot], 0u);
		s.slots[s.nslots++] = *slot;
	}
	model_unlock(&s.list);
	if (*slot >= 0)
		ghi_idle_give_slot(&s.idle, *searching);
	*searching = false;
	if (!first && !model_mutated("S3 skipped"))
		staff_pinned(); /* it may be this one that is woken */
	if (load_relaxed(&s.inbox)) {
		model_lock(&s.list);
		if (s.asleep[self] && ghi_idle_claim(&s.idle, true)) {
			model_assert(s.nslots > 0);
			*slot = s.slots[--s.nslots];
			s.asleep[self] = false;
			model_unlock(&s.list);
			store_release(&s.owner[*slot], 1u);
			*searching = true;
			return true;
		}
		model_unlock(&s.list);
	}
	return false;
}

static void worker(int self)
{
	int slot = first_slot(self);
	bool holds = slot >= 0, searching = false;

	if (self == WORKER_1 && s.begins == BLOCKED)
		holds = go_idle(self, &slot, &searching);
	for (;;) {
		if (!holds) {
			model_wait(&s.gate[self]);
			slot = s.given[self];
			searching = s.searching[self];
		}
		holds = true;
		while ((slot == 0 && take(&s.pinned)) || take(&s.inbox)) {
			model_note("runs one on slot %d", slot);
			if (searching && ghi_idle_stop_search(&s.idle))
				notify();
			searching = false;
		}
		holds = go_idle(self, &slot, &searching);
	}
}

static void push_pinned(void)
{
	push(&s.pinned); /* R1 */
	fence_seq_cst(); /* R2 */
	if (!model_mutated("R3 skipped") && load_relaxed(&s.owner[0]) == 0)
		staff();
}

static bool somebody_sleeps(int unused)
{
	(void)unused;
	return s.asleep[WORKER_0] || s.asleep[WORKER_1];
}

/* It looks again and again; here, when a look may find what the last one did not. */
static void monitor(void)
{
	for (;;) {
		model_wait(&s.poke);
		model_block(somebody_sleeps, 0);
		staff_pinned();
		if (load_relaxed(&s.inbox))
			notify();
	}
}

static void thread(int self)
{
	switch (self) {
	case PINNER:
		push_pinned();
		break;
	case WAKER:
		push(&s.inbox);
		notify();
		break;
	case MONITOR:
		monitor();
		break;
	default:
		worker(self);
	}
}

static void final(void)
{
	model_assert(s.pinned == 0);
	model_assert(s.inbox == 0);
	model_assert(s.nslots == SLOTS);
	model_assert(s.idle == SLOTS * GHI_IDLE_SLOT);
}

static const struct model_mutant mutants[] = {
    {"R2 of the pinned dropped", "push_pinned", NULL, MODEL_FENCE, MODEL_DROP},
    {"S2 dropped", "ghi_idle_give_slot", NULL, MODEL_FENCE, MODEL_DROP},
    {"R4 not atomic", "ghi_idle_claim", NULL, MODEL_CAS, MODEL_SPLIT},
    {.name = "R3 skipped"},
    {.name = "R4 does not claim"},
    {.name = "S3 skipped"},
    {.name = "S3 before S1"},
    {.name = "nobody is poked"},
    {.name = NULL},
};

const struct model model_pinned = {
    .name = "pinned",
    .threads = THREADS,
    .may_sleep = 1 << WORKER_0 | 1 << WORKER_1 | 1 << MONITOR,
    .preemptions = 1, /* 2 find nothing more in 82 million executions, 160 s */
    .late = 1,
    .setup = setup,
    .thread = thread,
    .final = final,
    .mutants = mutants,
};
