/* syscall(): the calls that programs make by number and that must see gthreads.
 *
 * FUTEX_WAIT parks in the lot; FUTEX_WAKE wakes the lot first and then the kernel's queue, where
 * kernel threads and code that makes system calls inline may sleep.
 */
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "hooks/hook.h"
#include "hooks/offload.h"
#include "hooks/priority.h"
#include "src/lot.h"
#include "src/tls.h"

struct futex_wait {
	uint32_t *word;
	uint32_t val;
};

static bool unchanged(void *arg)
{
	struct futex_wait *f = arg;
	return load_acquire(f->word) == f->val;
}

static long futex_wait(struct ghi_gthread *self, uint32_t *word, int op, uint32_t val,
		       const struct timespec *t, uint32_t bits)
{
	struct futex_wait f = {word, val};
	uint64_t deadline = GHI_NEVER;

	if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && !bits)
		return -EINVAL;
	if ((uintptr_t)word % 4)
		return -EINVAL;
	struct timespec limit;
	if (t) {
		if (ghi_copy_in(&limit, t, sizeof(limit)) < 0)
			return -EFAULT;
		t = &limit;
		if (ghi_ts_invalid(t) || t->tv_sec < 0)
			return -EINVAL;
		if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT)
			deadline = ghi_deadline_in(ghi_ts_to_ns(t));
		else
			deadline = ghi_deadline_at(
			    op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, t);
	}
	self->sig_ran = 0;
	for (;;) {
		struct ghi_lot_wait w = {.key = word,
					 .validate = unchanged,
					 .arg = &f,
					 .bits = bits,
					 .deadline = deadline,
					 .why = GHI_PARK_FUTEX,
					 .uninterruptible = true}; /* no cancellation point */
		int r = HOOK_WAIT(self, ghi_lot_wait(&w));
		if (r == -EINTR || r == -ECANCELED) {
			if (self->sig_ran & (t ? GHI_SIG_RAN : GHI_SIG_RAN_NORESTART))
				return -EINTR;
			self->sig_ran = 0; /* it begins again */
			continue;
		}
		return r;
	}
}

static long futex_wake(uint32_t *word, int op, int n, uint32_t bits)
{
	if ((op & FUTEX_CMD_MASK) == FUTEX_WAKE_BITSET && !bits)
		return -EINVAL;
	int woken = ghi_lot_wake(word, n, bits, NULL, NULL);
	if (woken >= n)
		return woken;
	long more = ghi_sys_program(SYS_futex, word, op, n - woken, NULL, NULL, bits);
	return more < 0 ? (woken ? woken : more) : woken + more;
}

static long futex_requeue(uint32_t *word, int op, int n, int m, uint32_t *to, uint32_t val)
{
	bool cmp = (op & FUTEX_CMD_MASK) == FUTEX_CMP_REQUEUE;
	struct futex_wait f = {word, val};
	int moved = 0;
	int woken = ghi_lot_requeue(word, to, n, m, cmp ? unchanged : NULL, &f, &moved);
	if (woken < 0 || (woken >= n && moved >= m))
		return woken < 0 ? woken : woken + moved;
	/* The kernel too answers woken and moved together, for both operations. */
	long more = ghi_sys_program(SYS_futex, word, op, n - woken, m - moved, to, val);
	return woken + moved + (more > 0 ? more : 0);
}

/* What the second word becomes, and the comparison with what it was (futex(2), FUTEX_WAKE_OP). */
static bool wake_op(uint32_t *word, uint32_t code)
{
	int32_t oparg = (int32_t)(code << 8) >> 20, cmparg = (int32_t)(code << 20) >> 20;
	uint32_t old = load_relaxed(word), next;
	int op = code >> 28 & 7;

	if (code >> 28 & 8)
		oparg = (int32_t)(1u << (oparg & 31));
	do
		switch (op) {
		case FUTEX_OP_SET:
			next = (uint32_t)oparg;
			break;
		case FUTEX_OP_ADD:
			next = old + (uint32_t)oparg;
			break;
		case FUTEX_OP_OR:
			next = old | (uint32_t)oparg;
			break;
		case FUTEX_OP_ANDN:
			next = old & ~(uint32_t)oparg;
			break;
		default:
			next = old ^ (uint32_t)oparg;
		}
	while (!cas_acq_rel(word, &old, next));
	int32_t was = (int32_t)old;
	switch (code >> 24 & 15) {
	case FUTEX_OP_CMP_EQ:
		return was == cmparg;
	case FUTEX_OP_CMP_NE:
		return was != cmparg;
	case FUTEX_OP_CMP_LT:
		return was < cmparg;
	case FUTEX_OP_CMP_LE:
		return was <= cmparg;
	case FUTEX_OP_CMP_GT:
		return was > cmparg;
	default:
		return was >= cmparg;
	}
}

static long futex(struct ghi_gthread *self, long a, long b, long c, long d, long e, long f)
{
	uint32_t *word = (uint32_t *)a;
	int op = (int)b;

	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		return futex_wait(self, word, op, (uint32_t)c, (const struct timespec *)d, ~0u);
	case FUTEX_WAIT_BITSET:
		return futex_wait(self, word, op, (uint32_t)c, (const struct timespec *)d,
				  (uint32_t)f);
	case FUTEX_WAKE:
		return futex_wake(word, op, (int)c, ~0u);
	case FUTEX_WAKE_BITSET:
		return futex_wake(word, op, (int)c, (uint32_t)f);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(word, op, (int)c, (int)d, (uint32_t *)e, (uint32_t)f);
	case FUTEX_WAKE_OP: {
		int flag = op & FUTEX_PRIVATE_FLAG;
		bool also = wake_op((uint32_t *)e, (uint32_t)f);
		long n = futex_wake(word, FUTEX_WAKE | flag, (int)c, ~0u);
		return also ? n + futex_wake((uint32_t *)e, FUTEX_WAKE | flag, (int)d, ~0u) : n;
	}
	default:
		return BLOCKING(self, ghi_sys_program(SYS_futex, a, b, c, d, e, f));
	}
}

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

	/* A futex that other processes may share is the kernel's. */
	if (nr == SYS_futex && self && (b & FUTEX_PRIVATE_FLAG))
		return ghi_ret(futex(self, a, b, c, d, e, f));
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
		case SYS_futex:
			return ghi_ret(BLOCKING(self, ghi_sys_program(nr, a, b, c, d, e, f)));
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
	/* Private futexes of kernel threads must meet gthreads in the lot; they wake both. */
	if (nr == SYS_futex && ghi_runtime_running() && (b & FUTEX_PRIVATE_FLAG) &&
	    ((b & FUTEX_CMD_MASK) == FUTEX_WAKE || (b & FUTEX_CMD_MASK) == FUTEX_WAKE_BITSET))
		return ghi_ret(futex_wake((uint32_t *)a, (int)b, (int)c,
					  (b & FUTEX_CMD_MASK) == FUTEX_WAKE ? ~0u : (uint32_t)f));
	return ghi_ret(BLOCKING_MAYBE(self, ghi_sys_program(nr, a, b, c, d, e, f)));
}
