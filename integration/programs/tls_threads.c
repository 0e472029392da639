/* A library with thread-local data is loaded while threads exist in every state: parked, computing,
 * ended and pooled, created afterwards, cancelled; again in the child of a fork; then unloaded and
 * another copy loaded.  argv: two libraries (lib/tls_both.cc). */
#include "check.h"
#include <dlfcn.h>
#include <sys/wait.h>

enum { PARKED = 2000, AFTER = 500 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER, answered = PTHREAD_COND_INITIALIZER;
static int round_number, bad, done;
static int (*check_tls)(long, int);
static int (*with_destructor)(void);
static void (*count_in)(int *);
static int destroyed;

static void *parked(void *arg)
{
	int seen = 0;
	for (;;) {
		pthread_mutex_lock(&mutex);
		while (round_number == seen)
			pthread_cond_wait(&cond, &mutex);
		int first = round_number == 1;
		seen = round_number;
		pthread_mutex_unlock(&mutex);
		if (seen < 0)
			return arg;
		int wrong =
		    check_tls((long)(intptr_t)arg, first) + (with_destructor() != 3 + !first);
		pthread_mutex_lock(&mutex);
		bad += wrong;
		done++;
		pthread_cond_broadcast(&answered);
		pthread_mutex_unlock(&mutex);
	}
}

static void *fresh(void *arg)
{
	int wrong = check_tls((long)(intptr_t)arg, 1) + (with_destructor() != 3);
	sched_yield();
	wrong += check_tls((long)(intptr_t)arg, 0) + (with_destructor() != 4);
	__atomic_add_fetch(&bad, wrong, __ATOMIC_SEQ_CST);
	return arg;
}

/* n < 0: they end; else waits until all have looked. */
static void next_round(int n, int threads)
{
	pthread_mutex_lock(&mutex);
	round_number = n;
	done = 0;
	pthread_cond_broadcast(&cond);
	while (n > 0 && done < threads)
		pthread_cond_wait(&answered, &mutex);
	pthread_mutex_unlock(&mutex);
}

static void spawn_fresh(int n)
{
	static pthread_t t[AFTER];
	for (int i = 0; i < n; i++)
		t[i] = spawn(fresh, (void *)(intptr_t)(i + 100000));
	for (int i = 0; i < n; i++)
		join(t[i]);
}

static void *load(const char *path)
{
	void *lib = dlopen(path, RTLD_NOW);
	if (!lib)
		printf("%s\n", dlerror());
	MUST(lib);
	check_tls = (int (*)(long, int))dlsym(lib, "check_tls");
	with_destructor = (int (*)(void))dlsym(lib, "with_destructor");
	count_in = (void (*)(int *))dlsym(lib, "count_in");
	count_in(&destroyed);
	return lib;
}

static void *waits_for_child(void *arg)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) { /* loads it with pooled blocks, and makes threads before and after */
		pthread_t before[50];
		round_number = 0;
		pthread_mutex_init(&mutex, NULL);
		pthread_cond_init(&cond, NULL);
		pthread_cond_init(&answered, NULL);
		for (int i = 0; i < 50; i++)
			before[i] = spawn(parked, (void *)(intptr_t)(i + 1));
		sleep_ms(5);
		load(arg);
		next_round(1, 50);
		spawn_fresh(100);
		next_round(-1, 50);
		for (int i = 0; i < 50; i++)
			join(before[i]);
		_exit(bad != 0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	return (void *)(intptr_t)status;
}

int main(int argc, char **argv)
{
	pthread_t t[PARKED];

	MUST(argc > 2);
	for (int i = 0; i < 300; i++) /* blocks for the pool */
		join(spawn(check_nothing, NULL));
	for (int i = 0; i < PARKED; i++)
		t[i] = spawn(parked, (void *)(intptr_t)(i + 1));
	sleep_ms(20);
	CHECK(waits_for_child(argv[1]) == NULL);
	CHECK(join(spawn(waits_for_child, argv[1])) == NULL);
	void *lib = load(argv[1]);
	next_round(1, PARKED);
	spawn_fresh(AFTER);
	CHECK(bad == 0);
	next_round(2, PARKED);
	spawn_fresh(AFTER);
	next_round(-1, PARKED);
	for (int i = 0; i < PARKED; i++)
		join(t[i]);
	CHECK(bad == 0);
	CHECK(destroyed == 2 * AFTER + PARKED);
	CHECK(dlclose(lib) == 0);
	for (int i = 0; i < 10; i++) {
		lib = load(argv[2]);
		spawn_fresh(50);
		CHECK(dlclose(lib) == 0);
	}
	CHECK(bad == 0);
	return check_done();
}
