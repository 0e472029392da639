/* See stuck.h. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

#include "src/control.h"
#include "src/deadlock.h"
#include "src/helper.h"
#include "src/inspect.h"
#include "src/monitor.h"
#include "src/poller.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/signal_timer.h"
#include "src/stuck.h"
#include "src/timer.h"
#include "src/tls.h"

enum { AT_ONCE = 2048, MOST_TOLD = 16, MOST_RETRIES = 3 };
#define LOOK_AGAIN UINT64_MAX /* a stamp that never is */

static struct {
	enum { RESTS, WALKS, DOUBTS, WALKS_AGAIN, FOUND, TOLD } phase;
	uint64_t stamp; /* what had happened when it was looked for last */
	uint64_t next, spent;
	unsigned retries; /* a foreign kernel thread may be about to end, or a helper to begin */
	const struct ghi_gthread *at;
	uint64_t hash, first_hash, count;
} stuck;

/* Changes whenever somebody has run. */
static uint64_t stamp_now(void)
{
	uint64_t n = ghi_runtime_spawned();
	for (unsigned i = 0; i < ghi_nslots; i++)
		n += load_relaxed(&ghi_slots[i].tick);
	for (unsigned r = 0; r < GHI_PARK_NREASONS; r++)
		n += load_relaxed(&ghi_stats_parks_away[r]);
	return n;
}

static bool all_idle(void)
{
	for (unsigned i = 0; i < ghi_nslots; i++)
		if (load_relaxed(&ghi_slots[i].owner) != GHI_SLOT_FREE ||
		    ghi_timers_next(ghi_slots[i].timers) != GHI_NEVER)
			return false;
	return !ghi_sched_any_work();
}

static bool is_ours(int tid)
{
	if (tid == ghi_monitor_tid() || ghi_helper_is(tid))
		return true;
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (load_relaxed(&w->tid) == tid)
			return true;
	return false;
}

/* A kernel thread that is not the runtime's, or that cannot be asked for. */
static bool has_foreign_threads(void)
{
	char buf[2048] __attribute__((aligned(8)));
	bool foreign = false;

	if (!ghi_tls_fork_not_now_try())
		return true;
	int fd = ghi_poller_adopt(ghi_sys(SYS_openat, AT_FDCWD, "/proc/self/task",
					  O_RDONLY | O_CLOEXEC | O_DIRECTORY, 0));
	long n = fd < 0 ? fd : 1;
	while (!foreign && n > 0 && (n = ghi_sys(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n && !foreign;) {
			const struct dirent64 *d = (struct dirent64 *)(buf + at);
			at += d->d_reclen;
			if (d->d_name[0] != '.')
				foreign = !is_ours((int)strtol(d->d_name, NULL, 10));
		}
	if (fd >= 0)
		ghi_poller_drop(fd);
	ghi_tls_fork_again();
	return foreign || n < 0;
}

static bool has_handlers(void)
{
	return ghi_signal_handlers() & ~(uint64_t)GHI_SIG_FAULTS;
}

/* An alarm that has no handler ends the process: then nobody waits for ever. */
static bool ends_by_alarm(void)
{
	struct itimerval left;

	return ghi_sys(SYS_getitimer, ITIMER_REAL, &left) == 0 &&
	       (left.it_value.tv_sec || left.it_value.tv_usec) && ghi_signal_is_default(SIGALRM);
}

static bool could_be_woken_from_outside(void)
{
	return !all_idle() || ends_by_alarm() || ghi_sigtimer_ever() || has_handlers() ||
	       ghi_signal_handlers_behind() & ~(uint64_t)GHI_SIG_FAULTS || has_foreign_threads();
}

/* It is parked for good, unless another gthread wakes it; adds it to the hash. */
static bool waits(const struct ghi_gthread *g)
{
	uint32_t switches = load_acquire(&g->switches);
	if ((load_acquire(&g->wake) & GHI_WAKE_MASK) != GHI_WAKE_PARKED ||
	    !ghi_stuck_counts(load_relaxed(&g->reason)) || g->deadline != GHI_NEVER)
		return false;
	stuck.hash = (stuck.hash ^ g->id) * 0x9e3779b97f4a7c15u + switches;
	stuck.count++;
	return (load_acquire(&g->wake) & GHI_WAKE_MASK) == GHI_WAKE_PARKED &&
	       load_acquire(&g->switches) == switches;
}

static bool is_one(const struct ghi_gthread *g)
{
	uint32_t life = load_acquire(&g->life);
	return (life == GHI_LIFE_ALIVE || life == GHI_LIFE_EXITING) &&
	       !(g->flags & (GHI_G_NATIVE | GHI_G_MAIN));
}

/* True when there is main, which waits, or which has ended. */
static bool begin(void)
{
	const struct ghi_gthread *main_thread = ghi_runtime_main();

	stuck.hash = stuck.count = 0;
	stuck.at = ghi_gthread_all();
	if (!main_thread)
		return false;
	uint32_t life = load_acquire(&main_thread->life);
	return (life != GHI_LIFE_ALIVE && life != GHI_LIFE_EXITING) || waits(main_thread);
}

/* False: somebody does not wait.  *ret_through: all were looked at. */
static bool walk(bool *ret_through)
{
	const struct ghi_gthread *g = stuck.at;
	for (int i = 0; g && i < AT_ONCE; i++, g = g->all_next)
		if (is_one(g) && !waits(g))
			return false;
	stuck.at = g;
	*ret_through = !g;
	return true;
}

static uint64_t rest(uint64_t now)
{
	stuck.phase = RESTS;
	stuck.next = now + (stuck.spent > 5 * GHI_MS ? 200 * stuck.spent : GHI_SEC);
	return stuck.next;
}

bool ghi_stuck_news(void)
{
	return stuck.phase < FOUND && stuck.stamp != stamp_now();
}

uint64_t ghi_stuck_look(uint64_t now)
{
	bool through = false;

	if (stuck.phase >= FOUND)
		return GHI_NEVER;
	if (stuck.phase == RESTS) {
		/* Of the slots only what the monitor has read anyway, as long as one is busy; then
		 * it comes again. */
		if (!all_idle() || !ghi_stuck_news())
			return GHI_NEVER;
		if (now < stuck.next)
			return stuck.next;
		if (stuck.stamp != LOOK_AGAIN)
			stuck.retries = 0;
		stuck.stamp = stamp_now();
		stuck.spent = 0;
		if (ghi_sigtimer_ever() || has_handlers() || !begin())
			return rest(now);
		stuck.phase = WALKS;
	}
	if (stuck.phase == DOUBTS) {
		if (now < stuck.next)
			return stuck.next;
		if (stuck.stamp != stamp_now())
			return rest(now);
		if (could_be_woken_from_outside()) {
			if (stuck.retries++ < MOST_RETRIES)
				stuck.stamp = LOOK_AGAIN;
			return rest(now);
		}
		if (!begin())
			return rest(now);
		stuck.phase = WALKS_AGAIN;
	}
	if (!walk(&through))
		return rest(now);
	stuck.spent += ghi_now() - now;
	if (!through)
		return now + GHI_MS;
	if (stuck.phase == WALKS) {
		stuck.phase = DOUBTS;
		stuck.first_hash = stuck.hash;
		stuck.next = now + GHI_SEC;
		return stuck.next;
	}
	if (stuck.hash != stuck.first_hash || stuck.stamp != stamp_now() || !stuck.count)
		return rest(now);
	store_release(&stuck.phase, FOUND);
	ghi_control_errand();
	return GHI_NEVER;
}

/* Nobody of them can run any more. */
static void tell_one(const struct ghi_gthread *g)
{
	static struct ghi_inspect_stack s;
	uint32_t reason = load_relaxed(&g->reason);

	if (reason >= GHI_PARK_NREASONS)
		return;
	ghi_print("greenhook: gthread %lu \"%s\" waits: %s", g->id, g->name,
		  ghi_reason_names[reason]);
	if (g->waits_for)
		ghi_print(" at %p", g->waits_for);
	ghi_print("\n");
	ghi_inspect_stack_of(g, &s);
	ghi_deadlock_print_stack(&s);
}

bool ghi_stuck_tell(void)
{
	unsigned n = 0;
	if (load_acquire(&stuck.phase) != FOUND)
		return false;
	ghi_say("deadlock: all %lu gthreads wait, and nothing can wake them", stuck.count);
	if (ghi_inspect_stacks_begin()) {
		const struct ghi_gthread *main_thread = ghi_runtime_main();
		if (main_thread && load_acquire(&main_thread->life) == GHI_LIFE_ALIVE) {
			tell_one(main_thread);
			n++;
		}
		for (const struct ghi_gthread *g = ghi_gthread_all(); g && n < MOST_TOLD;
		     g = g->all_next)
			if (is_one(g)) {
				tell_one(g);
				n++;
			}
		if (stuck.count > n)
			ghi_print("greenhook: and %lu more; `greenhook dump %d` shows all\n",
				  stuck.count - n, sys_getpid());
	}
	ghi_inspect_stacks_end();
	store_release(&stuck.phase, TOLD);
	return true;
}

void ghi_stuck_after_fork(void)
{
	stuck.phase = RESTS;
	stuck.stamp = stuck.next = 0;
	stuck.retries = 0;
}
