/* The monitor thread; see monitor.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "src/base/probe.h"
#include "src/blocked.h"
#include "src/control.h"
#include "src/cputime.h"
#include "src/deadlock.h"
#include "src/disk.h"
#include "src/fdtab.h"
#include "src/helper.h"
#include "src/monitor.h"
#include "src/poller.h"
#include "src/proto/idle_word.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/timer.h"
#include "src/trace.h"

#define GHI_SLICE	   (10 * GHI_MS) /* run time after which others get another kernel thread */
#define GHI_SLICE_AGAIN	   (2 * GHI_MS)	 /* for one that used up its slice shortly before */
#define LONGEST_PERIOD	   (10 * GHI_MS)
#define QUIET_BEFORE_SLEEP (50 * GHI_MS)

struct ghi_monitor_stats ghi_monitor_stats;

static struct {
	uint32_t word;	   /* futex: 1 when poked */
	uint32_t sleeping; /* in a futex wait without a period */
	int tid;
	uint64_t mask;
	uint32_t mask_wanted, mask_done; /* sequence numbers */
} mon;

int ghi_monitor_tid(void)
{
	return load_acquire(&mon.tid);
}

void ghi_monitor_poke(void)
{
	if (xchg_acq_rel(&mon.word, 1u) == 0)
		sys_futex_wake(&mon.word, 1);
}

void ghi_monitor_update_mask(void)
{
	if (!load_acquire(&mon.tid) || sys_gettid() == mon.tid)
		return;
	uint32_t want = fetch_add_acq_rel(&mon.mask_wanted, 1u) + 1;
	ghi_monitor_poke();
	for (uint32_t done; (int32_t)((done = load_acquire(&mon.mask_done)) - want) < 0;)
		sys_futex_wait(&mon.mask_done, done, NULL);
}

/* Does the kernel thread sleep in the kernel?  A thread that was only preempted must keep its slot:
 * another worker would compete for the same CPU. */
static bool sleeps(struct ghi_worker *w)
{
	char text[128];
	for (int attempt = 0; attempt < 2; attempt++) {
		int fd = ghi_worker_stat(w);
		if (fd < 0)
			return true; /* no /proc: the CPU clock is all we have */
		long n = ghi_sys(SYS_pread64, fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = 0;
		bool its = !ghi_worker_stat_foreign(n) || strtol(text, NULL, 10) == w->tid;
		ghi_worker_stat_done(w, its);
		if (its && n < 0)
			return true;
		for (long i = its ? n - 3 : -1; i >= 0; i--)
			if (text[i] == ')') /* "tid (name) S ...": the name may hold brackets */
				return text[i + 2] != 'R';
	}
	return true;
}

/* Many compute: one hand-over after another would each wait until the kernel lets the new holder
 * run. So each within 100 ms of the last starts twice as many of those that wait, without slots:
 * they get on as kernel threads would. */
static void start_more(struct ghi_slot *s)
{
	static uint64_t last;
	static unsigned more;
	uint64_t now = ghi_now();

	more = now - last > 100 * GHI_MS ? 0 : more ? more * 2 : 1;
	if (more > 32)
		more = 32;
	last = now;
	for (unsigned i = 0; i < more; i++) {
		struct ghi_gthread *g = ghi_sched_take_waiting(s);
		if (!g)
			return;
		if (!ghi_worker_run(g)) {
			ghi_queues_push(g); /* for the next holder of the slot */
			return;
		}
	}
}

/* True when the slot was taken and another worker has it now. */
static bool hand_over(struct ghi_slot *s, uintptr_t seen, bool asleep)
{
	/* With nothing queued and somebody in the poller, a new holder would go to sleep at once;
	 * but an idle slot is what wakers look for, so the slot must not stay with the stuck one.
	 */
	struct ghi_gthread *g = s->running;
	int episode = -1;
	if (asleep && ghi_blocked_on)
		episode = ghi_blocked_begin((struct ghi_worker *)s->seen_owner,
					    (seen & GHI_SLOT_PHASE) == GHI_SLOT_BLOCKED, s->seen_at,
					    s->seen_cpu_last);
	/* Before it goes on without the slot. */
	uint64_t at = ghi_trace_on() ? ghi_now() : 0;
	if (!ghi_slot_take(&s->owner, seen)) { /* (M1) */
		ghi_blocked_keep(episode, false, false);
		return false;
	}
	g = s->running; /* nobody else can change it now */
	GHI_PROBE3(handoff, GHI_OF(s->index), GHI_OF(g ? g->id : 0), GHI_OF(asleep));
	if (at)
		ghi_trace_handoff(s, (struct ghi_worker *)s->seen_owner, asleep, at);
	if (asleep) {
		ghi_monitor_stats.handoffs_asleep++;
	} else {
		ghi_monitor_stats.handoffs_running++;
		if (g)
			store_relaxed(&g->hog, (uint32_t)GHI_HOG_PARKS);
		start_more(s);
	}
	if (g)
		g->unseen++;
	/* Ours until it is given.  Timers and events have waited, and switches are too rare here to
	 * count them. */
	ghi_sched_look_soon(s);
	bool handed = ghi_worker_hand_slot(s, true); /* (M2) */
	ghi_blocked_keep(episode, true, handed);
	if (!handed) {
		ghi_monitor_stats.missed++;
		ghi_worker_idle_slot(s);
	}
	return true;
}

/* One look at all slots; true when somebody was stuck or busy. */
static bool look(uint64_t now, bool *ret_handed)
{
	bool busy = false;
	/* Kernel threads that want a CPU.  Those without a slot take from what a holder gets, so
	 * that a slice of its CPU time would last the longer the more have been handed over
	 * already. */
	unsigned crowd = ghi_worker_count() - ghi_worker_asleep();
	if (crowd < ghi_nslots)
		crowd = ghi_nslots;

	for (unsigned i = 0; i < ghi_nslots; i++) {
		struct ghi_slot *s = &ghi_slots[i];
		uintptr_t owner = load_acquire(&s->owner);
		uintptr_t phase = owner & GHI_SLOT_PHASE;
		if (owner == GHI_SLOT_FREE || owner == GHI_SLOT_TAKEN)
			continue;
		busy = true;
		struct ghi_worker *w = (struct ghi_worker *)(owner & ~(uintptr_t)GHI_SLOT_PHASE);
		uint32_t tick = load_relaxed(&s->tick);
		uint64_t cpu = ghi_cputime_of_tid(w->tid);
		ghi_cputime_sample(w, s->running, cpu);
		if (tick != s->seen_tick || (owner & ~(uintptr_t)GHI_SLOT_PHASE) != s->seen_owner) {
			s->seen_tick = tick;
			s->seen_owner = owner & ~(uintptr_t)GHI_SLOT_PHASE;
			s->seen_cpu_ns = cpu;
			s->seen_at = now;
			continue;
		}
		if (phase == GHI_SLOT_SCHED)
			continue; /* in the scheduler: it will move by itself */
		uint64_t stood = now - s->seen_at;
		bool asleep = cpu - s->seen_cpu_ns < stood / 4 && stood > 100 * GHI_US;
		if (asleep && cpu == s->seen_cpu_last)
			asleep = sleeps(w);
		else
			asleep = false; /* it runs, only not often: the machine is busy */
		s->seen_cpu_last = cpu;
		struct ghi_gthread *g = s->running;
		/* One that is known to compute must not cost those that wait 10 ms each time: it
		 * may even be waiting for one of them. */
		bool again = g && load_relaxed(&g->hog) && ghi_sched_others_wait(s);
		uint64_t slice = (again ? GHI_SLICE_AGAIN : GHI_SLICE) * ghi_nslots / crowd;
		if (!asleep && cpu - s->seen_cpu_ns < slice) {
			if (cpu - s->seen_cpu_ns > slice / 2 && g)
				store_relaxed(&g->yield_please,
					      load_relaxed(&g->yield_please) | GHI_YIELD_ASKED);
			continue;
		}
		*ret_handed |= hand_over(s, owner, asleep);
	}
	return busy;
}

static void take_new_mask(void)
{
	uint32_t wanted = load_acquire(&mon.mask_wanted);
	if (wanted == mon.mask_done)
		return;
	mon.mask = ghi_signal_monitor_mask();
	sys_sigprocmask(SIG_SETMASK, &mon.mask, NULL);
	store_release(&mon.mask_done, wanted);
	sys_futex_wake(&mon.mask_done, 1 << 30);
}

/* A heap may belong to an idle slot while every worker is busy: nobody else looks at it. */
static void run_late_timers(uint64_t now)
{
	for (unsigned i = 0; i < ghi_nslots; i++)
		if (now > GHI_MS && ghi_timers_next(ghi_slots[i].timers) < now - GHI_MS)
			ghi_timers_run(ghi_slots[i].timers, now);
}

static bool all_slots_free(void)
{
	for (unsigned i = 0; i < ghi_nslots; i++)
		if (load_relaxed(&ghi_slots[i].owner) != GHI_SLOT_FREE)
			return false;
	return true;
}

/* Work is queued, slots are idle, and no worker sleeps that could be woken: make one.  So too when
 * all there are have become gthreads' own or are held up: somebody must sleep in the poller. */
static void staff_idle_slots(void)
{
	while ((ghi_sched_any_work() || all_slots_free()) && ghi_worker_asleep() == 0 &&
	       ghi_idle_claim(&ghi_idle_word, false)) {
		struct ghi_slot *s = ghi_worker_take_idle_slot();
		if (!ghi_worker_hand_slot(s, true)) {
			ghi_worker_idle_slot(s);
			return;
		}
	}
	ghi_worker_staff_pinned(true);
}

static void *monitor_main(void *arg)
{
	uint64_t period = ghi_config.monitor_us * GHI_US, quiet_since = 0;

	mon.mask = ~GHI_SIG_OURS;
	sys_sigprocmask(SIG_SETMASK, &mon.mask, NULL);
	ghi_sys(SYS_prctl, 15 /* PR_SET_NAME */, "greenhook-mon");
	ghi_helper_be_prompt();
	store_release(&mon.tid, sys_gettid());
	sys_futex_wake((uint32_t *)&mon.tid, 1 << 30);
	for (;;) {
		bool poked = xchg_acq_rel(&mon.word, 0u);
		bool handed = false;
		take_new_mask();
		ghi_signal_dispatch();
		uint64_t now = ghi_now();
		ghi_clock_note(now);
		bool busy = look(now, &handed);
		run_late_timers(now);
		ghi_fd_sweep(now);
		uint64_t look_again = ghi_deadlock_look(now);
		ghi_control_look(now);
		ghi_disk_look(now);
		if (ghi_blocked_on) {
			busy |= ghi_blocked_look(now);
			if (ghi_blocked_crowded())
				ghi_control_collect();
		}
		staff_idle_slots();
		if (ghi_worker_asleep() && ghi_sched_any_work())
			ghi_worker_notify();
		if (handed || poked)
			period = ghi_config.monitor_us * GHI_US;
		else if (period < LONGEST_PERIOD)
			period += period / 8;
		if (busy || poked)
			quiet_since = now;
		struct timespec ts = ghi_ns_to_ts(period);
		bool deep = !ghi_poller_watch(now) && now - quiet_since > QUIET_BEFORE_SLEEP &&
			    ghi_worker_asleep() > 0;
		if (deep) {
			ghi_poller_look_after();
			/* Dekker with ghi_monitor_wake_if_asleep: it stores its owner, then loads
			 * this. */
			store_relaxed(&mon.sleeping, 1u);
			fence_seq_cst();
			deep = all_slots_free();
			if (look_again == GHI_NEVER && ghi_deadlock_news())
				look_again = now + GHI_MS;
		}
		if (deep && look_again != GHI_NEVER) {
			ts = ghi_ns_to_ts(look_again > now ? look_again - now : 1);
			deep = false;
		}
		sys_futex_wait(&mon.word, 0, deep ? NULL : &ts);
		store_relaxed(&mon.sleeping, 0u);
		ghi_monitor_stats.wakeups++;
	}
	return arg;
}

void ghi_monitor_wake_if_asleep(void)
{
	fence_seq_cst();
	if (__builtin_expect(load_relaxed(&mon.sleeping), 0))
		ghi_monitor_poke();
}

int ghi_monitor_start(void)
{
	mon.tid = 0;
	int r = ghi_helper_start(monitor_main);
	if (r)
		return r;
	while (!load_acquire(&mon.tid))
		sys_futex_wait((uint32_t *)&mon.tid, 0, NULL);
	return 0;
}

void ghi_monitor_after_fork(void)
{
	mon.word = mon.sleeping = 0;
	mon.tid = 0;
	mon.mask_wanted = mon.mask_done = 0;
}
