/* FUTEX_* for the hooks of system calls by number; see futex.c. */
#ifndef GHI_HOOK_FUTEX_H
#define GHI_HOOK_FUTEX_H

#include <stdbool.h>

struct ghi_gthread;
/* syscall(SYS_futex, a[0], ...): a result or -errno.  NULL: a kernel thread, which only wakes. */
long ghi_futex(struct ghi_gthread *self, const long a[6]);
bool ghi_futex_is_wake(int op);

#endif
