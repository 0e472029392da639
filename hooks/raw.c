/* syscall(): the calls that programs make by number and that must see gthreads.
 * Futexes are in futex.c.
 */
#include <linux/futex.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "hooks/futex.h"
#include "hooks/hook.h"
#include "hooks/offload.h"
#include "hooks/priority.h"
#include "src/sync/word.h"
#include "src/tls.h"

/* A gthread's list of robust mutexes is in its own TCB, as libc's is; the kernel thread has none.
 */
static long robust_list(struct ghi_gthread *self, long nr, long a, long b, long c)
{
	struct robust_list_head *mine = (void *)(self->tp + (uintptr_t)ghi_libc.robust);

	if (nr == SYS_set_robust_list && b != sizeof(*mine))
		return -EINVAL;
	if (nr == SYS_set_robust_list)
		return (void *)a == mine ? 0 : ghi_sys_program(nr, a, b);
	if (a != 0 && a != self->tid)
		return ghi_sys_program(nr, a, b, c);
	size_t size = sizeof(*mine);
	if (ghi_copy_out((void *)c, &size, sizeof(size)) < 0)
		return -EFAULT;
	return ghi_copy_out((void *)b, &mine, sizeof(mine));
}

/* syscall(nr, ...) for calls about descriptors (raw_fd.c). */
bool ghi_raw_descriptor(long nr, const long a[6], long *ret);

/* What the kernel or a kill() says of itself one may say to oneself only. */
static long raw_queue(pid_t pid, pid_t tid, int sig, const siginfo_t *info)
{
	struct ghi_gthread *g = pid == sys_getpid() ? ghi_gthread_by_tid(tid) : NULL;
	siginfo_t copy;
	if (!g)
		return ghi_ret(ghi_sys_program(SYS_rt_tgsigqueueinfo, pid, tid, sig, info));
	if (ghi_copy_in(&copy, info, sizeof(copy)) < 0)
		return ghi_ret(-EFAULT);
	if ((copy.si_code >= 0 || copy.si_code == SI_TKILL) && g != ghi_self())
		return ghi_ret(-EPERM);
	return ghi_ret(-ghi_signal_send(g, sig, &copy));
}

/* To the process: only the initial thread's id is the process's. */
static long raw_queue_process(struct ghi_gthread *self, pid_t pid, int sig, const siginfo_t *info)
{
	int code = 0;
	pid = ghi_process_of_thread(pid);
	if (pid == sys_getpid() && self != ghi_runtime_main() &&
	    ghi_copy_in(&code, &info->si_code, sizeof(code)) == 0 &&
	    (code >= 0 || code == SI_TKILL))
		return ghi_ret(-EPERM);
	return ghi_ret(ghi_sys_program(SYS_rt_sigqueueinfo, pid, sig, info));
}

/* The kernel's set of signals is shorter than libc's. */
static int raw_sigprocmask(int how, const uint64_t *set, uint64_t *old)
{
	sigset_t s = {0}, o;
	if (set && ghi_copy_in(&s, set, sizeof(*set)) < 0)
		return (int)ghi_ret(-EFAULT);
	int r = sigprocmask(how, set ? &s : NULL, &o);
	return r == 0 && old ? (int)ghi_ret(ghi_copy_out(old, &o, sizeof(*old))) : r;
}

EXPORT long syscall(long nr, ...)
{
	va_list ap;
	va_start(ap, nr);
	long a = va_arg(ap, long), b = va_arg(ap, long), c = va_arg(ap, long);
	long d = va_arg(ap, long), e = va_arg(ap, long), f = va_arg(ap, long);
	va_end(ap);
	struct ghi_gthread *self = ghi_hook_self();

	if (nr == SYS_futex && self) {
		long r = ghi_futex(self, (const long[6]){a, b, c, d, e, f});
		if (r > 0 && ghi_futex_is_wake((int)b))
			MAKE_WAY((void *)a);
		return ghi_ret(r);
	}
	if (self) {
		switch (nr) {
		case SYS_gettid:
			return gettid();
		case SYS_tgkill:
			return tgkill((pid_t)a, (pid_t)b, (int)c);
		case SYS_tkill:
			return tgkill(sys_getpid(), (pid_t)a, (int)b);
		case SYS_kill:
			return kill((pid_t)a, (int)b);
		case SYS_rt_sigqueueinfo:
			return raw_queue_process(self, (pid_t)a, (int)b, (const siginfo_t *)c);
		case SYS_getpgid:
			return getpgid((pid_t)a);
		case SYS_getsid:
			return getsid((pid_t)a);
		case SYS_setpgid:
			return setpgid((pid_t)a, (pid_t)b);
		case SYS_prlimit64:
			return prlimit64((pid_t)a, (__rlimit_resource_t)b,
					 (const struct rlimit64 *)c, (struct rlimit64 *)d);
		case SYS_rt_tgsigqueueinfo:
			return raw_queue((pid_t)a, (pid_t)b, (int)c, (const siginfo_t *)d);
		case SYS_rt_sigprocmask: /* the books on the mask */
			return d == 8 ? raw_sigprocmask((int)a, (const uint64_t *)b, (uint64_t *)c)
				      : ghi_ret(-EINVAL);
		case SYS_set_tid_address: /* where the end of a kernel thread is told stays its own
					   */
			return self->tid;
		case SYS_get_robust_list:
		case SYS_set_robust_list:
			if (ghi_libc.robust >= 0)
				return ghi_ret(robust_list(self, nr, a, b, c));
			break;
		case SYS_sched_yield:
			return sched_yield();
		case SYS_fork:
		case SYS_vfork:
		case SYS_clone:
		case SYS_clone3: {
			long r;
			if (ghi_process_raw_fork(nr, (const long[6]){a, b, c, d, e, f}, &r))
				return ghi_ret(r);
			break;
		}
		case SYS_exit: /* the thread, not the kernel thread that happens to run it */
			pthread_exit((void *)a);
		case SYS_sched_setaffinity:
		case SYS_sched_getaffinity:
			return ghi_ret(ghi_scheduling_affinity(self, nr == SYS_sched_setaffinity,
							       (pid_t)a, (size_t)b, (void *)c));
		case SYS_clock_gettime:
			return clock_gettime((clockid_t)a, (struct timespec *)b);
		case SYS_clock_getres:
			return clock_getres((clockid_t)a, (struct timespec *)b);
		case SYS_prctl:
			return prctl((int)a, b, c, d, e);
		case SYS_rseq: /* one area per kernel thread, which would follow no gthread */
			return ghi_ret(ghi_libc.rseq_off ? -EINVAL : -ENOSYS);
		case SYS_getrusage:
			return getrusage((__rusage_who_t)a, (struct rusage *)b);
		case SYS_wait4:
			return wait4((pid_t)a, (int *)b, (int)c, (struct rusage *)d);
		case SYS_waitid:
			return ghi_ret(ghi_waitid(self, (int)a, b, (siginfo_t *)c, (int)d,
						  (struct rusage *)e));
		case SYS_execve:
			return execve((const char *)a, (char **)b, (char **)c);
		case SYS_execveat:
			return execveat((int)a, (const char *)b, (char **)c, (char **)d, (int)e);
		}
		long r;
		if (ghi_raw_descriptor(nr, (const long[6]){a, b, c, d, e, f}, &r))
			return r;
		if (ghi_priority_number(nr))
			return ghi_ret(ghi_priority_call(self, nr, a, b, c, d));
		if ((r = ghi_own_before(self, nr, a, b)) < 0)
			return ghi_ret(r);
	}
	/* Kernel threads sleep in the kernel, and wake gthreads as well. */
	if (nr == SYS_futex && ghi_runtime_running() && ghi_futex_is_wake((int)b))
		return ghi_ret(ghi_futex(NULL, (const long[6]){a, b, c, d, e, f}));
	return ghi_ret(BLOCKING_MAYBE(self, ghi_sys_program(nr, a, b, c, d, e, f)));
}
