/* First and last code of a gthread; see life.h. */
#include <limits.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/probe.h"
#include "src/cancel.h"
#include "src/life.h"
#include "src/lot.h"
#include "src/own.h"
#include "src/runtime.h"
#include "src/sanitizer.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/sync/sync.h"
#include "src/tls.h"
#include "src/trace.h"
#include "src/warn.h"

/* The outermost frame that libc's unwinder jumps to at the end of pthread_exit. */
extern void __pthread_register_cancel(__pthread_unwind_buf_t *);
/* void *: the type of the argument has another name before glibc 2.33. */
extern int set_cancel_jump(void *, int) __asm__("__sigsetjmp") __attribute__((returns_twice));

/* On the stack of whoever runs next. */
static void commit_exit(struct ghi_gthread *left, struct ghi_worker *w)
{
	uint32_t seen = GHI_JOINABLE;
	struct gh_task *task = left->task;
	const struct ghi_task_ops *ops = left->task_ops;

	if (__builtin_expect(task != NULL, 0)) {
		left->task = NULL;
		ops->left(task, left->result);
	}
	store_release(&left->life, (uint32_t)GHI_LIFE_DEAD);
	bool told = left->hands_to != NULL; /* the one who waits runs next */
	if (!cas_acq_rel(&left->join, &seen, (uint32_t)GHI_ENDED))
		ghi_gthread_recycle(left); /* detached */
	else if (!told)
		ghi_lot_wake(&left->join, INT_MAX, 0, NULL,
			     NULL); /* an address only: it may be gone */
	if (__builtin_expect(task != NULL, 0))
		ops->ended(task, told);
}

void ghi_life_end(struct ghi_gthread *self)
{
	if (self->task)
		self->task_ops->leaves(self->task);
	fetch_or_acq_rel(ghi_cancel_word(self), (uint32_t)GHI_CANCEL_EXITING);
	store_release(&self->life, (uint32_t)GHI_LIFE_EXITING);
	if (!(self->flags & GHI_G_LIGHT))
		ghi_tls_exit();
	ghi_robust_exit();
	ghi_runtime_alive(-1);
	ghi_nosig_enter();
	ghi_signal_thread_ends(self);
	self->reason = GHI_PARK_NONE;
	ghi_own_end(self);
	ghi_sched_end(self, commit_exit);
}

void ghi_life_entry(void *arg)
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
	} else {
		ghi_sanitizer_unwound(self->stack_lo);
	}
	if (!ghi_self()) { /* a fork's child, whose only thread this is */
		ghi_tls_exit();
		exit(0);
	}
	ghi_life_end(ghi_self());
}

void ghi_life_entry_light(void *arg)
{
	struct ghi_gthread *self = arg;

	ghi_sched_arrived(self);
	ghi_nosig_leave();
	self->result = self->start(self->arg);
	if (!ghi_self()) /* a fork's child, whose only thread this is */
		exit(0);
	ghi_life_end(ghi_self());
}

void ghi_life_inherit(struct ghi_gthread *g, struct ghi_gthread *creator)
{
	if (!creator) {
		ghi_sys(SYS_prctl, PR_GET_NAME, g->name);
		return;
	}
	g->affinity = creator->affinity;
	g->timer_slack = creator->timer_slack;
	g->prio = creator->prio;
	memcpy(g->name, creator->name, sizeof(g->name));
}

uint64_t ghi_life_mask(struct ghi_gthread *creator)
{
	uint64_t mask;
	if (creator)
		return creator->sigmask;
	sys_sigprocmask(SIG_BLOCK, NULL, &mask);
	return mask;
}

void ghi_life_begin(struct ghi_gthread *g, uint64_t mask)
{
	ghi_runtime_alive(1);
	ghi_worker_stock((unsigned long)ghi_runtime_count());
	ghi_nosig_enter();
	store_relaxed(&g->sigmask, mask);
	ghi_signal_thread_begins(g);
	GHI_PROBE2(spawn, GHI_IN(g->id), GHI_IN(g->start));
	if (__builtin_expect(ghi_config.warn, 0))
		ghi_warn_begin(g);
	if (ghi_trace_on())
		ghi_trace_spawn(g);
	ghi_ready_first(g);
	ghi_nosig_leave();
}
