/* libc functions with per-thread state or heavy stack use, in many threads that block in between:
 * errno, strerror, locales, qsort, regex, strtok_r, rand_r, localtime_r, getenv, malloc. */
#include "check.h"
#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <regex.h>
#include <semaphore.h>

#define N 40

static int compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	return x < y ? -1 : x > y;
}

static void *thread(void *arg)
{
	int me = (int)(intptr_t)arg, *numbers = malloc(5000 * sizeof(int));
	unsigned seed = me;
	regex_t regex;
	regmatch_t match[2];

	/* errno is ours before and after others blocked and failed. */
	errno = me + 1;
	sched_yield();
	QUIET(errno == me + 1);
	QUIET(close(-1) == -1 && errno == EBADF);
	sleep_ms(1);
	QUIET(errno == EBADF);
	errno = 1000 + me;
	sem_t sem;
	sem_init(&sem, 0, 1);
	sem_wait(&sem);
	QUIET(errno == 1000 + me); /* success leaves errno alone */

	char expected[64];
#if __GLIBC_PREREQ(2, 32)
	/* The buffer of strerror for unknown numbers belongs to the thread. */
	char *text = strerror(5000 + me);
	snprintf(expected, sizeof(expected), "Unknown error %d", 5000 + me);
	sched_yield();
	QUIET(!strcmp(text, expected));
#endif

	locale_t locale = newlocale(LC_ALL_MASK, me % 2 ? "C.UTF-8" : "C", NULL);
	MUST(locale != 0);
	QUIET(uselocale(locale) == LC_GLOBAL_LOCALE);
	sched_yield();
	QUIET(uselocale(NULL) == locale);
	QUIET(MB_CUR_MAX == (me % 2 ? 6 : 1));
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(locale);
	QUIET(isalpha('a') && !isalpha('1') && toupper('q') == 'Q');

	for (int i = 0; i < 5000; i++)
		numbers[i] = rand_r(&seed) % 100000;
	qsort(numbers, 5000, sizeof(int), compare);
	for (int i = 1; i < 5000; i++)
		QUIET(numbers[i - 1] <= numbers[i]);
	free(numbers);

	MUST(regcomp(&regex, "^thread-([0-9]+)$", REG_EXTENDED) == 0);
	snprintf(expected, sizeof(expected), "thread-%d", me);
	QUIET(regexec(&regex, expected, 2, match, 0) == 0);
	QUIET(atoi(expected + match[1].rm_so) == me);
	regfree(&regex);

	time_t when = 86400L * me;
	struct tm tm;
	gmtime_r(&when, &tm);
	QUIET(tm.tm_yday == me);
	QUIET(getenv("PATH") != NULL);
	QUIET(fabs(pow(sin(me), 2) + pow(cos(me), 2) - 1) < 1e-9);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	errno = 77;
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(thread, (void *)i);
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(errno == 77);
	return check_done();
}
