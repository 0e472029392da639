/* Explores protocol 2, the run queue of a slot (src/proto/ring.h): a holder and two thieves.
 *
 * Owns: the model of three slots whose holders put, get and steal.  Compiled once per GHI_RING_SIZE
 * (2 and 4).  Called by: model_main.c.  Must not know: memory orders, schedules.
 *
 * Claims: no task is lost, none is run twice, whoever runs it sees what its creator wrote, an entry
 * is not overwritten while a taker copies it; also when the counters wrap at 2^32.
 * The second thief steals from the first one too, since a stolen half is published by a thief.
 */
#include "src/proto/ring.h"
#include "tests/models.h"

enum { HOLDER, THIEF_A, THIEF_B, THREADS, TASKS = GHI_RING_SIZE == 2 ? 4 : 5 };

static struct {
	struct ghi_ring ring[THREADS];
	uint32_t task[TASKS];  /* plain: written before the put, read by whoever runs it */
	int made, runs[TASKS]; /* ghost */
} s;

static void setup(void)
{
	static const char *const names[THREADS][3] = {
	    {"H.head", "H.tail", "H.buf"},
	    {"A.head", "A.tail", "A.buf"},
	    {"B.head", "B.tail", "B.buf"},
	};
	s = (__typeof__(s)){.made = 0};
	for (int i = 0; i < THREADS; i++) {
		s.ring[i].head = s.ring[i].tail = -2u;
		model_name(&s.ring[i].head, 4, names[i][0]);
		model_name(&s.ring[i].tail, 4, names[i][1]);
		model_name(s.ring[i].buf, sizeof(s.ring[i].buf), names[i][2]);
		model_watch(s.ring[i].buf, sizeof(s.ring[i].buf));
	}
}

static void run(uint32_t *task)
{
	model_assert(task >= s.task && task < s.task + TASKS);
	int i = task - s.task;
	model_note("runs task %d", i);
	model_assert(s.runs[i]++ == 0);
	model_assert(plain_read(task) == (uint32_t)i + 100);
}

static bool put(void)
{
	plain_write(&s.task[s.made], s.made + 100u);
	if (!ghi_ring_put(&s.ring[HOLDER], &s.task[s.made]))
		return false;
	s.made++;
	return true;
}

static void get(int ring)
{
	uint32_t *task = ghi_ring_get(&s.ring[ring]);
	if (task)
		run(task);
}

static void steal(int to, int from)
{
	uint32_t *task = ghi_ring_steal(&s.ring[to], &s.ring[from]);
	if (task)
		run(task);
}

static void thread(int self)
{
	switch (self) {
	case HOLDER:
		while (s.made < TASKS)
			if (!put())
				get(HOLDER); /* full */
		get(HOLDER);
		break;
	case THIEF_A:
		steal(THIEF_A, HOLDER);
		get(THIEF_A);
		break;
	case THIEF_B:
		steal(THIEF_B, HOLDER);
		if (ghi_ring_length(&s.ring[THIEF_B]) == 0)
			steal(THIEF_B, GHI_RING_SIZE > 2 ? THIEF_A : HOLDER);
		break;
	}
}

static void final(void)
{
	for (int i = 0; i < THREADS; i++) {
		struct ghi_ring *r = &s.ring[i];
		for (uint32_t at = r->head; at != r->tail; at++)
			s.runs[(uint32_t *)r->buf[at % GHI_RING_SIZE] - s.task]++;
	}
	for (int i = 0; i < TASKS; i++)
		model_assert(s.runs[i] == 1);
}

static const struct model_mutant mutants[] = {
    {"get not atomic", "ghi_ring_get", NULL, MODEL_CAS, MODEL_SPLIT},
    {"steal not atomic", "ghi_ring_steal", NULL, MODEL_CAS, MODEL_SPLIT},
    {"Q4 before Q3", "ghi_ring_put", "&r->buf", MODEL_STORE, MODEL_LATE},
    {"Q4 relaxed", "ghi_ring_put", "&r->tail", MODEL_STORE, MODEL_RELAX},
    {"T2 relaxed", "ghi_ring_steal", "&from->tail", MODEL_LOAD, MODEL_RELAX},
    {"T4 relaxed", "ghi_ring_steal", NULL, MODEL_CAS, MODEL_RELAX},
    {"Q1 relaxed", "ghi_ring_put", "&r->head", MODEL_LOAD, MODEL_RELAX},
#if GHI_RING_SIZE > 2
    {"Q4 of a thief relaxed", "ghi_ring_steal", "&to->tail", MODEL_STORE, MODEL_RELAX},
    {"Q4 of a thief forgotten", "ghi_ring_steal", "&to->tail", MODEL_STORE, MODEL_DROP},
#endif
    {.name = NULL},
};

#if GHI_RING_SIZE == 2
const struct model model_runq_2 = {
    .name = "runq, ring of 2",
#else
const struct model model_runq_4 = {
    .name = "runq, ring of 4",
#endif
    .threads = THREADS,
    .preemptions = 3,
    .late = 1,
    .setup = setup,
    .thread = thread,
    .final = final,
    .mutants = mutants,
};
