/* Suite of src/native/sched.c: priorities, slots, budgets, blocking sections, kernel threads of
 * their own. */
#include <greenhook/file.h>
#include <greenhook/future.h>
#include <greenhook/group.h>
#include <greenhook/sched.h>
#include <greenhook/timer.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "src/monitor.h"
#include "src/native/task_int.h"
#include "tests/helpers.h"

static uint32_t stop, count, turn;

static void *same(void *arg)
{
	return arg;
}

static int member(void *arg)
{
	return arg != NULL;
}

static void on_time(void *arg)
{
	must(arg != NULL);
}

static void *until_stopped(void *arg)
{
	until(load_acquire(&stop));
	return arg;
}

/* ---- priorities ----------------------------------------------------------------------------- */

static void *priorities(void *arg)
{
	int p = 77;
	store_relaxed(&stop, 0u);
	gh_task *t = gh_task_spawn(until_stopped, NULL, NULL);
	must_eq(gh_task_set_priority(t, GH_PRIORITY_HIGHEST + 1), -EINVAL);
	must_eq(gh_task_set_priority(t, GH_PRIORITY_LOWEST - 1), -EINVAL);
	must_eq(gh_task_set_priority(t, INT_MIN), -EINVAL);
	must_eq(gh_task_set_priority(NULL, 0), -EINVAL);
	must_eq(gh_task_get_priority(t, NULL), -EINVAL);
	must_eq(gh_task_get_priority(NULL, &p), -EINVAL);
	must_eq(p, 77);
	must_eq(gh_task_get_priority(t, &p), 0);
	must_eq(p, GH_PRIORITY_NORMAL);
	bool green = t->g != NULL;
	for (int i = GH_PRIORITY_LOWEST; i <= GH_PRIORITY_HIGHEST; i++) {
		must_eq(gh_task_set_priority(t, i), 0);
		must_eq(gh_task_get_priority(t, &p), 0);
		must_eq(p, green ? i : GH_PRIORITY_NORMAL);
	}
	store_release(&stop, 1u);
	until(load_acquire(&t->ended));
	must_eq(gh_task_set_priority(t, 0), -ESRCH);
	must_eq(gh_task_get_priority(t, &p), -ESRCH);
	end_task(t);
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .priority = GH_PRIORITY_LOW};
	t = gh_task_spawn(until_stopped, NULL, &o);
	p = 0;
	if (gh_task_get_priority(t, &p) == 0)
		must_eq(p, green ? GH_PRIORITY_LOW : GH_PRIORITY_NORMAL);
	end_task(t);
	return arg;
}

START_TEST(a_priority_is_set_and_told)
{
	everywhere(_i, priorities);
}
END_TEST

/* The monitor may disturb the order of some rounds, on a busy machine. */
enum { ROUNDS = 50 };

static void *takes_a_turn(void *arg)
{
	*(uint32_t *)arg = ++turn;
	return arg;
}

START_TEST(who_has_the_highest_is_taken_first)
{
	uint32_t turns[5];
	gh_task *t[5];
	int in_order = 0;
	start_runtime(1);
	for (int round = 0; round < ROUNDS; round++) {
		turn = 0;
		for (int i = 0; i < 5; i++) {
			gh_task_opts o = {GH_TASK_OPTS_SIZE, .priority = i + GH_PRIORITY_LOWEST};
			t[i] = gh_task_spawn(takes_a_turn, &turns[i], &o);
		}
		for (int i = 0; i < 5; i++)
			end_task(t[i]);
		int right = 0;
		for (uint32_t i = 0; i < 5; i++)
			right += turns[i] == 5 - i;
		in_order += right == 5;
	}
	must(in_order > ROUNDS / 2);
}
END_TEST

/* ---- slots ---------------------------------------------------------------------------------- */

static void *counts(void *arg)
{
	fetch_add_acq_rel(&count, 1u);
	return arg;
}

/* What it starts stands in the ring of its slot, which it keeps. */
static void *starts_and_computes(void *arg)
{
	for (uint32_t i = 0; i < ROUNDS; i++) {
		gh_task *t = gh_task_spawn(counts, NULL, NULL);
		for (uint64_t limit = ghi_now() + 4 * GHI_SEC; load_acquire(&count) == i;)
			must(ghi_now() < limit);
		end_task(t);
	}
	store_release(&stop, 1u);
	return arg;
}

/* ---- beside one that yields ----------------------------------------------------------------- */

static int ends[2];
static uint64_t due;

static void *reads(void *arg)
{
	char c;
	must_eq(gh_read(ends[0], &c, 1), 1);
	return counts(arg);
}

static void *sleeps(void *arg)
{
	must_eq(gh_sleep_until((gh_time)due), 0);
	return counts(arg);
}

/* How often the caller yields until somebody else has counted. */
static unsigned yields(void)
{
	unsigned n = 0;
	for (; !load_acquire(&count) && n < 10000; n++)
		gh_yield();
	store_relaxed(&count, 0u);
	return n;
}

/* A look at events every 64 switches, and an age of 64 for what stands behind the ring. */
enum { SOON = 64 + 64 + 7 };

static void *beside_one_that_yields(void *arg)
{
	for (unsigned i = 0; i < 70; i++) { /* wherever the next look is */
		must_eq(pipe(ends), 0);
		gh_task *t = gh_task_spawn(reads, NULL, NULL);
		for (unsigned k = 0; k < 2 + i; k++)
			gh_yield();
		must_eq(write(ends[1], "x", 1), 1);
		must(yields() <= SOON);
		end_task(t);
		close(ends[0]);
		close(ends[1]);
		due = ghi_now() + GHI_MS / 2;
		t = gh_task_spawn(sleeps, NULL, NULL);
		for (unsigned k = 0; k < 2 + i; k++)
			gh_yield();
		while (ghi_now() < due)
			cpu_relax();
		must(yields() <= SOON);
		end_task(t);
		for (int p = GH_PRIORITY_LOWEST; p <= GH_PRIORITY_HIGHEST; p++) {
			gh_task_opts o = {GH_TASK_OPTS_SIZE, .priority = p};
			o.flags = i & 1 ? GH_TASK_PINNED : 0;
			t = gh_task_spawn(counts, NULL, &o);
			must(yields() <= (p > GH_PRIORITY_NORMAL ? 1 : SOON));
			end_task(t);
		}
	}
	return arg;
}

/* With one slot nobody else looks, not even the monitor here. */
START_TEST(beside_one_that_yields_all_is_noticed_soon)
{
	ghi_config.monitor_us = 60 * 1000 * 1000;
	start_runtime(1);
	store_relaxed(&stop, 0u);
	beside_one_that_yields(NULL);
	gh_task *t = gh_task_spawn(until_stopped, NULL, NULL);
	beside_one_that_yields(NULL);
	store_release(&stop, 1u);
	end_task(t);
}
END_TEST

/* It only yields, and another slot has a queue: natively the kernel would run those of that. */
START_TEST(a_slot_that_only_yields_takes_from_others)
{
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .slot = 1};
	ghi_config.monitor_us = 60 * 1000 * 1000; /* which would hand slots over */
	start_runtime(2);
	must_eq(gh_task_pin(0), 0);
	gh_task *t = gh_task_spawn(starts_and_computes, NULL, &o);
	until(load_acquire(&stop));
	end_task(t);
}
END_TEST

/* It has none while it is taken for one that computes, until it yields. */
static void is_on(int slot)
{
	for (int r; (r = gh_slot()) != slot; gh_yield())
		must_eq(r, -ENOENT);
}

static void *runs_on_slots(void *arg)
{
	unsigned n = ghi_nslots;
	until(gh_slot() >= 0);
	must(gh_slot() < (int)n);
	must_eq(gh_task_pin(-1), -EINVAL);
	must_eq(gh_task_pin(INT_MIN), -EINVAL);
	must_eq(gh_task_pin(INT_MAX), -EINVAL);
	must_eq(gh_task_pin((int)n), -EINVAL);
	for (unsigned i = 0; i < 2 * n; i++) {
		must_eq(gh_task_pin((int)(i % n)), 0);
		for (int k = 0; k < 5; k++) {
			is_on((int)(i % n));
			gh_yield();
		}
	}
	must_eq(gh_task_unpin(), 0);
	must_eq(gh_task_unpin(), 0);
	must_eq(ghi_self()->pin, 0);
	must_eq(gh_own_thread(), 0);
	must_eq(gh_own_thread(), 0);
	must_eq(gh_task_pin(0), -EBUSY);
	must_eq(gh_task_unpin(), 0);
	must_eq(gh_slot(), -ENOENT);
	long tid = ghi_sys(SYS_gettid);
	for (int i = 0; i < 50; i++) {
		gh_yield();
		must_eq(gh_sleep(GH_US(20)), 0);
		must_eq(ghi_sys(SYS_gettid), tid);
	}
	return arg;
}

static void *yields_on_1(void *arg)
{
	is_on(1);
	gh_yield();
	return arg;
}

/* Whoever ends does not hand its slot to one who may not run there. */
START_TEST(who_is_pinned_joins_on_its_slot)
{
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .slot = 1};
	start_runtime(2);
	must_eq(gh_task_pin(0), 0);
	for (int i = 0; i < ROUNDS; i++) {
		end_task(gh_task_spawn(yields_on_1, NULL, &o));
		is_on(0);
	}
}
END_TEST

static void *has_no_slot(void *arg)
{
	must_eq(gh_task_pin(0), -EPERM);
	must_eq(gh_task_pin(-1), -EPERM);
	must_eq(gh_task_unpin(), -EPERM);
	must_eq(gh_slot(), -EPERM);
	must_eq(gh_yield_if_due(), 0);
	must_eq(gh_own_thread(), 0);
	gh_blocking_begin();
	gh_blocking_end();
	gh_blocking_end();
	return arg;
}

START_TEST(a_green_thread_knows_its_slot_and_may_choose_it)
{
	start_runtime(worker_counts[_i]);
	on_task(0, runs_on_slots);
	on_task(GH_TASK_OWN_TLS, runs_on_slots);
	on(false, runs_on_slots, NULL);
	runs_on_slots(NULL);
	on(true, has_no_slot, NULL);
}
END_TEST

START_TEST(where_nothing_runs_green_there_are_no_slots)
{
	has_no_slot(NULL); /* the runtime does not run yet */
	on(true, has_no_slot, NULL);
	on(true, on_its_task, (void *)has_no_slot);
	in_child(has_no_slot);
}
END_TEST

/* From now on no thread of the process gets another one. */
static void forbid_clone(void)
{
	struct sock_filter f[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};
	must_eq(ghi_sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	must_eq(ghi_sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog), 0);
}

static void *wants_a_thread(void *arg)
{
	for (int i = 0; i < 3; i++) {
		must_eq(gh_own_thread(), -EAGAIN);
		gh_yield(); /* and goes on as before */
		must(!ghi_self()->own);
	}
	must_eq(gh_task_pin(0), 0);
	must_eq(gh_own_thread(), -EAGAIN);
	is_on(0);
	return arg;
}

START_TEST(where_no_thread_is_to_be_had_it_says_so)
{
	start_runtime(worker_counts[_i]);
	on_task(0, runs_on_slots);
	forbid_clone();
	on_task(0, wants_a_thread);
	on(false, wants_a_thread, NULL);
}
END_TEST

START_TEST(where_tasks_are_kernel_threads_and_there_are_no_more)
{
	ghi_config.enabled = 0;
	gh_group *g = gh_group_new(NULL, 0);
	end_task(gh_task_spawn(same, NULL, NULL));
	forbid_clone();
	must(!gh_task_spawn(same, NULL, NULL) && errno == EAGAIN);
	must_eq(gh_go(same, NULL, NULL), -EAGAIN);
	must(!gh_async(same, NULL) && errno == EAGAIN);
	must_eq(gh_group_spawn(g, member, NULL, NULL), -EAGAIN);
	must_eq(gh_group_count(g), 0);
	gh_timer *t = gh_timer_new(on_time, NULL);
	must_eq(gh_timer_set(t, 0, 0), -EAGAIN);
	must_eq(gh_timer_stop(t), 0);
	must_eq(gh_timer_free(t), 0);
	must_eq(gh_group_free(g), 0);
}
END_TEST

/* ---- the budget, blocking sections ---------------------------------------------------------- */

static void *computes(void *arg)
{
	int not_due = 0, at_once = 0;
	gh_task *t = gh_task_spawn(counts, NULL, NULL);
	uint64_t limit = ghi_now() + 15 * GHI_SEC;
	while (!gh_yield_if_due())
		must(ghi_now() < limit);
	end_task(t);
	for (int i = 0; i < ROUNDS; i++) {
		store_relaxed(&count, 0u);
		t = gh_task_spawn(counts, NULL, NULL);
		not_due += !gh_yield_if_due();
		ghi_self()->yield_please |= GHI_YIELD_ASKED; /* as the monitor does */
		must_eq(gh_yield_if_due(), 1);
		at_once += load_acquire(&count) == 1;
		end_task(t);
	}
	must(not_due > ROUNDS / 2 && at_once > ROUNDS / 2);
	return arg;
}

START_TEST(who_computes_for_long_is_asked_to_yield)
{
	start_runtime(1);
	on_task(0, computes);
	on(false, computes, NULL);
}
END_TEST

static uintptr_t phase(void)
{
	struct ghi_worker *w = ghi_self()->worker;
	uintptr_t owner = w->slot ? load_acquire(&w->slot->owner) : 0;
	return (owner & ~(uintptr_t)GHI_SLOT_PHASE) == (uintptr_t)w ? owner & GHI_SLOT_PHASE
								    : GHI_SLOT_SCHED;
}

static void *blocks(void *arg)
{
	store_relaxed(&count, 0u);
	gh_task *t = gh_task_spawn(counts, NULL, NULL);
	gh_blocking_begin();
	must(phase() != GHI_SLOT_USER); /* anybody may take the slot */
	while (!load_acquire(&count))	/* no call of anything */
		cpu_relax();
	gh_blocking_end();
	end_task(t);
	gh_yield();
	is_on(0);
	gh_blocking_begin();
	gh_blocking_end();
	must(phase() != GHI_SLOT_BLOCKED);
	return arg;
}

START_TEST(a_blocking_section_holds_up_nobody)
{
	start_runtime(1);
	on_task(0, blocks);
	on(false, blocks, NULL);
	must(ghi_monitor_stats.handoffs_running + ghi_monitor_stats.handoffs_asleep >= 2);
}
END_TEST

Suite *suite_native_sched(void)
{
	Suite *s = suite_create("native_sched");
	add_loop(s, a_priority_is_set_and_told, PLACES);
	add_test(s, who_has_the_highest_is_taken_first);
	add_loop(s, a_green_thread_knows_its_slot_and_may_choose_it, WORKER_COUNTS);
	add_test(s, beside_one_that_yields_all_is_noticed_soon);
	add_test(s, a_slot_that_only_yields_takes_from_others);
	add_test(s, who_is_pinned_joins_on_its_slot);
	add_test(s, where_nothing_runs_green_there_are_no_slots);
	add_loop(s, where_no_thread_is_to_be_had_it_says_so, WORKER_COUNTS);
	add_test(s, where_tasks_are_kernel_threads_and_there_are_no_more);
	add_test(s, who_computes_for_long_is_asked_to_yield);
	add_test(s, a_blocking_section_holds_up_nobody);
	return s;
}
