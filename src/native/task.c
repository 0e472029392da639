/* Starting, joining, ending tasks; see include/greenhook/task.h and task_int.h.
 *
 * Owns: the life of a task between its two references.  Called by: programs, life.c through
 * ghi_task_ops.  Must not know: groups' members, hooks.
 */
#include <errno.h>
#include <greenhook/error.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "src/handover.h"
#include "src/life.h"
#include "src/lot.h"
#include "src/native/hook.h"
#include "src/native/misuse.h"
#include "src/native/renew.h"
#include "src/native/task_int.h"
#include "src/real.h"
#include "src/runtime.h"
#include "src/sanitizer.h"
#include "src/sched.h"
#include "src/stack.h"

uint32_t ghi_tasks_alive;
static uint32_t shutting_down; /* callers of gh_shutdown: new tasks are cancelled at once */

/* False in a fork's child for a task that is its parent's. */
bool ghi_task_here(const gh_task *t)
{
	return t->generation == load_relaxed(&ghi_native_generation);
}

bool ghi_task_good(const gh_task *t)
{
	return t && (uintptr_t)t % sizeof(void *) == 0 &&
	       load_acquire(&t->magic) == GHI_TASK_MAGIC &&
	       (ghi_task_here(t) || load_acquire(&t->ended));
}

void ghi_task_unref(gh_task *t)
{
	if (fetch_add_acq_rel(&t->refs, (uint32_t)-1) != 1)
		return;
	store_release(&t->magic, 0u);
	ghi_task_free(t);
}

struct gh_task *ghi_task_running(void)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		return self->task;
	return ghi_tls.kwait ? ghi_container(ghi_tls.kwait->cancel_word, struct gh_task, cancel)
			     : NULL;
}

gh_task *gh_task_self(void)
{
	return ghi_task_running();
}

/* ---- the end -------------------------------------------------------------------------------- */

/* On the task, after its function. */
static void leaves(gh_task *t)
{
	gh_task_shield();
	while (gh_defer_pop(true) == 0)
		;
	if (t->at_end)
		t->at_end(t->arg, t->failed);
	struct ghi_gthread *self = ghi_self();
	void *result = self && self->task == t ? self->result : t->result;
	struct gh_error *dropped = NULL;
	ghi_nosig_enter();
	if (t->group)
		dropped = ghi_group_leave(t, t->failed ? -ENOTRECOVERABLE : (int)(intptr_t)result);
	ghi_lock(&t->lock);
	t->over = true;
	t->g = NULL;
	t->kernel = NULL;
	ghi_unlock(&t->lock);
	ghi_alarm_end(&t->alarm); /* which may want the lock this very moment */
	ghi_nosig_leave();
	gh_error_unref(dropped);
	ghi_sanitizer_before(t);
}

static void left(gh_task *t, void *result)
{
	t->result = t->failed ? (void *)(intptr_t)-ENOTRECOVERABLE : result;
}

static void end_failed(void)
{
	gh_task_exit(NULL);
}

/* Once: what fails again while it cleans up takes the process along. */
static void (*faulted(gh_task *t))(void)
{
	if (!t->recover || t->over || t->failed)
		return NULL;
	t->failed = true;
	return end_failed;
}

/* alive: how many there were before one less; a caller of gh_shutdown may be one.  It says that it
 * is there, and counts, or this finds it. */
static void tell_shutdown(uint32_t alive)
{
	if (alive > 2)
		return;
	fence_seq_cst();
	if (load_relaxed(&shutting_down))
		ghi_lot_wake(&ghi_tasks_alive, INT_MAX, 0, NULL, NULL);
}

/* told: who joins it runs next, and finds what is stored here. */
static void ended(gh_task *t, bool told)
{
	struct gh_group *group = t->group;
	/* Before a joiner, who may ask how many are left. */
	uint32_t alive = fetch_add_acq_rel(&ghi_tasks_alive, (uint32_t)-1);
	store_release(&t->ended, 1u);
	if (!told)
		ghi_lot_wake(&t->ended, INT_MAX, 0, NULL, NULL); /* an address: it may be gone */
	ghi_task_unref(t);
	if (group)
		ghi_group_ended(group);
	tell_shutdown(alive);
}

const struct ghi_task_ops ghi_task_ops = {leaves, left, ended, faulted};

void gh_task_exit(void *result)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		self->result = result;
	if (self && self->task)
		ghi_life_end(self);
	gh_task *t = ghi_task_running();
	if (t) /* on a kernel thread */
		t->result = result;
	ghi_real_pthread_exit(result);
}

/* ---- the beginning -------------------------------------------------------------------------- */

void ghi_task_findable(gh_task *t)
{
	fence_seq_cst(); /* pairs with the one in gh_shutdown: it finds the task, or is found */
	if (load_relaxed(&shutting_down))
		gh_task_cancel(t);
}

/* The gthread, which does not run yet, becomes the task's; or it is to be given back. */
static int take_gthread(gh_task *t, struct ghi_gthread *g, const gh_task_opts *o)
{
	struct ghi_gthread *self = ghi_self();

	if (o->name) {
		memset(g->name, 0, sizeof(g->name));
		memcpy(g->name, o->name, strnlen(o->name, sizeof(g->name) - 1));
	}
	g->task_ops = &ghi_task_ops;
	g->task = t;
	g->cancel_word = &t->cancel;
	g->joined_at = &t->ended;
	g->level = (int8_t)o->priority;
	g->pin = o->flags & GH_TASK_PINNED ? (uint16_t)(o->slot + 1) : 0;
	t->g = g;
	int r = t->group ? ghi_group_enter(t->group, t) : 0;
	if (!r && self && self->own && !ghi_worker_start_own(g)) {
		r = -EAGAIN;
		if (t->group) {
			ghi_group_leave(t, 0);
			ghi_group_ended(t->group);
		}
	}
	if (r) {
		ghi_nosig_enter();
		ghi_lock(&t->lock); /* a shutdown may be at it */
		t->g = NULL;
		ghi_unlock(&t->lock);
		g->task = NULL;
		ghi_nosig_leave();
		return r;
	}
	if (t->deadline != GHI_NEVER)
		gh_task_set_deadline(t, (gh_time)t->deadline);
	ghi_task_findable(t);
	return 0;
}

struct known {
	struct ghi_making making;
	gh_task *t;
	const gh_task_opts *o;
	int r;
};

static int prepare_known(struct ghi_making *m, struct ghi_gthread *g)
{
	struct known *k = ghi_container(m, struct known, making);
	return k->r = take_gthread(k->t, g, k->o);
}

/* By the program's pthread_create, which is a sanitizer's: its code has to run on a thread that the
 * sanitizer knows, and so on a thread block of its own. */
static int start_known(gh_task *t, const gh_task_opts *o)
{
	enum { LEAST = 256 << 10 }; /* their frames are larger */
	pthread_attr_t attr;
	pthread_t thread;
	struct known k = {{&attr, prepare_known}, t, o, 0};

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (o->stack_size)
		pthread_attr_setstacksize(&attr, o->stack_size > LEAST ? o->stack_size : LEAST);
	ghi_tls.making = &k.making;
	int r = ghi_sanitizer_create()(&thread, &attr, t->fn, t->arg);
	ghi_tls.making = NULL;
	pthread_attr_destroy(&attr);
	return k.r ? k.r : r ? -EAGAIN : 0;
}

static int start_green(gh_task *t, const gh_task_opts *o)
{
	struct ghi_gthread *self = ghi_self();
	bool pinned = o->flags & GH_TASK_PINNED;
	if (pinned && o->slot >= ghi_nslots)
		return -EINVAL;
	if (pinned && self && self->own)
		return -EBUSY;
	if (__builtin_expect(ghi_sanitizer_present, 0))
		return start_known(t, o);
	struct ghi_gthread_attr attr = {
	    .stack_size = o->stack_size, .guard_size = GHI_PAGE, .detached = true};
	struct ghi_gthread *g =
	    o->flags & GH_TASK_OWN_TLS
		? ghi_gthread_new(&attr, t->fn, t->arg, ghi_life_entry)
		: ghi_gthread_new_light(o->stack_size, t->fn, t->arg, ghi_life_entry_light);

	if (!g)
		return -EAGAIN;
	ghi_life_inherit(g, self);
	int r = take_gthread(t, g, o);
	if (r)
		ghi_gthread_recycle(g);
	else
		ghi_life_begin(g, ghi_life_mask(self));
	return r;
}

/* What the caller's version of the structure says, with this version's defaults. */
int ghi_task_read_opts(const gh_task_opts *in, gh_task_opts *ret)
{
	*ret = (gh_task_opts){0};
	if (!in)
		return 0;
	if (in->size < sizeof(in->size) || in->size > 4096)
		return ghi_misuse("gh_task_opts", -EINVAL,
				  "its size is %lu: GH_TASK_OPTS_SIZE is missing",
				  (unsigned long)in->size);
	for (size_t i = sizeof(*ret); i < in->size; i++)
		if (((const char *)in)[i])
			return -E2BIG;
	memcpy(ret, in, in->size < sizeof(*ret) ? in->size : sizeof(*ret));
	if ((ret->flags &
	     ~(GH_TASK_DETACHED | GH_TASK_OWN_TLS | GH_TASK_RECOVER | GH_TASK_PINNED)) ||
	    ret->priority < GH_PRIORITY_LOWEST || ret->priority > GH_PRIORITY_HIGHEST ||
	    ret->stack_size > 1ul << 40)
		return ghi_misuse("gh_task_opts", -EINVAL,
				  "a flag, the priority or the size of the stack has no meaning");
	if (ret->stack_size && ret->stack_size < (size_t)PTHREAD_STACK_MIN)
		ret->stack_size = (size_t)PTHREAD_STACK_MIN;
	return 0;
}

int ghi_task_start(const struct ghi_task_start *s, gh_task **ret)
{
	struct gh_task *parent = ghi_task_running();
	gh_task_opts o;
	int r = s->fn ? ghi_task_read_opts(s->opts, &o)
		      : ghi_misuse("gh_task_spawn", -EINVAL, "the function is NULL");
	if (r)
		return r;
	gh_task *t = ghi_task_alloc();
	if (!t)
		return -EAGAIN;
	bool detached = s->group || (o.flags & GH_TASK_DETACHED);
	t->refs = detached ? 1 : 2;
	t->join = detached ? GHI_TASK_GIVEN_UP : GHI_TASK_JOINABLE;
	t->at_end = s->at_end;
	t->fn = s->fn;
	t->arg = s->arg;
	t->deadline = parent && !s->no_deadline ? load_relaxed(&parent->deadline) : GHI_NEVER;
	t->group = s->group;
	t->recover = o.flags & GH_TASK_RECOVER;
	t->generation = load_relaxed(&ghi_native_generation);
	store_release(&t->magic, GHI_TASK_MAGIC);
	fetch_add_relaxed(&ghi_tasks_alive, 1u);
	*ret = t;
	/* With GH_TASK_DETACHED t may be gone when it has begun. */
	if (ghi_runtime_ensure())
		r = start_green(t, &o);
	else
		r = o.flags & GH_TASK_PINNED ? -EINVAL : ghi_task_start_kernel(t, &o);
	if (r) {
		store_release(&t->magic, 0u);
		ghi_task_free(t);
		tell_shutdown(fetch_add_acq_rel(&ghi_tasks_alive, (uint32_t)-1));
	}
	return r;
}

gh_task *gh_task_spawn(gh_fn fn, void *arg, const gh_task_opts *opts)
{
	gh_task *t;
	int r = ghi_task_start(&(struct ghi_task_start){.fn = fn, .arg = arg, .opts = opts}, &t);
	if (r == 0)
		return t;
	errno = -r;
	return NULL;
}

int gh_go(gh_fn fn, void *arg, const gh_task_opts *opts)
{
	gh_task_opts o;
	gh_task *t;
	int r = ghi_task_read_opts(opts, &o);
	if (r)
		return r;
	o.size = sizeof(o);
	o.flags |= GH_TASK_DETACHED;
	return ghi_task_start(&(struct ghi_task_start){.fn = fn, .arg = arg, .opts = &o}, &t);
}

/* ---- join and detach ------------------------------------------------------------------------ */

/* For a wait that the task's own deadline ends: it has a limit, whoever looks for rings of those
 * that have none (src/deadlock.h). */
#define FAR_OFF ((uint64_t)GH_FOREVER - 1)

/* A wait of its would end by itself. */
static bool may_leave(const gh_task *t)
{
	uint32_t c = load_acquire(&t->cancel);
	return load_relaxed(&t->deadline) != GHI_NEVER ||
	       ((c & GHI_CANCEL_REQUESTED) && !(c & GHI_CANCEL_DISABLED));
}

/* Would t end only after self?  Each has one joiner at most, and whoever has one that stands in the
 * way of a ring has not ended: as long as nobody is cancelled meanwhile each step of the walk is of
 * now.  Then a step was of before, and is not found again. */
static bool waits_for(const gh_task *t, const gh_task *self)
{
	const gh_task *j = self;
	do
		j = load_acquire(&j->joiner);
	while (j && j != t && !may_leave(j));
	return j == t && !may_leave(j);
}

/* self joins t for ever.  False: so that nobody would ever go on. */
static bool note_joiner(gh_task *t, gh_task *self)
{
	if (!self || may_leave(self))
		return true;
	store_release(&t->joiner, self);
	fence_seq_cst(); /* of two that close a ring at once one sees the other, or both do */
	if (!waits_for(t, self) || !waits_for(t, self))
		return true;
	store_release(&t->joiner, (gh_task *)NULL);
	return false;
}

static bool not_ended(void *t)
{
	return !load_acquire(&((gh_task *)t)->ended);
}

static void let_it_run(void *arg)
{
	struct ghi_gthread *self = ghi_self(), *g = load_relaxed(&((gh_task *)arg)->g);
	if (self && g)
		ghi_handover_to(self, g);
}

int gh_task_join_until(gh_task *t, void **ret, gh_time at)
{
	gh_task *self = ghi_task_running();
	uint32_t state = GHI_TASK_JOINABLE;
	int r = 0;

	if (!ghi_task_good(t))
		return GHI_BAD(t, "task");
	if (t == self)
		return GHI_MISUSE(-EDEADLK, "a task joins itself");
	if (!cas_acq_rel(&t->join, &state, (uint32_t)GHI_TASK_JOINING))
		return GHI_MISUSE(-EINVAL, "task %p is detached, or another thread joins it",
				  (void *)t);
	uint64_t deadline = ghi_native_deadline(at);
	if (deadline == GHI_NEVER && not_ended(t) && !note_joiner(t, self)) {
		store_release(&t->join, (uint32_t)GHI_TASK_JOINABLE);
		return GHI_MISUSE(-EDEADLK, "task %p joins the caller, by itself or by others",
				  (void *)t);
	}
	if (deadline == GHI_NEVER && self && load_relaxed(&self->deadline) != GHI_NEVER)
		deadline = FAR_OFF;
	while (not_ended(t) && r != -ETIMEDOUT && r != -ECANCELED) {
		struct ghi_lot_wait w = {.key = &t->ended,
					 .validate = not_ended,
					 .before_park = let_it_run,
					 .arg = t,
					 .deadline = deadline,
					 .why = GHI_PARK_JOIN};
		r = ghi_lot_wait(&w);
	}
	if (not_ended(t)) {
		store_release(&t->joiner, (gh_task *)NULL);
		store_release(&t->join, (uint32_t)GHI_TASK_JOINABLE);
		return r;
	}
	ghi_sanitizer_after(t);
	bool failed = t->failed;
	if (ret)
		*ret = failed ? NULL : t->result;
	store_release(&t->join, (uint32_t)GHI_TASK_GIVEN_UP);
	store_release(&t->magic,
		      0u); /* the handle, though its gthread may still hold a reference */
	ghi_task_unref(t);
	return failed ? -ENOTRECOVERABLE : 0;
}

int gh_task_join(gh_task *t, void **ret)
{
	return gh_task_join_until(t, ret, GH_FOREVER);
}

int gh_task_detach(gh_task *t)
{
	uint32_t state = GHI_TASK_JOINABLE;
	if (!ghi_task_good(t))
		return GHI_BAD(t, "task");
	if (!cas_acq_rel(&t->join, &state, (uint32_t)GHI_TASK_GIVEN_UP))
		return GHI_MISUSE(-EINVAL, "task %p is detached, or another thread joins it",
				  (void *)t);
	ghi_task_unref(t);
	return 0;
}

/* ---- shutdown ------------------------------------------------------------------------------- */

static void cancel_all(gh_task *but)
{
	for (struct ghi_gthread *g = ghi_gthread_all(); g; g = g->all_next) {
		gh_task *t = load_relaxed(&g->task);
		if (!t || t == but)
			continue;
		ghi_nosig_enter();
		ghi_lock(&t->lock);
		if (t->g == g)
			ghi_task_cancel_locked(t, 0);
		ghi_unlock(&t->lock);
		ghi_nosig_leave();
	}
	ghi_task_cancel_kernel_all();
}

static uint32_t others_alive(gh_task *self)
{
	uint32_t n = load_acquire(&ghi_tasks_alive);
	return self && n ? n - 1 : n;
}

static bool some_alive(void *self)
{
	return others_alive(self) != 0;
}

int gh_shutdown(gh_time at)
{
	gh_task *self = ghi_task_running();
	int r = 0;
	fetch_add_acq_rel(&shutting_down, 1u);
	fence_seq_cst();
	cancel_all(self);
	while (some_alive(self) && r != -ETIMEDOUT && r != -ECANCELED) {
		struct ghi_lot_wait w = {.key = &ghi_tasks_alive,
					 .validate = some_alive,
					 .arg = self,
					 .deadline = ghi_native_deadline(at),
					 .why = GHI_PARK_JOIN};
		r = ghi_lot_wait(&w);
	}
	fetch_add_acq_rel(&shutting_down, (uint32_t)-1);
	uint32_t left = others_alive(self);
	return left && r == -ECANCELED ? r : left > INT_MAX ? INT_MAX : (int)left;
}

int gh_main(int (*fn)(int, char **), int argc, char **argv)
{
	if (!fn)
		return GHI_NULL("function");
	gh_start();
	int r = fn(argc, argv);
	gh_shutdown(gh_after(GH_S(1)));
	return r;
}

void ghi_native_after_fork(struct gh_task *survivor)
{
	bool kernel = !survivor && ghi_tls.kwait;

	ghi_task_pool_after_fork();
	ghi_task_kernel_after_fork();
	ghi_native_chan_after_fork();
	ghi_native_renew_after_fork();
	ghi_native_memory_after_fork();
	ghi_native_disk_after_fork();
	if (kernel) {
		survivor = ghi_container(ghi_tls.kwait->cancel_word, struct gh_task, cancel);
		ghi_tls.kwait->lock = 0; /* somebody may have been about to cancel it */
		ghi_tls.kwait->waits_on = NULL;
	}
	ghi_tasks_alive = survivor != NULL;
	shutting_down = 0;
	if (!survivor)
		return;
	survivor->generation = ghi_native_generation;
	survivor->lock = 0;
	survivor->error = NULL;
	survivor->joiner = NULL;
	survivor->group = NULL; /* its other members are gone, and whoever waits for them */
	if (kernel)
		return;
	survivor->alarm.timer.heap = NULL;
	survivor->alarm.firing = 0;
	survivor->deadline = GHI_NEVER;
}
