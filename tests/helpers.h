/* What every suite uses: checks that are cheap enough for loops and safe on any gthread, the
 * runtime, threads of both sorts, captured messages.
 *
 * Owns: the limit of a test, the way a test is listed.  Included by: main.c, test_*.c.  Must not
 * know: any module's inside.
 *
 * Each test is a libcheck case of its own name in a process of its own, so CASE=name picks it and
 * it finds the runtime dormant.  This binary contains the hooks: pthread_create and the other names
 * of hooks.def are greenhook's here, and kernel threads come from spawn_kernel().
 */
#ifndef GHI_TESTS_HELPERS_H
#define GHI_TESTS_HELPERS_H

#include <check.h>
#include <errno.h>
#include <greenhook/task.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/gthread.h"
#include "src/real.h"
#include "src/runtime.h"
#include "src/sched.h"

enum { TEST_LIMIT_S = 20, TEST_MAX_THREADS = 64 };

/* Unlike ck_assert, these cost nothing while they hold, so they may stand in a loop. */
#define must(cond)                                                                                 \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			ck_abort_msg("%s", #cond);                                                 \
	} while (0)
#define must_eq(a, b)                                                                              \
	do {                                                                                       \
		long long a_ = (long long)(a), b_ = (long long)(b);                                \
		if (__builtin_expect(a_ != b_, 0))                                                 \
			ck_abort_msg("%s is %lld, %s is %lld", #a, a_, #b, b_);                    \
	} while (0)

/* Lists a test in a suite; a loop test runs for _i in [0, n); a raising one must die by sig. */
#define CASE_(s, name, add)                                                                        \
	do {                                                                                       \
		TCase *c_ = tcase_create(#name);                                                   \
		tcase_set_timeout(c_, TEST_LIMIT_S);                                               \
		add;                                                                               \
		suite_add_tcase(s, c_);                                                            \
	} while (0)
#define add_test(s, name)	  CASE_(s, name, tcase_add_test(c_, name))
#define add_loop(s, name, n)	  CASE_(s, name, tcase_add_loop_test(c_, name, 0, (int)(n)))
#define add_raising(s, name, sig) CASE_(s, name, tcase_add_test_raise_signal(c_, name, sig))
#define add_raising_loop(s, name, sig, n)                                                          \
	CASE_(s, name, tcase_add_loop_test_raise_signal(c_, name, sig, 0, (int)(n)))

/* Most tests of waiting run with each of these numbers of slots: loop tests over _i. */
static const unsigned worker_counts[] = {1, 2, 8};
enum { WORKER_COUNTS = 3 };

static inline void start_runtime(unsigned workers)
{
	ghi_config.workers = workers;
	must(ghi_runtime_ensure());
	must_eq(ghi_nslots, workers);
}

static inline pthread_t spawn(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	must_eq(pthread_create(&t, NULL, fn, arg), 0);
	must(ghi_gthread_of((uintptr_t)t) != NULL);
	return t;
}

static inline void *join(pthread_t t)
{
	void *ret = NULL;
	must_eq(pthread_join(t, &ret), 0);
	return ret;
}

static inline pthread_t spawn_kernel(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	must_eq(ghi_real_pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

/* On a thread of the one kind or the other; its result. */
static inline void *on(bool kernel, void *(*fn)(void *), void *arg)
{
	return join(kernel ? spawn_kernel(fn, arg) : spawn(fn, arg));
}

/* For a loop test of 2 * WORKER_COUNTS: on a gthread, then on a kernel thread, with each number. */
static inline void on_both(int i, void *(*fn)(void *))
{
	start_runtime(worker_counts[i % WORKER_COUNTS]);
	on(i >= WORKER_COUNTS, fn, NULL);
}

static inline void *end_task(gh_task *t)
{
	void *ret = NULL;
	must(t != NULL);
	must_eq(gh_task_join(t, &ret), 0);
	return ret;
}

static inline void *on_task(unsigned flags, gh_fn fn)
{
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = flags};
	return end_task(gh_task_spawn(fn, NULL, &o));
}

static inline void *on_its_task(void *fn)
{
	return on_task(0, (gh_fn)fn);
}

/* fn in a fork's child, whose checks are the test's. */
static inline void in_child(void *(*fn)(void *))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		fn(NULL);
		_exit(0);
	}
	must_eq(waitpid(pid, &status, 0), pid);
	must_eq(status, 0);
}

/* For a loop test of PLACES: fn on main, a gthread, a kernel thread, a light task, a task with a
 * thread block, with each number of slots; where nothing runs green: a kernel thread, its task; in
 * a fork's child, of a process that runs green and of one that does not yet. */
enum { PLACES = 5 * WORKER_COUNTS + 4 };
static inline void everywhere(int i, void *(*fn)(void *))
{
	int rest = i - 5 * WORKER_COUNTS;
	if (rest < 0 || rest == 2)
		start_runtime(worker_counts[i % WORKER_COUNTS]);
	switch (rest < 0 ? i / WORKER_COUNTS : 5 + rest) {
	case 0:
		fn(NULL);
		break;
	case 1:
	case 2:
		on(i / WORKER_COUNTS == 2, fn, NULL);
		break;
	case 3:
	case 4:
		on_task(i / WORKER_COUNTS == 4 ? GH_TASK_OWN_TLS : 0, fn);
		break;
	case 5:
		on(true, fn, NULL);
		break;
	case 6:
		on(true, on_its_task, (void *)fn);
		break;
	default:
		in_child(fn);
	}
}

static inline void *call_by_another(void *fn)
{
	return (void *)(intptr_t)((int (*)(void))fn)();
}

/* What a function answers to another gthread, or kernel thread. */
static inline int by_another(int (*fn)(void), bool kernel)
{
	return (int)(intptr_t)on(kernel, call_by_another, (void *)fn);
}

static inline void yield(void)
{
	__asm__ volatile("" ::: "memory");
	sched_yield();
	__asm__ volatile("" ::: "memory");
}

/* n gthreads at once, each with its number in arg + i * size; joined. */
static inline void run_gthreads(int n, void *(*fn)(void *), void *args, size_t size)
{
	pthread_t t[TEST_MAX_THREADS];
	must(n <= TEST_MAX_THREADS);
	for (int i = 0; i < n; i++)
		t[i] = spawn(fn, (char *)args + (size_t)i * size);
	for (int i = 0; i < n; i++)
		join(t[i]);
}

/* n threads that have the numbers from 1 on: every third one a kernel thread, the rest gthreads. */
static inline void run_mixed(int n, void *(*fn)(void *))
{
	pthread_t t[TEST_MAX_THREADS];
	must(n <= TEST_MAX_THREADS);
	for (intptr_t i = 0; i < n; i++)
		t[i] = i % 3 == 2 ? spawn_kernel(fn, (void *)(i + 1)) : spawn(fn, (void *)(i + 1));
	for (int i = 0; i < n; i++)
		join(t[i]);
}

/* The call, which gives up at `at`, says so, and not early. */
#define must_time_out(at, after, call)                                                             \
	do {                                                                                       \
		gh_time at = gh_after(after);                                                      \
		must_eq(call, -ETIMEDOUT);                                                         \
		must(gh_now() >= at);                                                              \
	} while (0)

/* Waits for a condition that other threads make true; never for time to pass.  The barriers: to the
 * compiler sched_yield() is a leaf function, which changes no static variable of this file. */
#define until(cond)                                                                                \
	do {                                                                                       \
		while (!(cond))                                                                    \
			yield();                                                                   \
	} while (0)

/* xorshift: the same run each time. */
static inline uint32_t random_next(uint32_t *state)
{
	uint32_t x = *state;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/* Sends stderr into memory; captured() gives what came and ends it. */
static inline int capture_stderr(void)
{
	int fd = memfd_create("stderr", 0);
	must(fd >= 0);
	must(dup2(fd, 2) == 2);
	return fd;
}

static inline const char *captured(int fd)
{
	static char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	must(n >= 0);
	text[n] = 0;
	return text;
}

Suite *suite_config(void);
Suite *suite_report(void);
Suite *suite_ctx(void);
Suite *suite_stack(void);
Suite *suite_tls(void);
Suite *suite_ring(void);
Suite *suite_turns(void);
Suite *suite_trace(void);
Suite *suite_park(void);
Suite *suite_timer(void);
Suite *suite_poller(void);
Suite *suite_fdtab(void);
Suite *suite_lot(void);
Suite *suite_lot_queue(void);
Suite *suite_mutex(void);
Suite *suite_cond(void);
Suite *suite_rwlock(void);
Suite *suite_sem(void);
Suite *suite_once(void);
Suite *suite_monitor(void);
Suite *suite_detour(void);
Suite *suite_hooks(void);
Suite *suite_native_mutex(void);
Suite *suite_native_sync(void);
Suite *suite_native_sync_ends(void);
Suite *suite_native_chan(void);
Suite *suite_native_chan_ends(void);
Suite *suite_native_select(void);
Suite *suite_native_net(void);
Suite *suite_native_file(void);
Suite *suite_native_send(void);
Suite *suite_native_late(void);
Suite *suite_native_module(void);
Suite *suite_native_error(void);
Suite *suite_native_memory(void);
Suite *suite_native_timer(void);
Suite *suite_disk(void);
Suite *suite_native_task(void);
Suite *suite_native_task_opts(void);
Suite *suite_native_base(void);
Suite *suite_native_task_ends(void);
Suite *suite_native_group(void);
Suite *suite_native_future(void);
Suite *suite_native_times(void);
Suite *suite_native_sched(void);
Suite *suite_native_cancel(void);
Suite *suite_native_refused(void);

#endif
