/* The only spelling of atomics in the runtime: the memory order is part of every name.
 *
 * Owns: nothing.  Called by: everything.  Must not know: what the words mean.
 *
 * The protocol headers in src/proto/ are compiled twice: into the runtime with the compiler's
 * builtins below, and into the explorer of tests/ with GHI_MODEL defined, where every operation is
 * a scheduling point of a simulated machine with store buffers (tests/model_atomic.h).
 */
#ifndef GHI_BASE_ATOMIC_H
#define GHI_BASE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef GHI_MODEL
#include "tests/model_atomic.h"
#else

#define load_relaxed(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define xchg_acq_rel(p, v)	__atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define fetch_add_acq_rel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define fetch_or_acq_rel(p, v)	__atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
#define fetch_and_acq_rel(p, v) __atomic_fetch_and((p), (v), __ATOMIC_ACQ_REL)
/* Strong compare-and-swap; on failure *(exp) holds the value seen.  True when the swap was done. */
#define cas_acq_rel(p, exp, v)                                                                     \
	__atomic_compare_exchange_n((p), (exp), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define cas_acquire(p, exp, v)                                                                     \
	__atomic_compare_exchange_n((p), (exp), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)
#define cas_release(p, exp, v)                                                                     \
	__atomic_compare_exchange_n((p), (exp), (v), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
#define fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)

#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#else
#define cpu_relax() __asm__ volatile("yield" ::: "memory")
#endif

#endif /* GHI_MODEL */
#endif
