/* Waiting for signals: pause, sigsuspend, the sigwait family, signalfd. */
#include "hooks/hook.h"
#include "hooks/offload.h"
#include "src/wait.h"

/* Until a handler has run. */
static int wait_handler(struct ghi_gthread *self)
{
	while (!self->sig_ran) {
		int w = HOOK_WAIT(self, ghi_wait_until(self, GHI_NEVER, GHI_PARK_FOREVER));
		if (w == -ECANCELED && ghi_cancel_requested(self))
			return w;
	}
	return -EINTR;
}

EXPORT int pause(void)
{
	HOOK_ENTER(self, REAL(pause)());
	ghi_cancel_point(self);
	self->sig_ran = 0;
	int r = wait_handler(self);
	if (r == -ECANCELED)
		ghi_cancel_point(self);
	return (int)ghi_ret(-EINTR);
}

EXPORT int sigsuspend(const sigset_t *s)
{
	HOOK_ENTER(self, REAL(sigsuspend)(s));
	uint64_t mask;
	if (ghi_copy_in(&mask, s, sizeof(mask)) < 0)
		return (int)ghi_ret(-EFAULT);
	ghi_cancel_point(self);
	self->sig_ran = 0;
	ghi_signal_mask_for_wait(self, mask); /* pending ones run here */
	int r = wait_handler(self);
	ghi_signal_mask_after_wait(self);
	if (r == -ECANCELED)
		ghi_cancel_point(self);
	return (int)ghi_ret(-EINTR);
}

static int timed_wait(struct ghi_gthread *self, const sigset_t *s, siginfo_t *info, uint64_t end)
{
	siginfo_t mine;
	uint64_t set;
	if (ghi_copy_in(&set, s, sizeof(set)) < 0)
		return -EFAULT;
	ghi_cancel_point(self);
	int r = ghi_signal_wait(self, set, &mine, end);
	if (r == -ECANCELED)
		ghi_cancel_point(self);
	if (r > 0 && info) {
		if (mine.si_code == SI_TKILL) /* as glibc reports it */
			mine.si_code = SI_USER;
		if (ghi_copy_out(info, &mine, sizeof(mine)) < 0)
			return -EFAULT; /* it is taken all the same */
	}
	return r;
}

EXPORT int sigtimedwait(const sigset_t *s, siginfo_t *info, const struct timespec *t)
{
	HOOK_ENTER(self, (ghi_signal_stranger(), REAL(sigtimedwait)(s, info, t)));
	struct timespec limit = {0};
	if (t && ghi_copy_in(&limit, t, sizeof(limit)) < 0)
		return (int)ghi_ret(-EFAULT);
	if (ghi_ts_invalid(&limit) || limit.tv_sec < 0)
		return (int)ghi_ret(-EINVAL);
	uint64_t end = t ? ghi_deadline_in(ghi_ts_to_ns(&limit)) : GHI_NEVER;
	int r = timed_wait(self, s, info, end);
	/* A look without a wait is not interrupted, although a handler may have run. */
	return (int)ghi_ret(r == -EINTR && t && !limit.tv_sec && !limit.tv_nsec ? -EAGAIN : r);
}

EXPORT int sigwaitinfo(const sigset_t *s, siginfo_t *info)
{
	HOOK_ENTER(self, (ghi_signal_stranger(), REAL(sigwaitinfo)(s, info)));
	return (int)ghi_ret(timed_wait(self, s, info, GHI_NEVER));
}

EXPORT int sigwait(const sigset_t *s, int *sig)
{
	HOOK_ENTER(self, (ghi_signal_stranger(), REAL(sigwait)(s, sig)));
	int r;
	do
		r = timed_wait(self, s, NULL, GHI_NEVER);
	while (r == -EINTR);
	if (r < 0)
		return -r;
	*sig = r;
	return 0;
}

EXPORT int signalfd(int fd, const sigset_t *s, int flags)
{
	/* Also before there are threads. */
	uint64_t set;
	if (s && ghi_copy_in(&set, s, sizeof(set)) == 0)
		ghi_signal_for_fd(set);
	return REAL(signalfd)(fd, s, flags);
}
