/* Message queues and semaphores between processes.
 *
 * POSIX queues are descriptors: a call whose time limit has passed long ago does not wait, so it is
 * the quick try, and epoll tells when to try again.  But the kernel must know that somebody
 * receives: then no notification (mq_notify) is sent.  So one gthread per queue waits in the
 * kernel, and the others are parked like those who were turned away from a listener.  System V
 * objects are no descriptors: their calls wait in the kernel, through the gate of offload.h,
 * because who wakes them may be a thread of this process.
 */
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "hooks/held.h"
#include "hooks/io.h"
#include "hooks/offload.h"

/* ---- POSIX ---------------------------------------------------------------------------------- */

struct mq_args {
	char *msg;
	size_t n;
	unsigned *prio; /* receiving */
	unsigned with;	/* sending */
	const struct timespec *until;
};

static const struct timespec long_ago = {0, 0};

static long mq_call(struct ghi_io *io, const struct timespec *until)
{
	struct mq_args *a = io->args;
	return io->dir == GHI_RD
		   ? ghi_sys_program(SYS_mq_timedreceive, io->fd, a->msg, a->n, a->prio, until)
		   : ghi_sys_program(SYS_mq_timedsend, io->fd, a->msg, a->n, a->with, until);
}

/* By the one gthread that may. */
static long receive_alone(struct ghi_gthread *self, struct ghi_io *io, struct ghi_fd *e)
{
	GHI_HELD(right);
	struct mq_args *a = io->args;
	return ghi_hold_listener(&right, e)
		   ? BLOCKING(self, ghi_sys_point(self, SYS_mq_timedreceive, io->fd, a->msg, a->n,
						  a->prio, a->until))
		   : -EAGAIN;
}

static long mq_try(struct ghi_io *io, struct ghi_fd *e)
{
	struct ghi_gthread *self = ghi_self();
	GHI_HELD(gate);
	long r = mq_call(io, &long_ago);

	if (r != -ETIMEDOUT)
		return r;
	if (io->dir == GHI_WR || !ghi_gate_enter(&gate))
		return -EAGAIN;
	for (;;) {
		r = receive_alone(self, io, e);
		if (r != -EINTR || (self->sig_ran & GHI_SIG_RAN_NORESTART))
			return r;
		ghi_cancel_point(self);
	}
}

static long mq_block(struct ghi_io *io)
{
	struct mq_args *a = io->args;
	return mq_call(io, a->until);
}

static long mq_run(struct ghi_gthread *self, int fd, int dir, struct mq_args *a)
{
	struct ghi_io io = {.fd = fd,
			    .dir = dir,
			    .why = dir == GHI_RD ? GHI_PARK_READ : GHI_PARK_WRITE,
			    .try = mq_try,
			    .block = mq_block,
			    .args = a,
			    .queue = true,
			    .restarts = true};
	struct timespec t;

	if (a->until) { /* the kernel looks at it first */
		if (ghi_copy_in(&t, a->until, sizeof(t)) < 0)
			return -EFAULT;
		if (t.tv_sec < 0 || ghi_ts_invalid(&t))
			return -EINVAL;
		io.deadline = ghi_deadline_at(CLOCK_REALTIME, &t);
	}
	return ghi_io_run(self, &io);
}

EXPORT ssize_t mq_timedreceive(mqd_t q, char *msg, size_t n, unsigned *prio,
			       const struct timespec *until)
{
	HOOK_ENTER(self, REAL(mq_timedreceive)(q, msg, n, prio, until));
	struct mq_args a = {.msg = msg, .n = n, .prio = prio, .until = until};
	return ghi_ret(mq_run(self, q, GHI_RD, &a));
}

EXPORT ssize_t mq_receive(mqd_t q, char *msg, size_t n, unsigned *prio)
{
	HOOK_ENTER(self, REAL(mq_receive)(q, msg, n, prio));
	struct mq_args a = {.msg = msg, .n = n, .prio = prio};
	return ghi_ret(mq_run(self, q, GHI_RD, &a));
}

EXPORT int mq_timedsend(mqd_t q, const char *msg, size_t n, unsigned prio,
			const struct timespec *until)
{
	HOOK_ENTER(self, REAL(mq_timedsend)(q, msg, n, prio, until));
	struct mq_args a = {.msg = (char *)msg, .n = n, .with = prio, .until = until};
	return (int)ghi_ret(mq_run(self, q, GHI_WR, &a));
}

EXPORT int mq_send(mqd_t q, const char *msg, size_t n, unsigned prio)
{
	HOOK_ENTER(self, REAL(mq_send)(q, msg, n, prio));
	struct mq_args a = {.msg = (char *)msg, .n = n, .with = prio};
	return (int)ghi_ret(mq_run(self, q, GHI_WR, &a));
}

EXPORT int mq_close(mqd_t q)
{
	HOOK_ENTER(self, REAL(mq_close)(q));
	(void)self;
	ghi_fd_forget(q);
	return (int)ghi_ret(ghi_sys_program(SYS_close, q));
}

EXPORT int mq_setattr(mqd_t q, const struct mq_attr *a, struct mq_attr *old)
{
	int r = REAL(mq_setattr)(q, a, old);
	ghi_fd_flags_changed(); /* O_NONBLOCK */
	return r;
}

/* ---- System V ------------------------------------------------------------------------------- */

EXPORT int msgsnd(int id, const void *msg, size_t n, int flags)
{
	HOOK_ENTER(self, REAL(msgsnd)(id, msg, n, flags));
	struct ghi_offload c = {
	    .how = GHI_OFF_POINT, .nr = SYS_msgsnd, .a = {id, (long)msg, (long)n, flags}};
	struct ghi_offload_nowait nowait = {3, flags | IPC_NOWAIT, -EAGAIN};
	if (flags & IPC_NOWAIT)
		return (int)ghi_ret(ghi_offload(self, &c));
	return (int)ghi_ret(ghi_offload_gated(self, &c, &nowait));
}

EXPORT ssize_t msgrcv(int id, void *msg, size_t n, long type, int flags)
{
	HOOK_ENTER(self, REAL(msgrcv)(id, msg, n, type, flags));
	struct ghi_offload c = {
	    .how = GHI_OFF_POINT, .nr = SYS_msgrcv, .a = {id, (long)msg, (long)n, type, flags}};
	struct ghi_offload_nowait nowait = {4, flags | IPC_NOWAIT, -ENOMSG};
	if (flags & IPC_NOWAIT)
		return ghi_ret(ghi_offload(self, &c));
	return ghi_ret(ghi_offload_gated(self, &c, &nowait));
}

enum { OPS_MAX = 500 }; /* the kernel's default; longer ones go ungated */

/* Whether an operation waits is said in each of its members. */
static long semaphores(struct ghi_gthread *self, struct ghi_offload *c, size_t n)
{
	struct sembuf copy[OPS_MAX];
	struct ghi_offload_nowait nowait = {1, (long)copy, -EAGAIN};
	bool asks = false;

	if (n > OPS_MAX || ghi_copy_in(copy, (void *)c->a[1], n * sizeof(copy[0])) < 0)
		return ghi_offload(self, c);
	for (size_t i = 0; i < n; i++) {
		asks |= copy[i].sem_flg & IPC_NOWAIT;
		copy[i].sem_flg |= IPC_NOWAIT;
	}
	return asks ? ghi_offload(self, c) : ghi_offload_gated(self, c, &nowait);
}

EXPORT int semop(int id, struct sembuf *ops, size_t n)
{
	HOOK_ENTER(self, REAL(semop)(id, ops, n));
	struct ghi_offload c = {.nr = SYS_semtimedop, .a = {id, (long)ops, (long)n, 0}};
	return (int)ghi_ret(semaphores(self, &c, n));
}

EXPORT int semtimedop(int id, struct sembuf *ops, size_t n, const struct timespec *t)
{
	HOOK_ENTER(self, REAL(semtimedop)(id, ops, n, t));
	struct timespec left;
	struct ghi_offload c = {.nr = SYS_semtimedop, .a = {id, (long)ops, (long)n, (long)t}};
	if (t && ghi_copy_in(&left, t, sizeof(left)) < 0)
		return (int)ghi_ret(-EFAULT);
	if (t && left.tv_sec >= 0 && !ghi_ts_invalid(&left)) {
		c.a[3] = (long)&left;
		c.left = &left;
		c.deadline = ghi_deadline_in(ghi_ts_to_ns(&left));
	}
	return (int)ghi_ret(semaphores(self, &c, n));
}
