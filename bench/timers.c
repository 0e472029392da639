/* How late are 100,000 timers, and what do they cost?  As many threads each sleep once, until a
 * point in time that lies 1 to 1000 ms after all of them exist.
 *
 *   timers [THREADS]      JSON: CPU ms of the sleeping part, lateness, how many came early
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "bench/bench.h"

static pthread_barrier_t begin;
static uint32_t *late_ns;
static atomic_long early;
static uint64_t zero;

static void *sleeps(void *arg)
{
	size_t i = (size_t)arg;
	pthread_barrier_wait(&begin);
	uint64_t at = zero + 1000000 * (1 + i * 7919 % 1000);
	struct timespec ts = {(time_t)(at / 1000000000), (long)(at % 1000000000)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
	uint64_t now = now_ns();
	if (now < at)
		early++;
	late_ns[i] = now < at ? 0 : now - at > UINT32_MAX ? UINT32_MAX : (uint32_t)(now - at);
	return NULL;
}

static double cpu_ms(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
	pthread_t *t = calloc(n, sizeof *t);
	pthread_attr_t attr;

	late_ns = calloc(n, sizeof *late_ns);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	if (!t || !late_ns || pthread_barrier_init(&begin, NULL, (unsigned)n + 1))
		return 1;
	for (size_t i = 0; i < n; i++)
		if (pthread_create(&t[i], &attr, sleeps, (void *)i)) {
			perror("timers: pthread_create");
			return 1;
		}
	double cpu = cpu_ms();
	/* Time enough for all to wake and to say what they wait for. */
	zero = now_ns() + 1000000000;
	pthread_barrier_wait(&begin);
	for (size_t i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	cpu = cpu_ms() - cpu;
	qsort(late_ns, n, sizeof *late_ns, by_value);
	printf("{\"cpu_ms\": %.0f, \"late_p50_ms\": %.3f, \"late_p99_ms\": %.3f, \"early\": %ld}\n",
	       cpu, quantile_us(late_ns, n, 0.5) / 1e3, quantile_us(late_ns, n, 0.99) / 1e3,
	       (long)early);
	return 0;
}
