/* Timers that call functions; see include/greenhook/timer.h.
 *
 * Owns: struct gh_timer.  Called by: programs.  Must not know: heaps of deadlines.
 *
 * A timer that is set has a task, which sleeps on `changed` until it is due, and ends when the
 * timer is not set any more.  All is under the mutex; the task has a reference.
 */
#include <errno.h>
#include <greenhook/sync.h>
#include <greenhook/timer.h>

#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/native/renew.h"
#include "src/native/task_int.h"
#include "src/native/until.h"
#include "src/sanitizer.h"

#define TIMER_MAGIC 0x72656d74u

struct gh_timer {
	uint32_t magic, refs;
	struct ghi_native_lock fresh; /* held while the mutex is made new in a fork's child */
	gh_mutex mutex;
	gh_cond changed;
	gh_time at, every; /* GH_FOREVER: not set */
	gh_task *task;	   /* NULL: none */
	bool starting;	   /* its task is about to be there */
	bool calling;	   /* fn runs */
	void (*fn)(void *);
	void *arg;
};

static bool good(const gh_timer *t)
{
	return t && (uintptr_t)t % sizeof(void *) == 0 && load_acquire(&t->magic) == TIMER_MAGIC;
}

/* In a fork's child, which has not the task, unless it is it. */
static void renew(void *arg)
{
	gh_timer *t = arg;
	bool starting = t->starting;
	bool mine =
	    t->task && ghi_task_good(t->task) && ghi_task_here(t->task) && t->task->arg == t;
	t->mutex = (gh_mutex)GH_MUTEX_INIT;
	t->changed = (gh_cond)GH_COND_INIT;
	t->starting = false;
	t->at = GH_FOREVER;
	if (mine)
		return;
	if (t->task || starting)
		fetch_add_relaxed(&t->refs, (uint32_t)-1);
	t->task = NULL;
	t->calling = false;
}

static void lock(gh_timer *t)
{
	ghi_native_lock(&t->fresh, renew, t);
	ghi_native_unlock(&t->fresh);
	gh_mutex_lock(&t->mutex);
}

static void unlock(gh_timer *t)
{
	gh_mutex_unlock(&t->mutex);
}

static void unref(gh_timer *t)
{
	if (fetch_add_acq_rel(&t->refs, (uint32_t)-1) == 1)
		ghi_free(t);
}

/* ---- its task ------------------------------------------------------------------------------- */

/* Locked, due.  Late: the next beat is one that is not past. */
static void call(gh_timer *t)
{
	gh_time at = t->at, every = t->every;

	t->at = GH_FOREVER;
	if (every) {
		gh_time beats = (gh_now() - at) / every + 1, span;
		if (!__builtin_mul_overflow(beats, every, &span) &&
		    !__builtin_add_overflow(at, span, &at))
			t->at = at;
	}
	t->calling = true;
	unlock(t);
	ghi_sanitizer_after(t);
	t->fn(t->arg);
	ghi_sanitizer_before(t);
	lock(t);
	t->calling = false;
	gh_cond_broadcast(&t->changed);
}

static void *serve(void *arg)
{
	gh_timer *t = arg;

	lock(t);
	t->task = gh_task_self();
	t->starting = false;
	while (t->at != GH_FOREVER) {
		ghi_native_attention();
		if (gh_task_cancelled()) /* gh_shutdown */
			t->at = GH_FOREVER;
		else if (t->at <= gh_now())
			call(t);
		else
			gh_cond_wait_until(&t->changed, &t->mutex, t->at);
	}
	/* Before anybody sets it again, who then makes another. */
	t->task = NULL;
	unlock(t);
	return NULL;
}

/* Also when fn ended the task. */
static void served(void *arg, bool failed)
{
	gh_timer *t = arg;

	lock(t);
	if (t->task && t->task == gh_task_self()) {
		t->task = NULL;
		t->calling = false;
		t->at = GH_FOREVER;
	}
	gh_cond_broadcast(&t->changed);
	unlock(t);
	unref(t);
}

/* ---- what programs call --------------------------------------------------------------------- */

gh_timer *gh_timer_new(void (*fn)(void *), void *arg)
{
	if (!fn) {
		errno = -GHI_NULL("function");
		return NULL;
	}
	gh_timer *t = ghi_zalloc(sizeof(*t));
	if (!t)
		return NULL;
	t->refs = 1;
	t->at = GH_FOREVER;
	t->fn = fn;
	t->arg = arg;
	ghi_native_lock_init(&t->fresh);
	store_release(&t->magic, TIMER_MAGIC);
	return t;
}

/* Locked. */
static int start(gh_timer *t)
{
	static const gh_task_opts opts = {
	    .size = sizeof(opts), .name = "gh_timer", .flags = GH_TASK_DETACHED};
	gh_task *task;

	fetch_add_relaxed(&t->refs, 1u);
	t->starting = true;
	int r = ghi_task_start(
	    &(struct ghi_task_start){
		.fn = serve, .arg = t, .opts = &opts, .at_end = served, .no_deadline = true},
	    &task);
	if (!r)
		return 0;
	t->starting = false;
	t->at = GH_FOREVER;
	fetch_add_relaxed(&t->refs, (uint32_t)-1); /* the caller has one */
	return -EAGAIN;
}

int gh_timer_set(gh_timer *t, gh_time at, gh_time every)
{
	int r = 0;

	if (!good(t))
		return GHI_BAD(t, "timer");
	if (every < 0)
		return GHI_MISUSE(-EINVAL, "every %ld ns", (long)every);
	ghi_sanitizer_before(t);
	lock(t);
	t->at = at < 0 ? 0 : at;
	t->every = every;
	if (t->task)
		gh_cond_broadcast(&t->changed);
	else if (at != GH_FOREVER && !t->starting)
		r = start(t);
	unlock(t);
	return r;
}

int gh_timer_stop(gh_timer *t)
{
	if (!good(t))
		return GHI_BAD(t, "timer");
	lock(t);
	int was = t->at != GH_FOREVER;
	t->at = GH_FOREVER;
	gh_cond_broadcast(&t->changed);
	unlock(t);
	ghi_sanitizer_after(t);
	return was;
}

int gh_timer_free(gh_timer *t)
{
	if (!t)
		return 0;
	if (!good(t))
		return GHI_BAD(t, "timer");
	gh_task *self = gh_task_self();
	if (self)
		gh_task_shield();
	lock(t);
	store_release(&t->magic, 0u);
	t->at = GH_FOREVER;
	gh_cond_broadcast(&t->changed);
	while (t->calling && (!self || t->task != self))
		gh_cond_wait(&t->changed, &t->mutex);
	unlock(t);
	ghi_sanitizer_after(t);
	unref(t);
	if (self)
		gh_task_unshield();
	return 0;
}
