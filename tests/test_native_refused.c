/* Suite of calls that are refused: each of a list, with the error that its description names, by
 * every sort of caller.  What tasks, groups, futures refuse is in their own suites. */
#include <fcntl.h>
#include <greenhook.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/helpers.h"

static int file, dgram, stream, pair[2], filled[2], deaf[2], pipe_ends[2], no_reader, port,
    udp_port;
static gh_chan *full, *empty, *closed, *none;
static gh_mutex held, checked = GH_MUTEX_CHECKED_INIT, recursive = GH_MUTEX_RECURSIVE_INIT, plain;
static gh_cond cond;
static gh_rwlock written, crowded, taken; /* by the caller; by many; by another */
static char data[1 << 17], long_path[300];
static const char *name; /* of a Unix socket that is there and listens */
static gh_case many[1], unknown = {.op = 99, .fd = -1};

static int error_of(const void *p)
{
	return p ? 0 : -errno;
}

#define NOWHERE ((gh_chan *)data)

/* X(result, call) */
#define NET                                                                                        \
	X(-EBADF, gh_net_local(-1, &(gh_addr){0}))                                                 \
	X(-EBADF, gh_net_peer(INT_MAX, &(gh_addr){0}))                                             \
	X(-ENOTSOCK, gh_net_peer(file, &(gh_addr){0}))                                             \
	X(-EINVAL, gh_resolve_until(NULL, 1, &(gh_addr){0}, 1, GH_FOREVER))                        \
	X(-EINVAL, gh_resolve_until("localhost", -1, &(gh_addr){0}, 1, GH_FOREVER))                \
	X(-EINVAL, gh_resolve_until("localhost", 1, NULL, 1, 0))                                   \
	X(-EINVAL, gh_resolve_until("localhost", 1, &(gh_addr){0}, 0, 0))                          \
	X(-ENOENT, gh_resolve_until("", 1, &(gh_addr){0}, 1, GH_FOREVER))                          \
	X(-EINVAL, gh_tcp_listen("127.0.0.1", 65536, 0))                                           \
	X(-EINVAL, gh_tcp_listen("127.0.0.1", INT_MIN, 0))                                         \
	X(-EINVAL, gh_tcp_listen("127.0.0.1", 0, -1))                                              \
	X(-EADDRINUSE, gh_tcp_listen("127.0.0.1", port, 0))                                        \
	X(-EINVAL, gh_tcp_dial("127.0.0.1", 0))                                                    \
	X(-EINVAL, gh_tcp_dial_until(NULL, 1, GH_FOREVER))                                         \
	X(-EINVAL, gh_tcp_dial_until("127.0.0.1", 65536, GH_FOREVER))                              \
	X(-EINVAL, gh_dial(NULL, GH_FOREVER))                                                      \
	X(-EINVAL, gh_dial(&(gh_addr){.len = 9999}, GH_FOREVER))                                   \
	X(-EINVAL, gh_unix_listen("@x", INT_MIN))                                                  \
	X(-ENAMETOOLONG, gh_unix_listen(long_path, 1))                                             \
	X(-ENAMETOOLONG, gh_unix_dial(long_path))                                                  \
	X(-EINVAL, gh_unix_dial_until(NULL, GH_FOREVER))                                           \
	X(-EINVAL, gh_unix_dial_until("", GH_FOREVER))                                             \
	X(-ENAMETOOLONG, gh_unix_dial_until(long_path, GH_FOREVER))                                \
	X(-ENOENT, gh_unix_dial_until("/nowhere/at all", GH_FOREVER))                              \
	X(-ECONNREFUSED, gh_unix_dial_until("@nobody listens here", GH_FOREVER))                   \
	X(-EBADF, gh_accept(-1, NULL))                                                             \
	X(-EBADF, gh_accept_until(-1, NULL, GH_FOREVER))                                           \
	X(-ENOTSOCK, gh_accept_until(file, NULL, GH_FOREVER))                                      \
	X(-EINVAL, gh_accept_until(stream, NULL, GH_FOREVER))                                      \
	X(-EBADF, gh_recv_try(-1, data, 1))                                                        \
	X(-ENOTSOCK, gh_recv_try(file, data, 1))                                                   \
	X(-EAGAIN, gh_recv_try(pair[0], data, 1))                                                  \
	X(-EBADF, gh_recv_until(INT_MIN, data, 1, GH_FOREVER))                                     \
	X(-ENOTSOCK, gh_recv_until(file, data, 1, GH_FOREVER))                                     \
	X(-ETIMEDOUT, gh_recv_until(pair[0], data, 1, INT64_MIN))                                  \
	X(-EFAULT, gh_send_try(pair[0], NULL, 1))                                                  \
	X(-EBADF, gh_send(-1, data, 1))                                                            \
	X(-EBADF, gh_send_try(-1, data, 1))                                                        \
	X(-ENOTSOCK, gh_send_try(file, data, 1))                                                   \
	X(-EPIPE, gh_send_try(deaf[0], data, 1))                                                   \
	X(-EAGAIN, gh_send_try(filled[0], data, 1))                                                \
	X(-EBADF, gh_send_until(-1, data, 1, GH_FOREVER))                                          \
	X(-ENOTSOCK, gh_send_until(file, data, 1, GH_FOREVER))                                     \
	X(-EPIPE, gh_send_until(deaf[0], data, 1, GH_FOREVER))                                     \
	X(-ETIMEDOUT, gh_send_until(filled[0], data, 1, INT64_MIN))                                \
	X(-EINVAL, gh_sendfile(pair[0], file, INT64_MIN, 1, GH_FOREVER))                           \
	X(-ETIMEDOUT, gh_sendfile(filled[0], file, 0, 1, 0))                                       \
	X(-ENOTSOCK, gh_half_close(file, 0))                                                       \
	X(-ENOTCONN, gh_half_close(stream, 2))                                                     \
	X(-EINVAL, gh_half_close(pair[0], 3))                                                      \
	X(-EINVAL, gh_half_close(pair[0], INT_MIN))                                                \
	X(-EBADF, gh_close(-1))                                                                    \
	X(-EADDRINUSE, gh_udp_bind("127.0.0.1", udp_port))                                         \
	X(-EINVAL, gh_udp_bind("127.0.0.1", -1))                                                   \
	X(-EINVAL, gh_udp_dial(NULL, 1))                                                           \
	X(-EINVAL, gh_udp_dial("127.0.0.1", 65536))                                                \
	X(-EINVAL, gh_unix_bind(NULL))                                                             \
	X(-ENAMETOOLONG, gh_unix_bind(long_path))                                                  \
	X(-EADDRINUSE, gh_unix_bind(name))                                                         \
	X(-EBADF, gh_recvfrom(-1, data, 1, NULL, GH_FOREVER))                                      \
	X(-ENOTSOCK, gh_recvfrom(file, data, 1, NULL, GH_FOREVER))                                 \
	X(-ETIMEDOUT, gh_recvfrom(dgram, data, 1, NULL, INT64_MIN))                                \
	X(-EBADF, gh_sendto(-1, data, 1, NULL, GH_FOREVER))                                        \
	X(-ENOTSOCK, gh_sendto(file, data, 1, NULL, GH_FOREVER))                                   \
	X(-ETIMEDOUT, gh_sendto(filled[0], data, 1, NULL, 0))                                      \
	X(-EMSGSIZE, gh_sendto(dgram, data, sizeof(data), NULL, GH_FOREVER))                       \
	X(-ENOTSOCK, gh_net_set(file, GH_NET_KEEPALIVE, 1))                                        \
	X(-EOPNOTSUPP, gh_net_set(pair[0], GH_NET_NODELAY, 1))                                     \
	X(-EINVAL, gh_net_set(stream, 99, 1))                                                      \
	X(-EINVAL, gh_net_set(stream, GH_NET_SEND_BUFFER, INT_MIN))

#define FILES                                                                                      \
	X(-EINVAL, gh_open(NULL, O_RDONLY, 0))                                                     \
	X(-EBADF, gh_read_until(-1, data, 1, GH_FOREVER))                                          \
	X(-EBADF, gh_read_until(pipe_ends[1], data, 1, GH_FOREVER))                                \
	X(-ETIMEDOUT, gh_read_until(pipe_ends[0], data, 1, INT64_MIN))                             \
	X(-ENOSPC, gh_write(full_disk(), data, 1))                                                 \
	X(-EBADF, gh_write_until(INT_MIN, data, 1, GH_FOREVER))                                    \
	X(-EBADF, gh_write_until(pipe_ends[0], data, 1, GH_FOREVER))                               \
	X(-EPIPE, gh_write_until(no_reader, data, 1, GH_FOREVER))                                  \
	X(-ENOSPC, gh_write_until(full_disk(), data, 1, GH_FOREVER))                               \
	X(-ETIMEDOUT, gh_write_until(filled[0], data, 1, 0))                                       \
	X(-EINVAL, gh_pread(file, data, 1, INT64_MIN))                                             \
	X(-EINVAL, gh_pwrite(file, data, 1, -1))                                                   \
	X(-EBADF, gh_pwrite(-1, data, 1, 0))                                                       \
	X(-ENOSPC, gh_pwrite(full_disk(), data, 1, 0))                                             \
	X(-ESPIPE, gh_pwrite(pipe_ends[1], data, 1, 0))                                            \
	X(-EINVAL, gh_fsync(pair[0]))                                                              \
	X(-EINVAL, gh_stat("/", NULL))                                                             \
	X(-EINVAL, error_of(gh_dir_open(NULL)))                                                    \
	X(-ENOTDIR, error_of(gh_dir_open("/dev/null")))                                            \
	X(-EINVAL, gh_dir_next(NULL, &(const char *){NULL}, NULL))                                 \
	X(-EINVAL, gh_pipe(NULL))                                                                  \
	X(-EACCES, gh_proc_spawn((char *const[]){"/etc/passwd", NULL}, NULL))                      \
	X(-EINVAL, gh_proc_wait(INT_MIN, NULL))                                                    \
	X(-EINVAL, gh_proc_wait_until(0, NULL, GH_FOREVER))                                        \
	X(-EINVAL, gh_proc_wait_until(INT_MIN, NULL, 0))                                           \
	X(-ECHILD, gh_proc_wait_until(1, NULL, GH_FOREVER))                                        \
	X(-EINVAL, error_of(gh_tick(0)))                                                           \
	X(-EINVAL, error_of(gh_tick(INT64_MIN)))

#define CHANNELS                                                                                   \
	X(-EINVAL, error_of(gh_chan_new(SIZE_MAX, 1)))                                             \
	X(-EINVAL, error_of(gh_chan_new(1, SIZE_MAX - 1)))                                         \
	X(-EINVAL, error_of(gh_chan_new(1ul << 32, 1ul << 32)))                                    \
	X(-ENOMEM, error_of(gh_chan_new(1, 1ul << 60)))                                            \
	X(-EINVAL, gh_chan_send(full, NULL))                                                       \
	X(-EPIPE, gh_chan_send(closed, ""))                                                        \
	X(-EPIPE, gh_chan_send_try(closed, ""))                                                    \
	X(-EAGAIN, gh_chan_send_try(full, ""))                                                     \
	X(-EINVAL, gh_chan_send_try(NOWHERE, ""))                                                  \
	X(-EPIPE, gh_chan_send_until(closed, "", GH_FOREVER))                                      \
	X(-ETIMEDOUT, gh_chan_send_until(full, "", INT64_MIN))                                     \
	X(-EPIPE, gh_chan_recv(closed, NULL))                                                      \
	X(-EPIPE, gh_chan_recv_try(closed, NULL))                                                  \
	X(-EPIPE, gh_chan_recv_until(closed, NULL, GH_FOREVER))                                    \
	X(-ETIMEDOUT, gh_chan_recv_until(empty, NULL, 0))                                          \
	X(-EINVAL, gh_chan_recv_until(NOWHERE, NULL, 0))                                           \
	X(-EALREADY, gh_chan_close(closed))                                                        \
	X(-EINVAL, gh_chan_closed(NOWHERE))                                                        \
	X(-E2BIG, gh_select(many, 16385))                                                          \
	X(-E2BIG, gh_select_try(many, SIZE_MAX))                                                   \
	X(-E2BIG, gh_select_until(many, SIZE_MAX, 0))                                              \
	X(-EINVAL, gh_select(NULL, 1))                                                             \
	X(-EINVAL, gh_select_try(&unknown, 1))                                                     \
	X(-EINVAL, gh_select_until(NULL, 1, 0))                                                    \
	X(-EINVAL, gh_select_until(&unknown, 1, 0))                                                \
	X(-ETIMEDOUT, gh_select_until(NULL, 0, INT64_MIN))                                         \
	X(-EAGAIN, gh_select_try(NULL, 0))                                                         \
	X(0, gh_chan_ref(none) != NULL)

#define LOCKS                                                                                      \
	X(-EBUSY, gh_mutex_lock_try(&held))                                                        \
	X(-ETIMEDOUT, gh_mutex_lock_until(&held, INT64_MIN))                                       \
	X(-EDEADLK, gh_mutex_lock(&checked))                                                       \
	X(-EDEADLK, gh_mutex_lock_until(&checked, GH_FOREVER))                                     \
	X(-EBUSY, gh_mutex_lock_try(&checked))                                                     \
	X(-EAGAIN, gh_mutex_lock(&recursive))                                                      \
	X(-EAGAIN, gh_mutex_lock_try(&recursive))                                                  \
	X(-EAGAIN, gh_mutex_lock_until(&recursive, GH_FOREVER))                                    \
	X(-EPERM, gh_cond_wait_until(&cond, &plain, GH_FOREVER))                                   \
	X(-EPERM, gh_mutex_unlock(&plain))                                                         \
	X(-EDEADLK, gh_rwlock_rdlock(&written))                                                    \
	X(-EDEADLK, gh_rwlock_rdlock_until(&written, GH_FOREVER))                                  \
	X(-ETIMEDOUT, gh_rwlock_rdlock_until(&taken, INT64_MIN))                                   \
	X(-EBUSY, gh_rwlock_rdlock_try(&written))                                                  \
	X(-EDEADLK, gh_rwlock_wrlock(&written))                                                    \
	X(-EDEADLK, gh_rwlock_wrlock_until(&written, 0))                                           \
	X(-EBUSY, gh_rwlock_wrlock_try(&written))                                                  \
	X(-EAGAIN, gh_rwlock_rdlock(&crowded))                                                     \
	X(-EAGAIN, gh_rwlock_rdlock_try(&crowded))                                                 \
	X(-EAGAIN, gh_rwlock_rdlock_until(&crowded, GH_FOREVER))                                   \
	X(-ETIMEDOUT, gh_rwlock_wrlock_until(&crowded, INT64_MIN))                                 \
	X(-EINVAL, gh_barrier_init(&(gh_barrier){{0}}, UINT32_MAX))                                \
	X(-EINVAL, gh_wg_add(&(gh_wg)GH_WG_INIT, INT32_MIN))                                       \
	X(-EOVERFLOW, gh_sem_post(&(gh_sem)GH_SEM_INIT(GH_SEM_MAX)))

static int full_disk(void)
{
	static int fd;
	return fd ? fd : (fd = open("/dev/full", O_RDWR));
}

static int port_of(int fd)
{
	gh_addr a;
	must_eq(gh_net_local(fd, &a), 0);
	return ntohs(((const struct sockaddr_in *)(const void *)a.data)->sin_port);
}

static void fill(int fd)
{
	while (gh_send_try(fd, data, sizeof(data)) > 0)
		;
	while (gh_send_try(fd, data, 1) > 0)
		;
}

static void make_files(void)
{
	static char own_name[64];
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[0] = '/';
	snprintf(own_name, sizeof(own_name), "@greenhook refused %d", (int)getpid());
	name = own_name;
	signal(SIGPIPE, SIG_IGN);
	must((file = memfd_create("file", 0)) >= 0);
	must_eq(gh_write(file, data, 100), 100);
	must((stream = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	must((dgram = gh_udp_bind("127.0.0.1", 0)) >= 0);
	udp_port = port_of(dgram);
	must((port = port_of(gh_tcp_listen("127.0.0.1", 0, 0))) > 0);
	must(gh_unix_listen(name, 0) >= 0); /* streams and datagrams have their own names */
	must(gh_unix_bind(name) >= 0);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, filled), 0);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, deaf), 0);
	must_eq(gh_close(deaf[1]), 0);
	fill(filled[0]);
	int ends[2];
	must_eq(gh_pipe(pipe_ends), 0);
	must_eq(gh_pipe(ends), 0);
	must_eq(gh_close(ends[0]), 0);
	no_reader = ends[1];
}

static void *takes(void *lock)
{
	must_eq(gh_rwlock_wrlock(lock), 0);
	return lock;
}

static void make_objects(void)
{
	on(true, takes, &taken);
	full = gh_chan_new(1, 0);
	empty = gh_chan_new(1, 1);
	closed = gh_chan_new(1, 1);
	must_eq(gh_chan_close(closed), 0);
	must_eq(gh_mutex_lock(&held), 0);
	must_eq(gh_mutex_lock(&checked), 0);
	must_eq(gh_mutex_lock(&recursive), 0);
	recursive.count = UINT32_MAX;
	must_eq(gh_rwlock_wrlock(&written), 0);
	must_eq(gh_rwlock_rdlock(&crowded), 0);
	*(uint32_t *)&crowded = (1u << 30) - 1; /* readers */
}

static void *calls_them(void *arg)
{
	int n = 0;
	make_files();
	make_objects();
	errno = 0;
#define X(want, call)                                                                              \
	{                                                                                          \
		long long r = (long long)(call);                                                   \
		if (r != (want))                                                                   \
			ck_abort_msg("%s: %lld, not %s", #call, r, #want);                         \
		n++;                                                                               \
	}
	NET FILES CHANNELS LOCKS
#undef X
	    must(n > 120);
	return arg;
}

START_TEST(each_call_says_what_its_description_names)
{
	everywhere(_i, calls_them);
}
END_TEST

/* ---- want ------------------------------------------------------------------------------------ */

static void *has_no_descriptors(void *arg)
{
	struct rlimit all, none;
	make_files();
	make_objects();
	int l = gh_tcp_listen("127.0.0.1", 0, 0), c = gh_tcp_dial("127.0.0.1", port_of(l));
	gh_case c_and_fd[] = {GH_RECV(empty, data), GH_READABLE(pair[0])};
	gh_addr there;
	must(c >= 0);
	must_eq(gh_net_local(l, &there), 0);
	must_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = all;
	none.rlim_cur = 0;
	must_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	must_eq(gh_tcp_listen("127.0.0.1", 0, 0), -EMFILE);
	must_eq(gh_tcp_dial("127.0.0.1", port), -EMFILE);
	must_eq(gh_tcp_dial_until("127.0.0.1", port, GH_FOREVER), -EMFILE);
	must_eq(gh_dial(&there, GH_FOREVER), -EMFILE);
	must_eq(gh_accept(l, NULL), -EMFILE);
	must_eq(gh_accept_until(l, NULL, GH_FOREVER), -EMFILE);
	must_eq(gh_pipe(pipe_ends), -EMFILE);
	must_eq(gh_open("/dev/null", O_RDONLY, 0), -EMFILE);
	must(!gh_dir_open("/") && errno == EMFILE);
	if (!ghi_self()) { /* it waits in the kernel */
		must_eq(gh_select(c_and_fd, 2), -EMFILE);
		must_eq(gh_select_until(c_and_fd, 2, GH_FOREVER), -EMFILE);
	}
	must_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	must(gh_accept(l, NULL) >= 0); /* nothing was lost */
	return arg;
}

START_TEST(without_descriptors_it_says_so)
{
	everywhere(_i, has_no_descriptors);
}
END_TEST

/* Which everybody may listen on. */
static int first_port(void)
{
	char text[16] = "";
	int fd = gh_open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY, 0);
	return gh_read(fd, text, sizeof(text) - 1) > 0 ? atoi(text) : 0;
}

/* With the rights of nobody. */
START_TEST(who_may_not_is_told)
{
	struct rlimit none = {0, 0};
	if (geteuid() != 0)
		return;
	start_runtime(worker_counts[_i]);
	must_eq(setresgid(65534, 65534, 65534), 0);
	must_eq(setresuid(65534, 65534, 65534), 0);
	if (first_port() > 1)
		must_eq(gh_tcp_listen("127.0.0.1", 1, 0), -EACCES);
	must_eq(gh_open("/etc/shadow", O_RDONLY, 0), -EACCES);
	gh_module *m = gh_module_new(1, NULL);
	must_eq(gh_module_load(m, "/etc/shadow", NULL, 0), -EACCES);
	must_eq(gh_module_free(m), 0);
	must_eq(setrlimit(RLIMIT_NPROC, &none), 0);
	must_eq(gh_proc_spawn((char *const[]){"/bin/true", NULL}, NULL), -EAGAIN);
}
END_TEST

Suite *suite_native_refused(void)
{
	Suite *s = suite_create("native_refused");
	add_loop(s, each_call_says_what_its_description_names, PLACES);
	add_loop(s, without_descriptors_it_says_so, PLACES);
	add_loop(s, who_may_not_is_told, WORKER_COUNTS);
	return s;
}
