/* Sleeping: every call sleeps at least as long as asked, and refuses what it must refuse. */
#include "check.h"

static int slept(clockid_t clock, int64_t start, int ms)
{
	return now_ns(clock) - start >= ms * 1000000L;
}

static void *all_calls(void *arg)
{
	struct timespec ts = timespec_of_ns(20000000), past, bad = {.tv_nsec = 1000000000};
	struct timespec negative = {.tv_sec = -1}, rest = {.tv_sec = 77};
	int64_t start = now_ns(CLOCK_MONOTONIC);

	CHECK(nanosleep(&ts, &rest) == 0 && slept(CLOCK_MONOTONIC, start, 20));
	CHECK(rest.tv_sec == 77); /* written only when interrupted */
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(usleep(20000) == 0 && slept(CLOCK_MONOTONIC, start, 20));
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) == 0 &&
	      slept(CLOCK_MONOTONIC, start, 20));
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(clock_nanosleep(CLOCK_REALTIME, 0, &ts, NULL) == 0 &&
	      slept(CLOCK_MONOTONIC, start, 20));
	ts = deadline_ms(CLOCK_MONOTONIC, 20);
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == 0);
	CHECK(now_ns(CLOCK_MONOTONIC) >= ts.tv_sec * 1000000000L + ts.tv_nsec);
	ts = deadline_ms(CLOCK_REALTIME, 20);
	CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL) == 0);
	CHECK(now_ns(CLOCK_REALTIME) >= ts.tv_sec * 1000000000L + ts.tv_nsec);
	past = deadline_ms(CLOCK_MONOTONIC, -1000);
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL) == 0);
	CHECK(nanosleep(&(struct timespec){0, 0}, NULL) == 0);
	CHECK(sleep(0) == 0 && usleep(0) == 0);

	CHECK_ERRNO(EINVAL, nanosleep(&bad, NULL));
	CHECK_ERRNO(EINVAL, nanosleep(&negative, NULL));
	/* clock_nanosleep returns the error and leaves errno alone. */
	errno = 0;
	CHECK_RC(EINVAL, clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL));
	CHECK_RC(EINVAL, clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL));
	CHECK_RC(EINVAL, clock_nanosleep(1234, 0, &ts, NULL));
	CHECK(errno == 0);
	return NULL;
}

int main(void)
{
	struct timespec cpu_start, cpu_end;
	printf("-- thread\n");
	join(spawn(all_calls, NULL));
	printf("-- main\n");
	all_calls(NULL);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK(sleep(1) == 0 && slept(CLOCK_MONOTONIC, start, 1000));

	/* Sleeping costs no processor time of the thread. */
	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_start) == 0);
	sleep_ms(100);
	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_end) == 0);
	CHECK((cpu_end.tv_sec - cpu_start.tv_sec) * 1000000000L + cpu_end.tv_nsec -
		  cpu_start.tv_nsec <
	      90000000);
	return check_done();
}
