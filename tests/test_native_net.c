/* Suite of src/native/net*.c: what each call answers, among gthreads and kernel threads, with
 * deadlines and requests. */
#include <fcntl.h>
#include <greenhook/net.h>
#include <greenhook/task.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "src/cancel.h"
#include "tests/helpers.h"

static int listener, port, pair[2];
static uint32_t given;

static int port_of(int fd)
{
	gh_addr a;
	must_eq(gh_net_local(fd, &a), 0);
	const struct sockaddr_in *in = (const void *)a.data;
	return ntohs(in->sin_port);
}

static void listen_somewhere(void)
{
	listener = gh_tcp_listen("127.0.0.1", 0, 0);
	must(listener >= 0);
	port = port_of(listener);
	must(port > 0);
}

static bool is_blocking_and_cloexec(int fd)
{
	return !(fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* ---- addresses ---------------------------------------------------------------------------------
 */

START_TEST(addresses_have_a_text)
{
	static const char *const good[] = {"1.2.3.4:80",       "[::1]:65535", "[2001:db8::7]:0",
					   "/tmp/some/socket", "@abstract",   "0.0.0.0:1"};
	static const char *const bad[] = {
	    "",	       "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "::1:80",     "[::1]", "[1.2.3.4]:1",
	    "name:80", "1.2.3:1", "[::1:80",  ":80",	       "1.2.3.4:-1", "[]:1",  "1.2.3.4:1x"};
	char text[GH_ADDR_TEXT], big[300];
	gh_addr a;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(gh_addr_parse(good[i], &a), 0);
		ck_assert_int_eq(gh_addr_text(&a, text, sizeof(text)), (int)strlen(good[i]));
		ck_assert_str_eq(text, good[i]);
		ck_assert_int_eq(gh_addr_text(&a, text, strlen(good[i])), -ENOSPC);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(gh_addr_parse(bad[i], &a) == -EINVAL, "%s", bad[i]);
	memset(big, 'x', sizeof(big));
	big[0] = '/';
	big[299] = 0;
	ck_assert_int_eq(gh_addr_parse(big, &a), -ENAMETOOLONG);
	ck_assert_int_eq(gh_addr_parse(NULL, &a), -EINVAL);
	ck_assert_int_eq(gh_addr_parse("/x", NULL), -EINVAL);
	ck_assert_int_eq(gh_addr_text(NULL, text, 9), -EINVAL);
	ck_assert_int_eq(gh_addr_text(&a, NULL, 9), -EINVAL);
	memset(&a, 0, sizeof(a));
	ck_assert_int_eq(gh_addr_text(&a, text, sizeof(text)), -EAFNOSUPPORT);
	a.len = 2;
	((struct sockaddr *)a.data)->sa_family = AF_UNIX;
	ck_assert_int_eq(gh_addr_text(&a, text, sizeof(text)), 7);
	ck_assert_str_eq(text, "unnamed");
}
END_TEST

static void *resolve(void *arg)
{
	gh_addr a[8];
	char text[GH_ADDR_TEXT];
	int n = gh_resolve_until("localhost", 80, a, 8, gh_after(GH_S(10)));
	must(n >= 1 && n <= 8);
	bool found = false;
	for (int i = 0; i < n; i++) {
		must(gh_addr_text(&a[i], text, sizeof(text)) > 0);
		found |= !strcmp(text, "127.0.0.1:80") || !strcmp(text, "[::1]:80");
	}
	must(found);
	must_eq(gh_resolve("localhost", 80, a, 1), 1);
	must_eq(gh_resolve("10.1.2.3", 5, a, 8), 1);
	must(gh_addr_text(&a[0], text, sizeof(text)) > 0);
	must_eq(strcmp(text, "10.1.2.3:5"), 0);
	must_eq(gh_resolve("localhost", 65536, a, 8), -EINVAL);
	must_eq(gh_resolve(NULL, 1, a, 8), -EINVAL);
	must_eq(gh_resolve("localhost", 1, NULL, 8), -EINVAL);
	must_eq(gh_resolve("localhost", 1, a, 0), -EINVAL);
	must_eq(gh_resolve("", 1, a, 8), -ENOENT);
	must(gh_resolve("no host has such a name", 1, a, 8) < 0);
	return NULL;
}

START_TEST(names_are_looked_up)
{
	on_both(_i, resolve);
}
END_TEST

/* ---- streams -----------------------------------------------------------------------------------
 */

enum { CLIENTS = 12, MESSAGES = 200 };

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[64];
	int64_t n;
	while ((n = gh_recv(fd, buf, sizeof(buf))) > 0)
		must_eq(gh_send(fd, buf, (size_t)n), n);
	must_eq(n, 0);
	must_eq(gh_close(fd), 0);
	return NULL;
}

static void *accept_all(void *arg)
{
	pthread_t t[CLIENTS];
	int n = 0;
	gh_addr peer;
	for (int fd; n < CLIENTS; n++) {
		fd = gh_accept(listener, &peer);
		must(fd >= 0);
		must(is_blocking_and_cloexec(fd));
		t[n] = n % 3 == 2 ? spawn_kernel(serve, (void *)(intptr_t)fd)
				  : spawn(serve, (void *)(intptr_t)fd);
	}
	for (int i = 0; i < n; i++)
		join(t[i]);
	return NULL;
}

static void *client(void *arg)
{
	char out[64], in[64];
	gh_addr there;
	must_eq(gh_net_local(listener, &there), 0);
	int fd = (intptr_t)arg % 2   ? gh_tcp_dial("127.0.0.1", port)
		 : (intptr_t)arg % 4 ? gh_dial(&there, gh_after(GH_S(10)))
				     : gh_tcp_dial_until("localhost", port, gh_after(GH_S(10)));
	must(fd >= 0);
	must(is_blocking_and_cloexec(fd));
	for (int i = 0; i < MESSAGES; i++) {
		int n = snprintf(out, sizeof(out), "client %d message %d", (int)(intptr_t)arg, i);
		must_eq(gh_send_until(fd, out, (size_t)n, gh_after(GH_S(10))), n);
		for (int got = 0; got < n;) {
			int64_t r = gh_recv_until(fd, in + got, sizeof(in) - (size_t)got,
						  gh_after(GH_S(10)));
			must(r > 0);
			got += (int)r;
		}
		must_eq(memcmp(in, out, (size_t)n), 0);
	}
	must_eq(gh_half_close(fd, 1), 0);
	must_eq(gh_recv(fd, in, sizeof(in)), 0);
	must_eq(gh_close(fd), 0);
	must_eq(gh_close(fd), -EBADF);
	return NULL;
}

START_TEST(clients_and_servers_talk)
{
	pthread_t t[CLIENTS];
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	listen_somewhere();
	pthread_t a = _i < WORKER_COUNTS ? spawn(accept_all, NULL) : spawn_kernel(accept_all, NULL);
	for (intptr_t i = 0; i < CLIENTS; i++)
		t[i] = i % 4 == 3 ? spawn_kernel(client, (void *)i) : spawn(client, (void *)i);
	for (int i = 0; i < CLIENTS; i++)
		join(t[i]);
	join(a);
	must_eq(gh_close(listener), 0);
}
END_TEST

/* Several accept on one listener; plain accept() among them. */
static void *accept_some(void *arg)
{
	while (fetch_add_acq_rel(&given, 1u) < 60) {
		int fd =
		    (intptr_t)arg % 2 ? gh_accept(listener, NULL) : accept(listener, NULL, NULL);
		must(fd >= 0);
		must_eq(gh_send(fd, "x", 1), 1);
		must_eq(gh_close(fd), 0);
	}
	return NULL;
}

START_TEST(a_listener_is_shared)
{
	pthread_t t[6];
	char c;
	start_runtime(worker_counts[_i]);
	listen_somewhere();
	for (intptr_t i = 0; i < 6; i++)
		t[i] =
		    i == 5 ? spawn_kernel(accept_some, (void *)i) : spawn(accept_some, (void *)i);
	for (int i = 0; i < 60; i++) {
		int fd = gh_tcp_dial("127.0.0.1", port);
		must(fd >= 0);
		must_eq(gh_recv(fd, &c, 1), 1);
		must_eq(gh_close(fd), 0);
	}
	for (int i = 0; i < 6; i++)
		join(t[i]);
}
END_TEST

static void *accept_one(void *arg)
{
	int fd = gh_accept(listener, NULL);
	must(fd >= 0);
	must_eq(gh_send(fd, "x", 1), 1);
	must_eq(gh_close(fd), 0);
	return NULL;
}

/* One event may tell of several connections: each of those that wait has one. */
START_TEST(connections_that_come_together_wake_as_many)
{
	enum { N = 4 };
	pthread_t t[N];
	int fd[N];
	char c;
	start_runtime(worker_counts[_i]);
	listen_somewhere();
	for (int i = 0; i < N; i++)
		t[i] = spawn(accept_one, NULL);
	for (int i = 0; i < N; i++)
		until(ghi_gthread_of((uintptr_t)t[i])->reason == GHI_PARK_ACCEPT);
	for (int i = 0; i < N; i++)
		must((fd[i] = gh_tcp_dial("127.0.0.1", port)) >= 0);
	for (int i = 0; i < N; i++) {
		must_eq(gh_recv(fd[i], &c, 1), 1);
		join(t[i]);
	}
}
END_TEST

enum { BULK = 3 << 20 };

static void *pour(void *arg)
{
	char *data = malloc(BULK);
	for (int i = 0; i < BULK; i++)
		data[i] = (char)(i * 7 + i / 251);
	must_eq(gh_send(pair[0], data, BULK), BULK);
	must_eq(gh_half_close(pair[0], SHUT_WR), 0);
	free(data);
	return NULL;
}

static void *drain(void *arg)
{
	char buf[9000];
	int64_t n, at = 0;
	while ((n = gh_recv(pair[1], buf, sizeof(buf))) > 0)
		for (int64_t i = 0; i < n; i++, at++)
			must_eq(buf[i], (char)(at * 7 + at / 251));
	must_eq(at, BULK);
	return NULL;
}

START_TEST(a_large_buffer_is_sent_whole)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	if (_i / WORKER_COUNTS % 2) {
		must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	} else {
		listen_somewhere();
		pair[0] = gh_tcp_dial("127.0.0.1", port);
		pair[1] = gh_accept(listener, NULL);
	}
	bool kernel = _i / WORKER_COUNTS / 2;
	pthread_t d = kernel ? spawn_kernel(drain, NULL) : spawn(drain, NULL);
	on(!kernel, pour, NULL);
	join(d);
}
END_TEST

/* ---- refusals, deadlines ------------------------------------------------------------------------
 */

static void *see_deadlines(void *arg)
{
	char buf[4096] = {0};

	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	must_time_out(at, GH_MS(5), gh_recv_until(pair[0], buf, 1, at));
	must_eq(gh_recv_until(pair[0], buf, 1, 0), -ETIMEDOUT);
	must_eq(gh_recv_try(pair[0], buf, 1), -EAGAIN);
	int64_t sent = 0, r;
	while ((r = gh_send_try(pair[0], buf, sizeof(buf))) > 0)
		sent += r;
	must_eq(r, -EAGAIN);
	must_time_out(at, GH_MS(5), gh_send_until(pair[0], buf, 1000, at));
	while (sent > 0) {
		must((r = gh_recv_until(pair[1], buf, sizeof(buf), gh_after(GH_S(10)))) > 0);
		sent -= r;
	}
	must_eq(sent, 0);
	must_eq(gh_close(pair[1]), 0);
	must_eq(gh_send(pair[0], buf, 1), -EPIPE); /* and no SIGPIPE */
	must_eq(gh_recv(pair[0], buf, 1), 0);
	must_eq(gh_close(pair[0]), 0);

	listen_somewhere();
	must_time_out(at, GH_MS(5), gh_accept_until(listener, NULL, at));
	must_eq(gh_close(listener), 0);
	must_eq(gh_tcp_dial("127.0.0.1", port), -ECONNREFUSED);
	must_eq(gh_tcp_dial_until("127.0.0.1", port, gh_after(GH_S(5))), -ECONNREFUSED);
	return NULL;
}

START_TEST(deadlines_come_and_not_early)
{
	on_both(_i, see_deadlines);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
	gh_addr a;
	char c;
	int p[2];
	if (_i)
		start_runtime(1);
	must_eq(pipe(p), 0);
	ck_assert_int_eq(gh_tcp_listen("127.0.0.1", -1, 0), -EINVAL);
	ck_assert_int_eq(gh_tcp_listen("127.0.0.1", 65536, 0), -EINVAL);
	ck_assert_int_eq(gh_tcp_listen("127.0.0.1", 0, -1), -EINVAL);
	ck_assert_int_eq(gh_tcp_listen("192.0.2.1", 0, 0), -EADDRNOTAVAIL);
	ck_assert_int_eq(gh_tcp_dial(NULL, 1), -EINVAL);
	ck_assert_int_eq(gh_tcp_dial("127.0.0.1", 0), -EINVAL);
	a.len = 0;
	ck_assert_int_eq(gh_dial(&a, GH_FOREVER), -EINVAL);
	a.len = sizeof(a.data) + 1;
	ck_assert_int_eq(gh_dial(&a, GH_FOREVER), -EINVAL);
	ck_assert_int_eq(gh_dial(NULL, GH_FOREVER), -EINVAL);
	must_eq(gh_addr_parse("127.0.0.1:1", &a), 0);
	ck_assert_int_eq(gh_dial(&a, GH_FOREVER), -ECONNREFUSED);
	ck_assert_int_eq(gh_udp_dial(NULL, 1), -EINVAL);
	ck_assert_int_eq(gh_udp_bind(NULL, -1), -EINVAL);
	ck_assert_int_eq(gh_unix_listen(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_unix_listen("", 0), -EINVAL);
	ck_assert_int_eq(gh_unix_bind(NULL), -EINVAL);
	ck_assert_int_eq(gh_unix_dial(NULL), -EINVAL);
	ck_assert_int_eq(gh_unix_dial("/nonexistent/socket"), -ENOENT);
	ck_assert_int_eq(gh_accept(-1, NULL), -EBADF);
	ck_assert_int_eq(gh_accept(p[0], NULL), -ENOTSOCK);
	int udp = gh_udp_bind("127.0.0.1", 0);
	ck_assert_int_eq(gh_accept(udp, NULL), -EINVAL);
	ck_assert_int_eq(gh_recv(-1, &c, 1), -EBADF);
	ck_assert_int_eq(gh_recv(1 << 30, &c, 1), -EBADF);
	ck_assert_int_eq(gh_recv(p[0], &c, 1), -ENOTSOCK);
	ck_assert_int_eq(gh_send(p[1], &c, 1), -ENOTSOCK);
	ck_assert_int_eq(gh_recvfrom(p[0], &c, 1, NULL, 0), -ENOTSOCK);
	ck_assert_int_eq(gh_sendto(p[1], &c, 1, NULL, 0), -ENOTSOCK);
	ck_assert_int_eq(gh_half_close(udp, 7), -EINVAL);
	ck_assert_int_eq(gh_half_close(-1, 0), -EBADF);
	ck_assert_int_eq(gh_close(-1), -EBADF);
	ck_assert_int_eq(gh_net_local(udp, NULL), -EINVAL);
	ck_assert_int_eq(gh_net_peer(udp, NULL), -EINVAL);
	ck_assert_int_eq(gh_net_peer(udp, &a), -ENOTCONN);
	ck_assert_int_eq(gh_net_local(p[0], &a), -ENOTSOCK);
	ck_assert_int_eq(gh_net_set(udp, 99, 1), -EINVAL);
	ck_assert_int_eq(gh_net_set(udp, GH_NET_BROADCAST, -1), -EINVAL);
	ck_assert_int_eq(gh_net_set(-1, GH_NET_BROADCAST, 1), -EBADF);
}
END_TEST

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t n = sizeof(v);
	must_eq(getsockopt(fd, level, name, &v, &n), 0);
	return v;
}

START_TEST(options_reach_the_kernel)
{
	listen_somewhere();
	int fd = gh_tcp_dial("127.0.0.1", port);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	must_eq(gh_net_set(fd, GH_NET_NODELAY, 0), 0);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	must_eq(gh_net_set(fd, GH_NET_KEEPALIVE, 33), 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 33);
	must_eq(gh_net_set(fd, GH_NET_KEEPALIVE, 0), 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	must_eq(gh_net_set(fd, GH_NET_RECV_BUFFER, 20000), 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_RCVBUF), 40000); /* the kernel counts twice */
	must_eq(gh_net_set(fd, GH_NET_SEND_BUFFER, 20000), 0);
	must_eq(gh_net_set(fd, GH_NET_LINGER, 1), 0);
	gh_addr local, peer;
	int other = gh_accept(listener, &peer);
	char a[GH_ADDR_TEXT], b[GH_ADDR_TEXT];
	must_eq(gh_net_local(fd, &local), 0);
	gh_addr_text(&local, a, sizeof(a));
	gh_addr_text(&peer, b, sizeof(b));
	ck_assert_str_eq(a, b);
	must_eq(gh_net_peer(other, &peer), 0);
	gh_addr_text(&peer, b, sizeof(b));
	ck_assert_str_eq(a, b);
	must_eq(gh_close(fd), 0); /* a reset, as LINGER says */
	ck_assert_int_eq(gh_recv(other, a, 1), -ECONNRESET);
	int any = gh_tcp_listen(NULL, 0, 5);
	must(any >= 0);
	fd = gh_tcp_dial("127.0.0.1", port_of(any));
	must(fd >= 0);
	ck_assert_int_eq(gh_tcp_listen("127.0.0.1", port, 0), -EADDRINUSE);
}
END_TEST

/* ---- Unix, datagrams
 * ----------------------------------------------------------------------------- */

static char path[64];

static void *unix_client(void *arg)
{
	char c = 0;
	int fd = gh_unix_dial(path);
	must(fd >= 0);
	must_eq(gh_send(fd, "a", 1), 1);
	must_eq(gh_recv(fd, &c, 1), 1);
	must_eq(c, 'b');
	must_eq(gh_close(fd), 0);
	return NULL;
}

START_TEST(unix_streams_connect_by_path)
{
	char c;
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	snprintf(path, sizeof(path), _i % 2 ? "@greenhook-test-%d" : "/tmp/greenhook-test-%d",
		 getpid());
	listener = gh_unix_listen(path, 1);
	must(listener >= 0);
	ck_assert_int_eq(gh_unix_listen(path, 1), -EADDRINUSE);
	pthread_t t[8];
	for (int i = 0; i < 8; i++) /* more than the backlog */
		t[i] = i % 3 == 1 ? spawn_kernel(unix_client, NULL) : spawn(unix_client, NULL);
	for (int i = 0; i < 8; i++) {
		int fd = gh_accept(listener, NULL);
		must(fd >= 0);
		must_eq(gh_recv(fd, &c, 1), 1);
		must_eq(gh_send(fd, "b", 1), 1);
		must_eq(gh_close(fd), 0);
	}
	for (int i = 0; i < 8; i++)
		join(t[i]);
	int fds[8], n = 0;
	gh_addr there;
	must_eq(gh_net_local(listener, &there), 0);
	while (n < 8 && (fds[n] = n % 2 ? gh_dial(&there, gh_after(GH_MS(10)))
					: gh_unix_dial_until(path, gh_after(GH_MS(10)))) >= 0)
		n++;
	must(n >= 1 && n < 8);
	ck_assert_int_eq(fds[n], -ETIMEDOUT);
	must_eq(gh_close(listener), 0);
	ck_assert_int_eq(gh_unix_dial(path), -ECONNREFUSED);
	unlink(path);
}
END_TEST

static int udp_a, udp_b;

static void *udp_echo(void *arg)
{
	char buf[100], text[GH_ADDR_TEXT];
	gh_addr from;
	for (int i = 0; i < 50; i++) {
		int64_t n = gh_recvfrom(udp_a, buf, sizeof(buf), &from, gh_after(GH_S(10)));
		must(n >= 0);
		must(gh_addr_text(&from, text, sizeof(text)) > 0);
		must_eq(gh_sendto(udp_a, buf, (size_t)n, &from, GH_FOREVER), n);
	}
	return NULL;
}

START_TEST(datagrams_go_there_and_back)
{
	char buf[100];
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	udp_a = gh_udp_bind("127.0.0.1", 0);
	udp_b = gh_udp_dial("127.0.0.1", port_of(udp_a));
	must(udp_a >= 0 && udp_b >= 0);
	must_eq(gh_recvfrom(udp_a, buf, 1, NULL, gh_after(GH_MS(3))), -ETIMEDOUT);
	pthread_t t = _i < WORKER_COUNTS ? spawn(udp_echo, NULL) : spawn_kernel(udp_echo, NULL);
	for (int i = 0; i < 50; i++) {
		must_eq(gh_send(udp_b, "hello", (size_t)(i % 5)), i % 5);
		must_eq(gh_recv_until(udp_b, buf, sizeof(buf), gh_after(GH_S(10))), i % 5);
		must_eq(memcmp(buf, "hello", (size_t)(i % 5)), 0);
	}
	join(t);
	snprintf(path, sizeof(path), "@greenhook-dgram-%d", getpid());
	int u = gh_unix_bind(path), v = socket(AF_UNIX, SOCK_DGRAM, 0);
	gh_addr to;
	must(u >= 0 && gh_addr_parse(path, &to) == 0);
	must_eq(gh_sendto(v, "data", 4, &to, GH_FOREVER), 4);
	must_eq(gh_recvfrom(u, buf, 100, NULL, GH_FOREVER), 4);
	gh_addr from;
	char text[GH_ADDR_TEXT];
	memset(&from, 0xff, sizeof(from));
	must_eq(gh_sendto(v, "data", 4, &to, GH_FOREVER), 4);
	must_eq(gh_recvfrom(u, buf, 100, &from, GH_FOREVER), 4);
	ck_assert_int_eq(gh_addr_text(&from, text, sizeof(text)), 7);
	ck_assert_str_eq(text, "unnamed");
	must(from.len == sizeof(sa_family_t));
	/* The peer of a pair has no name either. */
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && gh_send(pair[1], "x", 1) == 1);
	must_eq(gh_recvfrom(pair[0], buf, 1, &from, GH_FOREVER), 1);
	ck_assert_int_eq(gh_addr_text(&from, text, sizeof(text)), 7);
	int64_t r;
	while ((r = gh_sendto(v, "data", 4, &to, 0)) == 4)
		;
	ck_assert_int_eq(r, -ETIMEDOUT);
}
END_TEST

/* ---- ends of waits
 * -------------------------------------------------------------------------------- */

static int64_t answers[2];

static void *wait_for_bytes(void *arg)
{
	char c;
	for (int i = 0; i < 2; i++)
		answers[i] = (intptr_t)arg ? gh_accept(listener, NULL) : gh_recv(pair[0], &c, 1);
	store_release(&given, 1u);
	return NULL;
}

START_TEST(a_request_ends_the_wait)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	listen_somewhere();
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pthread_t t = spawn(wait_for_bytes, (void *)(intptr_t)(_i / WORKER_COUNTS));
	until(ghi_gthread_of((uintptr_t)t)->reason != GHI_PARK_NONE);
	must_eq(pthread_cancel(t), 0);
	join(t);
	must(given);
	ck_assert_int_eq(answers[0], -ECANCELED);
	ck_assert_int_eq(answers[1], -ECANCELED);
}
END_TEST

static void *recv_what_is_there(void *arg)
{
	char c;
	store_release(&given, 1u);
	while (!ghi_cancel_requested(ghi_self()))
		gh_yield();
	answers[0] = gh_recv(pair[0], &c, 1);
	answers[1] = gh_recv_try(pair[0], &c, 1);
	gh_addr there;
	must_eq(gh_net_local(listener, &there), 0);
	must_eq(gh_dial(&there, GH_FOREVER), -ECANCELED);
	return NULL;
}

START_TEST(a_request_comes_before_what_is_there)
{
	start_runtime(worker_counts[_i]);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	must_eq(gh_send(pair[1], "x", 1), 1);
	listen_somewhere();
	pthread_t t = spawn(recv_what_is_there, NULL);
	until(load_acquire(&given));
	must_eq(pthread_cancel(t), 0);
	join(t);
	ck_assert_int_eq(answers[0], -ECANCELED);
	ck_assert_int_eq(answers[1], 1);
}
END_TEST

START_TEST(a_close_ends_the_wait)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	listen_somewhere();
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	bool accepts = _i / WORKER_COUNTS % 2;
	pthread_t t = spawn(wait_for_bytes, (void *)(intptr_t)accepts);
	until(ghi_gthread_of((uintptr_t)t)->reason != GHI_PARK_NONE);
	if (_i / WORKER_COUNTS / 2)
		must_eq(close(accepts ? listener : pair[0]), 0);
	else
		must_eq(gh_close(accepts ? listener : pair[0]), 0);
	join(t);
	ck_assert_int_eq(answers[0], -EBADF);
	ck_assert_int_eq(answers[1], -EBADF);
}
END_TEST

Suite *suite_native_net(void)
{
	Suite *s = suite_create("native_net");
	add_test(s, addresses_have_a_text);
	add_loop(s, names_are_looked_up, 2 * WORKER_COUNTS);
	add_loop(s, clients_and_servers_talk, 2 * WORKER_COUNTS);
	add_loop(s, a_listener_is_shared, WORKER_COUNTS);
	add_loop(s, connections_that_come_together_wake_as_many, WORKER_COUNTS);
	add_loop(s, a_large_buffer_is_sent_whole, 4 * WORKER_COUNTS);
	add_loop(s, deadlines_come_and_not_early, 2 * WORKER_COUNTS);
	add_loop(s, bad_arguments_are_refused, 2);
	add_test(s, options_reach_the_kernel);
	add_loop(s, unix_streams_connect_by_path, 2 * WORKER_COUNTS);
	add_loop(s, datagrams_go_there_and_back, 2 * WORKER_COUNTS);
	add_loop(s, a_request_ends_the_wait, 2 * WORKER_COUNTS);
	add_loop(s, a_request_comes_before_what_is_there, WORKER_COUNTS);
	add_loop(s, a_close_ends_the_wait, 4 * WORKER_COUNTS);
	return s;
}
