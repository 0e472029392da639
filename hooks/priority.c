/* Scheduling parameters: policy, real-time priority, nice value, I/O priority.
 *
 * Linux keeps them per kernel thread, and the workers' must not change with whatever gthread they
 * happen to run: so a gthread has its own as a note.  It answers as the kernel would, permissions
 * included, is inherited by new threads and by a forked child (which gets the real thing), and has
 * no effect here.  What a gthread never set is asked of the process's first kernel thread.
 *
 * Owns: the note (struct ghi_prio).  Called by: programs; raw.c for the calls by number.  Must not
 * know: run queues.
 */
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "hooks/hook.h"
#include "hooks/offload.h"
#include "hooks/priority.h"
#include "src/stack.h"

/* struct sched_attr as of Linux 3.14; what newer ones append is left as the kernel says it. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
enum { ATTR_RESET = 1, ATTR_KEEP_POLICY = 8, ATTR_KEEP_PARAMS = 16, ATTR_ALL = 0x7f };
enum { DEADLINE = 6, IOPRIO_WHO_PROCESS = 1, IOPRIO_RT = 1 };

struct ghi_gthread *ghi_priority_target(struct ghi_gthread *self, long pid)
{
	if (!self)
		return NULL;
	struct ghi_gthread *main = ghi_runtime_main();
	if (pid == 0 || pid == self->tid)
		return self;
	if (main && pid == main->tid && load_acquire(&main->life) == GHI_LIFE_ALIVE)
		return main;
	return ghi_gthread_of_tid((int32_t)pid);
}

static bool capable(unsigned cap)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}};
	return ghi_sys(SYS_capget, &h, d) == 0 && d[cap / 32].effective >> cap % 32 & 1;
}

static long limit(int which)
{
	struct rlimit r = {0};
	ghi_sys(SYS_prlimit64, 0, which, NULL, &r);
	return r.rlim_cur > 1000 ? 1000 : (long)r.rlim_cur;
}

static bool real_time(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static int policy_of(struct ghi_gthread *g)
{
	if (g->prio.has & GHI_PRIO_POLICY)
		return g->prio.policy | (g->prio.reset ? SCHED_RESET_ON_FORK : 0);
	return (int)ghi_sys_program(SYS_sched_getscheduler, sys_getpid());
}

static int priority_of(struct ghi_gthread *g)
{
	struct sched_param p = {0};
	if (g->prio.has & GHI_PRIO_POLICY)
		return g->prio.priority;
	ghi_sys_program(SYS_sched_getparam, sys_getpid(), &p);
	return p.sched_priority;
}

static int nice_of(struct ghi_gthread *g)
{
	if (g->prio.has & GHI_PRIO_NICE)
		return g->prio.nice;
	return 20 - (int)ghi_sys_program(SYS_getpriority, PRIO_PROCESS, sys_getpid());
}

static long set_policy(struct ghi_gthread *g, int policy, int priority)
{
	bool reset = policy & SCHED_RESET_ON_FORK;
	policy &= ~SCHED_RESET_ON_FORK;
	long lo = ghi_sys_program(SYS_sched_get_priority_min, policy);
	if (lo < 0 || priority < lo ||
	    priority > ghi_sys_program(SYS_sched_get_priority_max, policy))
		return -EINVAL;
	if (policy == DEADLINE)
		return -EINVAL; /* needs times, which only sched_setattr can tell */
	int old = policy_of(g) & ~SCHED_RESET_ON_FORK;
	bool gains =
	    old == SCHED_IDLE && policy != SCHED_IDLE && 20 - nice_of(g) > limit(RLIMIT_NICE);
	if ((gains || (policy_of(g) & SCHED_RESET_ON_FORK && !reset)) && !capable(CAP_SYS_NICE))
		return -EPERM;
	if (real_time(policy) && (policy != old || priority > priority_of(g)) &&
	    priority > limit(RLIMIT_RTPRIO) && !capable(CAP_SYS_NICE))
		return -EPERM;
	g->prio.policy = (uint8_t)policy;
	g->prio.priority = (uint8_t)priority;
	g->prio.reset = reset;
	g->prio.has |= GHI_PRIO_POLICY;
	return 0;
}

static long set_nice(struct ghi_gthread *g, int nice, int refused)
{
	nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
	if (nice < nice_of(g) && 20 - nice > limit(RLIMIT_NICE) && !capable(CAP_SYS_NICE))
		return refused;
	g->prio.nice = (int8_t)nice;
	g->prio.has |= GHI_PRIO_NICE;
	return 0;
}

static long set_attr(struct ghi_gthread *g, const struct attr *from, unsigned flags)
{
	struct attr copy, *a = &copy;
	if (!from || flags)
		return -EINVAL;
	if (ghi_copy_in(a, from, sizeof(*a)) < 0)
		return -EFAULT;
	if (a->size && (a->size < sizeof(*a) || a->size > GHI_PAGE))
		return -E2BIG;
	if (a->flags & ~(uint64_t)ATTR_ALL || (int)a->policy < 0)
		return -EINVAL;
	int policy = a->flags & ATTR_KEEP_POLICY ? policy_of(g) : (int)a->policy;
	if (a->flags & ATTR_RESET)
		policy |= SCHED_RESET_ON_FORK;
	if (a->flags & ATTR_KEEP_PARAMS)
		return set_policy(g, policy, priority_of(g));
	int plain = policy & ~SCHED_RESET_ON_FORK;
	if (plain == DEADLINE && a->priority == 0)
		return -EPERM; /* a promise of time, which needs a kernel thread */
	bool fair = plain == SCHED_OTHER || plain == SCHED_BATCH;
	if (fair && a->priority == 0) {
		long r = set_nice(g, a->nice, -EPERM);
		if (r < 0)
			return r;
	}
	return set_policy(g, policy, (int)a->priority);
}

static long get_attr(struct ghi_gthread *g, struct attr *a, unsigned size, unsigned flags)
{
	long r = ghi_sys_program(SYS_sched_getattr, sys_getpid(), a, size, flags);
	if (r < 0)
		return r;
	int policy = policy_of(g) & ~SCHED_RESET_ON_FORK;
	a->policy = (uint32_t)policy;
	a->priority = (uint32_t)priority_of(g);
	a->nice = policy == SCHED_OTHER || policy == SCHED_BATCH ? nice_of(g) : 0;
	a->flags &= ~(uint64_t)ATTR_RESET;
	a->flags |= policy_of(g) & SCHED_RESET_ON_FORK ? ATTR_RESET : 0;
	return r;
}

/* What sched_rr_get_interval says of the others does not depend on what a gthread set. */
static long get_interval(struct ghi_gthread *g, struct timespec *t)
{
	long r = ghi_sys_program(SYS_sched_rr_get_interval, sys_getpid(), t);
	if (r == 0 && (policy_of(g) & ~SCHED_RESET_ON_FORK) == SCHED_FIFO)
		*t = (struct timespec){0};
	return r;
}

static long set_io(struct ghi_gthread *g, int value)
{
	int class = value >> 13;
	if (class > 3 || value < 0 || (class == 0 && (value & 0x1fff)))
		return -EINVAL;
	if (class == IOPRIO_RT && !capable(CAP_SYS_NICE) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	g->prio.io = (uint16_t)value;
	g->prio.has |= GHI_PRIO_IO;
	return 0;
}

/* One switch for libc's functions and for syscall(). */
long ghi_priority_call(struct ghi_gthread *self, long nr, long a, long b, long c, long d)
{
	bool by_which = nr == SYS_getpriority || nr == SYS_setpriority;
	bool io = nr == SYS_ioprio_get || nr == SYS_ioprio_set;
	bool own = !(by_which && a != PRIO_PROCESS) && !(io && a != IOPRIO_WHO_PROCESS);
	struct ghi_gthread *g = own ? ghi_priority_target(self, by_which || io ? b : a) : NULL;
	struct sched_param p;

	if (!g)
		return ghi_sys_program(nr, a, b, c, d);
	switch (nr) {
	case SYS_getpriority:
		return 20 - nice_of(g);
	case SYS_setpriority:
		return set_nice(g, (int)c, -EACCES);
	case SYS_sched_getscheduler:
		return policy_of(g);
	case SYS_sched_setscheduler:
		if (!c || (int)b < 0)
			return -EINVAL;
		return ghi_copy_in(&p, (void *)c, sizeof(p)) < 0
			   ? -EFAULT
			   : set_policy(g, (int)b, p.sched_priority);
	case SYS_sched_getparam:
		if (!b)
			return -EINVAL;
		p.sched_priority = priority_of(g);
		return ghi_copy_out((void *)b, &p, sizeof(p));
	case SYS_sched_setparam:
		if (!b)
			return -EINVAL;
		return ghi_copy_in(&p, (void *)b, sizeof(p)) < 0
			   ? -EFAULT
			   : set_policy(g, policy_of(g), p.sched_priority);
	case SYS_sched_getattr:
		return get_attr(g, (struct attr *)b, (unsigned)c, (unsigned)d);
	case SYS_sched_setattr:
		return set_attr(g, (struct attr *)b, (unsigned)c);
	case SYS_sched_rr_get_interval:
		return get_interval(g, (struct timespec *)b);
	case SYS_ioprio_set:
		return set_io(g, (int)c);
	default: /* SYS_ioprio_get */
		return g->prio.has & GHI_PRIO_IO ? g->prio.io
						 : ghi_sys_program(nr, a, (long)sys_getpid());
	}
}

bool ghi_priority_number(long nr)
{
	switch (nr) {
	case SYS_getpriority:
	case SYS_setpriority:
	case SYS_sched_getscheduler:
	case SYS_sched_setscheduler:
	case SYS_sched_getparam:
	case SYS_sched_setparam:
	case SYS_sched_getattr:
	case SYS_sched_setattr:
	case SYS_sched_rr_get_interval:
	case SYS_ioprio_get:
	case SYS_ioprio_set:
		return true;
	default:
		return false;
	}
}

#define CALL(self, nr, a, b, c)                                                                    \
	ghi_ret(ghi_priority_call(self, nr, (long)(a), (long)(b), (long)(c), 0))

EXPORT int sched_setscheduler(pid_t pid, int policy, const struct sched_param *p)
{
	return (int)CALL(ghi_hook_self(), SYS_sched_setscheduler, pid, policy, p);
}

EXPORT int sched_getscheduler(pid_t pid)
{
	return (int)CALL(ghi_hook_self(), SYS_sched_getscheduler, pid, 0, 0);
}

EXPORT int sched_setparam(pid_t pid, const struct sched_param *p)
{
	return (int)CALL(ghi_hook_self(), SYS_sched_setparam, pid, p, 0);
}

EXPORT int sched_getparam(pid_t pid, struct sched_param *p)
{
	return (int)CALL(ghi_hook_self(), SYS_sched_getparam, pid, p, 0);
}

EXPORT int sched_rr_get_interval(pid_t pid, struct timespec *t)
{
	return (int)CALL(ghi_hook_self(), SYS_sched_rr_get_interval, pid, t, 0);
}

EXPORT int setpriority(__priority_which_t which, id_t who, int nice)
{
	return (int)CALL(ghi_hook_self(), SYS_setpriority, which, who, nice);
}

/* The kernel answers 20 - nice, so that no answer looks like an error. */
EXPORT int getpriority(__priority_which_t which, id_t who)
{
	long r = CALL(ghi_hook_self(), SYS_getpriority, which, who, 0);
	return r < 0 ? -1 : 20 - (int)r;
}

EXPORT int nice(int by)
{
	HOOK_ENTER(self, REAL(nice)(by));
	int now = nice_of(self);
	by = by < -40 ? -40 : by > 40 ? 40 : by;
	long r = set_nice(self, now + by, -EPERM);
	return r < 0 ? (int)ghi_ret(r) : self->prio.nice;
}

/* ---- the same by pthread_t ------------------------------------------------------------------ */

EXPORT int pthread_setschedparam(pthread_t t, int policy, const struct sched_param *p)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_setschedparam)(t, policy, p);
	return (int)-set_policy(g, policy, p->sched_priority);
}

EXPORT int pthread_getschedparam(pthread_t t, int *policy, struct sched_param *p)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_getschedparam)(t, policy, p);
	*policy = policy_of(g);
	p->sched_priority = priority_of(g);
	return 0;
}

EXPORT int pthread_setschedprio(pthread_t t, int prio)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_setschedprio)(t, prio);
	return (int)-set_policy(g, policy_of(g), prio);
}

/* What a new thread's attributes ask for, before it runs. */
int ghi_priority_explicit(struct ghi_gthread *g, int policy, int priority)
{
	return (int)-set_policy(g, policy, priority);
}
