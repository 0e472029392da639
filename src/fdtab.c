/* The descriptor table; see fdtab.h. */
#include <sys/epoll.h>
#include <sys/mman.h>

#include "src/base/probe.h"
#include "src/fdtab.h"
#include "src/park.h"
#include "src/poller.h"
#include "src/sched.h"
#include "src/trace.h"

enum { CHUNK = GHI_FD_CHUNK, CHUNKS = GHI_FD_CHUNKS };

struct ghi_fd *ghi_fd_table[CHUNKS];
static uint32_t top_chunk; /* one past the highest chunk in use, a hint for ranges */

uint32_t ghi_fd_flags_epoch = 1, ghi_fd_share_epoch = 1;

struct ghi_fd *ghi_fd_peek(int fd)
{
	/* What another process does to its numbers is none of our business. */
	return __builtin_expect(ghi_tls.lent, 0) ? NULL : ghi_fd_at(fd);
}

struct ghi_fd *ghi_fd_get(int fd)
{
	struct ghi_fd *e = ghi_fd_peek(fd);
	if (e || fd < 0 || fd >= CHUNK * CHUNKS || ghi_tls.lent)
		return e;
	long r = ghi_sys(SYS_mmap, NULL, CHUNK * sizeof(struct ghi_fd), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r < 0 && r > -4096)
		return NULL;
	struct ghi_fd *none = NULL;
	if (!cas_acq_rel(&ghi_fd_table[fd / CHUNK], &none, (struct ghi_fd *)r))
		ghi_sys(SYS_munmap, r, CHUNK * sizeof(struct ghi_fd));
	uint32_t top = load_relaxed(&top_chunk);
	while (top < (uint32_t)fd / CHUNK + 1 &&
	       !cas_acq_rel(&top_chunk, &top, (uint32_t)fd / CHUNK + 1))
		;
	return ghi_fd_peek(fd);
}

void ghi_fd_unlink(struct ghi_fd *e, struct ghi_fd_waiter *w)
{
	if (w->link.next)
		ghi_list_remove(&w->link);
}

/* Under the lock.  Notifies every poll-like waiter of dirs, and one other per direction. */
static void wake_waiters(struct ghi_fd *e, unsigned dirs, enum ghi_wakeup why, bool everybody,
			 struct ghi_gthread **ret_ready)
{
	unsigned left = dirs; /* directions that still want one that consumes */

	if (ghi_list_empty(&e->waiters))
		return;
	for (struct ghi_list *n = e->waiters.next, *next; n != &e->waiters; n = next) {
		struct ghi_fd_waiter *w = ghi_container(n, struct ghi_fd_waiter, link);
		next = n->next;
		if (!(w->dirs & dirs))
			continue;
		/* Read everything before the notify: after it the frame may be gone. */
		bool consumes = !w->all && !everybody;
		unsigned its = w->dirs;
		if (consumes && !(its & left))
			continue;
		ghi_list_remove(n);
		if (ghi_park_notify(w->g, why, ret_ready) && consumes)
			left &= ~its;
	}
}

void ghi_fd_fire(int fd, uint32_t generation, uint32_t events, struct ghi_gthread **ret_ready)
{
	struct ghi_fd *e = ghi_fd_peek(fd);
	unsigned dirs = 0;

	GHI_PROBE2(event, GHI_OF(fd), GHI_OF(events));
	if (ghi_trace_on())
		ghi_trace_event(fd, events);
	if (!e)
		return;
	bool final = events & (EPOLLERR | EPOLLHUP);
	if (final || events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI))
		dirs |= 1u << GHI_RD;
	if (final || events & EPOLLOUT)
		dirs |= 1u << GHI_WR;
	ghi_lock(&e->lock);
	if (e->generation == generation && e->armed) {
		if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI))
			e->hup = true;
		if (dirs & 1u << GHI_RD)
			store_release(&e->seq[GHI_RD], e->seq[GHI_RD] + 1); /* (N1), F1 */
		if (dirs & 1u << GHI_WR)
			store_release(&e->seq[GHI_WR], e->seq[GHI_WR] + 1);
		/* An end that everybody will see wakes everybody. */
		wake_waiters(e, dirs, GHI_WOKEN_FD, events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP),
			     ret_ready);
	}
	ghi_unlock(&e->lock);
}

/* As if an event had come for one waiter. */
static void pretend(struct ghi_fd *e, int dir)
{
	struct ghi_gthread *ready = NULL;

	ghi_nosig_enter();
	ghi_lock(&e->lock);
	store_release(&e->seq[dir], e->seq[dir] + 1);
	wake_waiters(e, 1u << dir, GHI_WOKEN_FD, false, &ready);
	ghi_unlock(&e->lock);
	if (ready)
		ghi_ready_batch(ready);
	ghi_nosig_leave();
}

void ghi_fd_pass_on(struct ghi_fd *e, int dir)
{
	if (!ghi_list_empty(&e->waiters)) /* a hint: a waiter that joins later has checked seq */
		pretend(e, dir);
}

void ghi_fd_wake_all(void)
{
	struct ghi_gthread *ready = NULL;

	for (unsigned c = 0; c < CHUNKS; c++) {
		struct ghi_fd *chunk = load_acquire(&ghi_fd_table[c]);
		for (unsigned i = 0; chunk && i < CHUNK; i++) {
			struct ghi_fd *e = &chunk[i];
			ghi_lock(&e->lock);
			e->armed = false;
			store_release(&e->seq[GHI_RD], e->seq[GHI_RD] + 1);
			store_release(&e->seq[GHI_WR], e->seq[GHI_WR] + 1);
			wake_waiters(e, 3, GHI_WOKEN_FD, true, &ready);
			ghi_unlock(&e->lock);
		}
	}
	ghi_ready_batch(ready);
}

/* Under the lock: the number means nothing any more. */
static void reset(struct ghi_fd *e, enum ghi_wakeup why, struct ghi_gthread **ret_ready)
{
	e->generation++;
	e->armed = e->hup = e->shared = e->listens = e->no_nowait = false;
	e->accepting = GHI_FD_ACCEPT_FREE;
	e->own_epoch = 0;
	e->kind = GHI_FD_UNKNOWN;
	e->flags_epoch = 0;
	e->timeout[GHI_RD] = e->timeout[GHI_WR] = 0;
	store_release(&e->seq[GHI_RD], e->seq[GHI_RD] + 1);
	store_release(&e->seq[GHI_WR], e->seq[GHI_WR] + 1);
	wake_waiters(e, 3, why, true, ret_ready);
}

static bool untouched(const struct ghi_fd *e)
{
	return !e->armed && e->kind == GHI_FD_UNKNOWN && !e->flags_epoch && !e->timeout[0] &&
	       !e->timeout[1] && !e->shared && !e->accepting && !e->listens && !e->no_nowait &&
	       !e->own_epoch && ghi_list_empty(&e->waiters);
}

void ghi_fd_forget(int fd)
{
	struct ghi_fd *e = ghi_fd_peek(fd);
	struct ghi_gthread *ready = NULL;

	if (!e || untouched(e))
		return;
	ghi_nosig_enter();
	ghi_lock(&e->lock);
	if (e->armed && (e->shared || !ghi_fd_private(e)))
		ghi_poller_disarm(fd); /* closing the number would not end the registration */
	reset(e, GHI_WOKEN_CLOSED, &ready);
	ghi_unlock(&e->lock);
	if (ready)
		ghi_ready_batch(ready);
	ghi_nosig_leave();
}

void ghi_fd_forget_range(unsigned lo, unsigned hi)
{
	unsigned top = load_relaxed(&top_chunk) * CHUNK;
	for (unsigned fd = lo; fd < top && fd <= hi; fd++)
		ghi_fd_forget((int)fd);
}

static int highest;

int ghi_fd_highest(void)
{
	return load_relaxed(&highest);
}

void ghi_fd_used(int fd)
{
	for (int top = load_relaxed(&highest); fd > top && !cas_acq_rel(&highest, &top, fd);)
		;
}

void ghi_fd_fresh(int fd, enum ghi_fd_kind kind)
{
	struct ghi_fd *e = kind == GHI_FD_UNKNOWN && !ghi_self() ? ghi_fd_peek(fd) : ghi_fd_get(fd);
	struct ghi_gthread *ready = NULL;

	ghi_fd_used(fd);
	if (!e)
		return;
	if (!untouched(e)) {
		ghi_nosig_enter();
		ghi_lock(&e->lock);
		reset(e, GHI_WOKEN_CLOSED, &ready);
		ghi_unlock(&e->lock);
		ghi_ready_batch(ready);
		ghi_nosig_leave();
	}
	e->kind = (uint8_t)kind;
	if (ghi_self())
		e->own_epoch = load_relaxed(&ghi_fd_share_epoch);
}

/* ---- sweeps --------------------------------------------------------------------------------- */

static struct {
	struct ghi_fd *head; /* entries with waiters, pushed by those; taken as a whole */
	uint64_t due;	     /* valid while head is not NULL */
	uint32_t round, busy;
} sweep;

static void list_entry(struct ghi_fd *e)
{
	struct ghi_fd *head = load_relaxed(&sweep.head);
	do {
		if (!head)
			store_relaxed(&sweep.due, ghi_deadline_in(GHI_FD_SWEEP_PERIOD));
		e->sweep_next = head;
	} while (!cas_acq_rel(&sweep.head, &head, e));
}

bool ghi_fd_join(struct ghi_fd *e, int fd, struct ghi_fd_waiter *w)
{
	w->joined = load_relaxed(&sweep.round);
	ghi_list_append(&e->waiters, &w->link);
	if (e->listed)
		return false;
	e->listed = true;
	e->number = fd;
	list_entry(e);
	return e->sweep_next == NULL; /* the first since the last sweep */
}

void ghi_fd_sweep_started(void)
{
	ghi_poller_timer_added(load_relaxed(&sweep.due));
}

uint64_t ghi_fd_sweep_next(void)
{
	return load_acquire(&sweep.head) ? load_relaxed(&sweep.due) : GHI_NEVER;
}

/* Under the lock.  The number may mean another file by now, of which our epoll knows nothing. */
static void look_at(struct ghi_fd *e, unsigned dirs, struct ghi_gthread **ret_ready)
{
	int r = e->armed ? ghi_poller_rearm(e->number, e->generation, dirs) : 0;

	if (r == 0)
		e->armed_dirs = (uint8_t)dirs;
	else /* closed behind our back; else a file, or no memory: whoever waits will see */
		reset(e, r == -EBADF ? GHI_WOKEN_CLOSED : GHI_WOKEN_FD, ret_ready);
}

/* True: some wait of this entry is too young to be looked at. */
static bool visit(struct ghi_fd *e, uint32_t round, struct ghi_gthread **ret_ready)
{
	unsigned old = 0, dirs = 0;
	bool young = false;

	for (struct ghi_list *n = e->waiters.next; n && n != &e->waiters; n = n->next) {
		struct ghi_fd_waiter *w = ghi_container(n, struct ghi_fd_waiter, link);
		dirs |= w->dirs;
		if (w->joined == (uint32_t)GHI_FD_SWEPT)
			continue;
		if (round - w->joined < 2) {
			young = true;
			continue;
		}
		w->joined = (uint32_t)GHI_FD_SWEPT;
		old |= w->dirs;
	}
	if (old)
		look_at(e, dirs, ret_ready);
	return young;
}

void ghi_fd_sweep(uint64_t now)
{
	struct ghi_gthread *ready = NULL;

	if (!load_acquire(&sweep.head) || now < load_relaxed(&sweep.due) ||
	    xchg_acq_rel(&sweep.busy, 1u))
		return;
	ghi_nosig_enter();
	struct ghi_fd *e = xchg_acq_rel(&sweep.head, (struct ghi_fd *)NULL), *next;
	uint32_t round = load_relaxed(&sweep.round) + 1;
	store_relaxed(&sweep.round, round == (uint32_t)GHI_FD_SWEPT ? 0 : round);
	bool again = false;
	for (; e; e = next) {
		next = e->sweep_next;
		ghi_lock(&e->lock);
		e->listed = visit(e, round, &ready);
		if (e->listed) {
			list_entry(e);
			again = true;
		}
		ghi_unlock(&e->lock);
	}
	store_release(&sweep.busy, 0u);
	if (again)
		ghi_fd_sweep_started();
	ghi_ready_batch(ready);
	ghi_nosig_leave();
}

/* ---- the right to accept -------------------------------------------------------------------- */

bool ghi_fd_accept_enter(struct ghi_fd *e)
{
	uint8_t now = GHI_FD_ACCEPT_FREE;
	while (!cas_acq_rel(&e->accepting, &now,
			    (uint8_t)(now ? GHI_FD_ACCEPT_CROWDED : GHI_FD_ACCEPT_HELD)))
		;
	return now == GHI_FD_ACCEPT_FREE;
}

void ghi_fd_accept_leave(struct ghi_fd *e)
{
	/* Without a look at the list: who was turned away may be about to join, with the old seq.
	 */
	if (xchg_acq_rel(&e->accepting, (uint8_t)GHI_FD_ACCEPT_FREE) == GHI_FD_ACCEPT_CROWDED)
		pretend(e, GHI_RD);
}

/* ---- shared files, fork --------------------------------------------------------------------- */

void ghi_fd_mark_shared(int fd)
{
	struct ghi_fd *e = ghi_fd_get(fd);
	if (e) {
		e->shared = true;
		e->own_epoch = 0;
	}
}

void ghi_fd_mark_all_shared(void)
{
	fetch_add_acq_rel(&ghi_fd_share_epoch, 1u);
}

void ghi_fd_after_fork(void)
{
	for (unsigned c = 0; c < CHUNKS; c++)
		for (unsigned i = 0; ghi_fd_table[c] && i < CHUNK; i++) {
			struct ghi_fd *e = &ghi_fd_table[c][i];
			e->lock = 0;
			e->armed = e->listed = false;
			e->accepting = GHI_FD_ACCEPT_FREE;
			e->flags_epoch = 0;
			e->generation++;
			ghi_list_init(&e->waiters);
		}
	ghi_fd_share_epoch++;
	sweep.head = NULL;
	sweep.busy = 0;
}
