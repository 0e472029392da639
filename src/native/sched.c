/* Priorities, pinning, budget, blocking sections, a kernel thread of one's own, counters; see
 * include/greenhook/sched.h.
 *
 * Owns: nothing.  Called by: programs.  Must not know: tasks, but for their number.
 */
#include <errno.h>
#include <greenhook/sched.h>
#include <string.h>

#include "src/native/misuse.h"
#include "src/native/task_int.h"
#include "src/own.h"
#include "src/runtime.h"
#include "src/sched.h"

void gh_blocking_begin(void)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		ghi_blocking_begin(self);
}

void gh_blocking_end(void)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		ghi_blocking_end(self);
}

int gh_own_thread(void)
{
	struct ghi_gthread *self = ghi_self();
	int r = self ? ghi_own_thread(self) : 0;
	if (self && !r)
		self->pin = 0;
	return r;
}

_Static_assert(GH_PRIORITY_LOWEST == GHI_LEVEL_MIN && GH_PRIORITY_HIGHEST == GHI_LEVEL_MAX,
	       "a priority is a level");

/* t is locked; on a kernel thread it has none. */
static int priority(gh_task *t, int set, int *ret)
{
	int r = 0;
	if (!ghi_task_here(t)) /* it has ended, before a fork */
		return -ESRCH;
	ghi_nosig_enter();
	ghi_lock(&t->lock);
	if (t->over)
		r = -ESRCH;
	else if (ret)
		*ret = t->g ? t->g->level : GH_PRIORITY_NORMAL;
	else if (t->g)
		store_relaxed(&t->g->level, (int8_t)set);
	ghi_unlock(&t->lock);
	ghi_nosig_leave();
	return r;
}

int gh_task_set_priority(gh_task *t, int set)
{
	if (!ghi_task_good(t))
		return GHI_BAD(t, "task");
	if (set < GH_PRIORITY_LOWEST || set > GH_PRIORITY_HIGHEST)
		return GHI_MISUSE(-EINVAL, "there is no priority %d", set);
	return priority(t, set, NULL);
}

int gh_task_get_priority(gh_task *t, int *ret)
{
	if (!ghi_task_good(t))
		return GHI_BAD(t, "task");
	return ret ? priority(t, 0, ret) : GHI_NULL("result");
}

int gh_task_pin(int slot)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return -EPERM;
	if (slot < 0 || (unsigned)slot >= ghi_nslots)
		return -EINVAL;
	if (self->own)
		return -EBUSY;
	ghi_nosig_enter();
	self->pin = (uint16_t)(slot + 1);
	if (self->worker->slot != &ghi_slots[slot])
		ghi_sched_move(self);
	ghi_nosig_leave();
	return 0;
}

int gh_task_unpin(void)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return -EPERM;
	self->pin = 0;
	return 0;
}

int gh_slot(void)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return -EPERM;
	/* Nothing in here parks, so the worker stays the same. */
	struct ghi_worker *w = self->worker;
	struct ghi_slot *s = w->slot;
	uintptr_t owner = s ? load_acquire(&s->owner) : GHI_SLOT_FREE;
	return (owner & ~(uintptr_t)GHI_SLOT_PHASE) == (uintptr_t)w ? (int)s->index : -ENOENT;
}

int gh_yield_if_due(void)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return 0;
	bool away = !self->own && gh_slot() < 0; /* who has no slot is not asked */
	if (!away && !(load_relaxed(&self->yield_please) & GHI_YIELD_ASKED))
		return 0;
	ghi_yield();
	return 1;
}

int gh_stats(struct gh_stats *ret)
{
	struct gh_stats s = {.tasks = load_acquire(&ghi_tasks_alive)};

	if (!ret || ret->size < sizeof(size_t) || ret->size > 4096)
		return GHI_MISUSE(-EINVAL, "the structure is NULL, or its size is not set");
	if (ghi_runtime_running()) {
		s.kernel_threads = ghi_worker_count();
		s.slots = ghi_nslots;
		for (unsigned i = 0; i < ghi_nslots; i++) {
			struct ghi_slot *slot = &ghi_slots[i];
			s.switches += slot->stats.switches +
				      (uint32_t)(load_relaxed(&slot->tick) - slot->stats.counted);
			s.steals += slot->stats.steals;
		}
	}
	s.size = ret->size < sizeof(s) ? ret->size : sizeof(s);
	memset(ret, 0, ret->size);
	memcpy(ret, &s, s.size);
	return 0;
}
