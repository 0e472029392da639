/* Fifty threads in libc's own sleep, usleep and thrd_sleep, called by the addresses in libc so that
 * no replacement of the names is in between. */
#include "libc_threads.h"
#include <dlfcn.h>
#include <threads.h>

#define N 50
static unsigned (*libc_sleep)(unsigned);
static int (*libc_usleep)(useconds_t);
static int (*libc_thrd_sleep)(const struct timespec *, struct timespec *);
static int (*libc_nanosleep)(const struct timespec *, struct timespec *);

static void *sleeper(void *arg)
{
	struct timespec one = {1, 0};
	count_me();
	switch ((intptr_t)arg % 4) {
	case 0:
		QUIET(libc_sleep(1) == 0);
		break;
	case 1:
		QUIET(libc_usleep(999999) == 0);
		break;
	case 2:
		QUIET(libc_thrd_sleep(&one, NULL) == 0);
		break;
	default:
		QUIET(libc_nanosleep(&one, NULL) == 0);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	MUST(libc != NULL);
	*(void **)&libc_sleep = dlsym(libc, "sleep");
	*(void **)&libc_usleep = dlsym(libc, "usleep");
	*(void **)&libc_thrd_sleep = dlsym(libc, "thrd_sleep");
	*(void **)&libc_nanosleep = dlsym(libc, "nanosleep");
	MUST(libc_sleep && libc_usleep && libc_thrd_sleep && libc_nanosleep);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(sleeper, (void *)i);
	wait_counted(N);
	tell_kernel_threads();
	for (int i = 0; i < N; i++)
		join(t[i]);
	int64_t took = now_ns(CLOCK_MONOTONIC) - start;
	CHECK(took >= 999000000);
	CHECK(took < 5000000000);
	struct timespec bad = {0, 1000000000};
	CHECK_ERRNO(EINVAL, libc_nanosleep(&bad, NULL));
	CHECK(libc_thrd_sleep(&bad, NULL) < -1);
	return check_done();
}
