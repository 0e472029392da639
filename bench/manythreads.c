// How many threads can one process hold, and what do creating, waking and joining them cost?
//
//   manythreads N [STACK_BYTES]
//
// Creates N pthreads, parks all of them on one condition variable, looks at the process while they
// are parked, broadcasts, joins them all. Prints one JSON object. Where pthread_create fails, says
// how many threads there are and goes on with these. Knows nothing of greenhook.
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER;	  // main to threads: leave
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; // threads to main: parked or awake moved
// All under lock. expected is the count that main waits for; only the thread that reaches it
// signals.
static long parked, awake, expected;
static int released;

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *park(void *arg)
{
	pthread_mutex_lock(&lock);
	if (++parked == expected)
		pthread_cond_signal(&changed);
	while (!released)
		pthread_cond_wait(&go, &lock);
	if (++awake == expected)
		pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return arg; // handed back through pthread_join, checked there
}

static long count_tasks(void)
{
	long n = 0;
	DIR *dir = opendir("/proc/self/task");
	if (!dir)
		return -1;
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static long rss_kib(void)
{
	char line[256];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

// Waits until *count reaches n. The lock is held on entry and on return.
static void wait_for_locked(long *count, long n)
{
	expected = n;
	while (*count < n)
		pthread_cond_wait(&changed, &lock);
	expected = 0;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 0;
	size_t stack_bytes = argc > 2 ? strtoul(argv[2], NULL, 0) : 64 * 1024;
	if (n <= 0) {
		fprintf(stderr, "usage: manythreads N [STACK_BYTES]\n");
		return 2;
	}
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	int err = pthread_attr_setstacksize(&attr, stack_bytes);
	if (err) {
		fprintf(stderr, "manythreads: stack of %zu bytes: %s\n", stack_bytes,
			strerror(err));
		return 2;
	}
	pthread_t *threads = calloc((size_t)n, sizeof *threads);
	if (!threads) {
		perror("manythreads");
		return 1;
	}

	double start = now();
	long created = 0;
	while (created < n) {
		err =
		    pthread_create(&threads[created], &attr, park, (void *)(intptr_t)(created + 1));
		if (err) {
			fprintf(stderr, "manythreads: stopped at %ld of %ld threads: %s\n", created,
				n, strerror(err));
			break;
		}
		created++;
	}
	double create_s = now() - start;

	pthread_mutex_lock(&lock);
	wait_for_locked(&parked, created);
	double parked_s = now() - start;
	// Measured with the lock held: nobody can leave while we look.
	long tasks = count_tasks(), kib = rss_kib();
	start = now();
	released = 1;
	pthread_cond_broadcast(&go);
	wait_for_locked(&awake, created);
	pthread_mutex_unlock(&lock);
	double wake_s = now() - start;

	start = now();
	long wrong = 0;
	for (long i = 0; i < created; i++) {
		void *result = NULL;
		wrong += pthread_join(threads[i], &result) != 0 || (intptr_t)result != i + 1;
	}
	double join_s = now() - start;

	printf("{\"asked\": %ld, \"created\": %ld, \"stack_bytes\": %zu, \"kernel_threads\": %ld, "
	       "\"rss_kib\": %ld, "
	       "\"create_s\": %.6f, \"parked_s\": %.6f, \"wake_s\": %.6f, \"join_s\": %.6f, "
	       "\"errors\": %ld}\n",
	       n, created, stack_bytes, tasks, kib, create_s, parked_s, wake_s, join_s, wrong);
	free(threads);
	return wrong != 0;
}
