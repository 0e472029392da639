/* Suite of src/native/file.c and proc.c: files, pipes, directories, children, ticks; by gthreads
 * and kernel threads. */
#include <dirent.h>
#include <fcntl.h>
#include <greenhook/file.h>
#include <greenhook/net.h>
#include <greenhook/task.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "src/native/task_int.h"
#include "tests/helpers.h"

static char dir[] = "/tmp/greenhook-file-XXXXXX";
static int ends[2];
static uint32_t given;

/* ---- files -------------------------------------------------------------------------------------
 */

static void *use_a_file(void *arg)
{
	char path[64], buf[100];
	struct stat st;
	snprintf(path, sizeof(path), "%s/file", dir);
	must_eq(gh_stat(path, &st), -ENOENT);
	must_eq(gh_open(path, O_RDONLY, 0), -ENOENT);
	int fd = gh_open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
	must(fd >= 0);
	must(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	must_eq(gh_write(fd, "hello world", 11), 11);
	must_eq(gh_read(fd, buf, sizeof(buf)), 0);
	must_eq(gh_pread(fd, buf, 5, 6), 5);
	must_eq(memcmp(buf, "world", 5), 0);
	must_eq(gh_pread(fd, buf, sizeof(buf), 6), 5);
	must_eq(gh_pread(fd, buf, 5, 100), 0);
	must_eq(gh_pread(fd, buf, 5, -1), -EINVAL);
	must_eq(gh_pwrite(fd, "WORLD!", 6, 6), 6);
	must_eq(gh_pwrite(fd, "x", 1, -1), -EINVAL);
	must_eq(gh_fsync(fd), 0);
	must_eq(gh_stat(path, &st), 0);
	must_eq(st.st_size, 12);
	must_eq(st.st_mode & 0777, 0640);
	must_eq(lseek(fd, 0, SEEK_SET), 0);
	must_eq(gh_read_until(fd, buf, sizeof(buf), 0), 12);
	must_eq(memcmp(buf, "hello WORLD!", 12), 0);
	must_eq(gh_write_until(fd, "x", 1, gh_after(GH_S(1))), 1);
	must_eq(gh_close(fd), 0);
	must_eq(gh_fsync(fd), -EBADF);
	must_eq(gh_pread(fd, buf, 1, 0), -EBADF);
	fd = gh_open(path, O_RDONLY, 0);
	must_eq(gh_write(fd, "x", 1), -EBADF);
	must_eq(gh_close(fd), 0);
	must_eq(unlink(path), 0);
	return NULL;
}

START_TEST(a_file_is_written_and_read)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	must(mkdtemp(dir) != NULL);
	on(_i >= WORKER_COUNTS, use_a_file, NULL);
	must_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
	struct stat st;
	const char *name;
	char c;
	int p[2];
	gh_proc_opts no_size = {.in = -1, .out = -1, .err = -1};
	gh_proc_opts in_turn = GH_PROC_OPTS_INIT;
	char *const none[] = {NULL}, *const nothing[] = {(char *)"/nonexistent/program", NULL};
	in_turn.out = 0;
	if (_i)
		start_runtime(1);
	ck_assert_int_eq(gh_open(NULL, O_RDONLY, 0), -EINVAL);
	ck_assert_int_eq(gh_stat(NULL, &st), -EINVAL);
	ck_assert_int_eq(gh_stat("/", NULL), -EINVAL);
	ck_assert_int_eq(gh_read(-1, &c, 1), -EBADF);
	ck_assert_int_eq(gh_write(-1, &c, 1), -EBADF);
	ck_assert_int_eq(gh_pipe(NULL), -EINVAL);
	must_eq(gh_pipe(p), 0);
	ck_assert_int_eq(gh_pread(p[0], &c, 1, 0), -ESPIPE);
	ck_assert_int_eq(gh_pwrite(p[1], &c, 1, 0), -ESPIPE);
	ck_assert_int_eq(gh_read(p[1], &c, 1), -EBADF);
	ck_assert_int_eq(gh_write(p[0], &c, 1), -EBADF);
	ck_assert_int_eq(gh_fsync(p[0]), -EINVAL);
	errno = 0;
	ck_assert_ptr_null(gh_dir_open(NULL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(gh_dir_open("/dev/null"));
	ck_assert_int_eq(errno, ENOTDIR);
	ck_assert_int_eq(gh_dir_next(NULL, &name, NULL), -EINVAL);
	gh_dir *d = gh_dir_open("/");
	ck_assert_int_eq(gh_dir_next(d, NULL, NULL), -EINVAL);
	gh_dir_close(d);
	gh_dir_close(NULL);
	ck_assert_int_eq(gh_proc_spawn(NULL, NULL), -EINVAL);
	ck_assert_int_eq(gh_proc_spawn(none, NULL), -EINVAL);
	ck_assert_int_eq(gh_proc_spawn(nothing, &no_size), -EINVAL);
	ck_assert_int_eq(gh_proc_spawn(nothing, &in_turn), -EINVAL);
	ck_assert_int_eq(gh_proc_spawn(nothing, NULL), -ENOENT);
	ck_assert_int_eq(gh_proc_wait(0, NULL), -EINVAL);
	ck_assert_int_eq(gh_proc_wait(-1, NULL), -EINVAL);
	ck_assert_int_eq(gh_proc_wait(getpid(), NULL), -ECHILD);
	ck_assert_ptr_null(gh_tick(0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(gh_tick(-5));
}
END_TEST

static void *list_names(void *arg)
{
	enum { FILES = 700 }; /* more than one buffer */
	char path[96];
	bool seen[FILES] = {false};
	const char *name;
	int type, r, n = 0, number;
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/a name of some length %d", dir, i);
		must_eq(gh_close(gh_open(path, O_WRONLY | O_CREAT, 0600)), 0);
	}
	gh_dir *d = gh_dir_open(dir);
	must(d != NULL);
	while ((r = gh_dir_next(d, &name, &type)) == 1) {
		must_eq(sscanf(name, "a name of some length %d", &number), 1);
		must(!seen[number] && (type == DT_REG || type == DT_UNKNOWN));
		seen[number] = true;
		n++;
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		must_eq(unlink(path), 0);
	}
	must_eq(r, 0);
	must_eq(n, FILES);
	gh_dir_close(d);
	return NULL;
}

START_TEST(every_name_of_a_directory_is_found)
{
	start_runtime(2);
	must(mkdtemp(dir) != NULL);
	on(_i, list_names, NULL);
	must_eq(rmdir(dir), 0);
}
END_TEST

/* ---- pipes --------------------------------------------------------------------------------------
 */

enum { BULK = 1 << 20 };

static void *pour(void *arg)
{
	char *data = malloc(BULK);
	for (int i = 0; i < BULK; i++)
		data[i] = (char)(i * 13 + i / 257);
	must_eq(gh_write(ends[1], data, BULK), BULK);
	must_eq(gh_close(ends[1]), 0);
	free(data);
	return NULL;
}

static void *drain(void *arg)
{
	char buf[7000];
	int64_t n, at = 0;
	while ((n = gh_read(ends[0], buf, sizeof(buf))) > 0)
		for (int64_t i = 0; i < n; i++, at++)
			must_eq(buf[i], (char)(at * 13 + at / 257));
	must_eq(n, 0);
	must_eq(at, BULK);
	return NULL;
}

START_TEST(a_pipe_carries_everything)
{
	int kind = _i / WORKER_COUNTS;
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	if (kind % 2)
		must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	else
		must_eq(gh_pipe(ends), 0);
	pthread_t d = kind / 2 ? spawn_kernel(drain, NULL) : spawn(drain, NULL);
	on(!(kind / 2), pour, NULL);
	join(d);
}
END_TEST

static void *see_deadlines(void *arg)
{
	char buf[4096] = {0};
	must_eq(gh_pipe(ends), 0);
	must_time_out(at, GH_MS(5), gh_read_until(ends[0], buf, 1, at));
	must_eq(gh_read_until(ends[0], buf, 1, -1), -ETIMEDOUT);
	int64_t r, sent = 0;
	while ((r = gh_write_until(ends[1], buf, sizeof(buf), 0)) > 0)
		sent += r;
	must_eq(r, -ETIMEDOUT);
	must_time_out(at, GH_MS(5), gh_write_until(ends[1], buf, 10, at));
	while (sent > 0) {
		must((r = gh_read(ends[0], buf, sizeof(buf))) > 0);
		sent -= r;
	}
	must_eq(gh_close(ends[0]), 0);
	must_eq(gh_write(ends[1], buf, 1), -EPIPE);
	must_eq(gh_close(ends[1]), 0);
	return NULL;
}

START_TEST(deadlines_come_and_not_early)
{
	signal(SIGPIPE, SIG_IGN);
	on_both(_i, see_deadlines);
}
END_TEST

static uint32_t pipes_broken;

static void on_sigpipe(int sig)
{
	fetch_add_acq_rel(&pipes_broken, 1u);
}

static void *open_for_it(void *set)
{
	until(load_acquire(&given));
	must_eq(pthread_sigmask(SIG_UNBLOCK, set, NULL), 0);
	must_eq(pipes_broken, 1);
	return NULL;
}

START_TEST(a_broken_pipe_signals_as_write_does)
{
	struct sigaction a = {.sa_handler = on_sigpipe};
	start_runtime(1);
	must_eq(sigaction(SIGPIPE, &a, NULL), 0);
	must_eq(gh_pipe(ends), 0);
	must_eq(gh_close(ends[0]), 0);
	ck_assert_int_eq(gh_write(ends[1], "x", 1), -EPIPE);
	ck_assert_uint_eq(pipes_broken, 1);
	/* It is the writer's own: who opens its mask first does not have it. */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	must_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	pthread_t t = spawn(open_for_it, &set);
	ck_assert_int_eq(gh_write(ends[1], "x", 1), -EPIPE);
	store_release(&given, 1u);
	join(t);
	ck_assert_uint_eq(pipes_broken, 1);
	must_eq(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
	ck_assert_uint_eq(pipes_broken, 2);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	must_eq(gh_close(ends[0]), 0);
	ck_assert_int_eq(gh_write(ends[1], "x", 1), -EPIPE); /* and no signal */
	ck_assert_uint_eq(pipes_broken, 2);
}
END_TEST

static int64_t answers[2];
static int child;

static void *wait_somehow(void *arg)
{
	char c;
	for (int i = 0; i < 2; i++)
		answers[i] =
		    (intptr_t)arg == 0 ? gh_read(ends[0], &c, 1) : gh_proc_wait(child, NULL);
	store_release(&given, 1u);
	return NULL;
}

START_TEST(a_request_ends_the_wait)
{
	char *const argv[] = {(char *)"sleep", (char *)"1000", NULL};
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	must_eq(gh_pipe(ends), 0);
	child = gh_proc_spawn(argv, NULL);
	must(child > 0);
	pthread_t t = spawn(wait_somehow, (void *)(intptr_t)(_i / WORKER_COUNTS));
	until(ghi_gthread_of((uintptr_t)t)->reason != GHI_PARK_NONE);
	must_eq(pthread_cancel(t), 0);
	join(t);
	must(given);
	ck_assert_int_eq(answers[0], -ECANCELED);
	ck_assert_int_eq(answers[1], -ECANCELED);
	kill(child, SIGKILL);
	must_eq(gh_proc_wait(child, NULL), 0);
}
END_TEST

/* ---- child processes
 * ------------------------------------------------------------------------------ */

static void *run_children(void *arg)
{
	int in[2], out[2], status;
	char buf[100];
	gh_proc_opts o = GH_PROC_OPTS_INIT;
	char *const env[] = {(char *)"WHAT=green", (char *)"PATH=/usr/bin:/bin", NULL};
	char *const sh[] = {(char *)"sh", (char *)"-c",
			    (char *)"cat; echo $WHAT $(pwd); echo loud >&2; exit 7", NULL};

	must_eq(gh_pipe(in), 0);
	must_eq(gh_pipe(out), 0);
	o.in = in[0];
	o.out = out[1];
	o.err = 1;
	o.env = env;
	o.dir = "/";
	int pid = gh_proc_spawn(sh, &o);
	must(pid > 0);
	must_eq(gh_close(in[0]), 0);
	must_eq(gh_close(out[1]), 0);
	must_eq(gh_write(in[1], "input\n", 6), 6);
	must_eq(gh_proc_wait_until(pid, &status, gh_after(GH_MS(5))), -ETIMEDOUT);
	must_eq(gh_proc_wait_until(pid, &status, 0), -ETIMEDOUT);
	must_eq(gh_close(in[1]), 0);
	size_t n = 0;
	for (int64_t r; (r = gh_read(out[0], buf + n, sizeof(buf) - 1 - n)) > 0;)
		n += (size_t)r;
	buf[n] = 0;
	must_eq(strcmp(buf, "input\ngreen /\nloud\n"), 0);
	must_eq(gh_proc_wait(pid, &status), 0);
	must(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	must_eq(gh_proc_wait(pid, &status), -ECHILD);
	must_eq(gh_close(out[0]), 0);

	char *const sleeps[] = {(char *)"sleep", (char *)"1000", NULL};
	pid = gh_proc_spawn(sleeps, NULL);
	must(pid > 0);
	must_eq(kill(pid, SIGTERM), 0);
	must_eq(gh_proc_wait_until(pid, &status, gh_after(GH_S(10))), 0);
	must(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	o = (gh_proc_opts)GH_PROC_OPTS_INIT;
	o.dir = "/nonexistent";
	must_eq(gh_proc_spawn(sleeps, &o), -ENOENT);
	return NULL;
}

START_TEST(programs_are_run_and_waited_for)
{
	on_both(_i, run_children);
}
END_TEST

/* ---- ticks
 * ---------------------------------------------------------------------------------------- */

START_TEST(ticks_come_in_their_time)
{
	gh_time due, last = 0, every = GH_MS(2);
	start_runtime(worker_counts[_i]);
	gh_time before = gh_now();
	gh_chan *c = gh_tick(every);
	must(c != NULL);
	for (int i = 0; i < 5; i++) {
		must_eq(gh_chan_recv(c, &due), 0);
		must(gh_now() >= due && due >= before + every);
		must(!last || (due > last && (due - last) % every == 0));
		last = due;
	}
	gh_sleep(GH_MS(20)); /* many are due: one waits, the others are left out */
	ck_assert_int_eq(gh_chan_len(c), 1);
	must_eq(gh_chan_recv(c, &due), 0);
	must_eq(gh_chan_close(c), 0);
	while (gh_chan_recv(c, &due) == 0)
		;
	ck_assert_int_eq(gh_chan_recv(c, &due), -EPIPE);
	gh_chan_unref(c);
	until(load_acquire(&ghi_tasks_alive) == 0);
}
END_TEST

Suite *suite_native_file(void)
{
	Suite *s = suite_create("native_file");
	add_loop(s, a_file_is_written_and_read, 2 * WORKER_COUNTS);
	add_loop(s, bad_arguments_are_refused, 2);
	add_loop(s, every_name_of_a_directory_is_found, 2);
	add_loop(s, a_pipe_carries_everything, 4 * WORKER_COUNTS);
	add_loop(s, deadlines_come_and_not_early, 2 * WORKER_COUNTS);
	add_test(s, a_broken_pipe_signals_as_write_does);
	add_loop(s, a_request_ends_the_wait, 2 * WORKER_COUNTS);
	add_loop(s, programs_are_run_and_waited_for, 2 * WORKER_COUNTS);
	add_loop(s, ticks_come_in_their_time, WORKER_COUNTS);
	return s;
}
