/* Suite of src/native/sendfile.c: what part of a file arrives, and what it says when it cannot. */
#include <fcntl.h>
#include <greenhook/file.h>
#include <greenhook/net.h>
#include <signal.h>
#include <sys/socket.h>

#include "src/native/task_int.h"
#include "tests/helpers.h"

enum { SIZE = 3 << 20 };

static int file, pair[2];
static int64_t answer;
static uint32_t piped;

static void make_file(void)
{
	FILE *f = tmpfile();
	must(f != NULL);
	file = dup(fileno(f));
	for (int i = 0; i < SIZE; i++)
		fputc((i * 7 + i / 251) & 0xff, f);
	must_eq(fclose(f), 0);
}

static void make_pair(bool tcp)
{
	gh_addr a;
	if (!tcp) {
		must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		return;
	}
	int listener = gh_tcp_listen("127.0.0.1", 0, 0);
	must_eq(gh_net_local(listener, &a), 0);
	unsigned char *port = (unsigned char *)a.data + 2;
	pair[0] = gh_tcp_dial("127.0.0.1", port[0] << 8 | port[1]);
	pair[1] = gh_accept(listener, NULL);
	must(pair[0] >= 0 && pair[1] >= 0);
	must_eq(gh_close(listener), 0);
}

static void *drain(void *arg)
{
	unsigned char buf[9000];
	int64_t n, at = 1000;
	while ((n = gh_recv(pair[1], buf, sizeof(buf))) > 0)
		for (int64_t i = 0; i < n; i++, at++)
			must_eq(buf[i], (at * 7 + at / 251) & 0xff);
	must_eq(n, 0);
	must_eq(at, SIZE);
	return NULL;
}

static void *pour(void *arg)
{
	must_eq(gh_sendfile(pair[0], file, 1000, 500000, gh_after(GH_S(20))), 500000);
	must_eq(gh_sendfile(pair[0], file, 501000, SIZE, GH_FOREVER), SIZE - 501000);
	must_eq(gh_sendfile(pair[0], file, SIZE, 10, GH_FOREVER), 0);
	must_eq(gh_sendfile(pair[0], file, 5, 0, GH_FOREVER), 0);
	must_eq(lseek(file, 0, SEEK_CUR), SIZE); /* where the writing ended */
	must_eq(gh_half_close(pair[0], SHUT_WR), 0);
	return NULL;
}

START_TEST(a_part_of_a_file_arrives)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	make_file();
	make_pair(_i / WORKER_COUNTS % 2);
	bool kernel = _i / WORKER_COUNTS / 2;
	pthread_t d = kernel ? spawn_kernel(drain, NULL) : spawn(drain, NULL);
	on(!kernel, pour, NULL);
	join(d);
}
END_TEST

static void *see_limits(void *arg)
{
	char buf[4096];
	int64_t r, sent = 0;

	make_file();
	make_pair(false);
	while ((r = gh_sendfile(pair[0], file, 0, 10000, 0)) > 0)
		sent += r;
	must_eq(r, -ETIMEDOUT);
	must_time_out(at, GH_MS(5), gh_sendfile(pair[0], file, 0, 10000, at));
	must_eq(gh_sendfile(pair[0], file, 0, 0, 0), 0); /* nothing to wait for */
	must_eq(gh_sendfile(pair[0], file, SIZE, 10, 0), 0);
	while (sent > 0) {
		must((r = gh_recv_until(pair[1], buf, sizeof(buf), gh_after(GH_S(10)))) > 0);
		sent -= r;
	}
	must_eq(sent, 0);
	return NULL;
}

START_TEST(deadlines_come_and_not_early)
{
	on_both(_i, see_limits);
}
END_TEST

static void on_pipe(int sig)
{
	store_release(&piped, 1u);
}

static void *see_the_end(void *arg)
{
	make_file();
	for (int i = 0; i < 2; i++) {
		make_pair(false);
		must_eq(gh_close(pair[1]), 0);
		must_eq(gh_sendfile(pair[0], file, 0, 10000, GH_FOREVER), -EPIPE);
		must_eq(gh_sendfile(pair[0], file, 0, 10000, 0), -EPIPE);
		must_eq(gh_close(pair[0]), 0);
		if (!i) { /* with the signal blocked none is left pending either */
			sigset_t s;
			sigemptyset(&s);
			sigaddset(&s, SIGPIPE);
			must_eq(pthread_sigmask(SIG_BLOCK, &s, NULL), 0);
		}
	}
	sigset_t s;
	must(sigpending(&s) == 0 && !sigismember(&s, SIGPIPE));
	/* One that was there before is not this call's. */
	make_pair(false);
	must_eq(gh_close(pair[1]), 0);
	must_eq(pthread_kill(pthread_self(), SIGPIPE), 0);
	must_eq(gh_sendfile(pair[0], file, 0, 10000, 0), -EPIPE);
	must(sigpending(&s) == 0 && sigismember(&s, SIGPIPE));
	return NULL;
}

START_TEST(no_signal_says_that_the_peer_has_gone)
{
	must(signal(SIGPIPE, on_pipe) != SIG_ERR);
	on_both(_i, see_the_end);
	must(!load_acquire(&piped));
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
	int ends[2];
	if (_i)
		start_runtime(1);
	make_file();
	make_pair(false);
	must_eq(gh_pipe(ends), 0);
	ck_assert_int_eq(gh_sendfile(-1, file, 0, 1, GH_FOREVER), -EBADF);
	ck_assert_int_eq(gh_sendfile(pair[0], -1, 0, 1, GH_FOREVER), -EBADF);
	ck_assert_int_eq(gh_sendfile(ends[1], file, 0, 1, GH_FOREVER), -ENOTSOCK);
	ck_assert_int_eq(gh_sendfile(file, file, 0, 1, GH_FOREVER), -ENOTSOCK);
	ck_assert_int_eq(gh_sendfile(pair[0], file, -1, 1, GH_FOREVER), -EINVAL);
	ck_assert_int_eq(gh_sendfile(pair[0], pair[0], 0, 1, GH_FOREVER), -ESPIPE);
	int listener = gh_tcp_listen("127.0.0.1", 0, 0);
	ck_assert_int_eq(gh_sendfile(listener, file, 0, 1, gh_after(GH_S(2))), -EPIPE);
}
END_TEST

static void *fill(void *arg)
{
	while ((answer = gh_sendfile(pair[0], file, 0, SIZE, GH_FOREVER)) > 0)
		;
	return NULL;
}

START_TEST(a_request_or_a_close_ends_the_wait)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	make_file();
	make_pair(false);
	pthread_t t = spawn(fill, NULL);
	until(ghi_gthread_of((uintptr_t)t)->reason != GHI_PARK_NONE);
	if (_i / WORKER_COUNTS)
		must_eq(gh_close(pair[0]), 0);
	else
		must_eq(pthread_cancel(t), 0);
	join(t);
	ck_assert_int_eq(answer, _i / WORKER_COUNTS ? -EBADF : -ECANCELED);
}
END_TEST

Suite *suite_native_send(void)
{
	Suite *s = suite_create("native_send");
	add_loop(s, a_part_of_a_file_arrives, 4 * WORKER_COUNTS);
	add_loop(s, deadlines_come_and_not_early, 2 * WORKER_COUNTS);
	add_loop(s, no_signal_says_that_the_peer_has_gone, 2 * WORKER_COUNTS);
	add_loop(s, bad_arguments_are_refused, 2);
	add_loop(s, a_request_or_a_close_ends_the_wait, 2 * WORKER_COUNTS);
	return s;
}
