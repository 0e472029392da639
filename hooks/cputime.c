/* CPU-time clocks of threads: clock_gettime and its relatives, getrusage.
 *
 * The clock id of a thread is its thread id in disguise, as the kernel's are:
 * ~tid << 3 | 4 | which, with bits of the top lost; which: 2 is the clock in nanoseconds.
 *
 * Owns: translating clock ids.  Called by: programs, time.c, raw.c.  Must not know: how CPU time is
 * measured (src/cputime.h).
 */
#include <string.h>
#include <sys/resource.h>

#include "hooks/hook.h"
#include "hooks/offload.h"
#include "src/cputime.h"
#include "src/own.h"
#include "src/wait.h"

static clockid_t clock_of(const struct ghi_gthread *g)
{
	return (clockid_t)(~(unsigned)g->tid << 3 | 6 | 1u << 31); /* negative for any id */
}

static bool lives(const struct ghi_gthread *g)
{
	uint32_t life = load_acquire(&g->life);
	return life == GHI_LIFE_ALIVE || life == GHI_LIFE_EXITING;
}

/* The gthread that a clock belongs to; NULL: not ours, the kernel knows. */
static struct ghi_gthread *gthread_of_clock(struct ghi_gthread *self, clockid_t c)
{
	if (__builtin_expect(c >= 0 && c != CLOCK_THREAD_CPUTIME_ID, 1) || !self)
		return NULL;
	if (c == CLOCK_THREAD_CPUTIME_ID)
		return self;
	if (!(c & 4) || (c & 3) == 3) /* a process's, or a descriptor's */
		return NULL;
	clockid_t id = (c & ~3) | 2;
	if (id == (clockid_t)(~0u << 3 | 6) || id == clock_of(self))
		return self; /* thread id 0 is the caller */
	struct ghi_gthread *main = ghi_runtime_main();
	if (main && lives(main) && id == clock_of(main))
		return main;
	for (struct ghi_gthread *g = ghi_gthread_all(); g; g = g->all_next)
		if (id == clock_of(g) && lives(g) && !(g->flags & GHI_G_NATIVE))
			return g;
	return NULL;
}

/* As the kernel hands out an answer. */
static int put(void *to, const void *from, size_t n)
{
	return (int)ghi_ret(ghi_copy_out(to, from, n));
}

EXPORT int pthread_getcpuclockid(pthread_t t, clockid_t *c)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_getcpuclockid)(t, c);
	if (!lives(g))
		return ESRCH;
	*c = clock_of(g);
	return 0;
}

EXPORT int clock_gettime(clockid_t c, struct timespec *t)
{
	/* The usual clocks are libc's, and as cheap as before. */
	if (__builtin_expect(c >= 0 && c != CLOCK_THREAD_CPUTIME_ID, 1))
		return REAL(clock_gettime)(c, t);
	struct ghi_gthread *self = ghi_self(), *g = gthread_of_clock(self, c);
	if (!g)
		return REAL(clock_gettime)(c, t);
	struct timespec now = ghi_ns_to_ts(ghi_cputime_of(self, g));
	return put(t, &now, sizeof(now));
}

EXPORT int clock_getres(clockid_t c, struct timespec *t)
{
	if (!gthread_of_clock(ghi_self(), c))
		return REAL(clock_getres)(c, t);
	return REAL(clock_getres)(CLOCK_THREAD_CPUTIME_ID, t);
}

EXPORT int clock_settime(clockid_t c, const struct timespec *t)
{
	if (!gthread_of_clock(ghi_self(), c))
		return REAL(clock_settime)(c, t);
	/* Refused as the kernel does, which has two answers. */
	return REAL(clock_settime)(c < 0 ? (clockid_t)(~0u << 3 | 6) : c, t);
}

/* Of the fields but the times the kernel counts per kernel thread, which means nothing here. */
static void usage_of(struct ghi_gthread *self, struct rusage *u)
{
	struct rusage all;
	uint64_t cpu = ghi_cputime_of(self, self) / 1000;

	ghi_sys_program(SYS_getrusage, RUSAGE_SELF, &all);
	uint64_t user = (uint64_t)all.ru_utime.tv_sec * 1000000 + (uint64_t)all.ru_utime.tv_usec;
	uint64_t system = (uint64_t)all.ru_stime.tv_sec * 1000000 + (uint64_t)all.ru_stime.tv_usec;
	/* Split as the process's: it is not known per gthread. */
	uint64_t s =
	    user + system ? (uint64_t)((double)cpu * (double)system / (double)(user + system)) : 0;
	memset(u, 0, sizeof(*u));
	u->ru_utime.tv_sec = (time_t)((cpu - s) / 1000000);
	u->ru_utime.tv_usec = (suseconds_t)((cpu - s) % 1000000);
	u->ru_stime.tv_sec = (time_t)(s / 1000000);
	u->ru_stime.tv_usec = (suseconds_t)(s % 1000000);
	u->ru_maxrss = all.ru_maxrss;
}

EXPORT int getrusage(__rusage_who_t who, struct rusage *u)
{
	struct ghi_gthread *self = ghi_self();
	if (!self || (int)who != RUSAGE_THREAD)
		return REAL(getrusage)(who, u);
	struct rusage usage;
	usage_of(self, &usage);
	return put(u, &usage, sizeof(usage));
}

/* Nobody's clock runs faster than time does, so what is left is a lower bound for the wait. */
bool ghi_cputime_nanosleep(struct ghi_gthread *self, clockid_t c, int flags,
			   const struct timespec *t, struct timespec *rem, int *ret)
{
	struct ghi_gthread *g = c < 0 ? gthread_of_clock(self, c) : NULL;
	if (!g)
		return false;
	struct timespec copy;
	bool readable = g == self || ghi_copy_in(&copy, t, sizeof(copy)) == 0;
	if (g == self || !readable || ghi_ts_invalid(&copy) || copy.tv_sec < 0) {
		*ret = readable ? EINVAL : EFAULT; /* one's own clock stands still meanwhile */
		return true;
	}
	t = &copy;
	uint64_t now = ghi_cputime_of(self, g), at = ghi_ts_to_ns(t);
	if (!(flags & TIMER_ABSTIME))
		at = at > GHI_NEVER - now ? GHI_NEVER : now + at;
	ghi_cancel_point(self);
	self->sig_ran = 0;
	for (; lives(g) && (now = ghi_cputime_of(self, g)) < at;) {
		uint64_t left = at - now > GHI_MS ? at - now : GHI_MS;
		int w =
		    HOOK_WAIT(self, ghi_wait_until(self, ghi_deadline_in(left), GHI_PARK_SLEEP));
		if (w == -ECANCELED)
			ghi_cancel_point(self);
		if (self->sig_ran) {
			struct timespec rest = ghi_ns_to_ts(at > now ? at - now : 0);
			bool told = !rem || (flags & TIMER_ABSTIME) ||
				    ghi_copy_out(rem, &rest, sizeof(rest)) == 0;
			*ret = told ? EINTR : EFAULT;
			return true;
		}
	}
	*ret = 0;
	return true;
}

long ghi_cputime_own_clock(struct ghi_gthread *self, clockid_t *clock)
{
	struct ghi_gthread *g = gthread_of_clock(self, *clock);
	if (!g)
		return 0;
	if (g == self) {
		*clock = CLOCK_THREAD_CPUTIME_ID;
		return ghi_own_thread(self);
	}
	if (g->own) /* else libc's answer for an unknown clock */
		*clock = (clockid_t)((~(unsigned)g->own->tid << 3) | 6);
	return 0;
}
