/* Fault injection into the runtime's kernel calls (make FAULTS=1; docs/testing.md).
 *
 * Owns: what a call site is, and the question each asks before its system call.  Called by: sys.h
 * alone, and only in that build: in all others nothing of this is compiled.  Must not know: libc,
 * thread-local storage, who calls.
 *
 * A site is a system call in a function.  Its kind tells whose call it is: the runtime's own, whose
 * failure the program must not see unless it could see one like it natively; or the program's,
 * which a hook forwards and whose error is the program's to handle.
 */
#ifndef GHI_BASE_FAULT_H
#define GHI_BASE_FAULT_H

#ifdef GREENHOOK_FAULTS
#include <stdbool.h>

/* Added to SYS_futex: which half of it. */
#define GHI_FAULT_WAIT 10000
#define GHI_FAULT_WAKE 20000

enum ghi_fault_kind { GHI_FAULT_OWN, GHI_FAULT_PROGRAM };

struct ghi_fault_site {
	const char *func;
	long nr; /* -1: not known before it is called */
	int kind;
	int cached; /* 1 + the record of the number it was called with last; 0: none */
	long cached_nr;
};

/* 0: make the call; else the result it is to have.  *ret_after: the call is made all the same. */
long ghi_fault_ask(struct ghi_fault_site *site, long nr, int *ret_after);
/* Reads GREENHOOK_FAULT and GREENHOOK_FAULT_TABLE. */
void ghi_fault_load(char **envp);
/* At the end of the process: how many descriptors are open, in the table. */
void ghi_fault_count_descriptors(bool (*is_own)(int), bool inert);

#define GHI_FAULT(kind_, nr_, call_)                                                               \
	({                                                                                         \
		static struct ghi_fault_site site_                                                 \
		    __attribute__((section("ghi_faults"), aligned(8))) = {                         \
			.func = __func__,                                                          \
			.nr = __builtin_choose_expr(__builtin_constant_p(nr_), nr_, -1),           \
			.kind = kind_,                                                             \
		    };                                                                             \
		int after_ = 0;                                                                    \
		long fault_ = ghi_fault_ask(&site_, (long)(nr_), &after_);                         \
		long made_ = fault_ && !after_ ? 0 : (long)(call_);                                \
		fault_ ? fault_ : made_;                                                           \
	})

#else
#define GHI_FAULT(kind_, nr_, call_) (call_)
#endif
#endif
