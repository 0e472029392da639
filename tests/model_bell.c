/* Explores protocol 6, requests for one server (src/proto/bell.h): two who ask, twice each, and the
 * server.
 *
 * Owns: the model of the server's loop, and of a futex wait.  Called by: model_main.c.  Must not
 * know: memory orders, schedules.
 *
 * Claims: each request is taken once, with what was written into it before, and the server does not
 * sleep while one waits.
 */
#include "src/proto/bell.h"
#include "tests/models.h"

enum { SERVER, ASK_A, ASK_B, THREADS, TIMES = 2, REQUESTS = 2 * TIMES };

static struct {
	struct ghi_bell bell;
	struct request {
		struct ghi_bell_node node;
		uint32_t what; /* plain: written by who asks, before A1 */
	} requests[REQUESTS];
	struct model_lock kernel; /* of the futex's queue */
	struct model_gate woken;
	bool queued; /* under it: the server sleeps */
	/* ghost */
	int taken[REQUESTS], done;
} s;

static void setup(void)
{
	s = (__typeof__(s)){.done = 0};
	model_name(&s.bell.stack, sizeof(s.bell.stack), "stack");
	model_name(&s.bell.word, 4, "word");
}

static void ask(int first)
{
	for (int i = first; i < first + TIMES; i++) {
		plain_write(&s.requests[i].what, (uint32_t)i + 1);
		bool first_of_all = ghi_bell_push(&s.bell, &s.requests[i].node);
		if (!first_of_all || model_mutated("A3 skipped"))
			continue;
		bool sleeps; /* (A3) */
		model_lock(&s.kernel);
		sleeps = s.queued;
		s.queued = false;
		model_unlock(&s.kernel);
		if (sleeps)
			model_post(&s.woken);
	}
}

/* (B3) What FUTEX_WAIT does. */
static void sleep_unless_moved(uint32_t seen)
{
	model_lock(&s.kernel);
	bool sleeps =
	    model_mutated("B3 does not look at the word") || load_relaxed(&s.bell.word) == seen;
	s.queued = sleeps;
	model_unlock(&s.kernel);
	if (sleeps)
		model_wait(&s.woken);
}

static void serve(void)
{
	while (s.done < REQUESTS) {
		bool late = model_mutated("B1 behind B2");
		uint32_t word = late ? 0 : ghi_bell_read(&s.bell);
		struct ghi_bell_node *next;
		for (struct ghi_bell_node *n = ghi_bell_take(&s.bell); n; n = next) {
			struct request *r = (struct request *)n;
			next = load_relaxed(&n->next);
			int i = (int)(r - s.requests);
			model_assert(plain_read(&r->what) == (uint32_t)i + 1);
			model_assert(s.taken[i]++ == 0);
			s.done++;
		}
		if (late)
			word = ghi_bell_read(&s.bell);
		if (s.done < REQUESTS)
			sleep_unless_moved(word);
	}
}

static void thread(int self)
{
	if (self == SERVER)
		serve();
	else
		ask((self - ASK_A) * TIMES);
}

static void final(void)
{
	model_assert(s.done == REQUESTS);
}

static const struct model_mutant mutants[] = {
    {"A1 push not atomic", "ghi_bell_push", "&b->stack", MODEL_CAS, MODEL_SPLIT},
    {"A1 push without release", "ghi_bell_push", "&b->stack", MODEL_CAS, MODEL_RELAX},
    {"B2 take not atomic", "ghi_bell_take", NULL, MODEL_XCHG, MODEL_SPLIT},
    {"B2 take without acquire", "ghi_bell_take", NULL, MODEL_XCHG, MODEL_RELAX},
    {.name = "A3 skipped"},
    {.name = "B3 does not look at the word"},
    {.name = "B1 behind B2"},
    {.name = NULL},
};

const struct model model_bell = {
    .name = "bell",
    .threads = THREADS,
    .preemptions = 3,
    .late = 1,
    .setup = setup,
    .thread = thread,
    .final = final,
    .mutants = mutants,
};
