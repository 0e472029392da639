/* What the kernel says about workers: a descriptor of /proc/self/task/TID/stat for each that the
 * monitor has looked at; see sched.h.
 *
 * Owns: stat_tid and stat_fd of a worker.  Called by: monitor.c (reads them), poller.c (numbers
 * that are not the program's), worker.c (fork).  Must not know: what is done about a worker that
 * sleeps.
 */
#include <errno.h>
#include <fcntl.h>

#include "src/poller.h"
#include "src/sched.h"

static int stat_lowest = INT32_MAX; /* no such descriptor is below; so most closes need no search */

/* What a number that is another file now may answer; all else is a passing trouble of ours. */
bool ghi_worker_stat_foreign(long n)
{
	return n >= 0 || n == -EBADF || n == -ESPIPE || n == -EISDIR || n == -EINVAL;
}

int ghi_worker_stat(struct ghi_worker *w)
{
	char path[48];

	if (w->stat_tid == w->tid)
		return w->stat_fd;
	/* Of a kernel thread that has ended; anything else is not ours any more. */
	long r = w->stat_tid ? ghi_sys(SYS_pread64, w->stat_fd, path, 1, 0) : 0;
	if (r == -ESRCH)
		ghi_sys(SYS_close, w->stat_fd);
	else if (!ghi_worker_stat_foreign(r))
		return (int)r; /* asked again the next time */
	ghi_format(path, sizeof(path), "/proc/self/task/%d/stat", w->tid);
	w->stat_tid = 0;
	w->stat_fd =
	    ghi_poller_move_up(ghi_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
	if (w->stat_fd >= GHI_POLLER_FDS / 2) { /* else there is no room to keep it */
		w->stat_tid = w->tid;
		if (w->stat_fd < stat_lowest)
			store_relaxed(&stat_lowest, w->stat_fd);
	}
	return w->stat_fd;
}

void ghi_worker_stat_done(struct ghi_worker *w, bool right)
{
	if (!w->stat_tid)
		ghi_sys(SYS_close, w->stat_fd);
	if (!right) /* the program closed the number, which may be another file now */
		w->stat_tid = 0;
}

bool ghi_worker_owns_fd(int fd)
{
	if (fd < load_relaxed(&stat_lowest))
		return false;
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (load_relaxed(&w->stat_tid) && load_relaxed(&w->stat_fd) == fd)
			return true;
	return false;
}

/* In a fork's child, before the list of workers is emptied. */
void ghi_worker_stat_after_fork(void)
{
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (w->stat_tid)
			ghi_sys(SYS_close, w->stat_fd);
	stat_lowest = INT32_MAX;
}
