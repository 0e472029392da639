/* fork, waiting for children, and the set*id families.
 *
 * set*id: the kernel changes the credentials of one kernel thread; POSIX wants the process.  libc
 * signals the threads on its own lists, of which gthreads are no kernel threads and workers are
 * unknown (the classic hang), so the change is broadcast to every kernel thread of the process.
 */
#include <grp.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "hooks/hook.h"

EXPORT pid_t fork(void)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return REAL(fork)();
	ghi_runtime_fork_prepare();
	/* The child's side begins in an atfork handler that was registered first (preload/init.c),
	 * so that the program's own child handlers find libc's world. */
	return REAL(fork)();
}

/* Without atfork handlers, so ours does not run by itself. */
EXPORT pid_t _Fork(void)
{
	struct ghi_gthread *self = ghi_self();
	ghi_runtime_fork_prepare();
	pid_t pid =
	    real._Fork ? real._Fork() : (pid_t)ghi_ret(ghi_sys(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	if (pid == 0 && self)
		ghi_runtime_fork_child();
	return pid;
}

/* A child that shares our memory would share the descriptor table's books too. */
EXPORT pid_t vfork(void)
{
	return fork();
}

EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
	HOOK_ENTER(self, REAL(waitpid)(pid, status, options));
	ghi_cancel_point(self);
	if (options & WNOHANG)
		return REAL(waitpid)(pid, status, options);
	return (pid_t)ghi_ret(
	    BLOCKING_RESTART(self, ghi_sys_point(self, SYS_wait4, pid, status, options, NULL)));
}

EXPORT pid_t wait(int *status)
{
	return waitpid(-1, status, 0);
}

EXPORT int system(const char *cmd)
{
	struct ghi_gthread *self = ghi_hook_self();
	return self ? BLOCKING(self, REAL(system)(cmd)) : REAL(system)(cmd);
}

/* ---- identity ------------------------------------------------------------------------------- */

struct setid {
	long nr, a, b, c;
	uint32_t first; /* 0: nobody has done it yet */
	long result;
};

static void apply(void *arg)
{
	struct setid *s = arg;
	long r = ghi_sys(s->nr, s->a, s->b, s->c);
	if (!s->first) { /* the caller does it first, before anybody else is asked */
		s->first = 1;
		s->result = r;
	} else if (r < 0 && s->result >= 0) {
		ghi_panic(__FILE__, __LINE__, "credentials differ between threads (error %ld)", -r);
	}
}

static int setid(struct ghi_gthread *self, long nr, long a, long b, long c)
{
	struct setid s = {.nr = nr, .a = a, .b = b, .c = c};
	ghi_signal_broadcast(apply, &s);
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
