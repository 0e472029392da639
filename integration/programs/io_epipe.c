/* Broken pipes: the signal, its handler, EPIPE when it is ignored or suppressed, ECONNRESET; and
 * with argument "die", death by SIGPIPE from a thread. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

static int broken[2];
static volatile sig_atomic_t signals;

static void on_pipe(int number)
{
	signals++;
}

static void *write_broken(void *arg)
{
	CHECK_ERRNO(EPIPE, write(broken[1], "x", 1));
	return NULL;
}

static int fill;
static void *write_until_broken(void *arg)
{
	static char big[4 << 20];
	int fd = *(int *)arg;
	ssize_t n = write(fd, big, sizeof(big)); /* blocks: the reader closes meanwhile */
	QUIET(n < (ssize_t)sizeof(big));
	if (n >= 0)
		n = write(fd, big, 1);
	return (void *)(intptr_t)(n == -1 && errno == EPIPE);
}

int main(int argc, char **argv)
{
	char byte;
	become_threaded();
	MUST(pipe(broken) == 0);
	close(broken[0]);
	if (argc > 1) {
		join(spawn(write_broken, NULL));
		return 0;
	}
	signal(SIGPIPE, on_pipe);
	join(spawn(write_broken, NULL));
	CHECK(signals == 1);
	signal(SIGPIPE, SIG_IGN);
	join(spawn(write_broken, NULL));
	CHECK(signals == 1);
	signal(SIGPIPE, on_pipe);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, broken) == 0);
	close(broken[0]);
	CHECK_ERRNO(EPIPE, send(broken[1], "x", 1, MSG_NOSIGNAL));
	CHECK(signals == 1);
	CHECK_ERRNO(EPIPE, send(broken[1], "x", 1, 0));
	CHECK(signals == 2);

	/* The reader goes away while the writer is blocked in a large write. */
	signal(SIGPIPE, SIG_IGN);
	for (fill = 0; fill < 2; fill++) {
		MUST((fill ? pipe(broken) : socketpair(AF_UNIX, SOCK_STREAM, 0, broken)) == 0);
		pthread_t t = spawn(write_until_broken, &broken[1]);
		QUIET(read(broken[0], &byte, 1) == 1);
		close(broken[0]);
		CHECK(join(t) == (void *)1);
	}

	/* A reset connection: closing with unread data. */
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (void *)&in, sizeof(in)) == 0 && listen(listener, 5) == 0);
	MUST(getsockname(listener, (void *)&in, &len) == 0);
	MUST(connect(client, (void *)&in, sizeof(in)) == 0);
	int served = accept(listener, NULL, NULL);
	MUST(write(client, "unread", 6) == 6);
	CHECK(recv(served, &byte, 1, MSG_PEEK) == 1);
	close(served);
	CHECK_ERRNO(ECONNRESET, read(client, &byte, 1));
	return check_done();
}
