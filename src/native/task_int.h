/* The task behind a handle.
 *
 * Owns: struct gh_task.  Called by: src/native/ only.  Must not know: hooks, how a light task is
 * switched to.
 *
 * A task is a gthread, or, where there are none (docs/design.md, "The native API"), a kernel thread
 * of libc's.  Its memory comes from pages that are never given back, so a stale handle is an
 * address that can be read: `magic` tells.
 *
 *   refs: one for the handle until it is joined or detached, one for the task until its stack is
 * left lock: over `g`, `deadline`, `why` and the end of the task; taken by those who cancel it
 */
#ifndef GHI_TASK_INT_H
#define GHI_TASK_INT_H

#include <greenhook/task.h>

#include "src/cancel.h"
#include "src/gthread.h"
#include "src/kwait.h"
#include "src/native/native.h"
#include "src/timer.h"

#define GHI_TASK_MAGIC 0x6b736174u

enum { GHI_TASK_JOINABLE, GHI_TASK_JOINING, GHI_TASK_GIVEN_UP };

struct gh_group;
struct ghi_deferred {
	struct ghi_deferred *next;
	void (*fn)(void *);
	void *arg;
};

struct gh_task {
	uint32_t magic;
	uint32_t generation; /* renew.h; another one: only its end is left of it here */
	uint32_t refs;
	uint32_t join;	/* GHI_TASK_JOINABLE ... */
	uint32_t ended; /* 0 or 1; joiners wait on its address */
	/* Who joins it without any limit, if that is a task: by the joiner, while `join` says so.
	 */
	struct gh_task *joiner;
	ghi_lock_t lock;
	uint32_t cancel;       /* cancel.h: what ghi_cancel_word() is of its gthread */
	int why;	       /* 0, or ETIMEDOUT when it was its deadline */
	unsigned shields;      /* by itself */
	bool over;	       /* nobody cancels it any more */
	bool recover;	       /* GH_TASK_RECOVER */
	bool failed;	       /* by itself: a panic or a fault; read by the joiner */
	struct ghi_gthread *g; /* while it runs as one */
	gh_fn fn;
	void *arg, *result;
	void (*at_end)(void *arg, bool failed);
	struct ghi_deferred *deferred; /* by itself */
	uint64_t deadline;
	struct ghi_alarm alarm;
	/* group.c: the member's links, under the group's lock. */
	struct gh_group *group;
	struct ghi_list in_group;
	bool hit;
	struct gh_error *error;	  /* by itself: gh_group_fail; the group's when it leaves */
	struct ghi_kwait *kernel; /* while it runs as a kernel thread */
	struct gh_task *next;	  /* pool; list of those on kernel threads */
};

struct ghi_task_start {
	gh_fn fn;
	void *arg;
	const gh_task_opts *opts;
	struct gh_group *group;
	bool no_deadline; /* the creator's is not inherited */
	/* On the task, however it ends, after what it deferred; NULL: nothing. */
	void (*at_end)(void *arg, bool failed);
};

/* What the caller's version of the structure says, with this version's defaults: 0 or -errno. */
int ghi_task_read_opts(const gh_task_opts *in, gh_task_opts *ret);
/* 0 or -errno; the handle in *ret. */
int ghi_task_start(const struct ghi_task_start *s, gh_task **ret);
/* The running task or NULL. */
struct gh_task *ghi_task_running(void);
bool ghi_task_good(const gh_task *t);
bool ghi_task_here(const gh_task *t);
void ghi_task_unref(gh_task *t);
/* It is where gh_shutdown looks, and does not run yet: from now on it is cancelled by one. */
void ghi_task_findable(gh_task *t);
/* The task is asked to end.  why: 0 or ETIMEDOUT.  The caller holds its lock. */
void ghi_task_cancel_locked(gh_task *t, int why);

/* group.c */
/* 0, or -ECANCELED: the group takes no members any more.  Before the task runs. */
int ghi_group_enter(struct gh_group *group, gh_task *t);
/* By itself, or instead of it when it does not run at all.  result: a negative errno is a failure.
 * Signals deferred; what was dropped, for gh_error_unref without them. */
struct gh_error *ghi_group_leave(gh_task *t, int result);
void ghi_group_ended(struct gh_group *group);

/* task_pool.c */
gh_task *ghi_task_alloc(void);
void ghi_task_free(gh_task *t);

/* task_kernel.c: on a kernel thread of libc's.  0 or -errno. */
int ghi_task_start_kernel(gh_task *t, const gh_task_opts *o);
void ghi_task_cancel_kernel_all(void);

/* What a task does at its end, wherever it runs. */
extern const struct ghi_task_ops ghi_task_ops;
/* How many have not ended; shutdown waits on its address. */
extern uint32_t ghi_tasks_alive;
/* In a fork's child. */
void ghi_task_pool_after_fork(void);
void ghi_task_kernel_after_fork(void);

#endif
