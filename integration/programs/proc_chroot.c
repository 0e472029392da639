/* A server that gives up its rights after it made threads: in a chroot without /proc, and with no
 * descriptor free. Each kernel thread must have lost them. Without root it prints the same facts.
 */
#include "check.h"
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define THREADS 12
#define NOBODY	65534

static pthread_barrier_t together;
static int kept;

static void handler(union sigval v)
{
}

static void *look(void *arg)
{
	/* All of them compute at a time, so that each has a kernel thread before the change and
	 * after it. */
	for (int round = 0; round < 2; round++) {
		struct timespec from, now;
		clock_gettime(CLOCK_MONOTONIC, &from);
		do {
			if (round && (getuid() != NOBODY || getegid() != NOBODY))
				__atomic_store_n(&kept, 1, __ATOMIC_SEQ_CST);
			clock_gettime(CLOCK_MONOTONIC, &now);
		} while ((now.tv_sec - from.tv_sec) * 1000000000L + now.tv_nsec - from.tv_nsec <
			 30000000L);
		pthread_barrier_wait(&together);
		pthread_barrier_wait(&together);
	}
	return NULL;
}

/* The status of a child that did it. */
static int child(const char *jail)
{
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		pthread_t t[THREADS];
		struct sigevent ev = {.sigev_notify = SIGEV_THREAD,
				      .sigev_notify_function = handler};
		timer_t timer;
		pthread_barrier_init(&together, NULL, THREADS + 1);
		for (int i = 0; i < THREADS; i++)
			MUST(pthread_create(&t[i], NULL, look, NULL) == 0);
		MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
		pthread_barrier_wait(&together);
		if (jail) {
			MUST(chroot(jail) == 0 && chdir("/") == 0);
		} else {
			struct rlimit few;
			getrlimit(RLIMIT_NOFILE, &few);
			few.rlim_cur = 40;
			setrlimit(RLIMIT_NOFILE, &few);
			while (dup(0) >= 0)
				;
		}
		MUST(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
		MUST(setuid(0) < 0 && errno == EPERM);
		pthread_barrier_wait(&together);
		pthread_barrier_wait(&together);
		pthread_barrier_wait(&together);
		for (int i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		_exit(kept);
	}
	int status;
	MUST(waitpid(pid, &status, 0) == pid);
	return status;
}

int main(void)
{
	char dir[] = "/tmp/jailXXXXXX";
	bool root = geteuid() == 0;
	MUST(mkdtemp(dir) != NULL);
	int jailed = root ? child(dir) : 0;
	CHECK(jailed == 0 && "rights are gone in a chroot");
	int full = root ? child(NULL) : 0;
	CHECK(full == 0 && "rights are gone with no descriptor free");
	rmdir(dir);
	return check_done();
}
