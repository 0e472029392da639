/* SO_RCVTIMEO and SO_SNDTIMEO: EAGAIN after the time and not before, data in time is delivered. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static int pair[2];

static void *send_later(void *arg)
{
	sleep_ms(20);
	QUIET(send(pair[1], "x", 1, 0) == 1);
	return NULL;
}

static int not_before_50_ms(int64_t start)
{
	return now_ns(CLOCK_MONOTONIC) - start >= 48000000; /* kernel timers count in ticks */
}

int main(void)
{
	struct timeval tv = {.tv_usec = 50000}, got;
	socklen_t len = sizeof(got);
	static char big[1 << 20];
	char byte;
	int64_t start;

	become_threaded();
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	CHECK(getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &got, &len) == 0 && got.tv_sec == 0);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(EAGAIN, recv(pair[0], &byte, 1, 0));
	CHECK(not_before_50_ms(start));
	start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(EAGAIN, read(pair[0], &byte, 1));
	CHECK(not_before_50_ms(start));

	tv.tv_sec = 20;
	CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	pthread_t t = spawn(send_later, NULL);
	CHECK(recv(pair[0], &byte, 1, 0) == 1);
	join(t);

	/* Sending to a peer that does not read: first what fits, then nothing. */
	start = now_ns(CLOCK_MONOTONIC);
	ssize_t n = send(pair[0], big, sizeof(big), 0);
	CHECK(n > 0 && n < (ssize_t)sizeof(big));
	CHECK(not_before_50_ms(start));
	start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(EAGAIN, send(pair[0], big, sizeof(big), 0));
	CHECK(not_before_50_ms(start));

	int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = {.sin_family = AF_INET};
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (void *)&in, sizeof(in)) == 0 && listen(listener, 5) == 0);
	tv.tv_sec = 0;
	CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(EAGAIN, accept(listener, NULL, NULL));
	CHECK(not_before_50_ms(start));
	return check_done();
}
