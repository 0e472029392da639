/* Eight megabytes through small buffers to slow readers: every byte in order, one write call. */
#include "check.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SIZE (8 << 20)
static char *data;

struct stream {
	int in, out, how;
};

static void *writer(void *arg)
{
	struct stream *s = arg;
	struct iovec v[4];
	for (int i = 0; i < 4; i++)
		v[i] = (struct iovec){data + i * (SIZE / 4), SIZE / 4};
	/* A blocking write of a stream returns only when everything was taken. */
	ssize_t n = s->how == 0	  ? write(s->out, data, SIZE)
		    : s->how == 1 ? send(s->out, data, SIZE, 0)
				  : writev(s->out, v, 4);
	QUIET(n == SIZE);
	close(s->out);
	return NULL;
}

static void *reader(void *arg)
{
	struct stream *s = arg;
	char piece[10007];
	size_t at = 0;
	ssize_t n;
	for (int reads = 0; (n = read(s->in, piece, sizeof(piece))) > 0; reads++) {
		QUIET(at + n <= SIZE && !memcmp(piece, data + at, n));
		at += n;
		if (reads % 100 == 0)
			sched_yield(); /* slow: let the buffer fill */
	}
	QUIET(n == 0);
	return (void *)at;
}

int main(void)
{
	struct stream s[6];
	pthread_t readers[6], writers[6];
	int fd[2], small = 8192;
	data = malloc(SIZE);
	for (uint32_t i = 0, x = 1; i < SIZE; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (char)(x >> 24);
	}
	for (int i = 0; i < 6; i++) {
		if (i % 3 == 1) {
			MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
			setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		} else {
			MUST(pipe(fd) == 0);
			fcntl(fd[1], F_SETPIPE_SZ, 4096);
		}
		s[i] = (struct stream){fd[0], fd[1], i % 3};
		readers[i] = spawn(reader, &s[i]);
		writers[i] = spawn(writer, &s[i]);
	}
	for (int i = 0; i < 6; i++) {
		join(writers[i]);
		CHECK(join(readers[i]) == (void *)SIZE);
	}
	return check_done();
}
