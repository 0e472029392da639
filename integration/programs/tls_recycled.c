/* A thread that gets a used stack and thread block sees none of what the one before left there, and
 * nothing is left behind for ever: memory stays flat over many threads that use malloc, stdio, a
 * locale, the resolver, keys; joined ones and detached ones.  argv[1]: how many. */
#include "check.h"
#include <ctype.h>
#include <dlfcn.h>
#include <locale.h>
#include <netdb.h>
#include <resolv.h>

enum { KEYS = 200 };
static pthread_key_t keys[KEYS];
static locale_t other;
static __thread int initialised = 42;
static __thread char zeroed[5000];
static long ended;

static void *leaves_traces(void *arg)
{
	char text[100];
	errno = ENOTTY;
	h_errno = TRY_AGAIN;
	initialised = 1;
	memset(zeroed, 1, sizeof(zeroed));
	uselocale(other);
	dlopen("/no/such/library.so", RTLD_NOW);
	for (int i = 0; i < KEYS; i += 7)
		pthread_setspecific(keys[i], malloc(32));
	res_init();
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	free(malloc((size_t)(100 + (long)(intptr_t)arg % 3000)));
	snprintf(text, sizeof(text), "%f %s %p", 1.5, strerror(12345), arg);
	__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *finds_none(void *arg)
{
	int state, type;
	QUIET(errno == 0);
	QUIET(h_errno == 0);
	QUIET(initialised == 42);
	for (size_t i = 0; i < sizeof(zeroed); i++)
		if (zeroed[i]) {
			QUIET(!"zeroed");
			break;
		}
	QUIET(uselocale(NULL) == LC_GLOBAL_LOCALE);
	QUIET(isalpha('x') && !isalpha('1'));
	QUIET(dlerror() == NULL);
	for (int i = 0; i < KEYS; i++)
		QUIET(pthread_getspecific(keys[i]) == NULL);
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	QUIET(type == PTHREAD_CANCEL_DEFERRED && state == PTHREAD_CANCEL_ENABLE);
	return arg;
}

static long resident_kb(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	MUST(f && fscanf(f, "%*d %ld", &pages) == 1);
	fclose(f);
	return pages * 4;
}

static void many(long n, int detached)
{
	pthread_attr_t attr;
	pthread_t t[50];
	long at[4], quarter = 0; /* memory after each quarter */

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, detached);
	ended = 0;
	for (long i = 0; i < n; i += 50) {
		for (int k = 0; k < 50; k++)
			MUST(pthread_create(&t[k], &attr, leaves_traces, (void *)(i + k)) == 0);
		for (int k = 0; k < 50 && detached == PTHREAD_CREATE_JOINABLE; k++)
			join(t[k]);
		while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) < i + 50)
			sched_yield();
		if (quarter < 4 && i + 50 >= n / 4 * (quarter + 1))
			at[quarter++] = resident_kb();
	}
	/* What is lost per thread is lost in each quarter; more threads at a time than before, on a
	 * loaded machine, cost once. */
	long least = at[1] - at[0];
	for (int q = 2; q < 4; q++)
		if (at[q] - at[q - 1] < least)
			least = at[q] - at[q - 1];
	printf("%s: %s\n", detached == PTHREAD_CREATE_JOINABLE ? "joined" : "detached",
	       3 * least < 300 ? "flat" : "FAIL");
	if (3 * least >= 300)
		fprintf(stderr, "grown by %ld, %ld and %ld KB\n", at[1] - at[0], at[2] - at[1],
			at[3] - at[2]);
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 10000;
	for (int i = 0; i < KEYS; i++)
		MUST(pthread_key_create(&keys[i], free) == 0);
	other = newlocale(LC_ALL_MASK, "C", NULL);
	for (int i = 0; i < 100; i++) {
		join(spawn(leaves_traces, NULL));
		join(spawn(finds_none, NULL));
	}
	many(n / 50 * 50 + 50, PTHREAD_CREATE_JOINABLE);
	many(n / 50 * 50 + 50, PTHREAD_CREATE_DETACHED);
	return check_done();
}
