/* fork in all its forms, and the set*id families.
 *
 * set*id: the kernel changes the credentials of one kernel thread; POSIX wants the process.  libc
 * signals the threads on its own lists, of which gthreads are no kernel threads and workers are
 * unknown (the classic hang), so the change is broadcast to every kernel thread of the process.
 */
#include <grp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>

#include "hooks/hook.h"
#include "hooks/offload.h"
#include "src/control.h"
#include "src/private_page.h"
#include "src/runtime.h"
#include "src/sync/sync.h"

/* However the child was made. */
static void begin_child(void)
{
	ghi_runtime_fork_child();
	ghi_gate_after_fork();
}

static void in_child(void)
{
	begin_child();
	ghi_once_after_fork();
	ghi_spawn_after_fork();
}

void ghi_process_atfork(void)
{
	static uint32_t done;
	if (xchg_acq_rel(&done, 1u))
		return;
	/* First in: last called before the fork and first after it, on both sides, so that all
	 * handlers of the program find a world in order, also when libc forks inside (daemon). */
	(void)REAL(__register_atfork)(ghi_runtime_fork_prepare, ghi_runtime_fork_parent, in_child,
				      NULL);
}

/* What pthread_atfork calls: a library's constructor may come before ours. */
EXPORT int __register_atfork(ghi_void_fn prepare, ghi_void_fn parent, ghi_void_fn child, void *dso)
{
	if (ghi_config.enabled)
		ghi_process_atfork();
	return REAL(__register_atfork)(prepare, parent, child, dso);
}

EXPORT pid_t fork(void)
{
	return REAL(fork)(); /* the rest is done by the handlers above */
}

/* Without atfork handlers, so ours do not run by themselves. */
static long fork_by(long nr, const long *a)
{
	ghi_runtime_fork_prepare();
	long r = ghi_sys_program(nr, a[0], a[1], a[2], a[3], a[4]);
	if (r == 0)
		begin_child();
	else
		ghi_runtime_fork_parent();
	return r;
}

EXPORT pid_t _Fork(void)
{
	static const long plain[6] = {SIGCHLD};
	if (!real._Fork)
		return (pid_t)ghi_ret(fork_by(SYS_clone, plain));
	ghi_runtime_fork_prepare();
	pid_t pid = real._Fork();
	if (pid == 0)
		begin_child();
	else
		ghi_runtime_fork_parent();
	return pid;
}

/* syscall(SYS_fork, ...): true when the call makes a process with memory of its own. */
bool ghi_process_raw_fork(long nr, const long *a, long *ret)
{
	if (nr == SYS_clone3 || (nr == SYS_clone && ((a[0] & CLONE_VM) || a[1]))) {
		uint64_t args[6]; /* struct clone_args: flags first, stack sixth */
		if (nr == SYS_clone || a[1] < 64 ||
		    ghi_copy_in(args, (void *)a[0], sizeof(args)) < 0 || (args[0] & CLONE_VM) ||
		    args[5]) {
			ghi_page_kernel_wakes();
			return false;
		}
	}
	if (nr == SYS_vfork) /* its return address would not survive: a copy is as good */
		*ret = fork_by(SYS_fork, a);
	else if (nr == SYS_fork || nr == SYS_clone || nr == SYS_clone3)
		*ret = fork_by(nr, a);
	else
		return false;
	return true;
}

/* Without destructors, so what the runtime does at the end is done here.  Not in the child of a
 * vfork or of a fork that made no thread: the name is its parent's. */
EXPORT void _exit(int status)
{
	if (ghi_runtime_pid() == sys_getpid())
		ghi_control_end();
	REAL(_exit)(status);
	__builtin_unreachable();
}

struct clone_start {
	int (*fn)(void *);
	void *arg;
};

static int clone_child(void *arg)
{
	struct clone_start s = *(struct clone_start *)arg;
	begin_child();
	int status = s.fn(s.arg);
	if (ghi_self()) /* libc would end this kernel thread, and leave the runtime's */
		ghi_sys_program(SYS_exit_group, status);
	return status;
}

/* A child with memory of its own is a fork; one that shares ours while the caller waits, a vfork.
 * One that runs beside us on the caller's thread block is the program's own risk, as natively. */
EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list ap;
	va_start(ap, arg);
	void *ptid = va_arg(ap, void *), *tls = va_arg(ap, void *), *ctid = va_arg(ap, void *);
	va_end(ap);
	struct clone_start s = {fn, arg};
	int r;

	if (fn && stack && !(flags & CLONE_VM)) {
		ghi_runtime_fork_prepare();
		r = REAL(clone)(clone_child, stack, flags, &s, ptid, tls, ctid);
		ghi_runtime_fork_parent();
	} else if ((flags & CLONE_VFORK) && !ghi_tls.lent) {
		ghi_lend_begin();
		r = REAL(clone)(fn, stack, flags, arg, ptid, tls, ctid);
		ghi_lend_end();
	} else {
		if (flags & CLONE_THREAD)
			ghi_signal_stranger();
		if (flags & CLONE_CHILD_CLEARTID)
			ghi_page_kernel_wakes();
		r = REAL(clone)(fn, stack, flags, arg, ptid, tls, ctid);
	}
	return r;
}

/* ---- vfork: the call itself is in src/arch/<cpu>/vfork.S ------------------------------------ */

static __thread uint64_t vfork_mask; /* shared by parent and child, and the same for both */

/* The caller's block is lent; no handler runs on either side while it is. */
void ghi_vfork_begin(void)
{
	uint64_t block = ~GHI_SIG_FAULTS;
	sys_sigprocmask(SIG_SETMASK, &block, &vfork_mask);
	ghi_lend_begin();
}

long ghi_vfork_child(void)
{
	uint64_t mask = vfork_mask;
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	return 0;
}

long ghi_vfork_parent(long r)
{
	uint64_t mask = vfork_mask;
	ghi_lend_end();
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	return ghi_ret(r);
}

/* ---- identity ------------------------------------------------------------------------------- */

struct setid {
	long nr;
	const long *args;
	uint32_t first; /* 0: nobody has done it yet */
	long result;
	uint32_t differ; /* somebody got another answer than the caller */
};

static void apply(void *arg)
{
	struct setid *s = arg;
	long r = ghi_sys_program(s->nr, s->args[0], s->args[1], s->args[2]);
	if (!s->first) { /* the caller does it first, before anybody else is asked */
		s->first = 1;
		s->result = r;
	} else if (r < 0 && s->result >= 0) {
		store_relaxed(&s->differ, 1u);
	}
}

static int setid(struct ghi_gthread *self, long nr, long a, long b, long c)
{
	struct setid s = {.nr = nr, .args = (const long[3]){a, b, c}};
	ghi_signal_broadcast(apply, &s);
	if (s.differ) /* as libc: it may not go on with some threads left as they were */
		abort();
	return (int)ghi_ret(s.result);
}

#define SETID(name, params, nr, a, b, c, ...)                                                      \
	EXPORT int name params                                                                     \
	{                                                                                          \
		HOOK_ENTER(self, REAL(name)(__VA_ARGS__));                                         \
		return setid(self, nr, a, b, c);                                                   \
	}

SETID(setuid, (uid_t u), SYS_setuid, (int)u, 0, 0, u)
SETID(setgid, (gid_t g), SYS_setgid, (int)g, 0, 0, g)
SETID(setreuid, (uid_t r, uid_t e), SYS_setreuid, (int)r, (int)e, 0, r, e)
SETID(setregid, (gid_t r, gid_t e), SYS_setregid, (int)r, (int)e, 0, r, e)
SETID(setresuid, (uid_t r, uid_t e, uid_t s), SYS_setresuid, (int)r, (int)e, (int)s, r, e, s)
SETID(setresgid, (gid_t r, gid_t e, gid_t s), SYS_setresgid, (int)r, (int)e, (int)s, r, e, s)
SETID(setgroups, (size_t n, const gid_t *g), SYS_setgroups, (long)n, (long)g, 0, n, g)

EXPORT int seteuid(uid_t e)
{
	HOOK_ENTER(self, REAL(seteuid)(e));
	if (e == (uid_t)-1)
		return (int)ghi_ret(-EINVAL);
	return setid(self, SYS_setresuid, -1, (int)e, -1);
}

EXPORT int setegid(gid_t e)
{
	HOOK_ENTER(self, REAL(setegid)(e));
	if (e == (gid_t)-1)
		return (int)ghi_ret(-EINVAL);
	return setid(self, SYS_setresgid, -1, (int)e, -1);
}

EXPORT int initgroups(const char *user, gid_t group)
{
	HOOK_ENTER(self, REAL(initgroups)(user, group));
	int n = 64;
	(void)self;
	for (;;) {
		gid_t *list = malloc((size_t)n * sizeof(*list));
		if (!list)
			return (int)ghi_ret(-ENOMEM);
		int have = n;
		if (getgrouplist(user, group, list, &have) >= 0) {
			int r = setgroups((size_t)have, list);
			free(list);
			return r;
		}
		free(list);
		n = have > n ? have : n * 2;
	}
}
