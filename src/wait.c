/* Waiting for descriptors and time; see wait.h. */
#include <errno.h>
#include <sys/stat.h>

#include "src/cancel.h"
#include "src/park.h"
#include "src/poller.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/timer.h"
#include "src/wait.h"

int ghi_wait_result(uint32_t wakeup)
{
	switch (wakeup) {
	case GHI_WOKEN_TIMEOUT:
		return -ETIMEDOUT;
	case GHI_WOKEN_SIGNAL:
		return -EINTR;
	case GHI_WOKEN_CANCEL: { /* X3 of docs/wakeup.md may have been long ago, and Y0 since */
		struct ghi_gthread *self = ghi_self();
		return !self || ghi_cancel_requested(self) ? -ECANCELED : 0;
	}
	case GHI_WOKEN_CLOSED:
		return -EBADF;
	default:
		return 0;
	}
}

static int arm(struct ghi_gthread *self, enum ghi_reason why, const void *object, bool cancellable)
{
	if (__builtin_expect(load_relaxed(&self->sig_pending), 0))
		ghi_runtime_revive(self);
	ghi_park_arm(self, why, object);
	/* Signallers set sig_pending, run membarrier(), then notify: either they see us armed, or
	 * this load, kept after the store by the compiler barrier, sees their flag. */
	__asm__ volatile("" ::: "memory");
	int r = 0;
	if (__builtin_expect(load_relaxed(&self->sig_pending), 0))
		r = cancellable && ghi_cancel_requested(self) ? -ECANCELED
		    : ghi_signal_due(self)		      ? -EINTR
							      : 0;
	if (__builtin_expect(r, 0))
		ghi_park_disarm(self);
	return r;
}

int ghi_wait_arm(struct ghi_gthread *self, enum ghi_reason why, const void *object)
{
	return arm(self, why, object, true);
}

int ghi_wait_arm_uncancellable(struct ghi_gthread *self, enum ghi_reason why, const void *object)
{
	return arm(self, why, object, false);
}

/* Parks with an optional deadline. */
uint32_t ghi_wait_park_until(struct ghi_gthread *self, uint64_t deadline)
{
	if (deadline == GHI_NEVER)
		return ghi_park(self);
	struct ghi_timer t;
	self->deadline = deadline;
	ghi_timer_start(&t, self, deadline);
	uint32_t why = ghi_park(self);
	ghi_timer_cancel(&t);
	return why;
}

/* Registers the descriptor with the poller.  Under the entry's lock. */
static int arm_locked(struct ghi_fd *e, int fd, unsigned dirs)
{
	if (e->armed && (e->armed_dirs & dirs) == dirs)
		return 0;
	int r =
	    e->armed ? ghi_poller_rearm(fd, e->generation, 3) : ghi_poller_arm(fd, e->generation);
	if (r == 0)
		e->armed = true, e->armed_dirs = 3;
	else if (r == -EPERM)
		e->kind = GHI_FD_FILE;
	return r;
}

int ghi_wait_fd(struct ghi_gthread *self, int fd, int dir, uint32_t seq, uint64_t deadline,
		enum ghi_reason why)
{
	struct ghi_fd *e = ghi_fd_get(fd);
	struct ghi_fd_waiter w = {.g = self, .dirs = (uint8_t)(1u << dir)};
	int r;

	if (!e)
		return -EBADF;
	ghi_nosig_enter();
	if ((r = ghi_wait_arm(self, why, (void *)(intptr_t)fd)))
		goto out;
	ghi_lock(&e->lock);
	r = arm_locked(e, fd, w.dirs);
	if (r || load_relaxed(&e->seq[dir]) != seq) { /* (F3) */
		ghi_unlock(&e->lock);
		ghi_park_disarm(self);
		goto out;
	}
	bool first = ghi_fd_join(e, fd, &w); /* (F4) */
	ghi_unlock(&e->lock);
	if (first)
		ghi_fd_sweep_started();
	uint32_t wakeup = ghi_wait_park_until(self, deadline);
	if (wakeup != GHI_WOKEN_FD && wakeup != GHI_WOKEN_CLOSED) {
		ghi_lock(&e->lock);
		ghi_fd_unlink(e, &w);
		ghi_unlock(&e->lock);
	}
	r = ghi_wait_result(wakeup);
out:
	ghi_nosig_leave();
	return r;
}

/* What epoll refuses is a file, or a device, or the whole call is forbidden. */
static bool is_file(int fd)
{
	struct stat st;
	return ghi_sys(SYS_fstat, fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

bool ghi_wait_set_join(struct ghi_gthread *self, struct ghi_pollset *set, uint64_t *deadline)
{
	bool again = false, first = false;

	for (set->joined = 0; set->joined < set->n && !again; set->joined++) {
		struct ghi_pollset_fd *p = &set->fds[set->joined];
		struct ghi_fd *e = ghi_fd_get(p->fd);
		p->waiter = (struct ghi_fd_waiter){.g = self, .dirs = p->dirs, .all = !set->one};
		if (e)
			ghi_lock(&e->lock);
		int r = e ? arm_locked(e, p->fd, p->dirs) : -ENOMEM;
		/* A file that was not ready a moment ago never will be (its exceptions, say);
		 * without a registration for lack of memory, ask again soon. */
		if (r && !(r == -EPERM && is_file(p->fd)) &&
		    *deadline > ghi_deadline_in(10 * GHI_MS))
			*deadline = ghi_deadline_in(10 * GHI_MS);
		if (!e)
			continue;
		if (!r && (((p->dirs & 1) && load_relaxed(&e->seq[GHI_RD]) != p->seq[GHI_RD]) ||
			   ((p->dirs & 2) && load_relaxed(&e->seq[GHI_WR]) != p->seq[GHI_WR])))
			again = true; /* the caller's poll(0) will tell what it is */
		else if (!r)
			first |= ghi_fd_join(e, p->fd, &p->waiter);
		ghi_unlock(&e->lock);
	}
	if (first)
		ghi_fd_sweep_started();
	return !again;
}

void ghi_wait_set_leave(struct ghi_pollset *set)
{
	for (unsigned i = 0; i < set->joined; i++) {
		struct ghi_fd *e = ghi_fd_peek(set->fds[i].fd);
		if (!e)
			continue;
		ghi_lock(&e->lock);
		ghi_fd_unlink(e, &set->fds[i].waiter);
		ghi_unlock(&e->lock);
	}
}

int ghi_wait_set(struct ghi_gthread *self, struct ghi_pollset *set, uint64_t deadline)
{
	uint64_t asked = deadline;
	int r;

	ghi_nosig_enter();
	if ((r = ghi_wait_arm(self, GHI_PARK_POLL, set))) {
		ghi_nosig_leave();
		return r;
	}
	uint32_t wakeup = 0;
	if (ghi_wait_set_join(self, set, &deadline)) {
		wakeup = ghi_wait_park_until(self, deadline);
	} else {
		/* Leave through the front door: a waker may be holding our entries already.  Only
		 * one notify can win; ours decides that we do not sleep. */
		struct ghi_gthread *none = NULL;
		ghi_park_notify(self, GHI_WOKEN_FD, &none);
		wakeup = ghi_park(self);
	}
	ghi_wait_set_leave(set);
	ghi_nosig_leave();
	/* A closed descriptor is for poll() to report. */
	return wakeup == GHI_WOKEN_CLOSED || (deadline != asked && wakeup == GHI_WOKEN_TIMEOUT)
		   ? 0
		   : ghi_wait_result(wakeup);
}

int ghi_wait_until(struct ghi_gthread *self, uint64_t deadline, enum ghi_reason why)
{
	ghi_nosig_enter();
	int r = ghi_wait_arm(self, why, NULL);
	if (!r)
		r = ghi_wait_result(ghi_wait_park_until(self, deadline));
	ghi_nosig_leave();
	return r;
}
