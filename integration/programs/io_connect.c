/* Connecting in every state: refused, again, in progress, shared with a child, a full queue; and
 * what a listener, a half-closed and a lingering connection do. */
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct sockaddr_in at = {.sin_family = AF_INET};
static struct sockaddr_un un = {.sun_family = AF_UNIX};
static socklen_t un_len;
static int listener, un_listener;

static int tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(fd >= 0);
	return fd;
}

static int joined(int fd)
{
	return connect(fd, (void *)&at, sizeof(at));
}

static void *un_connect(void *arg)
{
	int fd = socket(AF_UNIX, *(int *)arg, 0);
	int r = connect(fd, (void *)&un, un_len);
	QUIET(r == 0);
	return (void *)(long)fd;
}

static void states(void)
{
	struct sockaddr_in nobody = at, un_spec = {.sin_family = AF_UNSPEC};
	socklen_t n = sizeof(int);
	int error = -1;
	printf("-- states\n");
	int dead = tcp();
	nobody.sin_port = 0;
	MUST(bind(dead, (void *)&nobody, sizeof(nobody)) == 0);
	socklen_t len = sizeof(nobody);
	MUST(getsockname(dead, (void *)&nobody, &len) == 0);
	int fd = tcp();
	CHECK_ERRNO(ECONNREFUSED, connect(fd, (void *)&nobody, sizeof(nobody)));
	CHECK_ERRNO(EINVAL, connect(fd, (void *)&at, 3));
	CHECK_ERRNO(EFAULT, connect(fd, (void *)-1, sizeof(at)));
	CHECK_ERRNO(EAFNOSUPPORT, connect(tcp(), (void *)&un, sizeof(un)));
	CHECK_ERRNO(EBADF, connect(-1, (void *)&at, sizeof(at)));
	fd = tcp();
	CHECK(joined(fd) == 0);
	CHECK_ERRNO(EISCONN, joined(fd));
	CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	CHECK(connect(fd, (void *)&un_spec, sizeof(un_spec)) == 0); /* dissolves it */
	fd = tcp();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	int r = joined(fd);
	CHECK(r == 0 || errno == EINPROGRESS);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	CHECK(poll(&p, 1, 5000) == 1);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0);
	CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	CHECK_ERRNO(EAGAIN, recv(fd, &error, 1, 0));
	/* A socket that a child and a duplicate know. */
	fd = tcp();
	int twin = dup(fd);
	CHECK(joined(twin) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	fd = tcp();
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 300; i++) { /* the flag never shows here */
			if (fcntl(fd, F_GETFL) & O_NONBLOCK)
				_exit(1);
			usleep(100);
		}
		_exit(0);
	}
	int status = -1;
	usleep(5000);
	CHECK(joined(fd) == 0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK_ERRNO(EINVAL, accept(fd, NULL, NULL));
	CHECK_ERRNO(EINVAL, accept4(listener, NULL, NULL, 1 << 20));
	CHECK_ERRNO(ENOTCONN, recv(tcp(), &error, 1, 0));
	CHECK_ERRNO(ENOTCONN, shutdown(tcp(), SHUT_WR));
	CHECK_ERRNO(EOPNOTSUPP, accept(socket(AF_INET, SOCK_DGRAM, 0), NULL, NULL));
}

/* More connections than the queue takes: the others wait until somebody accepts. */
static void full_queue(int type)
{
	enum { N = 6 };
	pthread_t t[N];
	int kind = type;
	printf("-- a full queue\n");
	un_listener = socket(AF_UNIX, type, 0);
	un_len = sizeof(sa_family_t);
	MUST(bind(un_listener, (void *)&un, un_len) == 0); /* a name of the kernel's choice */
	un_len = sizeof(un);
	MUST(getsockname(un_listener, (void *)&un, &un_len) == 0 && listen(un_listener, 1) == 0);
	for (int i = 0; i < N; i++)
		t[i] = spawn(un_connect, &kind);
	sleep_ms(20);
	for (int i = 0; i < N; i++) {
		int fd = accept(un_listener, NULL, NULL);
		QUIET(fd >= 0 && write(fd, "hello", 5) == 5);
	}
	for (int i = 0; i < N; i++) {
		char buf[8];
		int fd = (int)(long)join(t[i]);
		QUIET(read(fd, buf, 8) == 5);
		close(fd);
	}
	close(un_listener);
	printf("ok   all connected\n");
}

static void *reader(void *arg)
{
	char buf[100];
	ssize_t n, sum = 0;
	while ((n = recv(*(int *)arg, buf, sizeof(buf), 0)) > 0)
		sum += n;
	return (void *)(n < 0 ? -(long)errno : sum);
}

static void *acceptor(void *arg)
{
	int r = accept(*(int *)arg, NULL, NULL);
	return (void *)(r < 0 ? -(long)errno : 1L);
}

static void ends(void)
{
	struct linger reset = {1, 0}, wait = {1, 5};
	printf("-- ends\n");
	int a = tcp(), b;
	MUST(joined(a) == 0 && (b = accept(listener, NULL, NULL)) >= 0);
	pthread_t t = spawn(reader, &b);
	CHECK(send(a, "some", 4, 0) == 4);
	CHECK(shutdown(a, SHUT_WR) == 0);
	CHECK(join(t) == (void *)4);
	t = spawn(reader, &a); /* the other half goes on */
	CHECK(send(b, "answer", 6, 0) == 6);
	CHECK(setsockopt(b, SOL_SOCKET, SO_LINGER, &wait, sizeof(wait)) == 0);
	CHECK(close(b) == 0);
	CHECK(join(t) == (void *)6);
	a = tcp();
	MUST(joined(a) == 0 && (b = accept(listener, NULL, NULL)) >= 0);
	t = spawn(reader, &b);
	sleep_ms(10);
	CHECK(setsockopt(a, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0 && close(a) == 0);
	CHECK(join(t) == (void *)-ECONNRESET);
	a = tcp();
	MUST(joined(a) == 0 && (b = accept(listener, NULL, NULL)) >= 0);
	t = spawn(reader, &b);
	sleep_ms(10);
	CHECK(shutdown(b, SHUT_RD) == 0);
	CHECK(join(t) == (void *)0);
	t = spawn(acceptor, &listener);
	sleep_ms(10);
	CHECK(shutdown(listener, SHUT_RDWR) == 0);
	CHECK(join(t) == (void *)-EINVAL);
}

static void listen_anew(void)
{
	socklen_t len = sizeof(at);
	listener = tcp();
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = 0;
	MUST(bind(listener, (void *)&at, sizeof(at)) == 0 && listen(listener, 50) == 0);
	MUST(getsockname(listener, (void *)&at, &len) == 0);
}

static void *all(void *arg)
{
	signal(SIGPIPE, SIG_IGN);
	listen_anew();
	states();
	close(listener);
	listen_anew();
	full_queue(SOCK_STREAM);
	full_queue(SOCK_SEQPACKET);
	ends();
	return NULL;
}

int main(void)
{
	join(spawn(all, NULL));
	return check_done();
}
