/* How many calls per second that wait for a disk, from how many threads?  Each thread goes on for a
 * second: 4 KiB pages of one file past the cache (O_DIRECT), or a page and fsync in a file of its
 * own.
 *
 *   disk read|write|fsync THREADS      JSON: calls per second, the most kernel threads seen
 *
 * The calls are those of the native API where the library is there (greenhook run), else pread and
 * the like.
 */
#include <dlfcn.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/bench.h"

enum { PAGE = 4096, PAGES = 4096, SECOND = 1000000000 };

static int64_t (*do_pread)(int, void *, size_t, int64_t) = (void *)pread;
static int64_t (*do_pwrite)(int, const void *, size_t, int64_t) = (void *)pwrite;
static int (*do_fsync)(int) = fsync;
static pthread_barrier_t begin;
static atomic_long calls, wrong, kernel_threads;
static uint64_t end;
static char kind;
static int shared;

static int new_file(int flags)
{
	char path[] = "/var/tmp/bench-disk-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	if (fd < 0 || fcntl(fd, F_SETFL, flags)) {
		perror("disk: /var/tmp");
		exit(1);
	}
	return fd;
}

static void count_kernel_threads(void)
{
	struct stat st;
	if (stat("/proc/self/task", &st) == 0 && (long)st.st_nlink - 2 > kernel_threads)
		kernel_threads = (long)st.st_nlink - 2;
}

static void *use_disk(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, x = me * 2654435761u + 1;
	int own = kind == 'f' ? new_file(0) : -1;
	long n = 0;
	uint32_t *page = NULL;
	if (posix_memalign((void **)&page, PAGE, PAGE))
		exit(1);
	memset(page, 0, PAGE);
	pthread_barrier_wait(&begin); /* all are ready; then main says until when */
	pthread_barrier_wait(&begin);
	for (; now_ns() < end; n++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		uint32_t i = x % PAGES;
		if (kind == 'r') {
			wrong +=
			    do_pread(shared, page, PAGE, (int64_t)i * PAGE) != PAGE || page[2] != i;
		} else if (kind == 'w') {
			page[2] = i;
			wrong += do_pwrite(shared, page, PAGE, (int64_t)i * PAGE) != PAGE;
		} else {
			wrong +=
			    do_pwrite(own, page, PAGE, i % 16 * PAGE) != PAGE || do_fsync(own) != 0;
		}
		if (n % 100 == 50)
			count_kernel_threads();
	}
	calls += n;
	free(page);
	if (own >= 0)
		close(own);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned n = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
	uint32_t *page = NULL;
	pthread_t *t = calloc(n + 1, sizeof *t);
	pthread_attr_t attr;

	if (!n || !t || !strchr("rwf", *argv[1]) || posix_memalign((void **)&page, PAGE, PAGE)) {
		fputs("disk read|write|fsync THREADS\n", stderr);
		return 2;
	}
	kind = *argv[1];
	if (dlsym(RTLD_DEFAULT, "gh_pread")) {
		do_pread = (__typeof__(do_pread))dlsym(RTLD_DEFAULT, "gh_pread");
		do_pwrite = (__typeof__(do_pwrite))dlsym(RTLD_DEFAULT, "gh_pwrite");
		do_fsync = (__typeof__(do_fsync))dlsym(RTLD_DEFAULT, "gh_fsync");
	}
	raise_file_limit();
	shared = new_file(0);
	memset(page, 0, PAGE);
	for (uint32_t i = 0; i < PAGES; i++) {
		page[2] = i;
		wrong += pwrite(shared, page, PAGE, (off_t)i * PAGE) != PAGE;
	}
	if (fsync(shared) || fcntl(shared, F_SETFL, O_DIRECT)) {
		perror("disk: O_DIRECT");
		return 1;
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	pthread_barrier_init(&begin, NULL, n + 1);
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&t[i], &attr, use_disk, (void *)(uintptr_t)i)) {
			perror("disk: pthread_create");
			return 1;
		}
	pthread_barrier_wait(&begin);
	uint64_t from = now_ns();
	end = from + SECOND;
	pthread_barrier_wait(&begin);
	for (unsigned i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	printf("{\"calls_per_s\": %.0f, \"kernel_threads\": %ld, \"wrong\": %ld}\n",
	       (double)calls * 1e9 / (double)(now_ns() - from), (long)kernel_threads, (long)wrong);
	return wrong != 0;
}
