/* Suite of all cancellation points of the API: what waits says -ECANCELED when a request comes, and
 * what need not wait when one is there. */
#include <fcntl.h>
#include <greenhook.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "integration/native/lib/handler.h"
#include "src/native/task_int.h"
#include "tests/helpers.h"

/* Things that nothing happens to. */
static gh_chan *empty, *full;
static gh_mutex m;
static gh_cond cond;
static gh_sem sem;
static gh_event event;
static gh_wg wg;
static gh_barrier barrier;
static gh_future *future;
static gh_group *group;
static gh_task *task;
/* Things that are there. */
static gh_chan *stocked;
static gh_sem token = GH_SEM_INIT(1);
static gh_event set;
static gh_barrier one;
static gh_rwlock many;
static gh_future *done;
static gh_group *nobody;
static int spoken[2], asked, asked_port;
static gh_module *module;
static gh_dir *dir;
static gh_addr unix_addr;
static int pipe_ends[2], stuffed[2], quiet[2], filled[2], datagrams[2];
static int listener, unix_listener, tcp_port, file, child;
static uint32_t stop, waiting;
static char data[1 << 16], unix_name[64];

static int cond_wait(void)
{
	must_eq(gh_mutex_lock(&m), 0);
	int r = gh_cond_wait(&cond, &m);
	must_eq(gh_mutex_unlock(&m), 0);
	return r;
}

static int cond_wait_until(void)
{
	must_eq(gh_mutex_lock(&m), 0);
	int r = gh_cond_wait_until(&cond, &m, GH_FOREVER);
	must_eq(gh_mutex_unlock(&m), 0);
	return r;
}

#define CASES                                                                                      \
	{                                                                                          \
		GH_RECV(empty, NULL), GH_SEND(full, ""), GH_READABLE(quiet[0]), GH_AT(GH_FOREVER)  \
	}

static int select_for_ever(void)
{
	gh_case c[] = CASES;
	return gh_select(c, 4);
}

static int select_until(void)
{
	gh_case c[] = CASES;
	return gh_select_until(c, 4, gh_after(GH_S(1000)));
}

static int dir_open(void)
{
	gh_dir *d = gh_dir_open("/");
	gh_dir_close(d);
	return d ? 0 : -errno;
}

/* X(result, call): they wait. */
#define WAITS                                                                                      \
	X(-ECANCELED, gh_sleep(GH_FOREVER))                                                        \
	X(-ECANCELED, gh_sleep_until(gh_after(GH_S(1000))))                                        \
	X(-ECANCELED, gh_task_join(task, NULL))                                                    \
	X(-ECANCELED, gh_task_join_until(task, NULL, gh_after(GH_S(1000))))                        \
	X(-ECANCELED, gh_shutdown(GH_FOREVER))                                                     \
	X(-ECANCELED, gh_group_wait_until(group, gh_after(GH_S(1000))))                            \
	X(-ECANCELED, gh_await(future, NULL))                                                      \
	X(-ECANCELED, gh_await_until(future, NULL, GH_FOREVER))                                    \
	X(-ECANCELED, gh_await_any(&future, 1, GH_FOREVER))                                        \
	X(-ECANCELED, gh_module_drain(module, GH_FOREVER))                                         \
	X(-ECANCELED, cond_wait())                                                                 \
	X(-ECANCELED, cond_wait_until())                                                           \
	X(-ECANCELED, gh_sem_wait(&sem))                                                           \
	X(-ECANCELED, gh_sem_wait_until(&sem, GH_FOREVER))                                         \
	X(-ECANCELED, gh_event_wait(&event))                                                       \
	X(-ECANCELED, gh_event_wait_until(&event, GH_FOREVER))                                     \
	X(-ECANCELED, gh_wg_wait(&wg))                                                             \
	X(-ECANCELED, gh_wg_wait_until(&wg, GH_FOREVER))                                           \
	X(-ECANCELED, gh_barrier_wait(&barrier))                                                   \
	X(-ECANCELED, gh_barrier_wait_until(&barrier, GH_FOREVER))                                 \
	X(-ECANCELED, gh_chan_send(full, ""))                                                      \
	X(-ECANCELED, gh_chan_send_until(full, "", GH_FOREVER))                                    \
	X(-ECANCELED, gh_chan_recv(empty, NULL))                                                   \
	X(-ECANCELED, gh_chan_recv_until(empty, NULL, GH_FOREVER))                                 \
	X(-ECANCELED, gh_select(NULL, 0))                                                          \
	X(-ECANCELED, select_for_ever())                                                           \
	X(-ECANCELED, select_until())                                                              \
	X(-ECANCELED, gh_read(pipe_ends[0], data, 1))                                              \
	X(-ECANCELED, gh_read_until(quiet[0], data, 1, GH_FOREVER))                                \
	X(-ECANCELED, gh_write(stuffed[1], data, sizeof(data)))                                    \
	X(-ECANCELED, gh_write_until(filled[0], data, sizeof(data), GH_FOREVER))                   \
	X(-ECANCELED, gh_recv(quiet[0], data, 1))                                                  \
	X(-ECANCELED, gh_recv_until(quiet[0], data, 1, GH_FOREVER))                                \
	X(-ECANCELED, gh_send(filled[0], data, sizeof(data)))                                      \
	X(-ECANCELED, gh_send_until(filled[0], data, sizeof(data), GH_FOREVER))                    \
	X(-ECANCELED, gh_sendfile(filled[0], file, 0, 100, GH_FOREVER))                            \
	X(-ECANCELED, gh_recvfrom(quiet[0], data, 1, NULL, GH_FOREVER))                            \
	X(-ECANCELED, gh_sendto(datagrams[0], data, 100, NULL, GH_FOREVER))                        \
	X(-ECANCELED, gh_accept(listener, NULL))                                                   \
	X(-ECANCELED, gh_accept_until(listener, NULL, GH_FOREVER))                                 \
	X(-ECANCELED, gh_tcp_dial("127.0.0.1", tcp_port))                                          \
	X(-ECANCELED, gh_tcp_dial_until("127.0.0.1", tcp_port, GH_FOREVER))                        \
	X(-ECANCELED, gh_dial(&unix_addr, GH_FOREVER))                                             \
	X(-ECANCELED, gh_unix_dial(unix_name))                                                     \
	X(-ECANCELED, gh_unix_dial_until(unix_name, GH_FOREVER))                                   \
	X(-ECANCELED, gh_proc_wait(child, NULL))                                                   \
	X(-ECANCELED, gh_proc_wait_until(child, NULL, GH_FOREVER))

/* They could have what they want at once, and say it all the same. */
#define READY                                                                                      \
	X(-ECANCELED, gh_sem_wait(&token))                                                         \
	X(-ECANCELED, gh_event_wait(&set))                                                         \
	X(-ECANCELED, gh_wg_wait(&(gh_wg)GH_WG_INIT))                                              \
	X(-ECANCELED, gh_barrier_wait(&one))                                                       \
	X(-ECANCELED, gh_chan_send(stocked, ""))                                                   \
	X(-ECANCELED, gh_chan_recv(stocked, NULL))                                                 \
	X(-ECANCELED, gh_select(&(gh_case)GH_AT(0), 1))                                            \
	X(-ECANCELED, gh_recv(spoken[0], data, 1))                                                 \
	X(-ECANCELED, gh_read(spoken[0], data, 1))                                                 \
	X(-ECANCELED, gh_recvfrom(spoken[0], data, 1, NULL, GH_FOREVER))                           \
	X(-ECANCELED, gh_send(spoken[0], data, 1))                                                 \
	X(-ECANCELED, gh_write(spoken[0], data, 1))                                                \
	X(-ECANCELED, gh_sendto(spoken[0], data, 1, NULL, GH_FOREVER))                             \
	X(-ECANCELED, gh_sendfile(spoken[0], file, 0, 1, GH_FOREVER))                              \
	X(-ECANCELED, gh_accept(asked, NULL))                                                      \
	X(-ECANCELED, gh_tcp_dial("127.0.0.1", asked_port))                                        \
	X(-ECANCELED, gh_open("/dev/null", O_RDONLY, 0))                                           \
	X(-ECANCELED, gh_read(file, data, 1))                                                      \
	X(-ECANCELED, gh_write(file, data, 1))                                                     \
	X(-ECANCELED, gh_pread(file, data, 1, 0))                                                  \
	X(-ECANCELED, gh_pwrite(file, data, 1, 0))                                                 \
	X(-ECANCELED, gh_fsync(file))                                                              \
	X(-ECANCELED, gh_stat("/", &(struct stat){0}))                                             \
	X(-ECANCELED, dir_open())                                                                  \
	X(-ECANCELED, gh_dir_next(dir, &(const char *){NULL}, NULL))                               \
	X(-ECANCELED, gh_resolve("localhost", 1, &unix_addr, 1))                                   \
	X(-ECANCELED, gh_resolve_until("localhost", 1, &unix_addr, 1, GH_FOREVER))

/* What others have done for them already they are given. */
#define DONE                                                                                       \
	X(-EXDEV, gh_await(done, NULL))                                                            \
	X(0, gh_await_any(&done, 1, GH_FOREVER))                                                   \
	X(0, gh_group_wait(nobody))                                                                \
	X(0, gh_rwlock_rdlock(&many))

#define X(want, call) +1
enum { N_WAITS = 0 WAITS, N_REFUSED = N_WAITS READY, N = N_REFUSED DONE };
#undef X

static int64_t call(int i, int *ret_want)
{
	int n = 0;
#define X(want, call)                                                                              \
	if (n++ == i) {                                                                            \
		*ret_want = want;                                                                  \
		return call;                                                                       \
	}
	WAITS READY DONE
#undef X
	    return 0;
}

/* ---- the things ------------------------------------------------------------------------------ */

static void *until_stopped(void *arg)
{
	until(load_acquire(&stop));
	return arg;
}

static int member(void *arg)
{
	until(load_acquire(&stop));
	return arg != NULL;
}

static void fill(int fd)
{
	must_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0); /* of a pair of ours */
	while (write(fd, data, sizeof(data)) > 0)
		;
	while (write(fd, data, 1) > 0)
		;
	must_eq(errno, EAGAIN);
}

static void pauses(void)
{
	sched_yield();
}

static int port_of(int fd)
{
	gh_addr a;
	must_eq(gh_net_local(fd, &a), 0);
	return ntohs(((const struct sockaddr_in *)(const void *)a.data)->sin_port);
}

static void make_files(void)
{
	must_eq(pipe(pipe_ends), 0);
	must_eq(pipe(stuffed), 0);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, quiet), 0);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, filled), 0);
	must_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams), 0);
	fill(stuffed[1]);
	fill(filled[0]);
	fill(datagrams[0]);
	must((file = memfd_create("file", 0)) >= 0);
	must_eq(gh_write(file, data, sizeof(data)), sizeof(data));
	must_eq(gh_pread(file, data, 1, 0), 1);
	must((dir = gh_dir_open("/proc/self/fd")) != NULL);
	if ((child = fork()) == 0)
		for (;;)
			ghi_sys(SYS_pause);
	must((listener = gh_tcp_listen("127.0.0.1", 0, 0)) >= 0);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, spoken), 0);
	must_eq(gh_send(spoken[1], data, 10), 10);
	must((asked = gh_tcp_listen("127.0.0.1", 0, 0)) >= 0);
	must((asked_port = port_of(asked)) > 0);
	must(gh_tcp_dial("127.0.0.1", asked_port) >= 0);
}

/* Listeners whose queues are full: nobody accepts. */
static void make_queues(void)
{
	int r;
	tcp_port = port_of(gh_tcp_listen("127.0.0.1", 0, 1));
	while ((r = gh_tcp_dial_until("127.0.0.1", tcp_port, gh_after(GH_MS(30)))) >= 0)
		;
	must_eq(gh_tcp_dial_until("127.0.0.1", tcp_port, gh_after(GH_MS(1))), -ETIMEDOUT);
	snprintf(unix_name, sizeof(unix_name), "@greenhook cancel %d", (int)getpid());
	must((unix_listener = gh_unix_listen(unix_name, 1)) >= 0);
	must_eq(gh_net_local(unix_listener, &unix_addr), 0);
	while ((r = gh_unix_dial_until(unix_name, gh_after(GH_MS(5)))) >= 0)
		;
	must_eq(gh_unix_dial_until(unix_name, INT64_MIN), -ETIMEDOUT);
	must_eq(gh_dial(&unix_addr, gh_after(GH_MS(5))), -ETIMEDOUT);
}

static void make_objects(void)
{
	static struct host host = {.pause = pauses};
	empty = gh_chan_new(1, 1);
	full = gh_chan_new(1, 0);
	stocked = gh_chan_new(1, 2);
	must_eq(gh_chan_send(stocked, ""), 0);
	must_eq(gh_event_set(&set), 0);
	must_eq(gh_barrier_init(&one, 1), 0);
	done = gh_future_new();
	must_eq(gh_future_set(done, -EXDEV, NULL), 0);
	nobody = gh_group_new(NULL, 0);
	future = gh_future_new();
	must_eq(gh_wg_add(&wg, 1), 0);
	must_eq(gh_barrier_init(&barrier, 2), 0);
	task = gh_task_spawn(until_stopped, NULL, NULL);
	group = gh_group_new(NULL, 0);
	must_eq(gh_group_spawn(group, member, NULL, NULL), 0);
	module = gh_module_new(INTERFACE_OF_TESTS, &host);
	must_eq(gh_module_load(module, HANDLER, NULL, 0), 0);
	must(gh_module_acquire(module) != NULL);
	must_eq(gh_module_unload(module), 0);
}

static void make_all(void)
{
	make_files();
	make_queues();
	make_objects();
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void *calls_twice(void *i)
{
	int want = 0;
	store_release(&waiting, 1u);
	for (int k = 0; k < 2; k++) { /* from the request on, each time */
		int64_t r = call((int)(intptr_t)i, &want);
		if (r != want)
			ck_abort_msg("row %d, call %d: %d", (int)(intptr_t)i, k, (int)r);
	}
	return NULL;
}

static void *is_cancelled_before(void *i)
{
	must_eq(gh_task_cancel(gh_task_self()), 0);
	return calls_twice(i);
}

static void *is_late(void *i)
{
	must_eq(gh_task_set_deadline(gh_task_self(), 0), 0);
	return calls_twice(i);
}

static void finish(void)
{
	store_release(&stop, 1u);
	end_task(task);
	must_eq(kill(child, SIGKILL), 0);
	must_eq(gh_proc_wait(child, NULL), 0);
	must_eq(gh_group_free(group), 0);
}

static void *before(void *arg)
{
	make_all();
	for (intptr_t i = 0; i < N; i++) {
		end_task(gh_task_spawn(is_cancelled_before, (void *)i, NULL));
		end_task(gh_task_spawn(is_late, (void *)i, NULL));
	}
	finish();
	return arg;
}

START_TEST(a_request_that_is_there_counts)
{
	if (_i == WORKER_COUNTS) /* tasks are kernel threads */
		ghi_config.enabled = 0;
	else
		start_runtime(worker_counts[_i]);
	before(NULL);
}
END_TEST

static const unsigned kinds[] = {0, GH_TASK_OWN_TLS};

START_TEST(a_request_ends_the_wait)
{
	bool green = _i < WORKER_COUNTS;
	if (green)
		start_runtime(worker_counts[_i]);
	else
		ghi_config.enabled = 0;
	make_all();
	for (intptr_t i = 0; i < N_WAITS; i++)
		for (int k = 0; k < (green ? 2 : 1); k++) {
			gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = kinds[k]};
			store_relaxed(&waiting, 0u);
			gh_task *t = gh_task_spawn(calls_twice, (void *)i, &o);
			until(load_acquire(&waiting));
			if (green)
				until(load_relaxed(&t->g->reason) != GHI_PARK_NONE);
			must_eq(gh_task_cancel(t), 0);
			int r = gh_task_join_until(t, NULL, gh_after(GH_S(10)));
			if (r)
				ck_abort_msg("row %d: %d", (int)i, r);
		}
	finish();
}
END_TEST

/* A cancelled call that was refused has changed nothing. */
START_TEST(what_was_refused_was_not_done)
{
	start_runtime(worker_counts[_i]);
	make_all();
	off_t at = lseek(file, 0, SEEK_CUR);
	for (intptr_t i = 0; i < N_REFUSED; i++)
		end_task(gh_task_spawn(is_cancelled_before, (void *)i, NULL));
	must_eq(lseek(file, 0, SEEK_CUR), at);
	must_eq(gh_sem_value(&sem), 0);
	must_eq(gh_sem_value(&token), 1);
	must_eq(gh_chan_len(stocked), 1);
	must_eq(gh_recv(spoken[0], data, 100), 10);
	must_eq(gh_recv_try(spoken[1], data, 1), -EAGAIN);
	must(gh_accept_until(asked, NULL, 0) >= 0);
	must_eq(gh_accept_until(asked, NULL, 0), -ETIMEDOUT);
	must_eq(gh_chan_len(empty), 0);
	must_eq(gh_chan_send_try(full, ""), -EAGAIN);
	must_eq(gh_chan_send_try(empty, ""), 0); /* nobody takes it */
	must_eq(gh_chan_len(empty), 1);
	must_eq(gh_event_wait_try(&event), -EAGAIN);
	must_eq(gh_barrier_destroy(&barrier), 0); /* nobody has arrived */
	must_eq(gh_mutex_lock_try(&m), 0);
	finish();
}
END_TEST

Suite *suite_native_cancel(void)
{
	Suite *s = suite_create("native_cancel");
	add_loop(s, a_request_that_is_there_counts, WORKER_COUNTS + 1);
	add_loop(s, a_request_ends_the_wait, WORKER_COUNTS + 1);
	add_loop(s, what_was_refused_was_not_done, WORKER_COUNTS);
	return s;
}
