/* The explorer: a depth-first search over every choice that an execution makes.
 *
 * Owns: the simulated threads (coroutines), the schedule, the choices, mutants, the trace.  Called
 * by: model_main.c; by models and model_memory.c for choices.  Must not know: what a step does to
 * memory (model_memory.c), nor any protocol.
 *
 * Stateless: an execution is a list of choices.  The next one repeats all choices up to the last
 * that has an alternative left and takes that.  A failing execution is simply run again to be
 * printed. The search for a switch happens on the running thread's stack, so a step without a
 * switch costs a few nanoseconds; a switch is _setjmp/_longjmp, which make no system call
 * (swapcontext makes one).
 */
#include "tests/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

enum { STACK_BYTES = 64 << 10, MAX_CHOICES = 4096, MAX_STEPS = 3000, COLUMN = 38 };
enum { ENDED = 1, FAILED = 2 }; /* how an execution comes back to run_once */

struct coroutine {
	jmp_buf top; /* the trampoline: starts the thread's function, in every execution anew */
	jmp_buf at;
	bool started, finished;
	bool (*until)(int); /* blocked: enabled when this is true */
	int until_arg;
};

int model_running;
bool model_tracing;
static struct coroutine coroutines[MODEL_THREADS];
static jmp_buf outside;
static ucontext_t outside_uc;

static struct {
	const struct model *model;
	const struct model_mutant *mutant;
	unsigned run;
	int preemptions_left, late_left, steps;
	char why[160];
	int depth, known; /* choices made so far; choices to be repeated */
	struct {
		uint8_t pick, of;
	} choice[MAX_CHOICES];
} m;

/* --- Failure and trace --- */

void model_fail(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(m.why, sizeof(m.why), fmt, ap);
	va_end(ap);
	_longjmp(outside, FAILED);
}

void model_trace(const char *fmt, ...)
{
	va_list ap;
	if (!model_tracing)
		return;
	printf("%4d  %*s", m.steps, model_running * COLUMN, "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void model_note(const char *fmt, ...)
{
	char text[80];
	va_list ap;
	if (!model_tracing)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	model_trace("-- %s", text);
}

/* --- Mutants --- */

bool model_mutated(const char *name)
{
	return m.mutant && !m.mutant->func && strcmp(m.mutant->name, name) == 0;
}

static enum model_effect effect_lookup(struct model_site *site)
{
	const struct model_mutant *mu = m.mutant;
	site->run = m.run;
	site->effect = MODEL_NORMAL;
	if (mu && mu->func && mu->op == site->op && strcmp(mu->func, site->func) == 0 &&
	    (!mu->expr || strncmp(mu->expr, site->expr, strlen(mu->expr)) == 0))
		site->effect = mu->effect;
	return site->effect;
}

enum model_effect model_effect_of(struct model_site *site)
{
	return site->run == m.run ? site->effect : effect_lookup(site);
}

/* --- Choices --- */

int model_choose(int n)
{
	if (n == 1)
		return 0;
	if (m.depth == MAX_CHOICES)
		model_fail("explorer: too many choices in one execution");
	if (m.depth == m.known) {
		m.choice[m.depth].pick = 0;
		m.choice[m.depth].of = n;
		m.known++;
	} else if (m.choice[m.depth].of != n) {
		model_fail("explorer: the model is not deterministic");
	}
	return m.choice[m.depth++].pick;
}

int model_choose_late(int n)
{
	if (n == 1 || m.late_left == 0)
		return 0;
	int pick = model_choose(n);
	if (pick)
		m.late_left--;
	return pick;
}

/* Moves to the next list of choices.  False: there is none. */
static bool next_choices(void)
{
	m.known = m.depth;
	while (m.known > 0 && m.choice[m.known - 1].pick + 1 == m.choice[m.known - 1].of)
		m.known--;
	if (m.known == 0)
		return false;
	m.choice[m.known - 1].pick++;
	return true;
}

/* --- Threads --- */

static bool enabled(int t)
{
	struct coroutine *c = &coroutines[t];
	return !c->finished && (!c->until || c->until(c->until_arg));
}

static void enter(int t)
{
	struct coroutine *c = &coroutines[t];
	model_running = t;
	if (c->started)
		_longjmp(c->at, 1);
	c->started = true;
	_longjmp(c->top, 1);
}

/* Lets some thread make the next step.  may_stay: the running thread is one of them. */
static void schedule(bool may_stay)
{
	int candidate[MODEL_THREADS], n = 0;

	if (may_stay)
		candidate[n++] = model_running;
	for (int t = 0; t < m.model->threads; t++)
		if (t != model_running && enabled(t))
			candidate[n++] = t;
	if (n == 0)
		_longjmp(outside, ENDED);
	int next = candidate[model_choose(n)];
	if (next == model_running)
		return;
	m.preemptions_left -= may_stay;
	if (!_setjmp(coroutines[model_running].at))
		enter(next);
}

void model_point(void)
{
	if (++m.steps > MAX_STEPS)
		model_fail("livelock: %d steps", MAX_STEPS);
	if (m.preemptions_left > 0)
		schedule(true);
}

void model_block(bool (*ready)(int), int arg)
{
	struct coroutine *c = &coroutines[model_running];
	model_point();
	if (ready(arg))
		return;
	model_trace("sleeps");
	c->until = ready;
	c->until_arg = arg;
	schedule(false);
	c->until = NULL;
}

static void trampoline(int t)
{
	if (!_setjmp(coroutines[t].top))
		setcontext(&outside_uc); /* noted; every execution enters at top */
	m.model->thread(t);
	coroutines[t].finished = true;
	schedule(false);
	abort();
}

static void make_coroutines(void)
{
	static bool made;
	if (made)
		return;
	made = true;
	for (int t = 0; t < MODEL_THREADS; t++) {
		ucontext_t uc;
		char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (stack == MAP_FAILED)
			abort();
		getcontext(&uc);
		uc.uc_stack.ss_sp = stack;
		uc.uc_stack.ss_size = STACK_BYTES;
		uc.uc_link = NULL;
		makecontext(&uc, (void (*)(void))trampoline, 1, t);
		swapcontext(&outside_uc, &uc); /* until it has noted its top */
	}
}

/* --- One execution, and all of them --- */

/* False: it failed, m.why says how. */
static bool run_once(enum model_machine machine, int preemptions, int late)
{
	m.depth = 0;
	m.steps = 0;
	m.preemptions_left = preemptions;
	m.late_left = late;
	model_running = 0;
	for (int t = 0; t < m.model->threads; t++)
		coroutines[t].started = coroutines[t].finished = false, coroutines[t].until = NULL;
	model_memory_reset(machine, false);

	int came = _setjmp(outside);
	if (came == 0) {
		m.model->setup();
		int first = model_choose(m.model->threads);
		enter(first);
	}
	if (came == FAILED)
		return false;
	if (_setjmp(outside))
		return false;
	for (int t = 0; t < m.model->threads; t++)
		if (!coroutines[t].finished && !(m.model->may_sleep >> t & 1))
			model_fail("deadlock: thread %d sleeps for ever", t);
	model_memory_settle();
	m.model->final();
	return true;
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void model_explore(const struct model *model, const struct model_mutant *mutant,
		   enum model_machine machine, int preemptions, int late, bool print,
		   struct model_result *ret)
{
	double start = now();

	make_coroutines();
	memset(ret, 0, sizeof(*ret));
	m.model = model;
	m.mutant = mutant;
	m.run++;
	m.known = 0;
	model_tracing = false;
	model_memory_reset(machine, true);
	do {
		ret->executions++;
		ret->failed = !run_once(machine, preemptions, late);
		if (m.steps > ret->depth)
			ret->depth = m.steps;
	} while (!ret->failed && next_choices());
	ret->seconds = now() - start;
	if (!ret->failed)
		return;
	memcpy(ret->why, m.why, sizeof(ret->why));
	if (!print)
		return;
	model_tracing = true;
	m.known = m.depth;
	printf("step  ");
	for (int t = 0; t < model->threads; t++)
		printf("thread %-*d", COLUMN - 7, t);
	putchar('\n');
	run_once(machine, preemptions, late);
	printf("      %s\n", m.why);
	model_tracing = false;
}
