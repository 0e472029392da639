/* Suite of what comes while somebody waits for a channel: a cancellation, a signal, a fork. */
#include <greenhook/chan.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/helpers.h"

GH_CHAN_DEFINE(longs, long);

static longs ch, other;
static uint32_t given;
static int pipe_ends[2];

static int answers[2];

static void *wait_somehow(void *arg)
{
	long x = 0;
	gh_case c[] = {GH_RECV(ch.chan, &x), GH_READABLE(pipe_ends[0]), GH_AT(GH_FOREVER)};
	for (int i = 0; i < 2; i++)
		answers[i] = (intptr_t)arg == 0	  ? longs_recv(ch, &x)
			     : (intptr_t)arg == 1 ? longs_send(other, x)
			     : (intptr_t)arg == 2 ? gh_select(c, 3)
						  : longs_recv_until(ch, &x, gh_after(GH_S(100)));
	store_release(&given, 1u);
	return NULL;
}

START_TEST(a_request_ends_the_wait)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	ch = longs_new(0);
	other = longs_new(0);
	must_eq(pipe(pipe_ends), 0);
	pthread_t t = spawn(wait_somehow, (void *)(intptr_t)(_i / WORKER_COUNTS));
	until(ghi_gthread_of((uintptr_t)t)->reason >= GHI_PARK_CHANNEL);
	must_eq(pthread_cancel(t), 0);
	join(t);
	must(given);
	ck_assert_int_eq(answers[0], -ECANCELED);
	ck_assert_int_eq(answers[1], -ECANCELED);
	/* It has left: nothing can be sent to it. */
	ck_assert_int_eq(longs_send_try(ch, 1), -EAGAIN);
	ck_assert_int_eq(longs_recv_try(other, &(long){0}), -EAGAIN);
}
END_TEST

static uint32_t handled;

static void on_signal(int sig)
{
	fetch_add_acq_rel(&handled, 1u);
	if (sig == SIGUSR2)
		longs_send(other, 1); /* it may wait itself */
}

static void *recv_once(void *arg)
{
	long x = 0;
	gh_case c[] = {GH_RECV(ch.chan, &x), GH_READABLE(pipe_ends[0])};
	if ((intptr_t)arg % 2)
		must_eq(longs_recv(ch, &x), 0);
	else
		must_eq(gh_select(c, 2), 0);
	must_eq(x, 42);
	return NULL;
}

START_TEST(handlers_run_and_the_wait_goes_on)
{
	struct sigaction a = {.sa_handler = on_signal};
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	int how = _i / WORKER_COUNTS;
	must_eq(sigaction(SIGUSR1, &a, NULL), 0);
	must_eq(sigaction(SIGUSR2, &a, NULL), 0);
	ch = longs_new(0);
	other = longs_new(0);
	must_eq(pipe(pipe_ends), 0);
	pthread_t t = how < 2 ? spawn(recv_once, (void *)(intptr_t)how)
			      : spawn_kernel(recv_once, (void *)(intptr_t)how);
	for (uint32_t i = 1; i <= 20; i++) {
		bool waits = i % 2 && how < 2;
		must_eq(pthread_kill(t, waits ? SIGUSR2 : SIGUSR1), 0);
		if (waits) {
			long x;
			must_eq(longs_recv(other, &x), 0);
		}
		until(load_acquire(&handled) >= i);
	}
	must_eq(longs_send(ch, 42), 0);
	join(t);
}
END_TEST

START_TEST(a_fork_s_child_finds_nobody_waiting)
{
	start_runtime(2);
	ch = longs_new(1);
	other = longs_new(1);
	must_eq(longs_send(other, 3), 0);
	pthread_t t = spawn(wait_somehow, (void *)0);
	until(ghi_gthread_of((uintptr_t)t)->reason == GHI_PARK_CHANNEL);
	pid_t pid = fork();
	if (pid == 0) {
		long x;
		bool ok = longs_send(ch, 5) == 0 && gh_chan_len(ch.chan) == 1 &&
			  longs_recv(other, &x) == 0 && x == 3 && longs_recv(ch, &x) == 0 && x == 5;
		_exit(ok ? 0 : 1);
	}
	int status;
	must_eq(waitpid(pid, &status, 0), pid);
	must_eq(status, 0);
	must_eq(longs_send(ch, 1), 0);
	must_eq(longs_send(ch, 1), 0);
	join(t);
	must(answers[0] == 0 && answers[1] == 0);
}
END_TEST

Suite *suite_native_chan_ends(void)
{
	Suite *s = suite_create("native_chan_ends");
	add_loop(s, a_request_ends_the_wait, 4 * WORKER_COUNTS);
	add_loop(s, handlers_run_and_the_wait_goes_on, 4 * WORKER_COUNTS);
	add_test(s, a_fork_s_child_finds_nobody_waiting);
	return s;
}
