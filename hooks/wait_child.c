/* Waiting for child processes: wait, wait3, wait4, waitpid, waitid.
 *
 * Owns: the hooks of that family.  Called by: the program, hooks/spawn.c (system).  Must not
 * know: how children are made.
 *
 * The kernel decides what a call answers: every round asks it without blocking.  Between rounds a
 * thread that waits for the end of one child parks on a pidfd of its own; whoever waits for any
 * child, for a group, or for stops and continuations (which a pidfd does not report) blocks its
 * kernel thread while others take the slot.  A stop of a child that this process traces is not
 * reported by the pidfd either, so a long wait looks again now and then, and goes to the kernel
 * when the child turns out to be traced.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "hooks/held.h"
#include "src/base/text.h"
#include "src/wait.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { HIGH_FD = 512, LOOK_FIRST_MS = 100, LOOK_LAST_MS = 10000 };

/* One call: `try` is the system call with WNOHANG added, 0 for "not yet". */
struct waiting {
	long (*try)(struct waiting *, int extra);
	long id;
	int type; /* of waitid */
	int options;
	void *out; /* status or siginfo */
	struct rusage *usage;
	pid_t one;		    /* > 0: the single child that is waited for */
	struct ghi_gthread *blocks; /* the call may wait in the kernel: a cancellation point */
	int pidfd;		    /* its descriptor while there is one, else -1 */
	bool given;		    /* the program's own descriptor */
	struct ghi_held held;	    /* pidfd, when it is not given */
};

static long call(const struct waiting *w, long nr, const long a[6])
{
	return w->blocks ? ghi_cancel_syscall(ghi_cancel_word(w->blocks), nr, a)
			 : ghi_sys_program(nr, a[0], a[1], a[2], a[3], a[4]);
}

/* __WNOTHREAD asks for the children of one kernel thread, which means nothing here. */
static long try_wait4(struct waiting *w, int extra)
{
	return call(w, SYS_wait4,
		    (const long[6]){w->id, (long)w->out, (w->options & ~__WNOTHREAD) | extra,
				    (long)w->usage});
}

/* Without a siginfo of the caller's there is no telling "nobody yet" from "done". */
static long try_waitid(struct waiting *w, int extra)
{
	siginfo_t mine, *info = w->out ? w->out : &mine;
	long r = call(w, SYS_waitid,
		      (const long[6]){w->type, w->id, (long)info,
				      (w->options & ~__WNOTHREAD) | extra, (long)w->usage});
	return r < 0 || (extra & WNOHANG && !info->si_pid) ? r : 1;
}

/* A descriptor out of the way of the numbers that the program expects to get. */
static int pidfd_open_high(pid_t pid)
{
	long fd = ghi_sys(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -1;
	long high = ghi_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH_FD);
	if (high < 0)
		return (int)fd;
	ghi_sys(SYS_close, fd);
	return (int)high;
}

static void pidfd_close(void *what)
{
	int fd = (int)(intptr_t)what;
	ghi_fd_forget(fd);
	ghi_sys(SYS_close, fd);
}

static bool pidfd_new(struct waiting *w)
{
	ghi_nosig_enter();
	w->pidfd = pidfd_open_high(w->one);
	if (w->pidfd >= 0) {
		ghi_fd_fresh(w->pidfd, GHI_FD_POLLED);
		ghi_hold(&w->held, pidfd_close, (void *)(intptr_t)w->pidfd);
	}
	ghi_nosig_leave();
	return w->pidfd >= 0;
}

static void leave(struct waiting **w)
{
	ghi_held_leave(&(*w)->held);
}

static bool traced(pid_t pid)
{
	char path[48], text[1024];
	ghi_format(path, sizeof(path), "/proc/%d/status", pid);
	ghi_text_read(path, text, sizeof(text));
	char *at = strstr(text, "TracerPid:\t");
	return at && at[11] != '0';
}

/* Parks until the child may have ended.  0: ask again; -ENOSYS: no pidfd, block; or as wait.h. */
static int park_on_child(struct ghi_gthread *self, struct waiting *w, uint64_t *look_ms)
{
	struct ghi_fd *e = NULL;
	if (w->pidfd < 0 && !pidfd_new(w))
		return -ENOSYS;
	if (!(e = ghi_fd_get(w->pidfd)))
		return -ENOSYS;
	uint32_t seq = load_acquire(&e->seq[GHI_RD]); /* (F1) */
	struct pollfd p = {.fd = w->pidfd, .events = POLLIN};
	struct timespec zero = {0};
	long r = ghi_sys(SYS_ppoll, &p, 1, &zero, NULL, 8); /* (F2) */
	if (r != 0 && r != -EINTR /* a kick: not ready */)
		return r < 0 || p.revents & POLLNVAL ? -ENOSYS : 0;
	int n = HOOK_WAIT(self, ghi_wait_fd(self, w->pidfd, GHI_RD, seq,
					    ghi_deadline_in(*look_ms * GHI_MS), GHI_PARK_CHILD));
	if (n == -ETIMEDOUT) {
		*look_ms = *look_ms * 2 < LOOK_LAST_MS ? *look_ms * 2 : LOOK_LAST_MS;
		return w->one && traced(w->one) ? -ENOSYS : 0;
	}
	if (n == -EBADF && !w->given) { /* the program closed every number it does not know */
		ghi_held_drop(&w->held);
		w->pidfd = -1;
	}
	return n;
}

static long wait_until_done(struct ghi_gthread *self, struct waiting *w)
{
	uint64_t look_ms = LOOK_FIRST_MS;
	bool park = w->one > 0 || w->given;

	for (;;) {
		self->sig_ran = 0;
		long r = w->try(w, WNOHANG);
		if (r)
			return r;
		if (park) {
			int n = park_on_child(self, w, &look_ms);
			if (n == -ECANCELED)
				ghi_cancel_point(self);
			if (self->sig_ran & GHI_SIG_RAN_NORESTART) {
				/* Natively a child that ended wins over the signal. */
				r = w->try(w, WNOHANG);
				return r ? r : -EINTR;
			}
			if (n == -ENOSYS ||
			    (n < 0 && n != -EINTR && n != -ECANCELED && n != -EBADF))
				park = false;
			continue;
		}
		w->blocks = self;
		return BLOCKING_RESTART(self, w->try(w, 0));
	}
}

static long wait_for(struct ghi_gthread *self, struct waiting *w)
{
	struct waiting *left __attribute__((cleanup(leave))) = w;

	ghi_cancel_point(self);
	if (w->options & WNOHANG)
		return w->try(w, 0);
	return wait_until_done(self, left);
}

EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	HOOK_ENTER(self, REAL(wait4)(pid, status, options, usage));
	struct waiting w = {.try = try_wait4,
			    .id = pid,
			    .options = options,
			    .out = status,
			    .usage = usage,
			    .pidfd = -1,
			    .one = pid > 0 && !(options & (WUNTRACED | WCONTINUED)) ? pid : 0};
	return (pid_t)ghi_ret(wait_for(self, &w));
}

EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
	HOOK_ENTER(self, REAL(waitpid)(pid, status, options));
	(void)self;
	return wait4(pid, status, options, NULL);
}

EXPORT pid_t wait3(int *status, int options, struct rusage *usage)
{
	HOOK_ENTER(self, REAL(wait3)(status, options, usage));
	(void)self;
	return wait4(-1, status, options, usage);
}

EXPORT pid_t wait(int *status)
{
	HOOK_ENTER(self, REAL(wait)(status));
	(void)self;
	return wait4(-1, status, 0, NULL);
}

long ghi_waitid(struct ghi_gthread *self, int type, long id, siginfo_t *info, int options,
		struct rusage *usage)
{
	struct waiting w = {.try = try_waitid,
			    .type = type,
			    .id = id,
			    .options = options,
			    .out = info,
			    .usage = usage,
			    .pidfd = -1};
	bool ends_only = !(options & (WSTOPPED | WCONTINUED));
	if (type == P_PID && id > 0 && ends_only)
		w.one = (pid_t)id;
	if (type == P_PIDFD && id >= 0) {
		long flags = ghi_sys(SYS_fcntl, id, F_GETFL);
		if (flags >= 0 && (flags & O_NONBLOCK)) { /* EAGAIN instead of waiting */
			ghi_cancel_point(self);
			long r = w.try(&w, 0);
			return r < 0 ? r : 0;
		}
		w.given = ends_only;
		w.pidfd = ends_only ? (int)id : -1;
	}
	long r = wait_for(self, &w);
	return r < 0 ? r : 0;
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	HOOK_ENTER(self, REAL(waitid)(type, id, info, options));
	return (int)ghi_ret(ghi_waitid(self, (int)type, (int)id, info, options, NULL));
}
