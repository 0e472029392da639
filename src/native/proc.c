/* Pipes, child processes and ticks; see include/greenhook/file.h.
 *
 * Owns: nothing.  Called by: programs.  Must not know: how a wait is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <greenhook/file.h>
#include <greenhook/task.h>
#include "src/native/io.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/poller.h"

extern char **environ;

int gh_pipe(int ends[2])
{
	if (!ends)
		return GHI_NULL("array");
	long r = ghi_sys_program(SYS_pipe2, ends, O_CLOEXEC);
	for (int i = 0; i < 2 && r == 0; i++)
		ghi_fd_fresh(ends[i], ghi_self() ? GHI_FD_POLLED : GHI_FD_UNKNOWN);
	return (int)r;
}

/* ---- child processes ----------------------------------------------------------------------------
 */

static int file_actions(posix_spawn_file_actions_t *acts, const gh_proc_opts *o)
{
	const int from[3] = {o->in, o->out, o->err};
	int r = 0;

	/* Onto itself: that takes close-on-exec away. */
	for (int i = 0; i < 3 && !r; i++)
		if (from[i] >= 0)
			r = posix_spawn_file_actions_adddup2(acts, from[i], i);
	if (!r && o->dir)
		r = posix_spawn_file_actions_addchdir_np(acts, o->dir);
	return r;
}

int gh_proc_spawn(char *const argv[], const gh_proc_opts *opts)
{
	gh_proc_opts o = GH_PROC_OPTS_INIT;
	posix_spawn_file_actions_t acts;
	pid_t pid = 0;

	if (!argv || !argv[0] || (opts && opts->size != sizeof(o)))
		return GHI_MISUSE(-EINVAL, "no program, or options without GH_PROC_OPTS_INIT");
	if (opts)
		o = *opts;
	if (o.out == 0 || o.err == 0) /* it would be what `in` became */
		return -EINVAL;
	int r = posix_spawn_file_actions_init(&acts);
	if (r)
		return -r;
	/* Our own hook by this name: libc's makes the child on the caller's thread block. */
	if (!(r = file_actions(&acts, &o)))
		r = posix_spawnp(&pid, argv[0], &acts, NULL, argv, o.env ? o.env : environ);
	posix_spawn_file_actions_destroy(&acts);
	return r ? -r : pid;
}

struct child {
	int pid, *status;
};

static long try_wait(struct ghi_native_io *io)
{
	struct child *c = io->arg;
	int status;
	long r = ghi_sys_program(SYS_wait4, c->pid, &status, WNOHANG, NULL);
	if (r == 0)
		return -EAGAIN;
	if (r > 0 && c->status)
		*c->status = status;
	return r < 0 ? r : 0;
}

int gh_proc_wait_until(int pid, int *status, gh_time until)
{
	struct child c = {pid, status};
	struct ghi_native_io io = {
	    .fd = -1, .dir = GHI_RD, .why = GHI_PARK_CHILD, .try = try_wait, .arg = &c};

	if (pid <= 0)
		return -EINVAL;
	long r = try_wait(&io);
	if (r != -EAGAIN)
		return (int)r;
	/* Its end makes the descriptor readable. */
	int fd = ghi_poller_move_up(ghi_sys(SYS_pidfd_open, pid, 0));
	if (fd == -ESRCH) /* somebody else waited for it meanwhile */
		return -ECHILD;
	if (fd < 0) /* no descriptor to be had, or an old kernel: now and then */
		for (gh_time now; (r = try_wait(&io)) == -EAGAIN;) {
			if ((now = gh_now()) >= until)
				return -ETIMEDOUT;
			gh_time next = until - now < GH_MS(10) ? until : now + GH_MS(10);
			if ((r = gh_sleep_until(next)) < 0 && r != -EINTR)
				return (int)r;
		}
	if (fd < 0)
		return (int)r;
	ghi_fd_fresh(fd, GHI_FD_UNKNOWN);
	io.fd = fd;
	r = ghi_native_io(&io, true, until);
	ghi_fd_forget(fd);
	ghi_sys(SYS_close, fd);
	return (int)r;
}

int gh_proc_wait(int pid, int *status)
{
	return gh_proc_wait_until(pid, status, GH_FOREVER);
}

/* ---- ticks
 * --------------------------------------------------------------------------------------- */

struct ticker {
	gh_chan *chan;
	gh_time every;
};

static void *tick(void *arg)
{
	struct ticker t = *(struct ticker *)arg;
	gh_time next = gh_after(t.every);

	ghi_free(arg);
	for (;;) {
		int r = gh_sleep_until(next);
		if (r == -ECANCELED)
			break;
		if (gh_now() < next) /* a handler ran */
			continue;
		if (gh_chan_send_try(t.chan, &next) == -EPIPE)
			break;
		/* Late: on the next beat that is not past. */
		gh_time late = gh_now() - next;
		next += (late / t.every + 1) * t.every;
	}
	gh_chan_close(t.chan); /* cancelled, as at a shutdown: nobody shall wait for it */
	gh_chan_unref(t.chan);
	return NULL;
}

gh_chan *gh_tick(gh_time every)
{
	static const gh_task_opts opts = {.size = sizeof(opts), .name = "gh_tick"};
	struct ticker *t = every > 0 ? ghi_malloc(sizeof(*t)) : NULL;
	gh_chan *c = t ? gh_chan_new(sizeof(gh_time), 1) : NULL;

	if (!c) {
		ghi_free(t);
		errno = every > 0 ? ENOMEM : -GHI_MISUSE(-EINVAL, "every %ld ns", (long)every);
		return NULL;
	}
	*t = (struct ticker){gh_chan_ref(c), every};
	int r = gh_go(tick, t, &opts);
	if (r) {
		ghi_free(t);
		gh_chan_unref(c);
		gh_chan_unref(c);
		errno = -r;
		return NULL;
	}
	return c;
}
