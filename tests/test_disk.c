/* Suite of src/uring.c, src/disk.c and src/native/disk.c: the ring by itself, who goes through it,
 * more requests than it holds, what ends a wait.
 *
 * Where the kernel gives no ring, what is said of it cannot be seen; the answers are still looked
 * at.
 */
#include <fcntl.h>
#include <greenhook/file.h>
#include <greenhook/task.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "src/disk.h"
#include "src/stats.h"
#include "src/uring.h"
#include "tests/helpers.h"

enum { PAGE = 4096, MANY = 500 };

static int fd; /* each write waits for the disk */
static uint32_t wrong, done, stop;

static void open_file(void)
{
	char path[] = "/var/tmp/greenhook-disk-XXXXXX";
	must((fd = mkostemp(path, O_CLOEXEC | O_DSYNC)) >= 0);
	must_eq(unlink(path), 0);
}

/* Is there a ring, in the end? */
static bool have_ring(void)
{
	static int given = -1;
	struct ghi_uring u;
	if (given < 0)
		given = ghi_uring_open(&u) == 0;
	return given;
}

static uint64_t parks(void)
{
	return ghi_stats_parks(GHI_PARK_DISK);
}

/* By a gthread: goes on until the ring is there. */
static void wait_for_ring(void)
{
	while (have_ring() && !parks())
		must_eq(gh_fsync(fd), 0);
}

/* ---- the ring ----------------------------------------------------------------------------------
 */

static struct ghi_uring_result one_result(struct ghi_uring *u)
{
	struct ghi_uring_result r;
	while (!ghi_uring_next(u, &r))
		must_eq(ghi_uring_enter(u, true), 0);
	return r;
}

START_TEST(a_ring_has_no_descriptor_and_answers)
{
	struct ghi_uring u;
	char c = 'x';
	if (!have_ring())
		return;
	open_file();
	int before = dup(fd);
	must_eq(ghi_uring_open(&u), 0);
	must_eq(dup(fd), before + 1);
	for (unsigned i = 0; i < 5 * GHI_URING_SUBMIT; i++) {
		struct ghi_uring_entry *e = ghi_uring_entry(&u);
		must(e != NULL);
		e->op = GHI_URING_WRITE;
		e->fd = i % 7 ? fd : -1;
		e->addr = (uintptr_t)&c;
		e->len = 1;
		e->off = i;
		e->user_data = i + 1;
		struct ghi_uring_result r = one_result(&u);
		must_eq(r.user_data, i + 1);
		must_eq(r.res, i % 7 ? 1 : -EBADF);
	}
	must_eq(lseek(fd, 0, SEEK_END), 5 * GHI_URING_SUBMIT);
}
END_TEST

START_TEST(a_full_ring_says_so_and_gives_entries_back)
{
	struct ghi_uring u;
	if (!have_ring())
		return;
	must_eq(ghi_uring_open(&u), 0);
	for (unsigned i = 0; i < GHI_URING_SUBMIT; i++) {
		struct ghi_uring_entry *e = ghi_uring_entry(&u);
		must(e != NULL);
		e->user_data = i;
	}
	ck_assert_ptr_null(ghi_uring_entry(&u));
	for (unsigned i = GHI_URING_SUBMIT; i-- > 0;)
		must_eq(ghi_uring_take_back(&u)->user_data, i);
	ck_assert_ptr_null(ghi_uring_take_back(&u));
	ck_assert_ptr_nonnull(ghi_uring_entry(&u));
}
END_TEST

/* ---- who goes through it -----------------------------------------------------------------------
 */

static void *flush(void *arg)
{
	char *page = malloc(PAGE);
	int64_t at = (intptr_t)arg * PAGE;
	memset(page, (int)(intptr_t)arg, PAGE);
	wrong += gh_pwrite(fd, page, PAGE, at) != PAGE;
	wrong += gh_fsync(fd) != 0;
	memset(page, 0, PAGE);
	wrong += gh_pread(fd, page, PAGE, at) != PAGE || page[PAGE / 2] != (char)(intptr_t)arg;
	free(page);
	fetch_add_acq_rel(&done, 1u);
	return NULL;
}

static void *flush_and_park(void *arg)
{
	wait_for_ring();
	uint64_t before = parks();
	flush(arg);
	if (have_ring()) /* the write and the flush */
		must_eq(parks(), before + 2);
	return NULL;
}

START_TEST(a_call_parks_and_answers)
{
	ghi_config.uring = 2;
	open_file();
	on_both(_i, flush_and_park);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

static void *flush_alone(void *arg)
{
	for (int i = 0; i < 50; i++)
		flush(arg);
	return NULL;
}

START_TEST(one_that_is_alone_keeps_its_kernel_thread)
{
	ghi_config.uring = (unsigned)_i;
	open_file();
	on_both(0, flush_alone);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(parks(), 0);
}
END_TEST

static void *until_many_park(void *arg)
{
	for (int i = 0; i < 3 || (have_ring() && !parks()); i++)
		flush(arg);
	return NULL;
}

START_TEST(many_go_through_the_ring_by_themselves)
{
	gh_task *t[MANY];
	ghi_config.max_workers = 16;
	open_file();
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < MANY; i++)
		must((t[i] = gh_task_spawn(until_many_park, (void *)(intptr_t)i, NULL)) != NULL);
	for (int i = 0; i < MANY; i++)
		must_eq(gh_task_join(t[i], NULL), 0);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(more_wait_than_the_ring_holds)
{
	gh_task *t[MANY];
	ghi_config.uring = 2;
	open_file();
	start_runtime(worker_counts[_i]);
	wait_for_ring();
	for (int i = 0; i < MANY; i++)
		must((t[i] = gh_task_spawn(flush, (void *)(intptr_t)i, NULL)) != NULL);
	for (int i = 0; i < MANY; i++)
		must_eq(gh_task_join(t[i], NULL), 0);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(done, MANY);
}
END_TEST

static void *write_on(void *arg)
{
	while (!load_acquire(&stop))
		wrong += gh_pwrite(fd, "abc", 3, (intptr_t)arg * 3) != 3;
	return NULL;
}

/* As many as there may be kernel threads went on for ever with one call after another, and nobody
 * else ran. */
START_TEST(others_run_while_many_wait_for_disks)
{
	enum { N = 100 };
	gh_task *t[N];
	if (!have_ring())
		return;
	ghi_config.max_workers = 12;
	open_file();
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < N; i++)
		must((t[i] = gh_task_spawn(write_on, (void *)(intptr_t)i, NULL)) != NULL);
	for (int i = 0; i < 20; i++)
		gh_sleep(GH_MS(1));
	must(parks() > 0);
	store_release(&stop, 1u);
	for (int i = 0; i < N; i++)
		must_eq(gh_task_join(t[i], NULL), 0);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* Where whoever sets the limit is to have the signal, nobody else writes. */
static void *write_within_a_limit(void *arg)
{
	struct rlimit old, low;
	wait_for_ring();
	uint64_t before = parks();
	must_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 3;
	must_eq(setrlimit(RLIMIT_FSIZE, &low), 0);
	must_eq(gh_pwrite(fd, "12345", 3, 0), 3);
	must_eq(gh_pwrite(fd, "12345", 3, 3), -EFBIG);
	must_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	must_eq(parks(), before);
	return NULL;
}

START_TEST(a_limited_file_is_written_by_the_caller)
{
	ghi_config.uring = 2;
	signal(SIGXFSZ, SIG_IGN);
	open_file();
	on_both(_i % WORKER_COUNTS, write_within_a_limit);
}
END_TEST

/* ---- what ends a wait --------------------------------------------------------------------------
 */

static void *flush_on(void *arg)
{
	int64_t r;
	while ((r = gh_fsync(fd)) == 0 && (r = gh_pwrite(fd, "x", 1, (intptr_t)arg)) == 1)
		;
	wrong += r != -ECANCELED;
	fetch_add_acq_rel(&done, 1u);
	return NULL;
}

START_TEST(a_request_ends_calls_in_and_before_the_ring)
{
	gh_task *t[MANY];
	uint32_t random = 1;
	ghi_config.uring = 2;
	open_file();
	start_runtime(worker_counts[_i]);
	wait_for_ring();
	for (int i = 0; i < MANY; i++)
		must((t[i] = gh_task_spawn(flush_on, (void *)(intptr_t)i, NULL)) != NULL);
	gh_sleep(GH_MS(10)); /* the ring is full by then, or not: any time will do */
	for (int left = MANY; left > 0; left--) {
		int i = (int)(random_next(&random) % (unsigned)left);
		must_eq(gh_task_cancel(t[i]), 0);
		must_eq(gh_task_join(t[i], NULL), 0);
		t[i] = t[left - 1];
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(done, MANY);
}
END_TEST

static void on_signal(int sig)
{
	fetch_add_acq_rel(&done, 1u);
}

START_TEST(a_handler_runs_and_the_call_is_whole)
{
	enum { N = 8, SIGNALS = 200 };
	pthread_t t[N];
	ghi_config.uring = 2;
	open_file();
	start_runtime(worker_counts[_i]);
	wait_for_ring();
	signal(SIGUSR1, on_signal);
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(write_on, (void *)i);
	for (uint32_t i = 0; i < SIGNALS; i++) {
		must_eq(pthread_kill(t[i % N], SIGUSR1), 0);
		until(load_acquire(&done) > i);
	}
	store_release(&stop, 1u);
	for (int i = 0; i < N; i++)
		join(t[i]);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

Suite *suite_disk(void)
{
	Suite *s = suite_create("disk");
	add_test(s, a_ring_has_no_descriptor_and_answers);
	add_test(s, a_full_ring_says_so_and_gives_entries_back);
	add_loop(s, a_call_parks_and_answers, WORKER_COUNTS);
	add_loop(s, one_that_is_alone_keeps_its_kernel_thread, 2);
	add_loop(s, many_go_through_the_ring_by_themselves, WORKER_COUNTS);
	add_loop(s, more_wait_than_the_ring_holds, WORKER_COUNTS);
	add_loop(s, others_run_while_many_wait_for_disks, WORKER_COUNTS);
	add_loop(s, a_limited_file_is_written_by_the_caller, WORKER_COUNTS);
	add_loop(s, a_request_ends_calls_in_and_before_the_ring, WORKER_COUNTS);
	add_loop(s, a_handler_runs_and_the_call_is_whole, WORKER_COUNTS);
	return s;
}
