/* Reading and writing files at an offset, in every spelling, with the kernel's errors. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* Not known to the compiler, which would refuse them. */
static volatile int negative = -1, too_many = IOV_MAX + 1;

static void *everything(void *arg)
{
	char path[] = "/tmp/ghi-file-XXXXXX", buf[64] = "";
	int fd = mkstemp(path), p[2];
	char *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(fd >= 0 && bad != MAP_FAILED && pipe(p) == 0);
	struct iovec out[2] = {{"abc", 3}, {"defg", 4}}, in[2] = {{buf, 2}, {buf + 2, 60}};
	struct iovec wild = {bad, 4};

	CHECK(pwrite(fd, "0123456789", 10, 0) == 10);
	CHECK(pread(fd, buf, 4, 3) == 4 && !memcmp(buf, "3456", 4));
	CHECK(pread64(fd, buf, 64, 8) == 2 && !memcmp(buf, "89", 2));
	CHECK(pread(fd, buf, 64, 10) == 0);
	CHECK(pwritev(fd, out, 2, 10) == 7);
	CHECK(preadv(fd, in, 2, 9) == 8 && !memcmp(buf, "9abcdefg", 8));
	CHECK(pwritev2(fd, out, 1, 1, 0) == 3);
	CHECK(preadv2(fd, in, 1, 1, 0) == 2 && !memcmp(buf, "ab", 2));
	CHECK(lseek(fd, 0, SEEK_CUR) == 0);
	CHECK(preadv2(fd, in, 2, -1, 0) == 17);
	CHECK(lseek(fd, 0, SEEK_CUR) == 17);
	CHECK(pwritev2(fd, out, 2, -1, 0) == 7);
	CHECK(lseek(fd, 0, SEEK_CUR) == 24);
	CHECK(pwritev2(fd, out, 1, 0, RWF_APPEND) == 3);
	CHECK(lseek(fd, 0, SEEK_END) == 27);

	printf("-- errors\n");
	CHECK_ERRNO(EBADF, pread(-1, buf, 1, 0));
	CHECK_ERRNO(EBADF, pwrite(999, buf, 1, 0));
	CHECK_ERRNO(EBADF, preadv(999, in, 1, 0));
	CHECK_ERRNO(EINVAL, pread(fd, buf, 1, -1));
	CHECK_ERRNO(EINVAL, preadv(fd, in, negative, 0));
	CHECK_ERRNO(EINVAL, readv(fd, in, too_many));
	CHECK_ERRNO(EFAULT, pread(fd, bad, 4, 0));
	CHECK_ERRNO(EFAULT, readv(p[0], (struct iovec *)bad, 1));
	CHECK_ERRNO(EFAULT, writev(p[1], (struct iovec *)bad, 1));
	CHECK_ERRNO(EFAULT, writev(p[1], &wild, 1));
	CHECK_ERRNO(EFAULT, preadv(fd, (struct iovec *)bad, 1, 0));
	CHECK_ERRNO(ESPIPE, pread(p[0], buf, 1, 0));
	CHECK_ERRNO(ESPIPE, pwrite(p[1], buf, 1, 0));
	CHECK_ERRNO(ESPIPE, preadv2(p[0], in, 1, 0, 0));
	CHECK_ERRNO(EBADF, read(p[1], buf, 1));
	CHECK_ERRNO(EBADF, write(p[0], buf, 1));
	CHECK_ERRNO(EOPNOTSUPP, preadv2(fd, in, 1, 0, 1 << 20));
	CHECK(pread(fd, buf, 0, 0) == 0 && read(p[0], buf, 0) == 0 && write(p[1], buf, 0) == 0);
	CHECK(readv(p[0], in, 0) == 0);
	/* A vector of nothing takes nothing and does not wait. */
	struct iovec nothing[2] = {{buf, 0}, {NULL, 0}};
	CHECK(readv(p[0], nothing, 2) == 0 && writev(p[1], nothing, 2) == 0);
	CHECK_ERRNO(EAGAIN, preadv2(p[0], in, 1, -1, RWF_NOWAIT));

	printf("-- flushing\n");
	CHECK(fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0);
	CHECK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) == 0);
	sync();
	CHECK_ERRNO(EINVAL, fsync(p[0]));
	CHECK_ERRNO(EBADF, fdatasync(-1));
	CHECK_ERRNO(ESPIPE, sync_file_range(p[0], 0, 0, SYNC_FILE_RANGE_WRITE));
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(map != MAP_FAILED);
	map[0] = 'Z';
	CHECK(msync(map, 4096, MS_SYNC) == 0);
	CHECK_ERRNO(EINVAL, msync(map + 1, 1, MS_SYNC));
	CHECK(pread(fd, buf, 1, 0) == 1 && buf[0] == 'Z');
	CHECK_RC(0, posix_fallocate(fd, 0, 10000));
	CHECK_RC(EINVAL, posix_fallocate(fd, -1, 1));
	CHECK_RC(ESPIPE, posix_fallocate(p[1], 0, 1));
	CHECK(fallocate(fd, 0, 0, 20000) == 0 && lseek(fd, 0, SEEK_END) == 20000);

	printf("-- others\n");
	struct statfs sf;
	CHECK(statfs("/", &sf) == 0 && fstatfs(fd, &sf) == 0);
	CHECK_ERRNO(ENOENT, statfs("/nowhere", &sf));
	CHECK_ERRNO(EBADF, fstatfs(-1, &sf));
	int dir = open("/", O_RDONLY | O_DIRECTORY);
	char entries[1024];
	CHECK(getdents64(dir, entries, sizeof(entries)) > 0);
	CHECK_ERRNO(ENOTDIR, getdents64(fd, entries, sizeof(entries)));
	CHECK_ERRNO(ENOENT, open("/nowhere", O_RDONLY));
	CHECK_ERRNO(EISDIR, open("/", O_WRONLY));
	CHECK_ERRNO(EFAULT, open(bad, O_RDONLY));
	int direct = open(path, O_RDONLY | O_DIRECT), other = open(path, O_RDWR);
	void *page;
	MUST(posix_memalign(&page, 4096, 4096) == 0);
	CHECK(direct < 0 || (read(direct, page, 4096) == 4096 && ((char *)page)[0] == 'Z'));
	off_t from = 0, to = 20000;
	CHECK(copy_file_range(fd, &from, other, &to, 100, 0) == 100 && from == 100 && to == 20100);
	CHECK_ERRNO(EBADF, copy_file_range(-1, NULL, fd, NULL, 1, 0));
	CHECK(lockf(fd, F_TEST, 0) == 0 && lockf(fd, F_LOCK, 0) == 0 && lockf(fd, F_ULOCK, 0) == 0);
	CHECK_ERRNO(EBADF, lockf(-1, F_LOCK, 0));
	CHECK_ERRNO(EINVAL, lockf(fd, 99, 0));
	CHECK_ERRNO(EBADF, flock(-1, LOCK_EX));
	CHECK_ERRNO(EINVAL, flock(fd, 0));
	CHECK(flock(fd, LOCK_EX) == 0);
	CHECK_ERRNO(EWOULDBLOCK, flock(other, LOCK_EX | LOCK_NB));
	CHECK(flock(fd, LOCK_UN) == 0 && flock(other, LOCK_SH) == 0 && flock(fd, LOCK_SH) == 0);
	unlink(path);
	return NULL;
}

int main(void)
{
	join(spawn(everything, NULL));
	return check_done();
}
