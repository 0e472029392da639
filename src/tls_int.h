/* What tls.c and tls_modules.c share: the fixed part of a thread control block.  Included by these
 * only. */
#ifndef GHI_TLS_INT_H
#define GHI_TLS_INT_H

#include "src/tls.h"

/* tcbhead_t, x86-64: fixed by the ABI since compilers address some of it. */
enum {
	HEAD_TCB = 0,
	HEAD_DTV = 8,
	HEAD_SELF = 16,
	HEAD_MULTIPLE = 24,
	HEAD_GSCOPE = 28, /* in the middle of a look-up by the loader */
	HEAD_COPY = 32,
	HEAD_COPY_END = 56 /* sysinfo, stack guard, pointer guard */
};

#define AT(base, off, type) (*(type *)((uintptr_t)(base) + (uintptr_t)(off)))

/* An address in libc, also one that only its symbol table has; while it is probed. */
void *ghi_tls_symbol(const char *name);
/* The offset that one of libc's descriptors for debuggers tells, or -1. */
ptrdiff_t ghi_tls_field(const char *name);

/* tls_modules.c */
void ghi_tls_modules_probe(void);
/* Every module's thread-local data as in a new thread, except libc's own. */
void ghi_tls_modules_refresh(uintptr_t tcb, bool forked);
void ghi_tls_modules_after_fork(void);

#endif
