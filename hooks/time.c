/* sleep, usleep, nanosleep, clock_nanosleep: a deadline and nothing else. */
#include <limits.h>

#include "hooks/hook.h"
#include "hooks/offload.h"
#include "src/wait.h"

/* 0 or a positive errno; *ret_left: ns that remain when a handler ended it. */
static int sleep_until(struct ghi_gthread *self, clockid_t clock, uint64_t at, uint64_t *ret_left)
{
	self->sig_ran = 0;
	for (;;) {
		/* Absolute times of the wall clock are converted anew after each wake-up. */
		uint64_t now = ghi_clock_ns(clock);
		if (now >= at)
			return 0;
		uint64_t end = at == GHI_NEVER ? GHI_NEVER : ghi_deadline_in(at - now);
		int w = HOOK_WAIT(self, ghi_wait_until(self, end, GHI_PARK_SLEEP));
		if (w == -ECANCELED)
			ghi_cancel_point(self);
		if (self->sig_ran) {
			now = ghi_clock_ns(clock);
			*ret_left = at > now ? at - now : 0;
			return EINTR;
		}
	}
}

static uint64_t after(clockid_t clock, uint64_t ns)
{
	uint64_t now = ghi_clock_ns(clock);
	return ns > GHI_NEVER - now ? GHI_NEVER : now + ns;
}

/* A clock that counts CPU time: the kernel's to wait for.  Only a handler ends it, no kick. */
static int sleep_in_libc(struct ghi_gthread *self, clockid_t clock, int flags,
			 const struct timespec *t, struct timespec *rem)
{
	struct timespec want, left;
	int r;

	self->sig_ran = 0;
	r = BLOCKING(self, REAL(clock_nanosleep)(clock, flags, t, &left));
	while (r == EINTR && !self->sig_ran) {
		want = flags & TIMER_ABSTIME ? *t : left;
		r = BLOCKING(self, REAL(clock_nanosleep)(clock, flags, &want, &left));
	}
	if (r == EINTR && rem && !(flags & TIMER_ABSTIME) &&
	    ghi_copy_out(rem, &left, sizeof(left)) < 0)
		return EFAULT;
	return r;
}

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
			   struct timespec *rem)
{
	HOOK_ENTER(self, REAL(clock_nanosleep)(clock, flags, t, rem));
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME &&
	    clock != CLOCK_TAI) {
		int r;
		if (ghi_cputime_nanosleep(self, clock, flags, t, rem, &r))
			return r;
		return sleep_in_libc(self, clock, flags, t, rem);
	}
	struct timespec copy;
	if (ghi_copy_in(&copy, t, sizeof(copy)) < 0)
		return EFAULT;
	t = &copy;
	if (ghi_ts_invalid(t) || t->tv_sec < 0)
		return EINVAL;
	ghi_cancel_point(self);
	bool absolute = flags & TIMER_ABSTIME;
	/* A relative sleep is not moved by setting the wall clock. */
	clockid_t by = absolute ? clock : CLOCK_MONOTONIC;
	uint64_t left = 0, at = absolute ? ghi_ts_to_ns(t) : after(by, ghi_ts_to_ns(t));
	if (!absolute && ghi_ts_to_ns(t) == 0)
		ghi_yield();
	int r = sleep_until(self, by, at, &left);
	if (r == EINTR && rem && !absolute) {
		struct timespec rest = ghi_ns_to_ts(left);
		if (ghi_copy_out(rem, &rest, sizeof(rest)) < 0)
			return EFAULT;
	}
	return r == EINTR ? ghi_hook_eintr() : r;
}

EXPORT int nanosleep(const struct timespec *t, struct timespec *rem)
{
	HOOK_ENTER(self, REAL(nanosleep)(t, rem));
	(void)self;
	return (int)ghi_ret(-clock_nanosleep(CLOCK_REALTIME, 0, t, rem));
}

EXPORT unsigned sleep(unsigned s)
{
	HOOK_ENTER(self, REAL(sleep)(s));
	uint64_t left = 0;
	int saved = errno;
	ghi_cancel_point(self);
	if (sleep_until(self, CLOCK_MONOTONIC, after(CLOCK_MONOTONIC, s * GHI_SEC), &left) ==
	    EINTR) {
		/* Whole seconds that remain, rounded as libc does (down). */
		return (unsigned)(left / GHI_SEC);
	}
	errno = saved;
	return 0;
}

EXPORT int usleep(useconds_t us)
{
	HOOK_ENTER(self, REAL(usleep)(us));
	uint64_t left;
	ghi_cancel_point(self);
	if (us == 0)
		ghi_yield();
	return (int)ghi_ret(
	    -sleep_until(self, CLOCK_MONOTONIC, after(CLOCK_MONOTONIC, us * GHI_US), &left));
}
