/* poll, ppoll, select, pselect: ready, limits, hang-up, errors, many waiters. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

static int pair[2];
static void *volatile nowhere = (void *)8; /* volatile: or the compiler warns of the bad address */

static int64_t since(int64_t start)
{
	return now_ns(CLOCK_MONOTONIC) - start;
}

static void *send_byte(void *arg)
{
	QUIET(write(pair[1], "x", 1) == 1);
	return NULL;
}

static void *poll_forever(void *arg)
{
	struct pollfd p = {.fd = *(int *)arg, .events = POLLIN};
	return (void *)(intptr_t)(poll(&p, 1, -1) * 1000 + p.revents);
}

static void polls(void)
{
	struct pollfd p[3] = {{.fd = pair[0], .events = POLLIN},
			      {.fd = -1, .events = POLLIN},
			      {.fd = pair[0], .events = POLLOUT}};
	struct timespec limit = timespec_of_ns(20000000);
	char byte;
	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK(poll(p, 1, 20) == 0 && since(start) >= 20000000);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(poll(NULL, 0, 20) == 0 && since(start) >= 20000000);
	CHECK(poll(p, 1, 0) == 0);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(ppoll(p, 1, &limit, NULL) == 0 && since(start) >= 20000000);
	CHECK(poll(p, 3, -1) == 1 && p[0].revents == 0 && p[1].revents == 0 &&
	      p[2].revents == POLLOUT);
	pthread_t t = spawn(send_byte, NULL);
	CHECK(poll(p, 1, -1) == 1 && p[0].revents == POLLIN);
	join(t);
	CHECK(poll(p, 3, 5000) == 2);
	CHECK(read(pair[0], &byte, 1) == 1);
	t = spawn(send_byte, NULL);
	CHECK(ppoll(p, 1, NULL, NULL) == 1 && p[0].revents == POLLIN);
	join(t);
	CHECK(read(pair[0], &byte, 1) == 1);

	struct pollfd bad[2] = {{.fd = 12345, .events = POLLIN}, {.fd = pair[0], .events = POLLIN}};
	CHECK(poll(bad, 2, -1) == 1 && bad[0].revents == POLLNVAL && bad[1].revents == 0);
	limit.tv_nsec = -1;
	CHECK_ERRNO(EINVAL, ppoll(p, 1, &limit, NULL));
	CHECK_ERRNO(EFAULT, poll(nowhere, 1, 0));
	int file = open("/proc/self/exe", O_RDONLY);
	struct pollfd regular = {.fd = file, .events = POLLIN | POLLOUT};
	CHECK(poll(&regular, 1, -1) == 1 && regular.revents == (POLLIN | POLLOUT));
	close(file);
}

static void selects(void)
{
	fd_set in, out;
	struct timeval tv = {.tv_usec = 20000};
	struct timespec ts = timespec_of_ns(20000000);
	int top = pair[0] + 1;
	char byte;
	FD_ZERO(&in);
	FD_SET(pair[0], &in);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK(select(top, &in, NULL, NULL, &tv) == 0 && since(start) >= 20000000);
	CHECK(!FD_ISSET(pair[0], &in));
	CHECK(tv.tv_sec == 0 && tv.tv_usec == 0); /* Linux writes the rest back */
	tv.tv_usec = 20000;
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(select(0, NULL, NULL, NULL, &tv) == 0 && since(start) >= 20000000);
	FD_SET(pair[0], &in);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(pselect(top, &in, NULL, NULL, &ts, NULL) == 0 && since(start) >= 20000000);
	FD_ZERO(&out);
	FD_SET(pair[0], &in);
	FD_SET(pair[0], &out);
	CHECK(select(top, &in, &out, NULL, NULL) == 1 && !FD_ISSET(pair[0], &in) &&
	      FD_ISSET(pair[0], &out));
	FD_SET(pair[0], &in);
	pthread_t t = spawn(send_byte, NULL);
	CHECK(select(top, &in, NULL, NULL, NULL) == 1 && FD_ISSET(pair[0], &in));
	join(t);
	CHECK(pselect(top, &in, NULL, NULL, NULL, NULL) == 1 && FD_ISSET(pair[0], &in));
	CHECK(read(pair[0], &byte, 1) == 1);
	FD_ZERO(&in);
	/* A number just closed: far above the highest ever used, the kernel ignores it instead. */
	int closed = dup(pair[0]);
	close(closed);
	FD_SET(closed, &in);
	CHECK_ERRNO(EBADF, select(closed + 1, &in, NULL, NULL, NULL));
	CHECK_ERRNO(EINVAL, select(-1, NULL, NULL, NULL, NULL));
	tv.tv_sec = -1;
	CHECK_ERRNO(EINVAL, select(top, NULL, NULL, NULL, &tv));
}

int main(void)
{
	pthread_t t[30];
	int hang[2], all = 1;
	become_threaded();
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	polls();
	selects();

	/* One hang-up wakes every thread that polls the descriptor. */
	MUST(pipe(hang) == 0);
	for (int i = 0; i < 30; i++)
		t[i] = spawn(poll_forever, &hang[0]);
	close(hang[1]);
	for (int i = 0; i < 30; i++)
		all &= (intptr_t)join(t[i]) == 1000 + POLLHUP;
	CHECK(all);

	/* So does one byte, which nobody reads. */
	for (int i = 0; i < 30; i++)
		t[i] = spawn(poll_forever, &pair[0]);
	send_byte(NULL);
	for (int i = 0; i < 30; i++)
		all &= (intptr_t)join(t[i]) == 1000 + POLLIN;
	CHECK(all);
	shutdown(pair[1], SHUT_RDWR);
	struct pollfd p = {.fd = pair[0], .events = POLLIN | POLLRDHUP};
	CHECK(poll(&p, 1, -1) == 1 && p.revents == (POLLIN | POLLRDHUP | POLLHUP));
	return check_done();
}
