/* Blocking sections, a kernel thread of one's own, counters; see include/greenhook/sched.h.
 *
 * Owns: nothing.  Called by: programs.  Must not know: tasks, but for their number.
 */
#include <errno.h>
#include <greenhook/sched.h>
#include <string.h>

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
	return self ? ghi_own_thread(self) : 0;
}

int gh_stats(struct gh_stats *ret)
{
	struct gh_stats s = {.tasks = load_acquire(&ghi_tasks_alive)};

	if (!ret || ret->size < sizeof(size_t) || ret->size > 4096)
		return -EINVAL;
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
