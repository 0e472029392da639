/* The send/recv family on TCP, UDP and unix sockets, in one thread each side. */
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return in;
}

static int bound_port(int fd)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	MUST(getsockname(fd, (void *)&in, &len) == 0);
	return ntohs(in.sin_port);
}

static void tcp_pair(int *pair)
{
	struct sockaddr_in in = loopback(0);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(bind(listener, (void *)&in, sizeof(in)) == 0 && listen(listener, 5) == 0);
	in = loopback(bound_port(listener));
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	MUST(connect(pair[0], (void *)&in, sizeof(in)) == 0);
	pair[1] = accept(listener, NULL, NULL);
	MUST(pair[1] >= 0);
	close(listener);
}

/* The peer of a stream: answers until the end of the stream. */
static void *echo(void *arg)
{
	int fd = *(int *)arg;
	char buffer[256];
	ssize_t n;
	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		QUIET(send(fd, buffer, n, 0) == n);
	QUIET(n == 0);
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void stream(const char *name, int *pair)
{
	char buffer[64], more[64];
	struct iovec v[2] = {{buffer, 3}, {more, 61}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	printf("-- %s\n", name);
	CHECK_ERRNO(EAGAIN, recv(pair[0], buffer, 64, MSG_DONTWAIT));
	pthread_t t = spawn(echo, &pair[1]);
	CHECK(send(pair[0], "hello", 5, 0) == 5);
	CHECK(recv(pair[0], buffer, 5, MSG_WAITALL) == 5 && !memcmp(buffer, "hello", 5));
	CHECK(sendto(pair[0], "again", 5, MSG_NOSIGNAL, NULL, 0) == 5);
	CHECK(recv(pair[0], buffer, 2, MSG_PEEK) == 2 && !memcmp(buffer, "ag", 2));
	CHECK(recvfrom(pair[0], buffer, 5, MSG_WAITALL, NULL, NULL) == 5);
	CHECK(!memcmp(buffer, "again", 5));
	/* MSG_WAITALL over several arrivals: the echo answers each piece on its own. */
	for (int i = 0; i < 10; i++)
		QUIET(write(pair[0], "abcde", 5) == 5);
	CHECK(recv(pair[0], buffer, 50, MSG_WAITALL) == 50 && !memcmp(buffer + 45, "abcde", 5));
	memcpy(buffer, "xyz", 3);
	memcpy(more, "123", 3);
	v[1].iov_len = 3;
	CHECK(sendmsg(pair[0], &m, 0) == 6);
	memset(buffer, 0, 3);
	CHECK(recvmsg(pair[0], &m, MSG_WAITALL) == 6 && !memcmp(buffer, "xyz", 3));
	CHECK(shutdown(pair[0], SHUT_WR) == 0);
	CHECK(recv(pair[0], buffer, 64, MSG_WAITALL) == 0);
	CHECK_ERRNO(EPIPE, send(pair[0], "x", 1, MSG_NOSIGNAL));
	join(t);
	close(pair[0]);
	close(pair[1]);
}

static void *send_datagrams(void *arg)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = loopback(*(int *)arg);
	struct iovec v[3] = {{"one", 3}, {"three", 5}, {"seventh", 7}};
	struct mmsghdr m[3] = {{{0}, 0}};
	for (int i = 0; i < 3; i++) {
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_name = &to;
		m[i].msg_hdr.msg_namelen = sizeof(to);
	}
	QUIET(sendto(fd, "first", 5, 0, (void *)&to, sizeof(to)) == 5);
	QUIET(sendmmsg(fd, m, 3, 0) == 3);
	QUIET(m[1].msg_len == 5);
	close(fd);
	return NULL;
}

static void udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), port;
	struct sockaddr_in in = loopback(0), from;
	socklen_t len = sizeof(from);
	char buffer[3][64];
	struct iovec v[3] = {{buffer[0], 64}, {buffer[1], 64}, {buffer[2], 4}};
	struct mmsghdr m[3] = {{{0}, 0}};
	struct timespec limit = {.tv_sec = 20};
	printf("-- udp\n");
	MUST(bind(fd, (void *)&in, sizeof(in)) == 0);
	port = bound_port(fd);
	pthread_t t = spawn(send_datagrams, &port);
	CHECK(recvfrom(fd, buffer, 64, 0, (void *)&from, &len) == 5);
	CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && len == sizeof(from));
	join(t); /* all four were sent, so all three are queued */
	for (int i = 0; i < 3; i++) {
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	CHECK(recvmmsg(fd, m, 3, 0, &limit) == 3);
	CHECK(m[0].msg_len == 3 && m[1].msg_len == 5 && m[2].msg_len == 4);
	CHECK(m[2].msg_hdr.msg_flags & MSG_TRUNC);
	CHECK_ERRNO(EAGAIN, recvmmsg(fd, m, 3, MSG_DONTWAIT, NULL));
	CHECK_ERRNO(EDESTADDRREQ, send(fd, "x", 1, 0));
	CHECK_ERRNO(ENOTCONN, shutdown(fd, SHUT_RD));
	close(fd);
}

static void *send_fd(void *arg)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {"f", 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int end[2];
	MUST(pipe(end) == 0 && write(end[1], "through", 7) == 7);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &end[0], sizeof(int));
	QUIET(sendmsg(*(int *)arg, &m, 0) == 1);
	close(end[0]);
	close(end[1]);
	return NULL;
}

static void unix_sockets(void)
{
	int pair[2], received = -1;
	char byte, control[CMSG_SPACE(sizeof(int))], text[16];
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	printf("-- unix\n");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	pthread_t t = spawn(send_fd, &pair[1]);
	CHECK(recvmsg(pair[0], &m, MSG_CMSG_CLOEXEC) == 1);
	join(t);
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	CHECK(fcntl(received, F_GETFD) == FD_CLOEXEC);
	CHECK(read(received, text, 16) == 7 && !memcmp(text, "through", 7));
	close(received);
	close(pair[0]);
	close(pair[1]);
	/* Packets keep their borders. */
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	t = spawn(echo, &pair[1]);
	CHECK(send(pair[0], "12", 2, 0) == 2 && send(pair[0], "3456", 4, 0) == 4);
	CHECK(recv(pair[0], text, 16, 0) == 2 && recv(pair[0], text, 16, 0) == 4);
	shutdown(pair[0], SHUT_WR);
	join(t);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	int pair[2];
	become_threaded();
	tcp_pair(pair);
	stream("tcp", pair);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	stream("unix stream", pair);
	udp();
	unix_sockets();
	CHECK_ERRNO(EBADF, recv(-1, &pair, 1, 0));
	MUST(pipe(pair) == 0);
	CHECK_ERRNO(ENOTSOCK, recv(pair[0], &pair, 1, 0));
	CHECK_ERRNO(ENOTSOCK, send(pair[1], &pair, 1, 0));
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_ERRNO(ENOTCONN, recv(pair[0], &pair, 1, 0));
	return check_done();
}
