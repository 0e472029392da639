/* Calls that wait in the kernel; see offload.h. */
#include <string.h>
#include <sys/uio.h>

#include "hooks/offload.h"
#include "src/stack.h"
#include "src/wait.h"

static uint32_t inside; /* gthreads in a call without end */

static void leave_gate(void *unused)
{
	uint32_t n = load_relaxed(&inside);
	/* 0: a handler forked inside the call, and this is the child. */
	while (n && !cas_acq_rel(&inside, &n, n - 1))
		;
}

bool ghi_gate_enter(struct ghi_held *h)
{
	ghi_nosig_enter();
	bool room = fetch_add_acq_rel(&inside, 1u) < (uint32_t)ghi_config.max_workers / 2;
	if (room)
		ghi_hold(h, leave_gate, NULL);
	else
		leave_gate(NULL);
	ghi_nosig_leave();
	return room;
}

void ghi_gate_after_fork(void)
{
	inside = 0;
}

static long call(struct ghi_gthread *self, const struct ghi_offload *c)
{
	if (c->how & GHI_OFF_POINT)
		return ghi_cancel_syscall(ghi_cancel_word(self), c->nr, c->a);
	return ghi_sys_program(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]);
}

/* A call said EINTR.  The kernel cannot know that a kick interrupted it and no handler ran. */
static bool interrupted(struct ghi_gthread *self, unsigned how)
{
	if (how & GHI_OFF_POINT)
		ghi_cancel_point(self);
	return self->sig_ran & (how & GHI_OFF_RESTART ? GHI_SIG_RAN_NORESTART : GHI_SIG_RAN);
}

static long loop(struct ghi_gthread *self, struct ghi_offload *c)
{
	for (;;) {
		uint32_t frames = ghi_tls.frames;
		long r = BLOCKING(self, call(self, c));
		/* Without any handler: the process was stopped and continues (signal(7)). */
		if (r != -EINTR || interrupted(self, c->how) || ghi_tls.frames == frames)
			return r;
		if (c->deadline && c->left) {
			uint64_t now = ghi_now();
			*c->left = ghi_ns_to_ts(c->deadline > now ? c->deadline - now : 0);
		}
	}
}

long ghi_offload(struct ghi_gthread *self, struct ghi_offload *c)
{
	if (c->how & GHI_OFF_POINT)
		ghi_cancel_point(self);
	self->sig_ran = 0;
	return loop(self, c);
}

/* Steps of 1 to 16 ms: whoever will make the call succeed may be another process. */
static long poll_it(struct ghi_gthread *self, struct ghi_offload *c,
		    const struct ghi_offload_nowait *n)
{
	struct ghi_offload once = *c;
	once.a[n->arg] = n->value;
	for (uint64_t step = GHI_MS;; step = step < 16 * GHI_MS ? step * 2 : step) {
		long r = call(self, &once);
		if (r != n->busy)
			return r;
		uint64_t until = ghi_deadline_in(step);
		if (c->deadline && until >= c->deadline) {
			if (ghi_now() >= c->deadline)
				return r;
			until = c->deadline;
		}
		int w = HOOK_WAIT(self, ghi_wait_until(self, until, GHI_PARK_SLEEP));
		if (w == -EINTR || w == -ECANCELED) {
			if (interrupted(self, c->how))
				return -EINTR;
			self->sig_ran = 0; /* it begins again */
		}
	}
}

long ghi_offload_gated(struct ghi_gthread *self, struct ghi_offload *c,
		       const struct ghi_offload_nowait *n)
{
	GHI_HELD(gate);

	if (c->how & GHI_OFF_POINT)
		ghi_cancel_point(self);
	self->sig_ran = 0;
	return ghi_gate_enter(&gate) ? loop(self, c) : poll_it(self, c, n);
}

/* On the stack that runs: nobody needs to be asked. */
static bool on_own_stack(const void *p, size_t n)
{
	const struct ghi_gthread *self = ghi_self();
	const char *at = p;
	char here;
	return self && &here > self->stack_lo && at > &here && at < self->stack_hi &&
	       n <= (size_t)(self->stack_hi - at);
}

/* The kernel reads eight bytes before it refuses the first argument: so page by page it tells what
 * can be read.  Not process_vm_readv: a sandbox may kill for it, and it takes longer.  NULL would
 * be no set. */
static bool readable(const void *p, size_t n)
{
	uintptr_t end;
	if ((uintptr_t)p < 8 || __builtin_add_overflow((uintptr_t)p, n, &end))
		return false;
	for (uintptr_t at = (uintptr_t)p & ~7ul; at < end; at = (at | (GHI_PAGE - 1)) + 1)
		if (ghi_sys(SYS_rt_sigprocmask, 77, at, NULL, 8) == -EFAULT)
			return false;
	return true;
}

/* The same for eight bytes, which become something else. */
static bool writable(const char *p)
{
	return (uintptr_t)p >= 8 && ghi_sys(SYS_rt_sigprocmask, 0, NULL, p, 8) != -EFAULT;
}

int ghi_copy_in(void *to, const void *from, size_t n)
{
	if (!on_own_stack(from, n) && !readable(from, n))
		return -EFAULT;
	memcpy(to, from, n);
	return 0;
}

int ghi_copy_out(void *to, const void *from, size_t n)
{
	if (!on_own_stack(to, n)) {
		struct iovec l = {(void *)from, n}, r = {to, n};
		long got = 0;
		if (n < 8 || n > GHI_PAGE) /* seldom */
			got = ghi_sys(SYS_process_vm_writev, sys_getpid(), &l, 1, &r, 1, 0);
		else if (!writable(to) || !writable((char *)to + n - 8))
			return -EFAULT;
		if (got == -EFAULT || (got > 0 && got < (long)n))
			return -EFAULT;
		/* Else it is done, or a sandbox refused: the program's risk, as in libc. */
	}
	memcpy(to, from, n);
	return 0;
}
