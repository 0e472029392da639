/* Files that may go through io_uring: the same answers as the plain calls have, whoever makes them.
 *
 * Prints nothing that depends on whether there is a ring: GREENHOOK_URING is the test's.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rc.h"

enum { BLOCK = 4096, BLOCKS = 256, TASKS = 400, ROUNDS = 12 };

static char name[64];
static int fd, direct; /* direct: by O_DIRECT where the file system has it */
static atomic_int wrong;

static char *aligned(size_t n)
{
	void *p = NULL;
	if (posix_memalign(&p, BLOCK, n))
		abort();
	return p;
}

static void stamp(char *b, unsigned number)
{
	for (unsigned i = 0; i < BLOCK / 4; i++)
		((unsigned *)b)[i] = number * 2654435761u + i;
}

static int stamped(const char *b, unsigned number)
{
	for (unsigned i = 0; i < BLOCK / 4; i++)
		if (((const unsigned *)b)[i] != number * 2654435761u + i)
			return 0;
	return 1;
}

static void make_file(void)
{
	char *b = aligned(BLOCK);
	const char *dir = getenv("TMPDIR");
	snprintf(name, sizeof(name), "%s/disk.XXXXXX", dir ? dir : "/var/tmp");
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		abort();
	for (unsigned i = 0; i < BLOCKS; i++) {
		stamp(b, i);
		if (pwrite(fd, b, BLOCK, (off_t)i * BLOCK) != BLOCK)
			abort();
	}
	if (fsync(fd))
		abort();
	direct = open(name, O_RDWR | O_CLOEXEC | O_DIRECT);
	if (direct < 0)
		direct = open(name, O_RDWR | O_CLOEXEC | O_DSYNC);
	free(b);
}

/* ---- every byte where it belongs ----------------------------------------------------------------
 */

/* Each task has a block of its own in the second half to write to; the first half only is read. */
static void *mix(void *arg)
{
	unsigned me = (unsigned)(intptr_t)arg, x = me * 2654435761u + 1;
	char *b = aligned(2 * BLOCK);
	int64_t own = (int64_t)(BLOCKS / 2 + me % (BLOCKS / 2)) * BLOCK;
	for (int i = 0; i < ROUNDS; i++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		unsigned block = x % (BLOCKS / 2);
		int f = x & 1u << 20 ? fd : direct;
		memset(b, 0, BLOCK);
		wrong +=
		    gh_pread(f, b, BLOCK, (int64_t)block * BLOCK) != BLOCK || !stamped(b, block);
		if (me < BLOCKS / 2 && i % 4 == 0) {
			stamp(b, me + (unsigned)i);
			wrong += gh_pwrite(direct, b, BLOCK, own) != BLOCK;
			stamp(b, 0);
			wrong += gh_pread(direct, b, BLOCK, own) != BLOCK ||
				 !stamped(b, me + (unsigned)i);
		}
		if (i % 8 == 3)
			wrong += gh_fsync(f) != 0;
	}
	free(b);
	return NULL;
}

static void all_together(int n)
{
	static gh_task *t[TASKS];
	wrong = 0;
	for (int i = 0; i < n; i++)
		t[i] = gh_task_spawn(mix, (void *)(intptr_t)i, NULL);
	for (int i = 0; i < n; i++)
		QRC(0, gh_task_join(t[i], NULL));
	CHECK(wrong == 0);
}

/* ---- the same answers ---------------------------------------------------------------------------
 */

static int64_t plain(int64_t r)
{
	return r < 0 ? -errno : r;
}

#define SAME(call, libc)                                                                           \
	do {                                                                                       \
		int64_t a_ = (call), b_ = plain(libc);                                             \
		char text_[100];                                                                   \
		snprintf(text_, sizeof(text_), "%lld, plain %lld", (long long)a_, (long long)b_);  \
		check_report(a_ == b_, #call " as " #libc, text_, __LINE__, 0);                    \
	} while (0)

static atomic_int limits;

static void too_big(int sig)
{
	(void)sig;
	limits++;
}

static void *answers(void *arg)
{
	char *b = aligned(2 * BLOCK);
	int ends[2], dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t end = (int64_t)BLOCKS * BLOCK;
	char *volatile nowhere = (char *)BLOCK;
	int reads = open(name, O_RDONLY | O_CLOEXEC | O_DIRECT);
	int writes = open(name, O_WRONLY | O_CLOEXEC | O_DSYNC);
	int proc = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), closed = dup(fd);

	memset(b, 1, 2 * BLOCK);
	close(closed);
	CHECK(pipe2(ends, O_CLOEXEC | O_DIRECT) == 0);
	SAME(gh_pread(closed, b, BLOCK, 0), pread(closed, b, BLOCK, 0));
	SAME(gh_pwrite(closed, b, BLOCK, 0), pwrite(closed, b, BLOCK, 0));
	SAME(gh_fsync(closed), fsync(closed));
	SAME(gh_pread(ends[0], b, BLOCK, 0), pread(ends[0], b, BLOCK, 0));
	SAME(gh_pwrite(ends[1], b, BLOCK, 0), pwrite(ends[1], b, BLOCK, 0));
	SAME(gh_fsync(ends[1]), fsync(ends[1]));
	SAME(gh_pread(dir, b, BLOCK, 0), pread(dir, b, BLOCK, 0));
	SAME(gh_fsync(dir), fsync(dir));
	SAME(gh_pread(writes, b, BLOCK, 0), pread(writes, b, BLOCK, 0));
	SAME(gh_pwrite(reads, b, BLOCK, 0), pwrite(reads, b, BLOCK, 0));
	SAME(gh_pread(reads, b + 1, BLOCK, 0), pread(reads, b + 1, BLOCK, 0));
	SAME(gh_pread(reads, b, BLOCK, 1), pread(reads, b, BLOCK, 1));
	SAME(gh_pread(direct, b, BLOCK - 1, 0), pread(direct, b, BLOCK - 1, 0));
	SAME(gh_pwrite(direct, b + 1, BLOCK, 0), pwrite(direct, b + 1, BLOCK, 0));
	SAME(gh_pread(fd, nowhere, BLOCK, 0), pread(fd, nowhere, BLOCK, 0));
	SAME(gh_pread(reads, nowhere, BLOCK, 0), pread(reads, nowhere, BLOCK, 0));
	SAME(gh_pwrite(writes, nowhere, BLOCK, 0), pwrite(writes, nowhere, BLOCK, 0));
	SAME(gh_pread(fd, b, 2 * BLOCK, end - 10), pread(fd, b, 2 * BLOCK, end - 10));
	SAME(gh_pread(fd, b, BLOCK, end), pread(fd, b, BLOCK, end));
	SAME(gh_pread(fd, b, BLOCK, INT64_MAX - BLOCK), pread(fd, b, BLOCK, INT64_MAX - BLOCK));
	SAME(gh_pread(reads, b, BLOCK, end), pread(reads, b, BLOCK, end));
	SAME(gh_pread(reads, b, 2 * BLOCK, end - BLOCK), pread(reads, b, 2 * BLOCK, end - BLOCK));
	SAME(gh_pwrite(writes, b, BLOCK, INT64_MAX - BLOCK),
	     pwrite(writes, b, BLOCK, INT64_MAX - BLOCK));
	SAME(gh_pread(fd, b, 0, 0), pread(fd, b, 0, 0));
	SAME(gh_pread(closed, b, 0, 0), pread(closed, b, 0, 0));
	SAME(gh_pread(proc, b, 4, 0), pread(proc, b, 4, 0));
	SAME(gh_fsync(proc), fsync(proc));
	SAME(gh_pread(zero, b, BLOCK, 3), pread(zero, b, BLOCK, 3));
	SAME(gh_pwrite(zero, b, BLOCK, 3), pwrite(zero, b, BLOCK, 3));
	SAME(gh_fsync(zero), fsync(zero));
	CHECK(lseek(fd, 0, SEEK_CUR) == 0); /* nobody has moved it */

	/* What is appended goes to the end, wherever it was to go. */
	char path[80];
	struct stat st;
	snprintf(path, sizeof(path), "%s.log", name);
	int log = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_DSYNC | O_CLOEXEC, 0600);
	CHECK(gh_pwrite(log, "one ", 4, 0) == 4);
	CHECK(gh_pwrite(log, "two", 3, 0) == 3);
	CHECK(gh_pread(log, b, 100, 0) == 7 && !memcmp(b, "one two", 7));
	CHECK(fstat(log, &st) == 0 && st.st_size == 7);
	close(log);

	/* A limit is told by a signal, once for each call that is beyond it. */
	struct rlimit old, small = {.rlim_cur = 2 * BLOCK, .rlim_max = RLIM_INFINITY};
	log = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DSYNC | O_CLOEXEC, 0600);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small.rlim_max = old.rlim_max;
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	limits = 0;
	CHECK(gh_pwrite(log, b, 2 * BLOCK, BLOCK) == BLOCK);
	CHECK(limits == 1); /* the rest of it was tried */
	CHECK(gh_pwrite(log, b, 1, 2 * BLOCK) == -EFBIG);
	CHECK(limits == 2);
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	close(log);
	unlink(path);
	int opened[] = {dir, reads, writes, proc, zero, ends[0], ends[1]};
	for (unsigned i = 0; i < sizeof(opened) / sizeof(*opened); i++)
		close(opened[i]);
	free(b);
	return arg;
}

/* ---- requests -----------------------------------------------------------------------------------
 */

enum { CANCELLED = 300 };
static char *buffers[CANCELLED];
static atomic_int begun, ended, odd;
static char early[CANCELLED];

/* Until it is cancelled; what was cancelled has written nothing, also not later. */
static void *read_on(void *arg)
{
	int me = (int)(intptr_t)arg;
	begun++;
	for (;;) {
		int64_t r = me % 3 ? gh_pread(direct, buffers[me], BLOCK,
					      (int64_t)(me % (BLOCKS / 2)) * BLOCK)
				   : gh_fsync(fd);
		if (r == -ECANCELED)
			break;
		odd += r != (me % 3 ? BLOCK : 0);
		memset(buffers[me], 7, BLOCK);
	}
	for (int i = 0; i < BLOCK; i++)
		early[me] |= buffers[me][i] != 7;
	ended++;
	return NULL;
}

static void requests(void)
{
	static gh_task *t[CANCELLED];
	int late = 0;
	for (int i = 0; i < CANCELLED; i++) {
		buffers[i] = aligned(BLOCK);
		memset(buffers[i], 7, BLOCK);
		t[i] = gh_task_spawn(read_on, (void *)(intptr_t)i, NULL);
		QRC(0, gh_task_set_deadline(t[i], gh_after(GH_MS(200 + i % 50))));
	}
	for (int i = 0; i < CANCELLED; i += 2) {
		if (i % 20 == 0)
			gh_sleep(GH_MS(1));
		QRC(0, gh_task_cancel(t[i]));
	}
	for (int i = 0; i < CANCELLED; i++)
		QRC(0, gh_task_join(t[i], NULL));
	CHECK(fsync(fd) == 0);
	for (int i = 0; i < CANCELLED; i++) {
		for (int j = 0; j < BLOCK; j++)
			late += buffers[i][j] != 7;
		late += early[i];
		free(buffers[i]);
	}
	CHECK(odd == 0);
	CHECK(late == 0);
	CHECK(ended == CANCELLED);
}

/* ---- handlers, children, kernel threads ---------------------------------------------------------
 */

static atomic_int handled, stop;

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

static void *until_stopped(void *arg)
{
	char *b = aligned(BLOCK);
	unsigned i = 0;
	while (!stop) {
		wrong += gh_pread(direct, b, BLOCK, (int64_t)(i % (BLOCKS / 2)) * BLOCK) != BLOCK ||
			 !stamped(b, i % (BLOCKS / 2));
		if (++i % 5 == 0)
			wrong += gh_fsync(direct) != 0;
	}
	free(b);
	return arg;
}

static void signals(void)
{
	enum { N = 20, SIGNALS = 200 };
	pthread_t t[N];
	stop = wrong = handled = 0;
	for (int i = 0; i < N; i++)
		QUIET(pthread_create(&t[i], NULL, until_stopped, NULL) == 0);
	for (int i = 0; i < SIGNALS; i++) {
		int want = handled + 1;
		QUIET(pthread_kill(t[i % N], SIGUSR1) == 0);
		while (handled < want)
			gh_sleep(GH_US(100));
	}
	stop = 1;
	for (int i = 0; i < N; i++)
		QUIET(pthread_join(t[i], NULL) == 0);
	CHECK(handled == SIGNALS);
	CHECK(wrong == 0);
}

static void children(void)
{
	enum { N = 60 };
	gh_task *t[N];
	stop = wrong = 0;
	for (int i = 0; i < N; i++)
		t[i] = gh_task_spawn(until_stopped, NULL, NULL);
	gh_sleep(GH_MS(20)); /* any number of them waits for the disk now */
	for (int i = 0; i < 3; i++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			alarm(30);
			all_together(100);
			_exit(check_failures ? 1 : 0);
		}
		CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	}
	stop = 1;
	for (int i = 0; i < N; i++)
		QRC(0, gh_task_join(t[i], NULL));
	CHECK(wrong == 0);
}

/* libc's setuid, and ours, ask each kernel thread of the process; those that the kernel has made
 * for the ring never answer. */
static void identity(void)
{
	enum { N = 60 };
	gh_task *t[N];
	stop = wrong = 0;
	for (int i = 0; i < N; i++)
		t[i] = gh_task_spawn(until_stopped, NULL, NULL);
	gh_sleep(GH_MS(20));
	CHECK(setgid(getgid()) == 0);
	stop = 1;
	for (int i = 0; i < N; i++)
		QRC(0, gh_task_join(t[i], NULL));
	CHECK(setgid(getgid()) == 0);
	CHECK(wrong == 0);
}

int main(void)
{
	struct sigaction usr1 = {.sa_handler = on_usr1, .sa_flags = SA_RESTART},
			 xfsz = {.sa_handler = too_big};
	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGXFSZ, &xfsz, NULL);
	make_file();
	mix((void *)1); /* before the runtime runs */
	CHECK(wrong == 0);
	all_together(TASKS);
	gh_task *t = gh_task_spawn(answers, NULL, NULL);
	RC(0, gh_task_join(t, NULL));
	requests();
	signals();
	children();
	identity();
	/* Descriptors are as they were: three, and two of the file. */
	CHECK(direct == fd + 1 && dup(fd) == fd + 2);
	unlink(name);
	return check_done();
}
