/* Calls that move in pieces: what ends them in the middle, and what the next call then says. */
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { BIG = 8 << 20 };
static char *big;
static volatile int handled;

static void handler(int sig)
{
	handled++;
}

static void tcp_pair(int *pair)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(bind(listener, (void *)&in, sizeof(in)) == 0 && listen(listener, 5) == 0);
	MUST(getsockname(listener, (void *)&in, &len) == 0);
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	MUST(connect(pair[0], (void *)&in, sizeof(in)) == 0);
	MUST((pair[1] = accept(listener, NULL, NULL)) >= 0);
	close(listener);
}

struct sender {
	int fd, result, error;
	int how; /* 0: send, 1: write, 2: writev */
};

static void *send_big(void *arg)
{
	struct sender *s = arg;
	struct iovec v[3] = {{big, 100}, {big + 100, 0}, {big + 100, BIG - 100}};
	ssize_t n = s->how == 0	  ? send(s->fd, big, BIG, 0)
		    : s->how == 1 ? write(s->fd, big, BIG)
				  : writev(s->fd, v, 3);
	s->error = n < 0 ? errno : 0;
	s->result = (int)n;
	return NULL;
}

static void *recv_all(void *arg)
{
	struct sender *s = arg;
	char *room = malloc(1000);
	struct iovec v[2] = {{room, 500}, {room + 500, 500}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	ssize_t n = s->how == 0	  ? recv(s->fd, room, 1000, MSG_WAITALL)
		    : s->how == 1 ? recvmsg(s->fd, &m, MSG_WAITALL)
				  : recv(s->fd, room, 1000, MSG_WAITALL | MSG_PEEK);
	s->error = n < 0 ? errno : 0;
	s->result = (int)n;
	if (n > 0)
		QUIET(room[0] == '1' && room[n - 1] != 0);
	free(room);
	return NULL;
}

/* The sender is in its call and has filled what there is: a signal finds it there. */
static void until_full(int fd)
{
	struct pollfd f = {.fd = fd, .events = POLLOUT};
	for (int i = 0; i < 20000 && poll(&f, 1, 0) != 0; i++)
		usleep(1000);
}

/* The receiver is in its call: it took what had come. */
static void until_empty(int fd)
{
	int n = 1;
	for (int i = 0; i < 20000 && ioctl(fd, FIONREAD, &n) == 0 && n > 0; i++)
		usleep(1000);
}

static int all_there(int fd, size_t want)
{
	static char buf[100000];
	size_t sum = 0;
	for (ssize_t n; (n = read(fd, buf, sizeof(buf))) > 0; sum += (size_t)n)
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != big[sum + (size_t)i])
				return 0;
	return sum == want;
}

static void sends(const char *name, void (*make)(int *))
{
	int p[2];
	printf("-- %s\n", name);
	for (int how = 0; how < 3; how++) {
		struct sender s = {.how = how};
		if (how == 0 && !strcmp(name, "pipe"))
			continue;
		make(p);
		s.fd = p[0];
		pthread_t t = spawn(send_big, &s);
		sleep_ms(30);
		shutdown(p[1], SHUT_WR);
		char *half = malloc(BIG);
		size_t got = 0;
		while (got < BIG) {
			ssize_t n = read(p[1], half + got, 70000);
			if (n <= 0)
				break;
			got += (size_t)n;
		}
		join(t);
		CHECK(s.result == BIG && got == BIG && !memcmp(half, big, BIG));
		free(half);

		/* A handler ends it after the first piece, with SA_RESTART or not. */
		for (int restart = 0; restart < 2; restart++) {
			struct sigaction a = {.sa_handler = handler,
					      .sa_flags = restart ? SA_RESTART : 0};
			sigaction(SIGUSR1, &a, NULL);
			close(p[0]), close(p[1]);
			make(p);
			s.fd = p[0];
			handled = 0;
			t = spawn(send_big, &s);
			until_full(p[0]);
			pthread_kill(t, SIGUSR1);
			join(t);
			CHECK(handled == 1 && s.result > 0 && s.result < BIG);
			int out = s.result;
			close(p[0]);
			CHECK(all_there(p[1], (size_t)out));
		}
		close(p[1]);

		/* The other end goes: what went out is the answer, the error comes next. */
		make(p);
		s.fd = p[0];
		t = spawn(send_big, &s);
		until_full(p[0]);
		close(p[1]);
		join(t);
		CHECK(s.result > 0 && s.result < BIG);
		ssize_t next = write(p[0], "x", 1);
		printf("ok   then %s\n", next == 1 ? "fine" : strerror(errno));
		next = write(p[0], "x", 1);
		printf("ok   then %s\n", next == 1 ? "fine" : strerror(errno));
		close(p[0]);
	}
}

static void unix_pair(int *p)
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
}

static void receives(const char *name, void (*make)(int *))
{
	int p[2];
	printf("-- all of it: %s\n", name);
	/* Peeking is the kernel's own: of a Unix socket it takes what is there. */
	for (int how = 0; how < (make == unix_pair ? 2 : 3); how++) {
		struct sender s = {.how = how};
		make(p);
		s.fd = p[1];
		pthread_t t = spawn(recv_all, &s);
		for (int i = 0; i < 4; i++) {
			QUIET(send(p[0], "1234567890123456789012345678901234567890", 40, 0) == 40);
			sleep_ms(2);
		}
		memset(big, '1', 1000);
		QUIET(send(p[0], big, 840, 0) == 840);
		join(t);
		CHECK(s.result == 1000);
		close(p[0]), close(p[1]);

		make(p);
		s.fd = p[1];
		t = spawn(recv_all, &s);
		QUIET(send(p[0], "1234567890", 10, 0) == 10);
		sleep_ms(10);
		close(p[0]);
		join(t);
		CHECK(s.result == 10);
		close(p[1]);

		if (how == 2)
			continue;
		struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
		sigaction(SIGUSR1, &a, NULL);
		make(p);
		s.fd = p[1];
		t = spawn(recv_all, &s);
		QUIET(send(p[0], "1234567890", 10, 0) == 10);
		until_empty(p[1]);
		pthread_kill(t, SIGUSR1);
		join(t);
		CHECK(s.result == 10);

		struct timeval tv = {0, 30000};
		QUIET(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
		QUIET(send(p[0], "1234567890", 10, 0) == 10);
		join(spawn(recv_all, &s));
		CHECK(s.result == 10);
		join(spawn(recv_all, &s));
		CHECK(s.result == -1 && s.error == EAGAIN);
		close(p[0]), close(p[1]);
	}
}

static void pipe_pair(int *p)
{
	int q[2];
	MUST(pipe(q) == 0);
	p[0] = q[1], p[1] = q[0];
}

/* Urgent data never waits, bad addresses are refused. */
static void odd(void)
{
	int p[2], at = -1, d[2];
	char c = 0;
	void *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct msghdr m = {0};
	printf("-- odd\n");
	tcp_pair(p);
	CHECK_ERRNO(EINVAL, recv(p[1], &c, 1, MSG_OOB));
	CHECK(send(p[0], "abc", 3, MSG_OOB) == 3);
	struct pollfd f = {.fd = p[1], .events = POLLPRI};
	CHECK(poll(&f, 1, 5000) == 1 && f.revents == POLLPRI);
	CHECK(recv(p[1], &c, 1, MSG_OOB) == 1 && c == 'c');
	CHECK_ERRNO(EINVAL, recv(p[1], &c, 1, MSG_OOB));
	char text[8];
	CHECK(recv(p[1], text, 8, 0) == 2 && !memcmp(text, "ab", 2));
	CHECK(ioctl(p[1], SIOCATMARK, &at) == 0 && at == 1);
	CHECK_ERRNO(EAGAIN, recv(p[1], text, 8, MSG_ERRQUEUE));
	CHECK_ERRNO(EFAULT, sendmsg(p[0], bad, 0));
	CHECK_ERRNO(EFAULT, sendmsg(p[0], NULL, 0));
	CHECK_ERRNO(EFAULT, recvmsg(p[1], bad, 0));
	CHECK_ERRNO(EFAULT, recvmsg(p[1], bad, MSG_WAITALL));
	CHECK_ERRNO(EFAULT, send(p[0], bad, 4, 0));
	CHECK_ERRNO(EFAULT, recvmmsg(p[1], bad, 1, 0, NULL));
	CHECK_ERRNO(EFAULT, recvmmsg(p[1], bad, 1, 0, bad));
	CHECK_ERRNO(EBADF, sendmsg(-1, &m, 0));
	CHECK_ERRNO(EBADF, recv(-1, text, 1, MSG_WAITALL));
	CHECK_ERRNO(ENOTSOCK, recv(0, text, 1, 0));
	CHECK_ERRNO(ENOTSOCK, accept(0, NULL, NULL));
	CHECK_ERRNO(ENOTSOCK, connect(0, NULL, 0));
	m.msg_iovlen = 5000;
	CHECK_ERRNO(EMSGSIZE, sendmsg(p[0], &m, 0));
	CHECK_ERRNO(EPIPE, (shutdown(p[0], SHUT_WR), send(p[0], "x", 1, MSG_NOSIGNAL)));
	CHECK(recv(p[1], text, 8, MSG_WAITALL) == 0);
	/* Reset: the peer closes with data unread. */
	tcp_pair(p);
	QUIET(send(p[0], "unread", 6, 0) == 6);
	f = (struct pollfd){.fd = p[1], .events = POLLIN};
	QUIET(poll(&f, 1, 5000) == 1);
	close(p[1]);
	f = (struct pollfd){.fd = p[0], .events = POLLIN};
	CHECK(poll(&f, 1, 5000) == 1 && (f.revents & POLLERR));
	CHECK_ERRNO(ECONNRESET, recv(p[0], text, 8, 0));
	CHECK(recv(p[0], text, 8, 0) == 0);
	/* Datagrams: truncation, peeking, nothing is something. */
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, d) == 0);
	CHECK(send(d[0], "datagram", 8, 0) == 8 && send(d[0], "", 0, 0) == 0);
	CHECK(recv(d[1], text, 4, MSG_PEEK | MSG_TRUNC) == 8);
	CHECK(recv(d[1], text, 4, MSG_WAITALL) == 4 && recv(d[1], text, 4, 0) == 0);
	CHECK_ERRNO(EAGAIN, recv(d[1], text, 4, MSG_DONTWAIT));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, d) == 0);
	CHECK(send(d[0], "packet", 6, MSG_EOR) == 6 && recv(d[1], text, 3, 0) == 3);
	CHECK_ERRNO(EMSGSIZE, send(d[0], big, BIG, 0));
}

static void *everything(void *arg)
{
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < BIG; i++)
		big[i] = (char)(1 + i % 251);
	sends("pipe", pipe_pair);
	sends("unix", unix_pair);
	sends("tcp", tcp_pair);
	receives("unix", unix_pair);
	receives("tcp", tcp_pair);
	odd();
	return NULL;
}

int main(void)
{
	big = malloc(BIG);
	join(spawn(everything, NULL));
	return check_done();
}
