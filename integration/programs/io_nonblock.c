/* Descriptors the program itself made non-blocking answer EAGAIN at once, however the flag got
 * there; and the flag reads back as it was set. */
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static int listener, port;

static void *connect_one(void *arg)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	QUIET(connect(fd, (void *)&in, sizeof(in)) == 0);
	return (void *)(intptr_t)fd;
}

int main(void)
{
	int fd[2], on = 1, off = 0, error = -1;
	char byte;
	uint64_t number;
	socklen_t len;
	struct sockaddr_in in = {.sin_family = AF_INET};

	become_threaded();
	MUST(pipe(fd) == 0);
	CHECK(fcntl(fd[0], F_SETFL, O_NONBLOCK) == 0);
	CHECK(fcntl(fd[0], F_GETFL) == O_NONBLOCK);
	CHECK_ERRNO(EAGAIN, read(fd[0], &byte, 1));
	CHECK(fcntl(fd[0], F_SETFL, 0) == 0 && fcntl(fd[0], F_GETFL) == 0);
	CHECK(ioctl(fd[0], FIONBIO, &on) == 0 && fcntl(fd[0], F_GETFL) == O_NONBLOCK);
	CHECK_ERRNO(EAGAIN, read(fd[0], &byte, 1));
	CHECK(ioctl(fd[0], FIONBIO, &off) == 0 && fcntl(fd[0], F_GETFL) == 0);
	CHECK(fcntl(fd[1], F_SETFL, O_NONBLOCK) == 0);
	long filled = 0;
	while (write(fd[1], "0123456789abcdef", 16) == 16)
		filled += 16;
	CHECK(errno == EAGAIN);
	printf("pipe holds %ld\n", filled);

	MUST(pipe2(fd, O_NONBLOCK) == 0);
	CHECK_ERRNO(EAGAIN, read(fd[0], &byte, 1));
	/* A duplicate shares the flag; setting it through one shows on the other. */
	int copy = dup(fd[0]);
	CHECK_ERRNO(EAGAIN, read(copy, &byte, 1));
	CHECK(fcntl(copy, F_SETFL, 0) == 0 && fcntl(fd[0], F_GETFL) == 0);

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	CHECK_ERRNO(EAGAIN, read(fd[0], &byte, 1));
	CHECK_ERRNO(EAGAIN, recv(fd[0], &byte, 1, 0));
	CHECK_ERRNO(EAGAIN, recv(fd[0], &byte, 1, MSG_WAITALL));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	CHECK_ERRNO(EAGAIN, recv(fd[0], &byte, 1, MSG_DONTWAIT));
	CHECK(fcntl(fd[0], F_GETFL) == O_RDWR);
	int evt = eventfd(0, EFD_NONBLOCK), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	CHECK_ERRNO(EAGAIN, read(evt, &number, 8));
	CHECK_ERRNO(EAGAIN, read(timer, &number, 8));

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	MUST(bind(listener, (void *)&in, sizeof(in)) == 0 && listen(listener, 5) == 0);
	len = sizeof(in);
	MUST(getsockname(listener, (void *)&in, &len) == 0);
	port = ntohs(in.sin_port);
	CHECK_ERRNO(EAGAIN, accept(listener, NULL, NULL));
	CHECK_ERRNO(EAGAIN, accept4(listener, NULL, NULL, SOCK_NONBLOCK));
	int client = (int)(intptr_t)join(spawn(connect_one, NULL));
	struct pollfd p = {.fd = listener, .events = POLLIN};
	CHECK(poll(&p, 1, -1) == 1);
	int served = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	CHECK(served >= 0 && fcntl(served, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK_ERRNO(EAGAIN, read(served, &byte, 1));
	CHECK(fcntl(client, F_GETFL) == O_RDWR);

	/* A non-blocking connect is in progress, or done at once; the result is in SO_ERROR. */
	int connecting = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int rc = connect(connecting, (void *)&in, sizeof(in));
	CHECK(rc == 0 || errno == EINPROGRESS);
	p.fd = connecting;
	p.events = POLLOUT;
	CHECK(poll(&p, 1, -1) == 1);
	len = sizeof(error);
	CHECK(getsockopt(connecting, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0);
	return check_done();
}
