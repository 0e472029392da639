/* Threads: create, exit, join, detach, names, attributes, cancellation requests.
 *
 * A pthread_t is the address of a thread control block, ours or libc's, so pthread_self and
 * pthread_equal need no hook, and every function here that is handed a kernel thread passes on.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "hooks/hook.h"
#include "src/lot.h"
#include "src/runtime.h"
#include "src/stack.h"
#include "src/tls.h"

/* Old-style cancellation frames (pthread_cleanup_push without -fexceptions), and the outermost one
 * that libc's unwinder jumps to at the end of pthread_exit. */
extern void __pthread_register_cancel(__pthread_unwind_buf_t *);
extern void __pthread_unregister_cancel(__pthread_unwind_buf_t *);
extern int set_cancel_jump(struct __cancel_jmp_buf_tag *, int) __asm__("__sigsetjmp")
    __attribute__((returns_twice));

/* The gthread behind a pthread_t; NULL: a kernel thread, ask libc. */
static struct ghi_gthread *gthread_of(pthread_t t)
{
	return ghi_runtime_running() && t ? ghi_gthread_of((uintptr_t)t) : NULL;
}

/* ---- create and exit ------------------------------------------------------------------------ */

/* On the stack of whoever runs next. */
static void commit_exit(struct ghi_gthread *left, struct ghi_worker *w)
{
	uint32_t seen = GHI_JOINABLE;

	store_release(&left->life, (uint32_t)GHI_LIFE_DEAD);
	if (cas_acq_rel(&left->join, &seen, (uint32_t)GHI_ENDED))
		ghi_lot_wake(&left->join, INT_MAX, 0, NULL,
			     NULL); /* an address only: it may be gone */
	else
		ghi_gthread_recycle(left); /* detached */
}

static _Noreturn void leave_for_good(struct ghi_gthread *self)
{
	fetch_or_acq_rel(&self->cancel, (uint32_t)GHI_CANCEL_EXITING);
	store_release(&self->life, (uint32_t)GHI_LIFE_EXITING);
	ghi_tls_exit();
	ghi_runtime_alive(-1);
	ghi_nosig_enter();
	ghi_signal_count(self->sigmask, -1);
	ghi_signal_drop_queued(self);
	self->reason = GHI_PARK_NONE;
	ghi_sched_leave(self, commit_exit);
	__builtin_unreachable();
}

static void gthread_entry(void *arg)
{
	struct ghi_gthread *self = arg;
	__pthread_unwind_buf_t outermost;

	ghi_sched_arrived(self);
	ghi_tls_enter(self->res);
	ghi_nosig_leave();
	/* What start_thread() does: pthread_exit unwinds to here. */
	if (set_cancel_jump(outermost.__cancel_jmp_buf, 0) == 0) {
		memset(outermost.__pad, 0, sizeof(outermost.__pad));
		__pthread_register_cancel(&outermost);
		self->result = self->start(self->arg);
	}
	if (!ghi_self()) { /* a fork's child, whose only thread this is */
		ghi_tls_exit();
		exit(0);
	}
	leave_for_good(ghi_self());
}

/* What pthread_attr_t says; the flag bits are the ABI of its initial part. */
static void read_attr(const pthread_attr_t *a, struct ghi_gthread_attr *ret)
{
	struct {
		int priority, policy, flags;
		size_t guard;
		void *stackaddr; /* highest byte */
		size_t stacksize;
	} const *in = (const void *)a;
	int detach;
	size_t size = 0;

	pthread_attr_getdetachstate(a, &detach);
	ret->detached = detach == PTHREAD_CREATE_DETACHED;
	pthread_attr_getguardsize(a, &ret->guard_size);
	if (in->flags & 0x8) { /* ATTR_FLAG_STACKADDR */
		ret->stack_addr = (char *)in->stackaddr - in->stacksize;
		ret->stack_size = in->stacksize;
	} else {
		pthread_attr_getstacksize(a, &size);
		ret->stack_size = in->stacksize || !ghi_config.stack ? size : 0;
	}
}

EXPORT int pthread_create(pthread_t *t, const pthread_attr_t *a, ghi_start_fn f, void *arg)
{
	struct ghi_gthread_attr attr = {.guard_size = GHI_PAGE};

	(void)REAL(pthread_create);
	if (!ghi_runtime_ensure())
		return real.pthread_create(t, a, f, arg);
	struct ghi_gthread *self = ghi_hook_self();
	pthread_attr_t def;
	if (a) {
		read_attr(a, &attr);
	} else if (pthread_getattr_default_np(&def) == 0) {
		read_attr(&def, &attr); /* the program may have set the default */
		pthread_attr_destroy(&def);
		if (ghi_config.stack)
			attr.stack_size = 0;
	}
	struct ghi_gthread *g = ghi_gthread_new(&attr, f, arg, gthread_entry);
	if (!g)
		return EAGAIN;
	if (self) {
		g->sigmask = self->sigmask;
		g->affinity = self->affinity;
		memcpy(g->name, self->name, sizeof(g->name));
	} else {
		sys_sigprocmask(SIG_BLOCK, NULL, &g->sigmask);
	}
	ghi_runtime_alive(1);
	ghi_nosig_enter();
	ghi_signal_count(g->sigmask, 1);
	*t = (pthread_t)g->tp; /* before it runs: the thread may look */
	ghi_ready(g);
	ghi_nosig_leave();
	return 0;
}

EXPORT void pthread_exit(void *ret)
{
	struct ghi_gthread *self = ghi_self();
	if (self) {
		self->result = ret;
		fetch_or_acq_rel(&self->cancel, (uint32_t)GHI_CANCEL_EXITING);
	}
	REAL(pthread_exit)(ret);
	__builtin_unreachable();
}

/* main() runs inside a frame of ours, so that pthread_exit in main ends where we can go on. */
static struct {
	ghi_main_fn fn;
} program;

static int main_frame(int argc, char **argv, char **envp)
{
	__pthread_unwind_buf_t outermost;

	if (set_cancel_jump(outermost.__cancel_jmp_buf, 0) == 0) {
		memset(outermost.__pad, 0, sizeof(outermost.__pad));
		__pthread_register_cancel(&outermost);
		int r = program.fn(argc, argv, envp);
		__pthread_unregister_cancel(&outermost);
		return r;
	}
	if (ghi_self())
		leave_for_good(ghi_self());
	/* No gthreads: libc's own frame knows what to do. */
	__pthread_unregister_cancel(&outermost);
	REAL(pthread_exit)(NULL);
	__builtin_unreachable();
}

EXPORT int __libc_start_main(ghi_main_fn f, int c, char **v, ghi_void_fn i, ghi_void_fn fi,
			     ghi_void_fn rf, void *se)
{
	program.fn = f;
	return REAL(__libc_start_main)(ghi_config.enabled ? main_frame : f, c, v, i, fi, rf, se);
}

/* ---- join and detach ------------------------------------------------------------------------ */

static bool not_ended(void *arg)
{
	return load_relaxed((uint32_t *)arg) != GHI_ENDED;
}

static void drop_joiner(void *arg)
{
	store_release(&((struct ghi_gthread *)arg)->joiner, (uintptr_t)0);
}

/* wait: false for tryjoin. */
static int join(struct ghi_gthread *g, void **ret, bool wait, clockid_t clock,
		const struct timespec *at)
{
	struct ghi_gthread *self = ghi_hook_self();
	uintptr_t none = 0, me = self ? (uintptr_t)self : (uintptr_t)ghi_tp_get();
	int r = 0;

	uint32_t state = load_acquire(&g->join);
	if (!wait && state != GHI_ENDED && load_relaxed(&g->life) == GHI_LIFE_ALIVE)
		return EBUSY; /* glibc looks at this first, even for a detached one */
	if (state == GHI_DETACHED || state == GHI_JOINED)
		return load_relaxed(&g->life) == GHI_LIFE_ALIVE ? EINVAL : ESRCH;
	if (!wait && state != GHI_ENDED)
		return EBUSY;
	if (wait && (g == self ||
		     (self && load_relaxed(&self->joiner) == (uintptr_t)g && state != GHI_ENDED)))
		return EDEADLK;
	if (self && wait)
		ghi_cancel_point(self);
	if (!cas_acq_rel(&g->joiner, &none, me))
		return EINVAL; /* another thread waits for it already */
	pthread_cleanup_push(drop_joiner, g);
	while (load_acquire(&g->join) != GHI_ENDED) {
		uint64_t deadline = at ? ghi_deadline_at(clock, at) : GHI_NEVER;
		if (deadline == GHI_PASSED) {
			r = ETIMEDOUT;
			break;
		}
		struct ghi_lot_wait w = {.key = &g->join,
					 .validate = not_ended,
					 .arg = &g->join,
					 .deadline = deadline,
					 .why = GHI_PARK_JOIN};
		if (ghi_lot_wait(&w) == -ECANCELED)
			ghi_cancel_point(self);
	}
	pthread_cleanup_pop(0);
	if (r) {
		drop_joiner(g);
		return r;
	}
	if (ret)
		*ret = g->result;
	store_release(&g->join, (uint32_t)GHI_JOINED);
	if (!(g->flags & GHI_G_MAIN))
		ghi_gthread_recycle(g);
	return 0;
}

EXPORT int pthread_join(pthread_t t, void **ret)
{
	struct ghi_gthread *g = gthread_of(t);
	return g ? join(g, ret, true, 0, NULL) : REAL(pthread_join)(t, ret);
}

EXPORT int pthread_tryjoin_np(pthread_t t, void **ret)
{
	struct ghi_gthread *g = gthread_of(t);
	return g ? join(g, ret, false, 0, NULL) : REAL(pthread_tryjoin_np)(t, ret);
}

EXPORT int pthread_clockjoin_np(pthread_t t, void **ret, clockid_t clock, const struct timespec *at)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g)
		return REAL(pthread_clockjoin_np)(t, ret, clock, at);
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return EINVAL;
	return join(g, ret, true, clock, at);
}

EXPORT int pthread_timedjoin_np(pthread_t t, void **ret, const struct timespec *at)
{
	struct ghi_gthread *g = gthread_of(t);
	return g ? join(g, ret, true, CLOCK_REALTIME, at) : REAL(pthread_timedjoin_np)(t, ret, at);
}

EXPORT int pthread_detach(pthread_t t)
{
	struct ghi_gthread *g = gthread_of(t);
	uint32_t seen = GHI_JOINABLE;

	if (!g)
		return REAL(pthread_detach)(t);
	if (load_acquire(&g->life) == GHI_LIFE_FREE)
		return ESRCH;
	if (cas_acq_rel(&g->join, &seen, (uint32_t)GHI_DETACHED))
		return 0;
	if (seen != GHI_ENDED)
		return EINVAL;
	if (cas_acq_rel(&g->join, &seen, (uint32_t)GHI_JOINED))
		ghi_gthread_recycle(g);
	return 0;
}

/* ---- what a thread can be asked and told ---------------------------------------------------- */

EXPORT int sched_yield(void)
{
	HOOK_ENTER(self, REAL(sched_yield)());
	(void)self;
	ghi_yield();
	return 0;
}

EXPORT int pthread_getattr_np(pthread_t t, pthread_attr_t *a)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g && (uintptr_t)t == ghi_tp_get() && ghi_tls.home)
		g = ghi_tls.home; /* a fork's child that has not made a thread yet */
	if (!g || (g->flags & GHI_G_MAIN && g->map == NULL))
		return REAL(pthread_getattr_np)(t, a);
	int r = pthread_attr_init(a);
	if (r)
		return r;
	uint32_t join = load_relaxed(&g->join);
	pthread_attr_setdetachstate(a, join == GHI_DETACHED ? PTHREAD_CREATE_DETACHED
							    : PTHREAD_CREATE_JOINABLE);
	pthread_attr_setguardsize(a, g->guard);
	/* As in NPTL the TLS and the thread block count as part of the stack. */
	char *top = g->flags & GHI_G_USTACK ? g->stack_hi : g->map + g->map_size;
	pthread_attr_setstack(a, g->stack_lo, (size_t)(top - g->stack_lo));
	return 0;
}

EXPORT int pthread_setname_np(pthread_t t, const char *name)
{
	struct ghi_gthread *g = gthread_of(t);
	size_t n = strlen(name);

	if (!g)
		return REAL(pthread_setname_np)(t, name);
	if (n > 15)
		return ERANGE;
	memcpy(g->name, name, n + 1);
	if ((g->flags & GHI_G_MAIN) && !g->map) { /* what ps shows for the process */
		char path[64];
		ghi_format(path, sizeof(path), "/proc/self/task/%d/comm", sys_getpid());
		long fd = ghi_sys(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
		if (fd >= 0) {
			ghi_sys(SYS_write, fd, name, n);
			ghi_sys(SYS_close, fd);
		}
	}
	return 0;
}

EXPORT int pthread_getname_np(pthread_t t, char *name, size_t len)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g)
		return REAL(pthread_getname_np)(t, name, len);
	if (len < sizeof(g->name))
		return ERANGE;
	memcpy(name, g->name, sizeof(g->name));
	return 0;
}

EXPORT int pthread_getcpuclockid(pthread_t t, clockid_t *c)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g)
		return REAL(pthread_getcpuclockid)(t, c);
	*c = CLOCK_PROCESS_CPUTIME_ID;
	return 0;
}

/* Sets are never freed: threads inherit them by address, and a program uses a handful. */
static long set_affinity(struct ghi_gthread *g, size_t n, const void *cpus)
{
	struct ghi_affinity *a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->bytes = n < sizeof(a->cpus) ? n : sizeof(a->cpus);
	memcpy(a->cpus, cpus, a->bytes);
	if (g == ghi_self()) {
		long r = ghi_sched_bind(g, a);
		if (r < 0)
			free(a);
		return r;
	}
	/* Another gthread's: takes effect when it is next switched to. */
	cpu_set_t now;
	long r = ghi_sys(SYS_sched_getaffinity, sys_getpid(), sizeof(now), &now);
	for (size_t i = 0; r > 0 && i < a->bytes && i < (size_t)r; i++)
		if (a->cpus[i] & ((unsigned char *)&now)[i]) {
			store_release(&g->affinity, a);
			return 0;
		}
	free(a);
	return -EINVAL;
}

static long get_affinity(struct ghi_gthread *g, size_t n, void *cpus)
{
	struct ghi_affinity *a = load_acquire(&g->affinity);
	memset(cpus, 0, n);
	if (!a)
		return ghi_sys(SYS_sched_getaffinity, sys_getpid(), n > INT_MAX ? INT_MAX : n,
			       cpus);
	memcpy(cpus, a->cpus, n < a->bytes ? n : a->bytes);
	return (long)(n < a->bytes ? n : a->bytes);
}

EXPORT int pthread_setaffinity_np(pthread_t t, size_t n, const cpu_set_t *s)
{
	struct ghi_gthread *g = gthread_of(t);
	return g ? (int)-set_affinity(g, n, s) : REAL(pthread_setaffinity_np)(t, n, s);
}

EXPORT int pthread_getaffinity_np(pthread_t t, size_t n, cpu_set_t *s)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g)
		return REAL(pthread_getaffinity_np)(t, n, s);
	long r = get_affinity(g, n, s);
	return r < 0 ? (int)-r : 0;
}

/* The running gthread by 0 or by its own id; everybody else is the kernel's to judge. */
EXPORT int sched_setaffinity(pid_t pid, size_t n, const cpu_set_t *s)
{
	HOOK_ENTER(self, REAL(sched_setaffinity)(pid, n, s));
	if (pid == 0 || pid == self->tid)
		return (int)ghi_ret(set_affinity(self, n, s));
	return REAL(sched_setaffinity)(pid, n, s);
}

EXPORT int sched_getaffinity(pid_t pid, size_t n, cpu_set_t *s)
{
	HOOK_ENTER(self, REAL(sched_getaffinity)(pid, n, s));
	if (pid != 0 && pid != self->tid)
		return REAL(sched_getaffinity)(pid, n, s);
	long r = get_affinity(self, n, s);
	return r < 0 ? (int)ghi_ret(r) : 0;
}

EXPORT int prctl(int op, ...)
{
	va_list ap;
	va_start(ap, op);
	unsigned long a = va_arg(ap, unsigned long), b = va_arg(ap, unsigned long);
	unsigned long c = va_arg(ap, unsigned long), d = va_arg(ap, unsigned long);
	va_end(ap);
	struct ghi_gthread *self = ghi_self();
	if (self && op == PR_SET_NAME) {
		char name[16] = "";
		strncpy(name, (const char *)a, 15);
		return pthread_setname_np((pthread_t)self->tp, name);
	}
	if (self && op == PR_GET_NAME) {
		memcpy((char *)a, self->name, 16);
		return 0;
	}
	return REAL(prctl)(op, a, b, c, d);
}

EXPORT int pthread_setschedparam(pthread_t t, int policy, const struct sched_param *p)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g)
		return REAL(pthread_setschedparam)(t, policy, p);
	int lo = sched_get_priority_min(policy), hi = sched_get_priority_max(policy);
	if (lo < 0 || p->sched_priority < lo || p->sched_priority > hi)
		return EINVAL;
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE ? 0 : EPERM;
}

EXPORT int pthread_getschedparam(pthread_t t, int *policy, struct sched_param *p)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g)
		return REAL(pthread_getschedparam)(t, policy, p);
	*policy = SCHED_OTHER;
	p->sched_priority = 0;
	return 0;
}

EXPORT int pthread_setschedprio(pthread_t t, int prio)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g)
		return REAL(pthread_setschedprio)(t, prio);
	return prio == 0 ? 0 : EINVAL;
}

/* ---- cancellation --------------------------------------------------------------------------- */

EXPORT int pthread_cancel(pthread_t t)
{
	struct ghi_gthread *g = gthread_of(t);
	if (!g)
		return REAL(pthread_cancel)(t);
	uint32_t life = load_acquire(&g->life);
	if (life != GHI_LIFE_ALIVE)
		return life == GHI_LIFE_FREE ? ESRCH : 0;
	ghi_cancel_request(g);
	struct ghi_gthread *self = ghi_self();
	if (g == self && (self->cancel & GHI_CANCEL_ASYNC))
		ghi_cancel_point(self);
	return 0;
}

EXPORT int pthread_setcancelstate(int state, int *old)
{
	struct ghi_gthread *self = ghi_self();
	int r = REAL(pthread_setcancelstate)(state, old);
	if (self && r == 0) {
		if (state == PTHREAD_CANCEL_DISABLE)
			fetch_or_acq_rel(&self->cancel, (uint32_t)GHI_CANCEL_DISABLED);
		else
			fetch_and_acq_rel(&self->cancel, ~(uint32_t)GHI_CANCEL_DISABLED);
		if (ghi_cancel_requested(self)) {
			store_relaxed(&self->sig_pending, 1u);
			if (self->cancel & GHI_CANCEL_ASYNC)
				ghi_cancel_point(self);
		}
	}
	return r;
}

EXPORT int pthread_setcanceltype(int type, int *old)
{
	struct ghi_gthread *self = ghi_self();
	int r = REAL(pthread_setcanceltype)(type, old);
	if (self && r == 0) {
		if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
			fetch_or_acq_rel(&self->cancel, (uint32_t)GHI_CANCEL_ASYNC);
		else
			fetch_and_acq_rel(&self->cancel, ~(uint32_t)GHI_CANCEL_ASYNC);
		if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
			ghi_cancel_point(self);
	}
	return r;
}

EXPORT void pthread_testcancel(void)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		ghi_cancel_point(self);
	else
		REAL(pthread_testcancel)();
}
