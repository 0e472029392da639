/* Suite of src/poller.c: its descriptors, registrations, kicks and the alarm clock.
 *
 * Most tests use the poller alone, with no slots; ghi_clock_gettime is what runtime.c would set.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "src/fdtab.h"
#include "src/poller.h"
#include "src/timer.h"
#include "tests/helpers.h"

static void start_poller(void)
{
	const char *what;
	ghi_clock_gettime = clock_gettime;
	must_eq(ghi_poller_init(&what), 0);
}

START_TEST(the_lowest_numbers_stay_free_for_the_program)
{
	int before = dup(0);
	close(before);
	start_runtime(2);
	ck_assert_int_eq(dup(0), before);
	ck_assert(!ghi_poller_owns(before));
}
END_TEST

START_TEST(it_owns_three_descriptors_that_close_on_exec)
{
	int owned = 0;
	start_poller();
	for (int fd = 0; fd < 5000; fd++)
		if (ghi_poller_owns(fd)) {
			ck_assert_int_eq(ghi_sys(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
			owned++;
		}
	ck_assert_int_eq(owned, 3);
	ck_assert(!ghi_poller_owns(-1));
}
END_TEST

START_TEST(nothing_to_report_is_zero)
{
	start_poller();
	ck_assert_int_eq(ghi_poller_poll(0), 0);
}
END_TEST

START_TEST(a_file_is_always_ready)
{
	start_poller();
	int fd = open("/proc/self/exe", O_RDONLY);
	must(fd >= 0);
	ck_assert_int_eq(ghi_poller_arm(fd, 1), -EPERM);
	ck_assert_int_eq(ghi_poller_arm(4000000, 1), -EBADF);
}
END_TEST

START_TEST(arming_twice_takes_the_new_generation)
{
	int p[2];
	start_poller();
	must_eq(pipe(p), 0);
	struct ghi_fd *e = ghi_fd_get(p[0]);
	e->armed = true;
	must_eq(ghi_poller_arm(p[0], 7), 0);
	must_eq(ghi_poller_arm(p[0], 8), 0);
	e->generation = 8;
	must_eq(write(p[1], "x", 1), 1);
	ck_assert_int_eq(ghi_poller_poll(0), 1);
	ck_assert_uint_eq(e->seq[GHI_RD], 1);
}
END_TEST

START_TEST(events_are_edges)
{
	int p[2];
	start_poller();
	must_eq(pipe(p), 0);
	struct ghi_fd *e = ghi_fd_get(p[0]);
	e->armed = true;
	must_eq(ghi_poller_arm(p[0], e->generation), 0);
	for (uint32_t i = 1; i < 5; i++) {
		must_eq(write(p[1], "x", 1), 1);
		must_eq(ghi_poller_poll(0), 1);
		must_eq(e->seq[GHI_RD], i);
		must_eq(ghi_poller_poll(0), 0); /* still readable, no news */
	}
	must_eq(e->seq[GHI_WR], 0);
}
END_TEST

START_TEST(disarmed_descriptors_are_silent)
{
	int p[2];
	start_poller();
	must_eq(pipe(p), 0);
	must_eq(ghi_poller_arm(p[0], 0), 0);
	ghi_poller_disarm(p[0]);
	ghi_poller_disarm(p[0]);
	must_eq(write(p[1], "x", 1), 1);
	ck_assert_int_eq(ghi_poller_poll(0), 0);
}
END_TEST

static uint32_t woken;

static void *sleep_in_it(void *arg)
{
	ghi_poller_sleep();
	store_release(&woken, 1u);
	sys_futex_wake(&woken, 1);
	return NULL;
}

START_TEST(a_kick_ends_the_sleep_even_when_it_comes_first)
{
	start_poller();
	if (_i == 0) {
		ghi_poller_kick();
		ghi_poller_kick();
	}
	pthread_t t = spawn_kernel(sleep_in_it, NULL);
	if (_i == 1)
		ghi_poller_kick();
	must_eq(pthread_join(t, NULL), 0);
	ck_assert_uint_eq(woken, 1);
}
END_TEST

START_TEST(a_kick_is_used_up_by_one_sleep)
{
	struct timespec ts = {.tv_nsec = 20 * GHI_MS};
	start_poller();
	ghi_poller_kick();
	ghi_poller_sleep();
	pthread_t t = spawn_kernel(sleep_in_it, NULL);
	sys_futex_wait(&woken, 0, &ts); /* gives a wrong wake-up the time to show */
	ck_assert_uint_eq(load_acquire(&woken), 0);
	ghi_poller_kick();
	must_eq(pthread_join(t, NULL), 0);
}
END_TEST

START_TEST(a_busy_worker_leaves_the_kick_to_the_sleeper)
{
	start_poller();
	ghi_poller_kick();
	for (int i = 0; i < 10; i++)
		ghi_poller_poll(0);
	sleep_in_it(NULL);
	ck_assert_uint_eq(woken, 1);
}
END_TEST

/* In the child the inherited descriptors go without a word to the parent's registrations. */
START_TEST(a_fork_s_child_leaves_the_parent_s_registrations)
{
	int p[2], status;
	start_poller();
	must_eq(pipe(p), 0);
	struct ghi_fd *e = ghi_fd_get(p[0]);
	e->armed = true;
	must_eq(ghi_poller_arm(p[0], e->generation), 0);
	pid_t pid = fork();
	if (pid == 0) {
		const char *what;
		ghi_poller_after_fork();
		close(p[0]);
		_exit(ghi_poller_init(&what) == 0 && ghi_poller_poll(0) == 0 ? 0 : 1);
	}
	must_eq(waitpid(pid, &status, 0), pid);
	must_eq(status, 0);
	must_eq(write(p[1], "x", 1), 1);
	ck_assert_int_eq(ghi_poller_poll(0), 1);
}
END_TEST

static void no_descriptor(rlim_t limit)
{
	struct rlimit rl = {limit, limit};
	must_eq(setrlimit(RLIMIT_NOFILE, &rl), 0);
}

START_TEST(too_few_descriptors_are_named)
{
	static const char *const missing[] = {"epoll", "timerfd", "eventfd"};
	const char *what = NULL;
	int lowest = dup(0);
	close(lowest);
	no_descriptor((rlim_t)(lowest + _i));
	ck_assert_int_eq(ghi_poller_init(&what), -EMFILE);
	ck_assert_str_eq(what, missing[_i]);
}
END_TEST

static void *return_arg(void *arg)
{
	return arg;
}

START_TEST(without_descriptors_threads_are_kernel_threads)
{
	pthread_t t;
	void *ret;
	int err = capture_stderr();
	int lowest = dup(0);
	close(lowest);
	no_descriptor((rlim_t)lowest);
	must_eq(pthread_create(&t, NULL, return_arg, &woken), 0);
	must_eq(pthread_join(t, &ret), 0);
	ck_assert_ptr_eq(ret, &woken);
	ck_assert(!ghi_runtime_running());
	ck_assert_ptr_nonnull(strstr(captured(err), "raise the limit on open files"));
}
END_TEST

Suite *suite_poller(void)
{
	Suite *s = suite_create("poller");
	add_test(s, the_lowest_numbers_stay_free_for_the_program);
	add_test(s, it_owns_three_descriptors_that_close_on_exec);
	add_test(s, nothing_to_report_is_zero);
	add_test(s, a_file_is_always_ready);
	add_test(s, arming_twice_takes_the_new_generation);
	add_test(s, events_are_edges);
	add_test(s, disarmed_descriptors_are_silent);
	add_loop(s, a_kick_ends_the_sleep_even_when_it_comes_first, 2);
	add_test(s, a_kick_is_used_up_by_one_sleep);
	add_test(s, a_busy_worker_leaves_the_kick_to_the_sleeper);
	add_test(s, a_fork_s_child_leaves_the_parent_s_registrations);
	add_loop(s, too_few_descriptors_are_named, 3);
	add_test(s, without_descriptors_threads_are_kernel_threads);
	return s;
}
