/* The loop of the native calls on descriptors; see io.h. */
#include <errno.h>
#include <poll.h>

#include "src/native/io.h"

long ghi_native_syscall(long nr, const long a[6])
{
	for (;;) {
		struct ghi_gthread *self = ghi_self();
		if (ghi_native_cancelled())
			return -ECANCELED;
		long r = self ? GHI_NATIVE_BLOCKING(
				    GHI_FAULT(GHI_FAULT_PROGRAM, nr,
					      ghi_cancel_syscall(ghi_cancel_word(self), nr, a)))
			      : ghi_sys_program(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (r != -EINTR)
			return r;
	}
}

/* A kernel thread, or a descriptor that our poller cannot have: 0: look again. */
static long wait_in_kernel(struct ghi_native_io *io, uint64_t deadline)
{
	struct ghi_gthread *self = ghi_self();
	struct pollfd p = {.fd = io->fd, .events = io->dir == GHI_RD ? POLLIN : POLLOUT};
	struct ghi_kwait *k = self ? NULL : ghi_tls.kwait;
	uint64_t now = ghi_now(), end = deadline;

	if (ghi_native_cancelled())
		return -ECANCELED;
	if (deadline <= now)
		return -ETIMEDOUT;
	if ((k || self) && end > now + 20 * GHI_MS) /* nobody tells of a request */
		end = now + 20 * GHI_MS;
	struct timespec ts = ghi_ns_to_ts(end - now);
	GHI_NATIVE_BLOCKING(ghi_sys(SYS_ppoll, &p, 1, end == GHI_NEVER ? NULL : &ts, NULL, 8));
	return 0;
}

static long wait(struct ghi_native_io *io, uint32_t seq, uint64_t deadline)
{
	struct ghi_gthread *self = ghi_self();

	if (ghi_native_past(deadline))
		return -ETIMEDOUT;
	if (!self || !io->e)
		return wait_in_kernel(io, deadline);
	long r = ghi_wait_fd(self, io->fd, io->dir, seq, deadline, io->why);
	switch (r) {
	case 0:
	case -EINTR: /* handlers have run */
		return 0;
	case -ETIMEDOUT:
	case -ECANCELED:
	case -EBADF:
		return r;
	default: /* not for epoll, or there is no memory for a registration */
		return wait_in_kernel(io, deadline);
	}
}

/* Known to be empty since the last look (fdtab.h). */
static bool drained(const struct ghi_native_io *io, uint32_t seq)
{
	const struct ghi_fd *e = io->e;
	return io->dir == GHI_RD && e->kind == GHI_FD_TCP && e->armed &&
	       load_relaxed(&e->drained) == seq && !e->hup;
}

long ghi_native_io(struct ghi_native_io *io, bool waits, gh_time until)
{
	uint64_t deadline = ghi_native_deadline(until);
	uint32_t seq = 0;
	long r;

	ghi_native_attention();
	if (waits && ghi_native_cancelled())
		return -ECANCELED;
	io->e = ghi_self() ? ghi_fd_get(io->fd) : ghi_fd_peek(io->fd);
	for (;;) {
		if (io->e)
			seq = load_acquire(&io->e->seq[io->dir]); /* (F1) */
		if (waits && ghi_self() && io->e && drained(io, seq))
			r = -EAGAIN;
		else
			r = io->try(io); /* (F2) */
		if (r == -EINTR)
			continue;
		if (r != -EAGAIN || !waits)
			break;
		if (io->e && io->dir == GHI_RD)
			store_relaxed(&io->e->drained, seq);
		if ((r = wait(io, seq, deadline))) /* (F3), (F4) */
			return r;
	}
	if (r >= 0 && io->e) {
		/* A short read of TCP: empty as of before the try. */
		if (io->dir == GHI_RD && io->e->kind == GHI_FD_TCP && r > 0 && (size_t)r < io->n)
			store_relaxed(&io->e->drained, seq);
		else
			ghi_fd_pass_on(io->e, io->dir);
	}
	return r;
}
