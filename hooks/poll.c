/* poll, select, epoll_wait and their p-variants: ask without waiting, then wait for any. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/offload.h"
#include "src/poller.h"
#include "src/wait.h"

enum { ON_STACK = 8 };

/* The mask that holds during a p-variant: read first, in force only while it waits, since the
 * kernel looks before it lets signals in. */
struct masked {
	bool on;
	uint64_t set;
};

static int mask_read(struct masked *m, const sigset_t *mask)
{
	m->on = mask != NULL;
	return mask ? (int)ghi_copy_in(&m->set, mask, sizeof(m->set)) : 0;
}

static void mask_enter(struct ghi_gthread *self, const struct masked *m)
{
	if (m->on)
		ghi_signal_mask_for_wait(self, m->set); /* pending ones run their handlers here */
}

static void mask_leave(struct ghi_gthread *self, const struct masked *m)
{
	if (m->on)
		ghi_signal_mask_after_wait(self);
}

/* Storage for the waiters of a call: few on the stack, many on the heap. */
struct set_room {
	struct ghi_pollset set;
	struct ghi_pollset_fd few[ON_STACK];
};

static struct ghi_pollset *set_new(struct set_room *room, size_t n)
{
	struct ghi_pollset *set = &room->set;
	if (n > ON_STACK)
		set = malloc(sizeof(*set) + n * sizeof(set->fds[0]));
	if (set)
		set->n = set->one = 0;
	return set;
}

static void set_free(struct set_room *room, struct ghi_pollset *set)
{
	if (set != &room->set)
		free(set);
}

static void set_add(struct ghi_pollset *set, int fd, unsigned dirs)
{
	if (fd >= 0)
		set->fds[set->n++] = (struct ghi_pollset_fd){.fd = fd, .dirs = (uint8_t)dirs};
}

/* (F1) for each, before the kernel is asked. */
static void set_sample(struct ghi_pollset *set)
{
	for (unsigned i = 0; i < set->n; i++) {
		struct ghi_fd *e = ghi_fd_get(set->fds[i].fd);
		if (!e)
			continue;
		set->fds[i].seq[GHI_RD] = load_acquire(&e->seq[GHI_RD]);
		set->fds[i].seq[GHI_WR] = load_acquire(&e->seq[GHI_WR]);
	}
}

/* The kernel ends even a call without a wait for a kick that comes in it, which is for us to judge:
 * a handler ran, a cancellation is due, or it was nothing. */
static long ask_kernel(struct ghi_gthread *self, long (*ask)(void *), void *arg)
{
	for (;;) {
		long r = ask(arg);
		if (r != -EINTR || self->sig_ran)
			return r;
		if (ghi_cancel_requested(self))
			return -ECANCELED;
	}
}

/* Asks until something is ready, the deadline comes or a handler ran. */
static long wait_loop(struct ghi_gthread *self, struct ghi_pollset *set, uint64_t deadline,
		      long (*ask)(void *), void *arg)
{
	for (;;) {
		set_sample(set);
		long r = ask_kernel(self, ask, arg);
		if (r != 0)
			return r;
		if (self->sig_ran)
			return -EINTR;
		if (deadline == 0 || (deadline != GHI_NEVER && ghi_now() >= deadline))
			return 0;
		int w = HOOK_WAIT(self, ghi_wait_set(self, set, deadline));
		if (w == -ETIMEDOUT)
			return ask_kernel(self, ask, arg);
		if (w == -EINTR || w == -ECANCELED) {
			if (w == -ECANCELED && ghi_cancel_requested(self))
				return w;
			if (self->sig_ran)
				return -EINTR;
		}
	}
}

/* ---- poll ----------------------------------------------------------------------------------- */

struct poll_call {
	struct pollfd *f;
	nfds_t n;
};

static long ask_poll(void *arg)
{
	struct poll_call *c = arg;
	struct timespec now = {0, 0};
	return ghi_sys_program(SYS_ppoll, c->f, c->n, &now, NULL, 8);
}

static int poll_until(struct ghi_gthread *self, struct pollfd *f, nfds_t n, uint64_t deadline,
		      const sigset_t *mask)
{
	struct poll_call call = {f, n};
	struct set_room room;

	ghi_cancel_point(self);
	self->sig_ran = 0;
	struct masked m;
	long r = mask_read(&m, mask);
	/* The common case needs no set: something is ready, or nobody wants to wait. */
	if (r == 0)
		r = ask_kernel(self, ask_poll, &call);
	if (r == 0 && (deadline != 0 || mask)) {
		struct ghi_pollset *set = set_new(&room, n);
		if (!set)
			return (int)ghi_ret(-ENOMEM);
		for (nfds_t i = 0; i < n; i++) {
			unsigned dirs = 0;
			if (f[i].events & (POLLIN | POLLPRI | POLLRDHUP | POLLRDNORM | POLLRDBAND))
				dirs |= 1u << GHI_RD;
			if (f[i].events & (POLLOUT | POLLWRNORM | POLLWRBAND))
				dirs |= 1u << GHI_WR;
			set_add(set, f[i].fd, dirs ? dirs : 3);
		}
		mask_enter(self, &m);
		r = wait_loop(self, set, deadline, ask_poll, &call);
		mask_leave(self, &m);
		set_free(&room, set);
	}
	if (r == -ECANCELED)
		ghi_cancel_point(self);
	return (int)ghi_ret(r);
}

static uint64_t deadline_ms(int ms)
{
	return ms < 0 ? GHI_NEVER : ms == 0 ? 0 : ghi_deadline_in((uint64_t)ms * GHI_MS);
}

/* 0: at once.  Malformed: -1. */
static int deadline_ts(const struct timespec *t, uint64_t *ret)
{
	if (t && (t->tv_sec < 0 || ghi_ts_invalid(t)))
		return -1;
	*ret = !t ? GHI_NEVER : ghi_ts_to_ns(t) ? ghi_deadline_in(ghi_ts_to_ns(t)) : 0;
	return 0;
}

EXPORT int poll(struct pollfd *f, nfds_t n, int ms)
{
	HOOK_ENTER(self, REAL(poll)(f, n, ms));
	return poll_until(self, f, n, deadline_ms(ms), NULL);
}

EXPORT int ppoll(struct pollfd *f, nfds_t n, const struct timespec *t, const sigset_t *mask)
{
	uint64_t deadline;
	HOOK_ENTER(self, REAL(ppoll)(f, n, t, mask));
	if (deadline_ts(t, &deadline) < 0)
		return (int)ghi_ret(-EINVAL);
	return poll_until(self, f, n, deadline, mask);
}

EXPORT int __poll_chk(struct pollfd *f, nfds_t n, int ms, size_t room)
{
	if (room / sizeof(*f) < n)
		return REAL(__poll_chk)(f, n, ms, room);
	return poll(f, n, ms);
}

EXPORT int __ppoll_chk(struct pollfd *f, nfds_t n, const struct timespec *t, const sigset_t *mask,
		       size_t room)
{
	if (room / sizeof(*f) < n)
		return REAL(__ppoll_chk)(f, n, t, mask, room);
	return ppoll(f, n, t, mask);
}

/* ---- select --------------------------------------------------------------------------------- */

struct select_call {
	int n;
	fd_set *r, *w, *e; /* the caller's: results are written here */
	size_t bytes;
	char *in;   /* copies of the three, in this order */
	bool asked; /* before: results may be in the caller's sets */
};

static long ask_select(void *arg)
{
	struct select_call *c = arg;
	struct timespec now = {0, 0};
	fd_set *out[3] = {c->r, c->w, c->e};
	for (int i = 0; i < 3; i++)
		if (c->asked && out[i])
			memcpy(out[i], c->in + (size_t)i * c->bytes, c->bytes);
	c->asked = true;
	return ghi_sys_program(SYS_pselect6, c->n, c->r, c->w, c->e, &now, NULL);
}

/* The kernel ignores numbers beyond its table of descriptors, which the runtime's own, high numbers
 * have made larger than the program's would be: roughly the power of two above the highest that the
 * program has used. */
static int within_table(int n, fd_set *const given[3])
{
	enum { WORDS = 32 };
	uint64_t bits[WORDS];
	int table = 64;

	while (table <= ghi_fd_highest())
		table *= 2;
	/* A number beyond may be open all the same: not everything that opens is replaced. */
	for (int i = 0; i < 3; i++)
		for (int word = table / 64; given[i] && word < n / 64 + 1 && word < 1 << 16;) {
			int some = WORDS < n / 64 + 1 - word ? WORDS : n / 64 + 1 - word;
			const char *from = (char *)given[i] + word * 8;
			if (ghi_copy_in(bits, from, (size_t)some * 8) < 0 &&
			    ghi_copy_in(bits, from, (size_t)(some = 1) * 8) < 0)
				break;
			for (int fd = word * 64; fd < (word + some) * 64 && fd < n; fd++)
				if ((bits[fd / 64 - word] >> (fd % 64) & 1) &&
				    !ghi_poller_owns(fd) &&
				    ghi_sys(SYS_fcntl, fd, 1 /* F_GETFD */) >= 0)
					ghi_fd_used(fd);
			word += some;
		}
	while (table <= ghi_fd_highest())
		table *= 2;
	return n < table ? n : table;
}

static int select_until(struct ghi_gthread *self, int n, fd_set *r, fd_set *w, fd_set *e,
			uint64_t deadline, const sigset_t *mask)
{
	struct select_call c = {.r = r, .w = w, .e = e};
	struct set_room room;
	fd_set *given[3] = {r, w, e};
	char few[3 * 128];
	long ret = 0;

	if (n < 0)
		return (int)ghi_ret(-EINVAL);
	ghi_cancel_point(self);
	c.n = n = within_table(n, given);
	/* Programs may pass sets larger than fd_set; the kernel reads whole longs. */
	c.bytes = ((size_t)n + 63) / 64 * 8;
	c.in = c.bytes <= 128 ? few : malloc(3 * c.bytes);
	size_t wanted = 0;
	if (c.in)
		for (int i = 0; i < 3; i++) {
			if (!given[i])
				continue;
			unsigned char *copy = (unsigned char *)c.in + (size_t)i * c.bytes;
			if (c.bytes && ghi_copy_in(copy, given[i], c.bytes) < 0) {
				ret = -EFAULT;
				break;
			}
			for (size_t b = 0; b < c.bytes; b++)
				wanted += (size_t)__builtin_popcount(copy[b]);
		}
	struct ghi_pollset *set = c.in && !ret ? set_new(&room, wanted) : NULL;
	if (!set) {
		if (c.in != few)
			free(c.in);
		return (int)ghi_ret(ret ? ret : -ENOMEM);
	}
	for (int fd = 0; fd < n; fd++) {
		unsigned dirs = 0;
		for (int i = 0; i < 3; i++)
			if (given[i] &&
			    (c.in[(size_t)i * c.bytes + (size_t)fd / 8] >> (fd % 8) & 1))
				dirs |= i == 1 ? 1u << GHI_WR : 1u << GHI_RD;
		if (dirs)
			set_add(set, fd, dirs);
	}
	self->sig_ran = 0;
	struct masked m;
	ret = mask_read(&m, mask);
	if (ret == 0 && mask)
		ret = ask_kernel(self, ask_select, &c);
	if (ret == 0) {
		mask_enter(self, &m);
		ret = wait_loop(self, set, deadline, ask_select, &c);
		mask_leave(self, &m);
	}
	if (ret < 0 && ret != -EFAULT) /* on error the sets are left as they were */
		for (int i = 0; i < 3; i++)
			if (given[i])
				memcpy(given[i], c.in + (size_t)i * c.bytes, c.bytes);
	set_free(&room, set);
	if (c.in != few)
		free(c.in);
	if (ret == -ECANCELED)
		ghi_cancel_point(self);
	return (int)ghi_ret(ret);
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t)
{
	HOOK_ENTER(self, REAL(select)(n, r, w, e, t));
	uint64_t deadline = GHI_NEVER, ns;
	struct timeval tv;
	if (t) {
		if (ghi_copy_in(&tv, t, sizeof(tv)) < 0)
			return (int)ghi_ret(-EFAULT);
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return (int)ghi_ret(-EINVAL);
		if (__builtin_mul_overflow((uint64_t)tv.tv_sec, GHI_SEC, &ns) ||
		    __builtin_add_overflow(ns, (uint64_t)tv.tv_usec * GHI_US, &ns))
			ns = GHI_NEVER;
		deadline = ns ? ghi_deadline_in(ns) : 0;
	}
	int ret = select_until(self, n, r, w, e, deadline, NULL);
	if (t && deadline && deadline != GHI_NEVER) { /* Linux writes what is left */
		uint64_t now = ghi_now(), left = deadline > now ? deadline - now : 0;
		tv.tv_sec = (time_t)(left / GHI_SEC);
		tv.tv_usec = (suseconds_t)(left % GHI_SEC / 1000);
		ghi_copy_out(t, &tv, sizeof(tv)); /* if it can be written */
	}
	return ret;
}

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *t,
		   const sigset_t *mask)
{
	uint64_t deadline;
	HOOK_ENTER(self, REAL(pselect)(n, r, w, e, t, mask));
	if (deadline_ts(t, &deadline) < 0)
		return (int)ghi_ret(-EINVAL);
	return select_until(self, n, r, w, e, deadline, mask);
}

/* ---- epoll ---------------------------------------------------------------------------------- */

struct epoll_call {
	int ep, n;
	struct epoll_event *ev;
};

static long ask_epoll(void *arg)
{
	struct epoll_call *c = arg;
	return ghi_sys_program(SYS_epoll_pwait, c->ep, c->ev, c->n, 0, NULL, 8);
}

/* The program's epoll descriptor is itself registered with ours.  One waiter is woken at a time, as
 * the kernel does it; who found something wakes the next, for there may be more. */
static int epoll_until(struct ghi_gthread *self, int ep, struct epoll_event *ev, int n,
		       uint64_t deadline, const sigset_t *mask)
{
	struct epoll_call c = {ep, n, ev};
	struct set_room room;
	struct ghi_pollset *set = set_new(&room, 1);

	ghi_cancel_point(self);
	set_add(set, ep, 1u << GHI_RD);
	self->sig_ran = 0;
	struct masked m;
	long r = mask_read(&m, mask);
	set->one = true;
	if (r == 0 && mask)
		r = ask_epoll(&c);
	if (r == 0 && !(mask && deadline == 0)) { /* without time it lets no signal in */
		mask_enter(self, &m);
		r = wait_loop(self, set, deadline, ask_epoll, &c);
		mask_leave(self, &m);
	}
	struct ghi_fd *e = r > 0 ? ghi_fd_peek(ep) : NULL;
	if (e)
		ghi_fd_pass_on(e, GHI_RD);
	if (r == -ECANCELED)
		ghi_cancel_point(self);
	return (int)ghi_ret(r);
}

EXPORT int epoll_wait(int ep, struct epoll_event *ev, int n, int ms)
{
	HOOK_ENTER(self, REAL(epoll_wait)(ep, ev, n, ms));
	return epoll_until(self, ep, ev, n, deadline_ms(ms), NULL);
}

EXPORT int epoll_pwait(int ep, struct epoll_event *ev, int n, int ms, const sigset_t *mask)
{
	HOOK_ENTER(self, REAL(epoll_pwait)(ep, ev, n, ms, mask));
	return epoll_until(self, ep, ev, n, deadline_ms(ms), mask);
}

EXPORT int epoll_pwait2(int ep, struct epoll_event *ev, int n, const struct timespec *t,
			const sigset_t *mask)
{
	uint64_t deadline;
	HOOK_ENTER(self, REAL(epoll_pwait2)(ep, ev, n, t, mask));
	struct timespec limit;
	if (t && ghi_copy_in(&limit, t, sizeof(limit)) < 0)
		return (int)ghi_ret(-EFAULT);
	if (deadline_ts(t ? &limit : NULL, &deadline) < 0)
		return (int)ghi_ret(-EINVAL);
	return epoll_until(self, ep, ev, n, deadline, mask);
}
