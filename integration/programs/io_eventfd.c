/* eventfd and timerfd: blocking reads and writes, semaphore mode, one waiter per count, timers. */
#include "check.h"
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static int evt;

static void *read_eventfd(void *arg)
{
	uint64_t n = 0;
	QUIET(read(evt, &n, 8) == 8);
	return (void *)(uintptr_t)n;
}

static void *add_max(void *arg)
{
	uint64_t n = 5;
	QUIET(write(evt, &n, 8) == 8); /* blocks until the counter was read */
	return NULL;
}

int main(void)
{
	pthread_t t[30];
	uint64_t n, sum = 0;
	struct itimerspec once = {.it_value = {.tv_nsec = 20000000}};
	struct itimerspec periodic = {.it_value = {.tv_nsec = 5000000},
				      .it_interval = {.tv_nsec = 5000000}};

	become_threaded();
	evt = eventfd(0, EFD_SEMAPHORE);
	for (int i = 0; i < 30; i++)
		t[i] = spawn(read_eventfd, NULL);
	CHECK(eventfd_write(evt, 10) == 0 && eventfd_write(evt, 20) == 0);
	for (int i = 0; i < 30; i++)
		sum += (uintptr_t)join(t[i]);
	CHECK(sum == 30);
	CHECK_ERRNO(EINVAL, read(evt, &n, 4));
	close(evt);

	evt = eventfd(3, 0);
	CHECK(read(evt, &n, 8) == 8 && n == 3);
	t[0] = spawn(read_eventfd, NULL);
	n = 7;
	CHECK(write(evt, &n, 8) == 8);
	CHECK(join(t[0]) == (void *)7);
	n = UINT64_MAX - 1;
	CHECK(write(evt, &n, 8) == 8);
	t[0] = spawn(add_max, NULL);
	CHECK(read(evt, &n, 8) == 8 && n == UINT64_MAX - 1);
	join(t[0]);
	CHECK(read(evt, &n, 8) == 8 && n == 5);
	n = UINT64_MAX;
	CHECK_ERRNO(EINVAL, write(evt, &n, 8));

	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK(timerfd_settime(timer, 0, &once, NULL) == 0);
	CHECK(read(timer, &n, 8) == 8 && n == 1);
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(timerfd_settime(timer, 0, &periodic, NULL) == 0);
	for (sum = 0; sum < 5; sum += n)
		QUIET(read(timer, &n, 8) == 8 && n >= 1);
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 25000000);
	return check_done();
}
