/* The read/write family: vectors, positions, partial reads, end of file, errors of each kind. */
#include "check.h"
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int pipe_fd[2];
/* volatile: or the compiler warns of the bad arguments */
static void *volatile nowhere = (void *)8;
static volatile int negative = -1, too_many = 2000;

static void *write_later(void *arg)
{
	/* Three pieces: the reader's first readv has to return the first one alone or more. */
	QUIET(write(pipe_fd[1], "abc", 3) == 3);
	struct iovec v[3] = {{"de", 2}, {"", 0}, {"fghij", 5}};
	QUIET(writev(pipe_fd[1], v, 3) == 7);
	close(pipe_fd[1]);
	return NULL;
}

static void file_calls(void)
{
	char path[] = "/tmp/check-io-XXXXXX", buffer[32] = "", left[8], right[8];
	int fd = mkstemp(path), out[2];
	struct iovec v[2] = {{left, 3}, {right, 4}};
	MUST(fd >= 0 && unlink(path) == 0);
	CHECK(write(fd, "0123456789", 10) == 10);
	CHECK(pread(fd, buffer, 4, 3) == 4 && !memcmp(buffer, "3456", 4));
	CHECK(lseek(fd, 0, SEEK_CUR) == 10);
	CHECK(pwrite(fd, "XY", 2, 1) == 2);
	CHECK(preadv(fd, v, 2, 0) == 7 && !memcmp(left, "0XY", 3) && !memcmp(right, "3456", 4));
	CHECK(pwritev(fd, v, 2, 10) == 7);
	CHECK(preadv2(fd, v, 2, 0, 0) == 7);
	CHECK(lseek(fd, 8, SEEK_SET) == 8);
	CHECK(read(fd, buffer, 32) == 9);
	CHECK(read(fd, buffer, 32) == 0);
	MUST(pipe(out) == 0);
	off_t offset = 0;
	CHECK(sendfile(out[1], fd, &offset, 5) == 5 && offset == 5);
	CHECK(read(out[0], buffer, 32) == 5 && !memcmp(buffer, "0XY34", 5));
	loff_t at = 2;
	CHECK(splice(fd, &at, out[1], NULL, 4, 0) == 4);
	CHECK(read(out[0], buffer, 32) == 4 && !memcmp(buffer, "Y345", 4));
	CHECK_ERRNO(ESPIPE, pread(out[0], buffer, 1, 0));
	CHECK_ERRNO(ESPIPE, lseek(out[0], 0, SEEK_CUR));
	CHECK(ftruncate(fd, 3) == 0 && fsync(fd) == 0 && fdatasync(fd) == 0);
	CHECK_ERRNO(EINVAL, pread(fd, buffer, 1, -1));
	close(out[0]);
	close(out[1]);
	close(fd);
}

int main(void)
{
	char a[4], b[16], all[16];
	struct iovec v[2] = {{a, 4}, {b, 16}};
	size_t have = 0;
	ssize_t n;

	become_threaded();
	MUST(pipe(pipe_fd) == 0);
	pthread_t t = spawn(write_later, NULL);
	while ((n = readv(pipe_fd[0], v, 2)) > 0)
		for (ssize_t i = 0; i < n; i++)
			all[have++] = i < 4 ? a[i] : b[i - 4];
	CHECK(n == 0);
	CHECK(have == 10 && !memcmp(all, "abcdefghij", 10));
	join(t);
	CHECK(read(pipe_fd[0], a, 4) == 0);
	CHECK(read(pipe_fd[0], a, 0) == 0);

	file_calls();

	CHECK_ERRNO(EBADF, read(-1, a, 4));
	CHECK_ERRNO(EBADF, write(12345, a, 4));
	CHECK_ERRNO(EBADF, read(pipe_fd[1], a, 4));  /* closed by the other thread */
	CHECK_ERRNO(EBADF, write(pipe_fd[0], a, 4)); /* the wrong end */
	CHECK_ERRNO(EBADF, readv(-1, v, 2));
	CHECK_ERRNO(EINVAL, readv(pipe_fd[0], v, negative));
	CHECK_ERRNO(EINVAL, writev(STDOUT_FILENO, v, too_many));
	MUST(pipe(pipe_fd) == 0);
	CHECK(write(pipe_fd[1], "x", 1) == 1);
	CHECK_ERRNO(EFAULT, read(pipe_fd[0], nowhere, 1));
	CHECK_ERRNO(EFAULT, write(pipe_fd[1], nowhere, 1));
	int dir = open("/", O_RDONLY | O_DIRECTORY);
	CHECK_ERRNO(EISDIR, read(dir, a, 4));
	CHECK_ERRNO(ENOENT, open("/no/such/file", O_RDONLY));
	CHECK_ERRNO(EBADF, close(-1));
	return check_done();
}
