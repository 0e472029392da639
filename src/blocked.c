/* Episodes of blocked kernel threads, as the monitor sees them; see blocked.h. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "src/blocked.h"
#include "src/control.h"
#include "src/cputime.h"
#include "src/poller.h"
#include "src/tls.h"
#include "src/unwind.h"

bool ghi_blocked_on;

static struct {
	ghi_lock_t lock;
	struct ghi_episode *all;
	unsigned open, done; /* read without the lock as hints */
	uint64_t dropped;
} blocked;

void ghi_blocked_start(void)
{
	size_t bytes = GHI_BLOCKED_EPISODES * sizeof(*blocked.all);
	struct ghi_episode *all = blocked.all;
	if (!all) {
		long r = ghi_sys(SYS_mmap, NULL, bytes, 3, 0x22, -1, 0);
		if (r < 0 && r > -4096)
			return;
		all = (struct ghi_episode *)r;
	}
	for (int i = 0; i < GHI_BLOCKED_EPISODES; i++)
		all[i].state = GHI_EPISODE_FREE;
	blocked.lock = 0;
	blocked.open = blocked.done = 0;
	blocked.dropped = 0;
	blocked.all = all;
	ghi_unwind_open(true);
	ghi_blocked_report_start();
	ghi_control_start();
	ghi_blocked_on = true;
}

void ghi_blocked_after_fork(void)
{
	ghi_blocked_on = false;
}

/* The stack from sp on, as far as it can be read: to the end of its page, and the page after that.
 */
static size_t copy_stack(char *to, uintptr_t sp)
{
	size_t first = 4096 - sp % 4096;
	struct iovec here = {to, GHI_BLOCKED_STACK};
	struct iovec there[2] = {{(void *)sp, first}, // NOLINT: a number that the kernel told
				 {(void *)(sp + first), GHI_BLOCKED_STACK - first}};
	long n =
	    ghi_sys(SYS_process_vm_readv, sys_getpid(), &here, 1, there, first < 4096 ? 2 : 1, 0);
	return n > 0 ? (size_t)n : 0;
}

/* "NR ARG1 .. ARG6 SP PC", "-1 SP PC" or "running" */
void ghi_blocked_where(struct ghi_episode *e)
{
	char path[48], text[256], *at = text;
	ghi_format(path, sizeof(path), "/proc/self/task/%d/syscall", e->tid);
	e->nr = GHI_UNSEEN_CALL;
	e->bytes = 0;
	e->pc = e->sp = 0;
	/* Out of the way of the program's numbers at once, and not into a fork's child. */
	if (!ghi_tls_fork_not_now_try())
		return;
	int fd = ghi_poller_adopt(ghi_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
	/* By a system call of its own the program may have made it another file: that takes
	 * nothing out of it. */
	long n = fd < 0 ? fd : ghi_sys(SYS_pread64, fd, text, sizeof(text) - 1, 0);
	if (fd >= 0)
		ghi_poller_drop(fd);
	ghi_tls_fork_again();
	text[n > 0 ? n : 0] = 0;
	if (*text != '-' && (*text < '0' || *text > '9'))
		return;
	e->nr = (int)strtol(text, &at, 10);
	for (int skip = e->nr < 0 ? 0 : 6; skip > 0; skip--)
		strtoul(at, &at, 16);
	e->sp = strtoul(at, &at, 16);
	e->pc = strtoul(at, &at, 16);
	if (e->sp)
		e->bytes = copy_stack(e->stack, e->sp);
}

int ghi_blocked_begin(struct ghi_worker *w, bool known, uint64_t since, uint64_t cpu)
{
	int index = -1;

	ghi_lock(&blocked.lock);
	for (int i = 0; index < 0 && i < GHI_BLOCKED_EPISODES; i++)
		if (blocked.all[i].state == GHI_EPISODE_FREE) {
			index = i;
			blocked.all[i].state = GHI_EPISODE_OPEN;
			blocked.open++;
		}
	if (index < 0)
		blocked.dropped++;
	ghi_unlock(&blocked.lock);
	if (index < 0)
		return -1;
	/* Nobody but the monitor writes to an open one. */
	struct ghi_episode *e = &blocked.all[index];
	e->known = known;
	e->handed = false;
	e->tid = w->tid;
	e->since = since;
	e->cpu = cpu;
	ghi_blocked_where(e);
	return index;
}

void ghi_blocked_keep(int index, bool stays, bool handed)
{
	if (index < 0)
		return;
	ghi_lock(&blocked.lock);
	blocked.all[index].handed = handed;
	if (!stays) {
		blocked.all[index].state = GHI_EPISODE_FREE;
		blocked.open--;
	}
	ghi_unlock(&blocked.lock);
}

bool ghi_blocked_look(uint64_t now)
{
	if (!load_relaxed(&blocked.open))
		return false;
	for (int i = 0; i < GHI_BLOCKED_EPISODES; i++) {
		struct ghi_episode *e = &blocked.all[i];
		if (load_relaxed(&e->state) != GHI_EPISODE_OPEN ||
		    ghi_cputime_of_tid(e->tid) == e->cpu)
			continue;
		ghi_lock(&blocked.lock);
		e->ns = now - e->since;
		e->state = GHI_EPISODE_DONE;
		blocked.open--;
		blocked.done++;
		ghi_unlock(&blocked.lock);
	}
	return load_relaxed(&blocked.open) > 0;
}

bool ghi_blocked_crowded(void)
{
	return load_relaxed(&blocked.done) > GHI_BLOCKED_EPISODES / 4;
}

bool ghi_blocked_take(struct ghi_episode *ret, bool open, int *at)
{
	bool found = false;
	ghi_lock(&blocked.lock);
	for (; !found && *at < GHI_BLOCKED_EPISODES; ++*at) {
		struct ghi_episode *e = &blocked.all[*at];
		if (e->state != (open ? GHI_EPISODE_OPEN : GHI_EPISODE_DONE))
			continue;
		found = true;
		memcpy(ret, e, sizeof(*ret));
		if (open)
			continue;
		e->state = GHI_EPISODE_FREE;
		blocked.done--;
	}
	ghi_unlock(&blocked.lock);
	return found;
}

uint64_t ghi_blocked_dropped(void)
{
	return load_relaxed(&blocked.dropped);
}
