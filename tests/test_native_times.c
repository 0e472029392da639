/* Suite of the functions named _until: a time that is past means to try once, whatever it is, and
 * what is there is had at any time. */
#include <fcntl.h>
#include <greenhook.h>
#include <signal.h>
#include <sys/socket.h>

#include "integration/native/lib/handler.h"
#include "tests/helpers.h"

static gh_mutex mutex, guard;
static gh_cond cond;
static gh_rwlock held;
static gh_sem sem;
static gh_event event = GH_EVENT_AUTO_INIT;
static gh_wg wg;
static gh_barrier two, one;
static gh_chan *empty, *full, *room;
static gh_future *pending;
static gh_group *group;
static gh_task *task;
static gh_module *module;
static int quiet[2], filled[2], listener, crowded, file, child;
static gh_addr addr, crowded_addr;
static uint32_t stop;
static char data[1 << 16];

static int cond_wait_until(gh_time at)
{
	must_eq(gh_mutex_lock(&guard), 0);
	int r = gh_cond_wait_until(&cond, &guard, at);
	must_eq(gh_mutex_unlock(&guard), 0);
	return r;
}

static int select_until(gh_time at)
{
	gh_case c[] = {GH_RECV(empty, NULL), GH_SEND(full, ""), GH_READABLE(quiet[0]),
		       GH_WRITABLE(filled[0]), GH_AT(GH_FOREVER)};
	return gh_select_until(c, 5, at);
}

/* X(result, call): nothing is there for them. */
#define NOTHING(at)                                                                                \
	X(-ETIMEDOUT, gh_mutex_lock_until(&mutex, at))                                             \
	X(-ETIMEDOUT, cond_wait_until(at))                                                         \
	X(-ETIMEDOUT, gh_rwlock_rdlock_until(&held, at))                                           \
	X(-ETIMEDOUT, gh_rwlock_wrlock_until(&held, at))                                           \
	X(-ETIMEDOUT, gh_sem_wait_until(&sem, at))                                                 \
	X(-ETIMEDOUT, gh_event_wait_until(&event, at))                                             \
	X(-ETIMEDOUT, gh_wg_wait_until(&wg, at))                                                   \
	X(-ETIMEDOUT, gh_barrier_wait_until(&two, at))                                             \
	X(-ETIMEDOUT, gh_chan_recv_until(empty, NULL, at))                                         \
	X(-ETIMEDOUT, gh_chan_send_until(full, "", at))                                            \
	X(-ETIMEDOUT, select_until(at))                                                            \
	X(-ETIMEDOUT, gh_await_until(pending, NULL, at))                                           \
	X(-ETIMEDOUT, gh_await_any(&pending, 1, at))                                               \
	X(-ETIMEDOUT, gh_group_wait_until(group, at))                                              \
	X(-ETIMEDOUT, gh_task_join_until(task, NULL, at))                                          \
	X(-ETIMEDOUT, gh_module_drain(module, at))                                                 \
	X(-ETIMEDOUT, gh_read_until(quiet[0], data, 1, at))                                        \
	X(-ETIMEDOUT, gh_write_until(filled[0], data, 1, at))                                      \
	X(-ETIMEDOUT, gh_send_until(filled[0], data, 1, at))                                       \
	X(-ETIMEDOUT, gh_recv_until(quiet[0], data, 1, at))                                        \
	X(-ETIMEDOUT, gh_recvfrom(quiet[0], data, 1, NULL, at))                                    \
	X(-ETIMEDOUT, gh_sendto(filled[0], data, 1, NULL, at))                                     \
	X(-ETIMEDOUT, gh_sendfile(filled[0], file, 0, 1, at))                                      \
	X(-ETIMEDOUT, gh_accept_until(listener, NULL, at))                                         \
	X(-ETIMEDOUT, gh_dial(&crowded_addr, at))                                                  \
	X(-ETIMEDOUT, gh_proc_wait_until(child, NULL, at))

static int member(void *arg)
{
	until(load_acquire(&stop));
	return arg != NULL;
}

static void *until_stopped(void *arg)
{
	until(load_acquire(&stop));
	return arg;
}

static void *has_ended(void *arg)
{
	return arg;
}

static void pauses(void)
{
	sched_yield();
}

static void *takes_them(void *arg)
{
	must_eq(gh_mutex_lock(&mutex), 0);
	must_eq(gh_rwlock_wrlock(&held), 0);
	return arg;
}

static int listens(const char *what, gh_addr *ret)
{
	char name[64];
	snprintf(name, sizeof(name), "@greenhook times %s %d", what, (int)getpid());
	int fd = gh_unix_listen(name, 1);
	must_eq(gh_net_local(fd, ret), 0);
	return fd;
}

static int makes_child(long call)
{
	int pid = fork();
	if (pid == 0)
		for (;;)
			ghi_sys(call, 0);
	return pid;
}

static void make_files(void)
{
	must((file = memfd_create("file", 0)) >= 0);
	must_eq(gh_write(file, data, 100), 100);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, quiet), 0);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, filled), 0);
	while (gh_send_try(filled[0], data, sizeof(data)) > 0)
		;
	listener = listens("listener", &addr);
	crowded = listens("crowded", &crowded_addr);
	while (gh_dial(&crowded_addr, gh_after(GH_MS(5))) >= 0)
		;
	child = makes_child(SYS_pause);
}

static void make_objects(void)
{
	static struct host host = {.pause = pauses};
	on(true, takes_them, NULL);
	empty = gh_chan_new(1, 1);
	full = gh_chan_new(1, 0);
	room = gh_chan_new(1, 1);
	pending = gh_future_new();
	must_eq(gh_wg_add(&wg, 1), 0);
	must_eq(gh_barrier_init(&two, 2), 0);
	must_eq(gh_barrier_init(&one, 1), 0);
	task = gh_task_spawn(until_stopped, NULL, NULL);
	group = gh_group_new(NULL, 0);
	must_eq(gh_group_spawn(group, member, NULL, NULL), 0);
	module = gh_module_new(INTERFACE_OF_TESTS, &host);
	must_eq(gh_module_load(module, HANDLER, NULL, 0), 0);
	must(gh_module_acquire(module) != NULL);
	must_eq(gh_module_unload(module), 0);
}

static void finish(void)
{
	store_release(&stop, 1u);
	end_task(task);
	must_eq(gh_group_free(group), 0);
	must_eq(kill(child, SIGKILL), 0);
	must_eq(gh_proc_wait(child, NULL), 0);
}

static const gh_time past[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1};

static void *nothing_is_there(void *arg)
{
	make_files();
	make_objects();
#define X(want, call)                                                                              \
	{                                                                                          \
		long long r = (long long)(call);                                                   \
		if (r != (want))                                                                   \
			ck_abort_msg("%s: %lld, until %lld", #call, r, (long long)at);             \
		must(gh_now() >= at);                                                              \
	}
	for (int i = 0; i < 5; i++) {
		gh_time at = past[i];
		NOTHING(at)
	}
	gh_time at = 0;
	NOTHING((at = gh_after(GH_US(500))))
#undef X
	finish();
	return arg;
}

START_TEST(a_time_that_is_past_means_to_try_once)
{
	everywhere(_i, nothing_is_there);
}
END_TEST

static const gh_time any[] = {INT64_MIN, -1, 0, 1, GH_FOREVER / 2, GH_FOREVER - 1, GH_FOREVER};
enum { TIMES = sizeof(any) / sizeof(any[0]) };

static void has_objects(gh_time at)
{
	static gh_mutex m;
	static gh_rwlock l;
	gh_future *done = gh_future_new();
	gh_group *g = gh_group_new(NULL, 0);
	must_eq(gh_mutex_lock_until(&m, at), 0);
	must_eq(gh_mutex_unlock(&m), 0);
	must_eq(gh_rwlock_rdlock_until(&l, at), 0);
	must_eq(gh_rwlock_unlock(&l), 0);
	must_eq(gh_rwlock_wrlock_until(&l, at), 0);
	must_eq(gh_rwlock_unlock(&l), 0);
	must_eq(gh_sem_post(&sem), 0);
	must_eq(gh_sem_wait_until(&sem, at), 0);
	must_eq(gh_event_set(&event), 0);
	must_eq(gh_event_wait_until(&event, at), 0);
	must_eq(gh_wg_wait_until(&(gh_wg)GH_WG_INIT, at), 0);
	must_eq(gh_barrier_wait_until(&one, at), 1);
	must_eq(gh_chan_send_until(room, "", at), 0);
	must_eq(gh_chan_recv_until(room, NULL, at), 0);
	must_eq(gh_select_until(&(gh_case)GH_SEND(room, ""), 1, at), 0);
	must_eq(gh_select_until(&(gh_case)GH_RECV(room, NULL), 1, at), 0);
	must_eq(gh_select_until(&(gh_case)GH_AT(INT64_MIN), 1, at), 0);
	must_eq(gh_future_set(done, 0, NULL), 0);
	must_eq(gh_await_until(done, NULL, at), 0);
	must_eq(gh_await_any(&done, 1, at), 0);
	must_eq(gh_future_unref(done), 0);
	must_eq(gh_group_wait_until(g, at), 0);
	must_eq(gh_group_free(g), 0);
	gh_task *t = gh_task_spawn(has_ended, NULL, NULL);
	while (gh_task_join_until(t, NULL, at) == -ETIMEDOUT && at < GH_S(1))
		gh_yield();
}

static void has_files(gh_time at)
{
	must_eq(gh_write_until(quiet[0], "123", 3, at), 3);
	must_eq(gh_read_until(quiet[1], data, 1, at), 1);
	must_eq(gh_recv_until(quiet[1], data, 1, at), 1);
	must_eq(gh_recvfrom(quiet[1], data, 1, NULL, at), 1);
	must_eq(gh_sendfile(quiet[0], file, 0, 1, at), 1);
	must_eq(gh_recv(quiet[1], data, 1), 1);
	must_eq(gh_sendto(quiet[0], data, 1, NULL, at), 1);
	must_eq(gh_send_until(quiet[0], data, 1, at), 1);
	must_eq(gh_recv(quiet[1], data, 2), 2);
	int c = gh_dial(&addr, at), s = gh_accept_until(listener, NULL, at);
	must(c >= 0 && s >= 0);
	must_eq(gh_close(c), 0);
	must_eq(gh_close(s), 0);
	c = makes_child(SYS_exit_group);
	siginfo_t info;
	must_eq(waitid(P_PID, (id_t)c, &info, WEXITED | WNOWAIT), 0);
	must_eq(gh_proc_wait_until(c, NULL, at), 0);
}

static void *all_is_there(void *arg)
{
	make_files();
	make_objects();
	for (int i = 0; i < TIMES; i++) {
		has_objects(any[i]);
		has_files(any[i]);
	}
	finish();
	return arg;
}

START_TEST(what_is_there_is_had_at_any_time)
{
	everywhere(_i, all_is_there);
}
END_TEST

Suite *suite_native_times(void)
{
	Suite *s = suite_create("native_times");
	add_loop(s, a_time_that_is_past_means_to_try_once, PLACES);
	add_loop(s, what_is_there_is_had_at_any_time, PLACES);
	return s;
}
