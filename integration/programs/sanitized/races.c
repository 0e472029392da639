/* Threads that share data in every correct way, for a race detector: nothing is to be reported.
 * With the argument "race", two that do not. */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N = 16, ROUNDS = 200 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t sem;
static int to_child[2], to_parent[2];
static long by_mutex, by_cond, by_rw, by_spin, by_barrier[N], by_once, by_sem, by_pipe, by_atomic,
    by_join, unlocked;
static atomic_int ready;
static pthread_key_t key;

static void must(int r)
{
	if (r) {
		printf("error %d\n", r);
		_exit(3);
	}
}

static void init(void)
{
	by_once++;
}

static void *works(void *arg)
{
	long me = (long)arg;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&lock);
		by_mutex++;
		pthread_mutex_unlock(&lock);
		if (me & 1)
			pthread_rwlock_wrlock(&rw), by_rw++;
		else
			pthread_rwlock_rdlock(&rw), me += by_rw < 0;
		pthread_rwlock_unlock(&rw);
		pthread_spin_lock(&spin);
		by_spin++;
		pthread_spin_unlock(&spin);
		while (sem_wait(&sem))
			;
		by_sem++;
		sem_post(&sem);
	}
	pthread_once(&once, init);
	/* Turns by a condition. */
	pthread_mutex_lock(&lock);
	while (by_cond != me)
		pthread_cond_wait(&changed, &lock);
	by_cond++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 20; i++) {
		by_barrier[me]++;
		pthread_barrier_wait(&barrier);
		by_barrier[(me + 1) % N]++;
		pthread_barrier_wait(&barrier);
	}
	pthread_setspecific(key, malloc(16));
	return malloc(32);
}

static void *answers(void *arg)
{
	char c;
	while (read(to_child[0], &c, 1) == 1) {
		by_pipe++;
		if (write(to_parent[1], &c, 1) != 1)
			break;
	}
	return arg;
}

static void *publishes(void *arg)
{
	by_atomic = 42;
	atomic_store_explicit(&ready, 1, memory_order_release);
	by_join = 43;
	return arg;
}

static void *races(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		unlocked++;
		if (i % 100 == 0)
			sched_yield();
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t[N], u;
	must(pipe(to_child) || pipe(to_parent));
	if (argc > 1 && strcmp(argv[1], "race") == 0) {
		must(pthread_create(&t[0], NULL, races, NULL));
		must(pthread_create(&t[1], NULL, races, NULL));
		pthread_join(t[0], NULL);
		pthread_join(t[1], NULL);
		printf("raced\n");
		return 0;
	}
	pthread_spin_init(&spin, 0);
	pthread_barrier_init(&barrier, NULL, N);
	pthread_key_create(&key, free);
	sem_init(&sem, 0, 1);
	for (long i = 0; i < N; i++)
		must(pthread_create(&t[i], NULL, works, (void *)i));
	for (int i = 0; i < N; i++) {
		void *p;
		must(pthread_join(t[i], &p));
		free(p);
	}
	must(pthread_create(&u, NULL, answers, NULL));
	for (int i = 0; i < 50; i++) {
		char c = 'x';
		by_pipe++;
		if (write(to_child[1], &c, 1) != 1 || read(to_parent[0], &c, 1) != 1)
			break;
	}
	close(to_child[1]);
	pthread_join(u, NULL);
	must(pthread_create(&u, NULL, publishes, NULL));
	while (!atomic_load_explicit(&ready, memory_order_acquire))
		sched_yield();
	by_atomic++;
	pthread_join(u, NULL);
	by_join++;
	long barriers = 0;
	for (int i = 0; i < N; i++)
		barriers += by_barrier[i];
	printf("mutex %ld, condition %ld, rwlock %ld, spin lock %ld, barriers %ld, once %ld\n",
	       by_mutex, by_cond, by_rw, by_spin, barriers, by_once);
	printf("semaphore %ld, pipe %ld, atomic %ld, join %ld\n", by_sem, by_pipe, by_atomic,
	       by_join);
	for (int i = 0; i < 400; i++) {
		must(pthread_create(&u, NULL, publishes, NULL));
		must(pthread_join(u, NULL));
		by_join++;
	}
	printf("created and joined: %ld\n", by_join);
	return 0;
}
