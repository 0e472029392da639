/* What the files of the explorer's memory share: words, names, and what each thread knows.
 *
 * Owns: the data of the two machines.  Included by: model_words.c (the tables), model_tso.c and
 * model_weak.c (a machine each), model_memory.c (the operations), model_sync.c (locks, gates).
 * Must not know: schedules, protocols.
 */
#ifndef GHI_TESTS_MODEL_MACHINE_H
#define GHI_TESTS_MODEL_MACHINE_H

#include "tests/model.h"

#include <string.h>

enum { MODEL_STORES = 96, MODEL_BUFFER = 32, MODEL_COPIES = 8 };

struct model_word {
	const volatile void *p;
	uint8_t size;
	bool watched;
	/* WEAK: all its stores, oldest first; 0: not used in this execution yet */
	int stores;
	uint64_t value[MODEL_STORES];
	struct model_view view[MODEL_STORES];
	/* plain accesses and confirmed copies: the step of each thread that must have been seen */
	uint8_t written[MODEL_THREADS], read[MODEL_THREADS];
};

struct model_thread {
	/* WEAK: known; seen but not acquired; known at the last fence */
	struct model_view now, acquired, released;
	uint8_t clock;
	int copies; /* watched words loaded since the last cas */
	struct {
		struct model_word *word;
		uint8_t clock;
	} copy[MODEL_COPIES];
	/* TSO: stores that did not arrive yet, oldest first */
	int buffered;
	struct {
		volatile void *p;
		uint64_t v;
		uint8_t size;
	} buffer[MODEL_BUFFER];
	/* the store that a MODEL_LATE mutant holds back */
	struct model_site *held;
	volatile void *held_p;
	uint64_t held_v;
};

extern enum model_machine model_machine;
extern struct model_thread model_threads[MODEL_THREADS];
extern struct model_view model_fence_view;

static inline struct model_thread *model_me(void)
{
	return &model_threads[model_running];
}

static inline void model_join(struct model_view *to, const struct model_view *from)
{
	/* As vectors, because not every compiler finds this loop worth it. */
	typedef uint8_t part __attribute__((vector_size(16)));
	for (int i = 0; i < MODEL_VIEW; i += sizeof(part)) {
		part a, b;
		memcpy(&a, to->at + i, sizeof(a));
		memcpy(&b, from->at + i, sizeof(b));
		part larger = (part)(a > b);
		a = (a & larger) | (b & ~larger);
		memcpy(to->at + i, &a, sizeof(a));
	}
}

/* A step that others must have seen: the running thread's clock goes on. */
static inline uint8_t model_tick(void)
{
	struct model_thread *c = model_me();
	if (c->clock == UINT8_MAX)
		model_fail("explorer: too many plain accesses in one execution");
	return c->now.at[model_running] = ++c->clock;
}

/* Memory itself: holds the stores that arrived, on WEAK the newest. */
static inline uint64_t model_peek(const volatile void *p, int size)
{
	uint64_t v = 0;
	memcpy(&v, (const void *)p, size);
	return v;
}

static inline void model_poke(volatile void *p, int size, uint64_t v)
{
	memcpy((void *)p, &v, size);
}

static inline uint64_t model_cut(uint64_t v, int size)
{
	return size == 8 ? v : v & ((1ull << 8 * size) - 1);
}

struct model_word *model_word_at(const volatile void *p, int size);
int model_index_of(const struct model_word *);
const char *model_name_of(const volatile void *p, int size, const char *otherwise);

void model_tso_arrive(int thread, int n); /* its n oldest stores */
void model_tso_drain(void);		  /* all stores of the running thread */
void model_tso_settle(const volatile void *p);
uint64_t model_tso_load(const volatile void *p, int size);
void model_tso_store(volatile void *p, int size, uint64_t v);

void model_weak_append(struct model_word *, uint64_t v, const struct model_view *base,
		       bool release);
void model_weak_observe(struct model_word *, int n, bool acquire);
uint64_t model_weak_load(struct model_word *, bool acquire);
bool model_weak_cas_fails_early(struct model_word *, uint64_t exp, bool acquire,
				uint64_t *ret_seen);
void model_weak_confirm_copies(bool confirmed);

#endif
