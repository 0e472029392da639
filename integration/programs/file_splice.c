/* sendfile, splice, tee and vmsplice between pipes, sockets and files, waiting and not. */
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { BIG = 1 << 20 };
static int file, p[2], q[2], s[2];
static char *data;

static void *feed_pipe(void *arg)
{
	sleep_ms(20);
	QUIET(write(p[1], "through the pipe", 16) == 16);
	return NULL;
}

static void *feed_socket(void *arg)
{
	sleep_ms(20);
	QUIET(send(s[1], "through a socket", 16, 0) == 16);
	return NULL;
}

/* Takes everything that comes, slowly at first. */
static void *drain(void *arg)
{
	int fd = *(int *)arg;
	size_t sum = 0, same = 1;
	char buf[30000];
	ssize_t n;
	sleep_ms(20);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			same &= buf[i] == data[(sum + (size_t)i) % BIG];
		sum += (size_t)n;
	}
	QUIET(n == 0 && same);
	return (void *)sum;
}

static void *all(void *arg)
{
	char buf[64] = "";
	off_t at = 0;
	pthread_t t;

	printf("-- splice\n");
	t = spawn(feed_pipe, NULL);
	CHECK(splice(p[0], NULL, q[1], NULL, 64, 0) == 16);
	join(t);
	CHECK(read(q[0], buf, 64) == 16 && !memcmp(buf, "through the pipe", 16));
	CHECK_ERRNO(EAGAIN, splice(p[0], NULL, q[1], NULL, 64, SPLICE_F_NONBLOCK));
	t = spawn(feed_socket, NULL);
	CHECK(splice(s[0], NULL, q[1], NULL, 64, 0) == 16);
	join(t);
	CHECK(splice(q[0], NULL, s[0], NULL, 64, 0) == 16);
	CHECK(recv(s[1], buf, 64, 0) == 16 && !memcmp(buf, "through a socket", 16));
	CHECK(splice(file, &at, q[1], NULL, 100, 0) == 100 && at == 100);
	CHECK(read(q[0], buf, 64) == 64 && !memcmp(buf, data, 64) && read(q[0], buf, 64) == 36);
	CHECK_ERRNO(EINVAL, splice(s[0], NULL, s[1], NULL, 10, 0));
	CHECK_ERRNO(EINVAL, splice(file, NULL, file, NULL, 10, 0));
	CHECK_ERRNO(ESPIPE, splice(p[0], &at, q[1], NULL, 10, 0));
	CHECK_ERRNO(EBADF, splice(-1, NULL, q[1], NULL, 10, 0));
	CHECK_ERRNO(EBADF, splice(p[1], NULL, q[1], NULL, 10, 0));
	CHECK_ERRNO(EINVAL, splice(p[0], NULL, p[1], NULL, 10, 0));
	CHECK(splice(p[0], NULL, q[1], NULL, 0, 0) == 0);

	printf("-- tee\n");
	t = spawn(feed_pipe, NULL);
	CHECK(tee(p[0], q[1], 64, 0) == 16);
	join(t);
	CHECK(read(p[0], buf, 64) == 16 && read(q[0], buf, 64) == 16);
	CHECK_ERRNO(EAGAIN, tee(p[0], q[1], 64, SPLICE_F_NONBLOCK));
	CHECK_ERRNO(EINVAL, tee(s[0], q[1], 64, 0));

	printf("-- vmsplice\n");
	struct iovec v = {data, 1 << 17}, in = {buf, 16};
	ssize_t put = vmsplice(p[1], &v, 1, 0);
	CHECK(put > 0);
	CHECK_ERRNO(EAGAIN, vmsplice(p[1], &v, 1, SPLICE_F_NONBLOCK));
	for (char page[4096]; put > 0; put -= 4096)
		QUIET(read(p[0], page, sizeof(page)) == 4096);
	t = spawn(feed_pipe, NULL);
	CHECK(vmsplice(p[0], &in, 1, 0) == 16 && !memcmp(buf, "through the pipe", 16));
	join(t);
	CHECK_ERRNO(EBADF, vmsplice(-1, &v, 1, 0));

	printf("-- sendfile\n");
	at = 0;
	t = spawn(drain, &s[1]);
	CHECK(sendfile(s[0], file, &at, BIG) == BIG && at == BIG);
	CHECK(sendfile(s[0], file, &at, BIG) == 0);
	at = 0;
	CHECK(sendfile(s[0], file, &at, 2 * BIG) == BIG);
	CHECK_ERRNO(EINVAL, sendfile(s[0], p[0], NULL, 10));
	CHECK_ERRNO(EBADF, sendfile(s[0], -1, NULL, 10));
	CHECK_ERRNO(EBADF, sendfile(-1, file, NULL, 10));
	shutdown(s[0], SHUT_WR);
	CHECK(join(t) == (void *)(2 * BIG));
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERRNO(EPIPE, sendfile(s[0], file, (at = 0, &at), 10));
	size_t sum = 0;
	t = spawn(drain, &q[0]);
	at = 0;
	for (ssize_t n; sum < BIG; sum += (size_t)n)
		if ((n = sendfile(q[1], file, &at, BIG - sum)) <= 0)
			break;
	CHECK(sum == BIG);
	close(q[1]);
	CHECK(join(t) == (void *)BIG);
	return NULL;
}

int main(void)
{
	char path[] = "/tmp/ghi-splice-XXXXXX";
	data = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(data != MAP_FAILED);
	for (int i = 0; i < BIG; i++)
		data[i] = (char)(i * 31 + i / 1000);
	MUST((file = mkstemp(path)) >= 0 && write(file, data, BIG) == BIG);
	unlink(path);
	MUST(pipe(p) == 0 && pipe(q) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	join(spawn(all, NULL));
	return check_done();
}
