/* The atomics of src/base/atomic.h as steps of the explorer's simulated machine.
 *
 * Owns: the translation from the names of base/atomic.h to calls of the explorer.  Included by:
 * base/atomic.h when GHI_MODEL is defined, so that the protocol headers of src/proto/ run
 * unchanged. Must not know: which protocol runs, nor how the machine orders memory
 * (model_memory.c).
 *
 * Every operation carries its site: the function and the address expression it was written with.
 * The trace prints it, and a mutant is found by it, so the headers need no mutation marks.
 */
#ifndef GHI_TESTS_MODEL_ATOMIC_H
#define GHI_TESTS_MODEL_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

enum model_op {
	MODEL_LOAD,
	MODEL_STORE,
	MODEL_ADD,
	MODEL_OR,
	MODEL_AND,
	MODEL_XCHG,
	MODEL_CAS,
	MODEL_FENCE
};
/* A set: an operation may be both. */
enum model_order { MODEL_RELAXED = 0, MODEL_ACQUIRE = 1, MODEL_RELEASE = 2, MODEL_ACQ_REL = 3 };

struct model_site {
	const char *func, *expr;
	uint8_t op, order, size;
	uint8_t effect; /* what the present mutant does here, an enum model_effect ... */
	unsigned run;	/* ... looked up in this run of the explorer */
};

uint64_t model_load(struct model_site *, const volatile void *p);
void model_store(struct model_site *, volatile void *p, uint64_t v);
uint64_t model_rmw(struct model_site *, volatile void *p, uint64_t v);
bool model_cas(struct model_site *, volatile void *p, uint64_t *exp, uint64_t v);
void model_fence(struct model_site *);
void model_relax(void);

#define MODEL_SITE(op_, order_, p, size_)                                                          \
	({                                                                                         \
		static struct model_site site_ = {__func__, #p, op_, order_, size_, 0, 0};         \
		&site_;                                                                            \
	})
#define MODEL_AT(op_, order_, p) MODEL_SITE(op_, order_, p, sizeof(*(p)))
/* Any integer or pointer to 64 bits and back. */
#define MODEL_BITS(v)	  ((uint64_t)(uintptr_t)(v))
#define MODEL_AS(p, bits) ((__typeof__(*(p)))(uintptr_t)(bits))

#define MODEL_DO_LOAD(p, order_) MODEL_AS(p, model_load(MODEL_AT(MODEL_LOAD, order_, p), (p)))
#define MODEL_DO_STORE(p, v, order_)                                                               \
	model_store(MODEL_AT(MODEL_STORE, order_, p), (p), MODEL_BITS(v))
#define MODEL_DO_RMW(op_, p, v, order_)                                                            \
	({ /* in braces: a caller may drop the value */                                            \
	   uint64_t old_ = model_rmw(MODEL_AT(op_, order_, p), (p), MODEL_BITS(v));                \
	   MODEL_AS(p, old_);                                                                      \
	})
#define MODEL_DO_CAS(p, exp, v, order_)                                                            \
	({                                                                                         \
		uint64_t exp_ = MODEL_BITS(*(exp));                                                \
		bool done_ = model_cas(MODEL_AT(MODEL_CAS, order_, p), (p), &exp_, MODEL_BITS(v)); \
		if (!done_)                                                                        \
			*(exp) = MODEL_AS(exp, exp_);                                              \
		done_;                                                                             \
	})

#define load_relaxed(p)		MODEL_DO_LOAD(p, MODEL_RELAXED)
#define load_acquire(p)		MODEL_DO_LOAD(p, MODEL_ACQUIRE)
#define store_relaxed(p, v)	MODEL_DO_STORE(p, v, MODEL_RELAXED)
#define store_release(p, v)	MODEL_DO_STORE(p, v, MODEL_RELEASE)
#define xchg_acq_rel(p, v)	MODEL_DO_RMW(MODEL_XCHG, p, v, MODEL_ACQ_REL)
#define fetch_add_relaxed(p, v) MODEL_DO_RMW(MODEL_ADD, p, v, MODEL_RELAXED)
#define fetch_add_acq_rel(p, v) MODEL_DO_RMW(MODEL_ADD, p, v, MODEL_ACQ_REL)
#define fetch_or_acq_rel(p, v)	MODEL_DO_RMW(MODEL_OR, p, v, MODEL_ACQ_REL)
#define fetch_and_acq_rel(p, v) MODEL_DO_RMW(MODEL_AND, p, v, MODEL_ACQ_REL)
#define cas_acq_rel(p, exp, v)	MODEL_DO_CAS(p, exp, v, MODEL_ACQ_REL)
#define cas_acquire(p, exp, v)	MODEL_DO_CAS(p, exp, v, MODEL_ACQUIRE)
#define cas_release(p, exp, v)	MODEL_DO_CAS(p, exp, v, MODEL_RELEASE)
#define fence_seq_cst()		model_fence(MODEL_SITE(MODEL_FENCE, MODEL_ACQ_REL, , 0))
#define cpu_relax()		model_relax()

#endif
