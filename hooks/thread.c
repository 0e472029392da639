/* Threads: create, exit, join, detach, cancellation requests.
 *
 * A pthread_t is the address of a thread control block, ours or libc's, so pthread_self and
 * pthread_equal need no hook, and every function here that is handed a kernel thread passes on.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/held.h"
#include "hooks/hook.h"
#include "hooks/priority.h"
#include "src/handover.h"
#include "src/life.h"
#include "src/lot.h"
#include "src/helper.h"
#include "src/own.h"
#include "src/runtime.h"
#include "src/sanitizer.h"
#include "src/stack.h"
#include "src/sync/sync.h"
#include "src/tls.h"

/* Old-style cancellation frames (pthread_cleanup_push without -fexceptions), and the outermost one
 * that libc's unwinder jumps to at the end of pthread_exit. */
extern void __pthread_register_cancel(__pthread_unwind_buf_t *);
extern void __pthread_unregister_cancel(__pthread_unwind_buf_t *);
/* void *: the type of the argument has another name before glibc 2.33. */
extern int set_cancel_jump(void *, int) __asm__("__sigsetjmp") __attribute__((returns_twice));

/* ---- create and exit ------------------------------------------------------------------------ */

/* What pthread_attr_t says; the flag bits are the ABI of its initial part. */
enum { NOTINHERITSCHED = 0x02, STACKADDR = 0x08, SCHED_SET = 0x20, POLICY_SET = 0x40 };

/* libc's answer where none was set.  (CPU_COUNT looks at each bit.) */
static bool every_cpu(const cpu_set_t *set)
{
	for (size_t i = 0; i < sizeof(set->__bits) / sizeof(set->__bits[0]); i++)
		if (set->__bits[i] != (__cpu_mask)-1)
			return false;
	return true;
}

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
	if (in->flags & STACKADDR) {
		ret->stack_addr = (char *)in->stackaddr - in->stacksize;
		ret->stack_size = in->stacksize;
	} else {
		pthread_attr_getstacksize(a, &size);
		ret->stack_size = in->stacksize || !ghi_config.stack ? size : 0;
	}
	ret->explicit_sched = in->flags & NOTINHERITSCHED && in->flags & (POLICY_SET | SCHED_SET);
	ret->policy = in->flags & POLICY_SET ? in->policy : SCHED_OTHER;
	ret->priority = in->flags & SCHED_SET ? in->priority : 0;
	ret->bind = pthread_attr_getaffinity_np(a, sizeof(ret->cpus), &ret->cpus) == 0 &&
		    !every_cpu(&ret->cpus);
}

/* Does it name a mask?  Since glibc 2.32. */
static bool attr_mask(const pthread_attr_t *a, sigset_t *ret)
{
	static int (*get)(const pthread_attr_t *, sigset_t *);
	if (!get)
		get = dlsym(RTLD_DEFAULT, "pthread_attr_getsigmask_np");
	return get && get(a, ret) == 0;
}

EXPORT int pthread_create(pthread_t *t, const pthread_attr_t *a, ghi_start_fn f, void *arg)
{
	struct ghi_gthread_attr attr = {.guard_size = GHI_PAGE};

	(void)REAL(pthread_create);
	if (ghi_helper_starting() || !ghi_runtime_ensure())
		return real.pthread_create(t, a, f, arg);
	struct ghi_gthread *self = ghi_hook_self();
	pthread_attr_t def;
	sigset_t mask;
	bool own_mask = false;
	if (a) {
		read_attr(a, &attr);
		own_mask = attr_mask(a, &mask);
	} else if (pthread_getattr_default_np(&def) == 0) {
		read_attr(&def, &attr); /* the program may have set the default */
		own_mask = attr_mask(&def, &mask);
		pthread_attr_destroy(&def);
		if (ghi_config.stack)
			attr.stack_size = 0;
	}
	if (attr.stack_size + attr.guard_size < attr.stack_size)
		return EINVAL; /* no number is that large */
	struct ghi_gthread *g = ghi_gthread_new(&attr, f, arg, ghi_life_entry);
	if (!g)
		return EAGAIN;
	ghi_life_inherit(g, self);
	int r = attr.bind ? ghi_affinity_explicit(g, &attr.cpus) : 0;
	if (r == 0 && attr.explicit_sched) {
		g->flags |= GHI_G_SCHED;
		r = ghi_priority_explicit(g, attr.policy, attr.priority);
	}
	struct ghi_making *making = ghi_tls.making;
	if (making && making->attr == a) {
		ghi_tls.making = NULL;
		r = -making->prepare(making, g);
	} else if (r == 0 && self && self->own && !ghi_worker_start_own(g)) {
		r = EAGAIN; /* it inherits what belongs to the creator's kernel thread */
	}
	if (r) {
		ghi_gthread_recycle(g);
		return r;
	}
	*t = (pthread_t)g->tp; /* before it runs: the thread may look */
	ghi_life_begin(g, own_mask ? ghi_signal_mask_of(&mask) : ghi_life_mask(self));
	return 0;
}

EXPORT void pthread_exit(void *ret)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		self->result = ret;
	if (self && (self->flags & GHI_G_LIGHT))
		ghi_life_end(self); /* there is nothing to unwind to */
	REAL(pthread_exit)(ret);
	__builtin_unreachable();
}

/* main() runs inside a frame of ours, so that pthread_exit in main ends where we can go on. */
static struct {
	ghi_main_fn fn;
	__pthread_unwind_buf_t outermost;
} program;

static __attribute__((noreturn, noinline)) void after_main(int status)
{
	__pthread_unregister_cancel(&program.outermost);
	exit(status);
}

static int main_frame(int argc, char **argv, char **envp)
{
	ghi_sanitizer_note_mask();
	if (set_cancel_jump(program.outermost.__cancel_jmp_buf, 0) == 0) {
		memset(program.outermost.__pad, 0, sizeof(program.outermost.__pad));
		__pthread_register_cancel(&program.outermost);
		/* As in libc nothing of this frame is used after the call: Free Pascal's halt()
		 * returns here with the stack pointer and registers of whoever called it. */
		after_main(program.fn(argc, argv, envp));
	}
	if (ghi_self())
		ghi_life_end(ghi_self());
	/* No gthreads: libc's own frame knows what to do. */
	__pthread_unregister_cancel(&program.outermost);
	REAL(pthread_exit)(NULL);
	__builtin_unreachable();
}

EXPORT int __libc_start_main(ghi_main_fn f, int c, char **v, ghi_void_fn i, ghi_void_fn fi,
			     ghi_void_fn rf, void *se)
{
	program.fn = f;
	if (ghi_config.enabled)
		rf = ghi_sanitizer_before_end(rf);
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

/* g joins self, and will go on doing so. */
static bool waits_for(struct ghi_gthread *g, struct ghi_gthread *self)
{
	return load_relaxed(&self->joiner) == (uintptr_t)g && load_relaxed(&g->join) != GHI_ENDED &&
	       !(load_relaxed(ghi_cancel_word(g)) &
		 (GHI_CANCEL_REQUESTED | GHI_CANCEL_EXITING | GHI_CANCEL_ENDED));
}

static void let_it_run(void *arg)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		ghi_handover_to(self, ghi_container(arg, struct ghi_gthread, join));
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
	/* As in NPTL: not when either of them is about to end by a cancellation. */
	if (wait && self && (g == self || waits_for(g, self)) && !ghi_cancel_requested(self))
		return EDEADLK;
	/* libc waits on for a time that is none. */
	if (at && ghi_ts_invalid(at))
		at = NULL;
	GHI_HELD(joining); /* a handler may leave by siglongjmp, and it be joined again */
	ghi_nosig_enter();
	bool first = cas_acq_rel(&g->joiner, &none, me);
	if (first && state != GHI_ENDED)
		ghi_hold(&joining, drop_joiner, g);
	ghi_nosig_leave();
	if (!first)
		return EINVAL; /* another thread waits for it already */
	while (load_acquire(&g->join) != GHI_ENDED) {
		uint64_t deadline = at ? ghi_deadline_at(clock, at) : GHI_NEVER;
		if (deadline == GHI_PASSED) {
			r = ETIMEDOUT;
			break;
		}
		struct ghi_lot_wait w = {.key = &g->join,
					 .validate = not_ended,
					 .before_park = let_it_run,
					 .arg = &g->join,
					 .deadline = deadline,
					 .why = GHI_PARK_JOIN};
		if (ghi_lot_wait(&w) == -ECANCELED) {
			if (self)
				ghi_cancel_point(self);
			/* A native task goes on. */
			r = !self || ghi_cancel_requested(self) ? ECANCELED : 0;
			if (r)
				break;
		}
	}
	if (r)
		return r;
	ghi_held_drop(&joining);
	if (ret)
		*ret = g->result;
	store_release(&g->join, (uint32_t)GHI_JOINED);
	if (!(g->flags & GHI_G_MAIN))
		ghi_gthread_recycle(g);
	return 0;
}

EXPORT int pthread_join(pthread_t t, void **ret)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	return g ? join(g, ret, true, 0, NULL) : REAL(pthread_join)(t, ret);
}

EXPORT int pthread_tryjoin_np(pthread_t t, void **ret)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	return g ? join(g, ret, false, 0, NULL) : REAL(pthread_tryjoin_np)(t, ret);
}

EXPORT int pthread_clockjoin_np(pthread_t t, void **ret, clockid_t clock, const struct timespec *at)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_clockjoin_np)(t, ret, clock, at);
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return EINVAL;
	return join(g, ret, true, clock, at);
}

EXPORT int pthread_timedjoin_np(pthread_t t, void **ret, const struct timespec *at)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	return g ? join(g, ret, true, CLOCK_REALTIME, at) : REAL(pthread_timedjoin_np)(t, ret, at);
}

EXPORT int pthread_detach(pthread_t t)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	uint32_t seen = GHI_JOINABLE;

	if (!g)
		return REAL(pthread_detach)(t);
	if (load_acquire(&g->life) == GHI_LIFE_FREE)
		return ESRCH;
	/* As in NPTL one word decides between a joiner and a detacher (who writes the thread
	 * itself): a thread that somebody already waits for stays joinable, and that is no error.
	 */
	uintptr_t none = 0;
	if (!cas_acq_rel(&g->joiner, &none, (uintptr_t)g))
		return load_acquire(&g->join) == GHI_DETACHED ? EINVAL : 0;
	if (cas_acq_rel(&g->join, &seen, (uint32_t)GHI_DETACHED))
		return 0;
	if (seen != GHI_ENDED)
		return EINVAL;
	if (cas_acq_rel(&g->join, &seen, (uint32_t)GHI_JOINED))
		ghi_gthread_recycle(g);
	return 0;
}

/* ---- cancellation --------------------------------------------------------------------------- */

EXPORT int pthread_cancel(pthread_t t)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return ghi_signal_cancel_libc(&REAL(pthread_cancel), t);
	uint32_t life = load_acquire(&g->life);
	if (life != GHI_LIFE_ALIVE)
		return life == GHI_LIFE_FREE ? ESRCH : 0;
	ghi_cancel_request(g);
	if (g == ghi_self() && ghi_cancel_async(g))
		ghi_cancel_point(g);
	return 0;
}

/* libc keeps the state and acts on a request that is due at once; here it is only noted for the
 * next wait. */
static int noted(int r)
{
	struct ghi_gthread *self = ghi_self();
	if (self && ghi_cancel_requested(self))
		store_relaxed(&self->sig_pending, 1u);
	return r;
}

EXPORT int pthread_setcancelstate(int state, int *old)
{
	struct ghi_gthread *self = ghi_self();
	if (self && self->task && (state | 1) == PTHREAD_CANCEL_DISABLE) {
		int was = ghi_cancel_disable(self, state == PTHREAD_CANCEL_DISABLE);
		if (old)
			*old = was ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE;
		return 0;
	}
	return noted(REAL(pthread_setcancelstate)(state, old));
}

EXPORT int pthread_setcanceltype(int type, int *old)
{
	return noted(REAL(pthread_setcanceltype)(type, old));
}

EXPORT void pthread_testcancel(void)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		ghi_cancel_point(self);
	else
		REAL(pthread_testcancel)();
}
