/* The explorer: runs a few simulated threads through every interleaving, within bounds.
 *
 * Owns: the vocabulary in which a model is written.  Included by: model_<protocol>.c (the models),
 * model_main.c (the runner), model.c and model_memory.c (the explorer itself).  Must not know: any
 * protocol.
 *
 * A model is a set-up function, a function that every simulated thread runs with its number, and
 * a check of the end state.  Its shared words go through the names of src/base/atomic.h; data that
 * the real code touches without atomics goes through plain_read/plain_write, which fail on a data
 * race; everything else in the model ("ghost" state: counters for the assertions) is invisible to
 * the machine and always up to date.
 *
 * Bounds of an exploration: `preemptions` switches away from a thread that could have continued,
 * and `late` loads that do not see the newest store.  Both are counted per execution.
 */
#ifndef GHI_TESTS_MODEL_H
#define GHI_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/atomic.h"

enum { MODEL_THREADS = 5, MODEL_VIEW = 32 };

/* The two machines.  TSO is x86: stores wait in a first-in first-out buffer.  WEAK is the C11 model
 * without load buffering: a load may see any store that is not older than what its thread knows. */
enum model_machine { MODEL_TSO, MODEL_WEAK };

enum model_effect {
	MODEL_NORMAL,
	MODEL_DROP,  /* the operation does not happen */
	MODEL_RELAX, /* it loses its acquire and release */
	MODEL_SPLIT, /* a read-modify-write becomes a load and a store */
	MODEL_LATE,  /* a store happens after the thread's next store */
};

/* A seeded bug.  With func: at the sites in func whose operation is op and whose address expression
 * starts with expr (NULL: any).  Without: the model itself asks model_mutated(name). */
struct model_mutant {
	const char *name;
	const char *func, *expr;
	enum model_op op;
	enum model_effect effect;
};

struct model {
	const char *name;
	int threads;
	unsigned may_sleep; /* bit per thread: may be blocked in the end state */
	int preemptions, late;
	void (*setup)(void);
	void (*thread)(int self);
	void (*final)(void);
	const struct model_mutant *mutants; /* ends with a NULL name */
};

struct model_result {
	bool failed;
	char why[160];
	uint64_t executions;
	int depth; /* most steps in one execution */
	double seconds;
};

/* --- For the runner -----------------------------------------------------------------------------
 */

/* Explores until the end or the first failure; with print, the failing interleaving goes to stdout.
 */
void model_explore(const struct model *, const struct model_mutant *, enum model_machine,
		   int preemptions, int late, bool print, struct model_result *ret);

/* --- For models ---------------------------------------------------------------------------------
 */

/* What a thread knows: the newest store seen of each word, and the steps seen of each thread. */
struct model_view {
	uint8_t at[MODEL_VIEW];
};
/* All zero: free.  Model of a mutex: lock is an acquire, unlock a release. */
struct model_lock {
	bool held;
	struct model_view view;
};
/* All zero: closed.  A counter to sleep on, as a futex word is. */
struct model_gate {
	int posts;
	struct model_view view;
};

#define model_assert(cond)                                                                         \
	do {                                                                                       \
		if (!(cond))                                                                       \
			model_fail("%s:%d: %s", __FILE__, __LINE__, #cond);                        \
	} while (0)
void model_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
bool model_mutated(const char *name);
/* 0 .. n-1, every one in some execution; allowed in setup. */
int model_choose(int n);
/* In setup: how the trace calls the word (or array of words) at p. */
void model_name(const void *p, size_t bytes, const char *name);
/* In setup: every load from here that a following successful cas of the same thread confirms must
 * come before the next store, by acquire and release (the machine cannot show a load that is late).
 */
void model_watch(const void *p, size_t bytes);
void model_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void model_lock(struct model_lock *);
void model_unlock(struct model_lock *);
void model_post(struct model_gate *);
void model_wait(struct model_gate *);
/* As model_wait, but goes on as a gthread does on another worker: knows what the poster knew when
 * it posted, and nothing that it knew itself before. */
void model_wait_moved(struct model_gate *);
/* Waits for ghost state. */
void model_block(bool (*ready)(int arg), int arg);

uint64_t model_plain_read(struct model_site *, const volatile void *p);
void model_plain_write(struct model_site *, volatile void *p, uint64_t v);
#define plain_read(p) MODEL_AS(p, model_plain_read(MODEL_AT(MODEL_LOAD, MODEL_RELAXED, p), (p)))
#define plain_write(p, v)                                                                          \
	model_plain_write(MODEL_AT(MODEL_STORE, MODEL_RELAXED, p), (p), MODEL_BITS(v))

/* --- Between model.c and model_memory.c ----------------------------------------------------------
 */

void model_point(void);	      /* before every step: another thread may go first */
int model_choose_late(int n); /* as model_choose; anything but 0 is counted against `late` */
extern int model_running;     /* number of the running thread; written by model.c only */
extern bool model_tracing;    /* as is this: callers skip the work of describing a step */
void model_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
enum model_effect model_effect_of(struct model_site *);

void model_memory_reset(enum model_machine, bool forget_names);
void model_memory_settle(void); /* end of an execution: all stores arrive */

#endif
