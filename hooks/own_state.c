/* What the kernel keeps per thread and a switch cannot carry along: credentials set for one thread,
 * capabilities, namespaces, system call filters, tracing.
 *
 * Owns: the list of such calls, and the hooks on libc's functions for them.  Called by: the
 * program, raw.c, identity.c.  Must not know: how a gthread comes to a kernel thread (src/own.h).
 */
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "hooks/hook.h"
#include "src/own.h"

static bool prctl_changes(long op, long arg)
{
	switch (op) {
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_KEEPCAPS:
	case PR_SET_SECUREBITS:
	case PR_SET_SECCOMP:
	case PR_SET_TSC:
	case PR_SET_SPECULATION_CTRL:
	case PR_SET_IO_FLUSHER:
	case PR_CAPBSET_DROP:
	case PR_MCE_KILL:
	case 59: /* PR_SET_SYSCALL_USER_DISPATCH */
	case 62: /* PR_SCHED_CORE */
		return true;
	case PR_CAP_AMBIENT:
		return arg != PR_CAP_AMBIENT_IS_SET;
	}
	return false;
}

static bool changes(long nr, long a, long b)
{
	switch (nr) {
	case SYS_setuid:
	case SYS_setgid:
	case SYS_setreuid:
	case SYS_setregid:
	case SYS_setresuid:
	case SYS_setresgid:
	case SYS_setgroups:
	case SYS_capset:
	case SYS_unshare:
	case SYS_setns:
	case SYS_ptrace:
	case SYS_add_key: /* keyrings of a thread */
	case SYS_keyctl:
	case SYS_request_key:
	case SYS_set_mempolicy:
	case SYS_arch_prctl:
	case SYS_ioperm:
	case SYS_iopl:
	case 446: /* landlock_restrict_self */
		return true;
	case SYS_setfsuid:
	case SYS_setfsgid:
		return (int)a != -1; /* a question */
	case SYS_personality:
		return (unsigned)a != ~0u;
	case SYS_seccomp: /* with TSYNC it is for all threads */
		return a == SECCOMP_SET_MODE_STRICT ||
		       (a == SECCOMP_SET_MODE_FILTER && !(b & SECCOMP_FILTER_FLAG_TSYNC));
	case SYS_perf_event_open:
		return b == 0; /* counts the caller */
	case SYS_prctl:
		return prctl_changes(a, b);
	}
	return false;
}

long ghi_own_before(struct ghi_gthread *self, long nr, long a, long b)
{
	return changes(nr, a, b) ? ghi_own_thread(self) : 0;
}

#define OWN(name, params, nr, a, ...)                                                              \
	EXPORT int name params                                                                     \
	{                                                                                          \
		HOOK_ENTER(self, REAL(name)(__VA_ARGS__));                                         \
		long r = ghi_own_before(self, nr, (long)(a), 0);                                   \
		return r < 0 ? (int)ghi_ret(r) : REAL(name)(__VA_ARGS__);                          \
	}

OWN(setfsuid, (uid_t u), SYS_setfsuid, u, u)
OWN(setfsgid, (gid_t g), SYS_setfsgid, g, g)
OWN(capset, (void *header, const void *data), SYS_capset, 0, header, data)
OWN(unshare, (int flags), SYS_unshare, flags, flags)
OWN(setns, (int fd, int type), SYS_setns, fd, fd, type)
OWN(personality, (unsigned long what), SYS_personality, what, what)

EXPORT long ptrace(enum __ptrace_request request, ...)
{
	va_list ap;
	va_start(ap, request);
	pid_t pid = va_arg(ap, pid_t);
	void *addr = va_arg(ap, void *), *data = va_arg(ap, void *);
	va_end(ap);
	HOOK_ENTER(self, REAL(ptrace)((int)request, pid, addr, data));
	long r = ghi_own_before(self, SYS_ptrace, 0, 0);
	return r < 0 ? ghi_ret(r) : REAL(ptrace)((int)request, pid, addr, data);
}
