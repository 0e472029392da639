/* Cancellation, deadlines and cleanup of tasks; see include/greenhook/task.h.
 *
 * Owns: requests to tasks, what they deferred.  Called by: programs, task.c, group.c.  Must not
 * know: how a wait is ended (src/cancel.c, src/kwait.h).
 */
#include <errno.h>

#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/native/task_int.h"

void ghi_task_cancel_locked(gh_task *t, int why)
{
	if (t->over || (load_relaxed(&t->cancel) & GHI_CANCEL_REQUESTED))
		return;
	t->why = why;
	if (t->g) {
		ghi_cancel_request(t->g);
	} else {
		fetch_or_acq_rel(&t->cancel, (uint32_t)GHI_CANCEL_REQUESTED);
		if (t->kernel)
			ghi_kwait_cancel(t->kernel);
	}
}

int gh_task_cancel(gh_task *t)
{
	if (!ghi_task_good(t))
		return GHI_BAD(t, "task");
	if (!ghi_task_here(t)) /* it has ended, before the fork */
		return 0;
	ghi_nosig_enter();
	ghi_lock(&t->lock);
	ghi_task_cancel_locked(t, 0);
	ghi_unlock(&t->lock);
	ghi_nosig_leave();
	return 0;
}

int gh_task_cancelled(void)
{
	gh_task *t = ghi_task_running();
	if (!t)
		return 0;
	if (ghi_tls.kwait)
		ghi_kwait_look(ghi_tls.kwait);
	if (!(load_acquire(&t->cancel) & GHI_CANCEL_REQUESTED))
		return 0;
	return t->why ? -t->why : -ECANCELED;
}

/* ---- deadlines ------------------------------------------------------------------------------ */

static void deadline_came(struct ghi_alarm *a)
{
	gh_task *t = ghi_container(a, gh_task, alarm);
	ghi_lock(&t->lock);
	if (t->deadline <= ghi_now())
		ghi_task_cancel_locked(t, ETIMEDOUT);
	ghi_unlock(&t->lock);
}

int gh_task_set_deadline(gh_task *t, gh_time at)
{
	int r = 0;
	if (!ghi_task_good(t))
		return GHI_BAD(t, "task");
	if (!ghi_task_here(t))
		return -ESRCH;
	uint64_t deadline = ghi_native_deadline(at);
	ghi_nosig_enter();
	ghi_lock(&t->lock);
	if (t->over) {
		r = -ESRCH;
	} else if (t->g) {
		ghi_alarm_cancel(&t->alarm);
		t->deadline = deadline;
		if (deadline <= ghi_now())
			ghi_task_cancel_locked(t, ETIMEDOUT);
		else if (deadline != GHI_NEVER)
			ghi_alarm_set(&t->alarm, deadline, deadline_came);
	} else {
		t->deadline = deadline;
		if (t->kernel) /* a wait in progress has the old one */
			t->kernel->deadline = deadline;
	}
	ghi_unlock(&t->lock);
	ghi_nosig_leave();
	return r;
}

gh_time gh_task_deadline(void)
{
	gh_task *t = ghi_task_running();
	uint64_t at = t ? load_relaxed(&t->deadline) : GHI_NEVER;
	return at >= (uint64_t)GH_FOREVER ? GH_FOREVER : (gh_time)at;
}

/* ---- shields -------------------------------------------------------------------------------- */

int gh_task_shield(void)
{
	gh_task *t = ghi_task_running();
	if (!t)
		return GHI_OUTSIDE();
	if (!t->shields++)
		fetch_or_acq_rel(&t->cancel, (uint32_t)GHI_CANCEL_DISABLED);
	return 0;
}

int gh_task_unshield(void)
{
	gh_task *t = ghi_task_running();
	if (!t)
		return GHI_OUTSIDE();
	if (!t->shields)
		return GHI_MISUSE(-EINVAL, "there is no gh_task_shield to end");
	if (--t->shields)
		return 0;
	if (t->g)
		ghi_cancel_disable(t->g, false);
	else
		fetch_and_acq_rel(&t->cancel, ~(uint32_t)GHI_CANCEL_DISABLED);
	return 0;
}

/* ---- defer ---------------------------------------------------------------------------------- */

int gh_defer(void (*fn)(void *), void *arg)
{
	gh_task *t = ghi_task_running();
	if (!fn)
		return GHI_NULL("function");
	if (!t)
		return GHI_OUTSIDE();
	struct ghi_deferred *d = ghi_malloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	*d = (struct ghi_deferred){t->deferred, fn, arg};
	t->deferred = d;
	return 0;
}

int gh_defer_pop(bool run)
{
	gh_task *t = ghi_task_running();
	if (!t)
		return GHI_OUTSIDE();
	struct ghi_deferred *d = t->deferred, taken;
	if (!d)
		return -ENOENT;
	taken = *d;
	t->deferred = d->next;
	ghi_free(d);
	if (run)
		taken.fn(taken.arg);
	return 0;
}
