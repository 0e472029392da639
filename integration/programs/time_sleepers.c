/* A thousand threads sleep 300 ms at the same time with every kind of call: none early, and all
 * together far less than one after the other (300 s; the limit of the run sees to that). */
#include "check.h"
#include <poll.h>
#include <sys/select.h>

#define N 1000
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void *sleeper(void *arg)
{
	int64_t start = now_ns(CLOCK_MONOTONIC);
	struct timespec ts = timespec_of_ns(300000000);
	struct timeval tv = {.tv_usec = 300000};
	switch ((intptr_t)arg % 6) {
	case 0:
		nanosleep(&ts, NULL);
		break;
	case 1:
		usleep(300000);
		break;
	case 2:
		ts = deadline_ms(CLOCK_MONOTONIC, 300);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		break;
	case 3:
		poll(NULL, 0, 300);
		break;
	case 4:
		select(0, NULL, NULL, NULL, &tv);
		break;
	case 5:
		ts = deadline_ms(CLOCK_MONOTONIC, 300);
		pthread_mutex_lock(&mutex);
		while (pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &ts) == 0)
			;
		pthread_mutex_unlock(&mutex);
		break;
	}
	return (void *)(intptr_t)(now_ns(CLOCK_MONOTONIC) - start >= 300000000);
}

int main(void)
{
	static pthread_t t[N];
	int enough = 0;
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(sleeper, (void *)i);
	for (int i = 0; i < N; i++)
		enough += join(t[i]) != NULL;
	CHECK(enough == N);
	return check_done();
}
