/* Threads that wait for one thing of each kind, for `greenhook dump`; "deadlock": two that wait for
 * each other's mutex; "many N": N of them at one place; "turns", "storm": two that wake each other.
 * Ends when its stdin does. */
#include "check.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER, a = PTHREAD_MUTEX_INITIALIZER,
		       b = PTHREAD_MUTEX_INITIALIZER, cond_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t both;
static sem_t sem;
static int pipe_fd[2], listener, client;
static pthread_t sleeper;

void *waits_for_mutex(void *arg)
{
	pthread_mutex_lock(&held);
	return arg;
}

void *waits_for_rwlock(void *arg)
{
	pthread_rwlock_rdlock(&rwlock);
	return arg;
}

void *waits_for_cond(void *arg)
{
	pthread_mutex_lock(&cond_mutex);
	pthread_cond_wait(&cond, &cond_mutex);
	return arg;
}

void *waits_for_sem(void *arg)
{
	sem_wait(&sem);
	return arg;
}

void *waits_for_pipe(void *arg)
{
	char c;
	return read(pipe_fd[0], &c, 1) < 0 ? NULL : arg;
}

void *waits_in_accept(void *arg)
{
	accept(listener, NULL, NULL);
	accept(listener, NULL, NULL);
	return arg;
}

void *waits_for_peer(void *arg)
{
	char c;
	return recv(client, &c, 1, 0) < 0 ? NULL : arg;
}

void *waits_in_poll(void *arg)
{
	struct pollfd p = {.fd = pipe_fd[0], .events = POLLIN};
	poll(&p, 1, 3600 * 1000);
	return arg;
}

void *sleeps(void *arg)
{
	pthread_setname_np(pthread_self(), "a \"name\"\t\xff\n");
	sleep(3600);
	return arg;
}

void *joins(void *arg)
{
	pthread_join(sleeper, NULL);
	return arg;
}

static void *takes(pthread_mutex_t *first, pthread_mutex_t *second)
{
	pthread_mutex_lock(first);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(second);
	return NULL;
}

void *takes_a_then_b(void *arg)
{
	return takes(&a, &b);
}

void *takes_b_then_a(void *arg)
{
	return takes(&b, &a);
}

/* A ring of three kinds: joins -> rwlock -> mutex. */
static pthread_t middle;

void *waits_for_writer(void *arg)
{
	pthread_barrier_wait(&both);
	pthread_rwlock_rdlock(&rwlock);
	return arg;
}

void *joins_with_a(void *arg)
{
	pthread_mutex_lock(&a);
	pthread_barrier_wait(&both);
	pthread_join(middle, NULL);
	return arg;
}

void *writes_and_takes_a(void *arg)
{
	pthread_rwlock_wrlock(&rwlock);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(&a);
	return arg;
}

void *takes_twice(void *arg)
{
	pthread_mutex_lock(&a);
	pthread_mutex_lock(&a);
	return arg;
}

/* A mutex as a semaphore: the second lock waits for the unlock by another thread. */
void *waits_for_unlock(void *arg)
{
	takes(&a, &a);
	pthread_mutex_unlock(&a);
	return &a;
}

/* Each holds what the other wants, but not for good. */
static void *takes_for_a_while(pthread_mutex_t *first, pthread_mutex_t *second)
{
	struct timespec limit;
	pthread_mutex_lock(first);
	pthread_barrier_wait(&both);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 3;
	pthread_mutex_timedlock(second, &limit);
	pthread_mutex_unlock(first);
	return NULL;
}

void *a_while(void *arg)
{
	return takes_for_a_while(&a, &b);
}

void *b_while(void *arg)
{
	return takes_for_a_while(&b, &a);
}

/* The second closes the ring when it comes out of the kernel, after everybody has been still for
 * long. */
void *takes_a_after_a_while(void *arg)
{
	struct timespec ts = {5, 0};
	long r;
	pthread_mutex_lock(&b);
	pthread_barrier_wait(&both);
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(SYS_nanosleep), "D"(&ts), "S"(NULL)
			 : "rcx", "r11", "memory");
	pthread_mutex_lock(&a);
	return arg;
}

static void recursive(pthread_mutex_t *m)
{
	pthread_mutexattr_t kind;
	pthread_mutexattr_init(&kind);
	pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
	MUST(pthread_mutex_init(m, &kind) == 0);
}

static volatile int stop;
void *computes(void *arg)
{
	while (!stop)
		;
	return arg;
}

/* One wakes the other, and waits for it: with a short sleep now and then, or without. */
static sem_t mine, yours;
static int restless;

static void *takes_turns(sem_t *wait, sem_t *post)
{
	for (int i = 0;; i++) {
		sem_wait(wait);
		if (!restless && i % 20 == 0)
			usleep(500);
		sem_post(post);
	}
	return NULL;
}

void *first_turn(void *arg)
{
	return takes_turns(&mine, &yours);
}

void *second_turn(void *arg)
{
	return takes_turns(&yours, &mine);
}

/* In the kernel again and again, by a call that nobody sees. */
void *stays_in_the_kernel(void *arg)
{
	struct timespec ts = {.tv_nsec = 20000000};
	while (!stop) {
		long r;
		__asm__ volatile("syscall"
				 : "=a"(r)
				 : "0"(SYS_nanosleep), "D"(&ts), "S"(NULL)
				 : "rcx", "r11", "memory");
		sched_yield();
	}
	return arg;
}

static void listen_somewhere(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(in);
	MUST((listener = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	MUST(bind(listener, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(listener, 1) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&in, &n) == 0);
	MUST((client = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	MUST(connect(client, (struct sockaddr *)&in, sizeof(in)) == 0);
	printf("port %d\n", ntohs(in.sin_port));
}

static void each(void)
{
	sem_init(&sem, 0, 0);
	MUST(pipe(pipe_fd) == 0);
	listen_somewhere();
	pthread_mutex_lock(&held);
	pthread_rwlock_wrlock(&rwlock);
	sleeper = spawn(sleeps, NULL);
	void *(*all[])(void *) = {waits_for_mutex, waits_for_rwlock, waits_for_cond,
				  waits_for_sem,   waits_for_pipe,   waits_in_accept,
				  waits_for_peer,  waits_in_poll,    joins};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		spawn(all[i], NULL);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "each";
	pthread_t waits = 0;
	char c;

	if (!strcmp(what, "each")) {
		each();
	} else if (!strcmp(what, "deadlock") || !strcmp(what, "recursive")) {
		if (!strcmp(what, "recursive")) {
			recursive(&a);
			recursive(&b);
		}
		pthread_barrier_init(&both, NULL, 2);
		spawn(takes_a_then_b, NULL);
		spawn(takes_b_then_a, NULL);
	} else if (!strcmp(what, "late")) {
		pthread_barrier_init(&both, NULL, 2);
		spawn(takes_a_then_b, NULL);
		spawn(takes_a_after_a_while, NULL);
	} else if (!strcmp(what, "ring")) {
		pthread_barrier_init(&both, NULL, 3);
		middle = spawn(waits_for_writer, NULL);
		spawn(joins_with_a, NULL);
		spawn(writes_and_takes_a, NULL);
	} else if (!strcmp(what, "main")) {
		pthread_barrier_init(&both, NULL, 2);
		middle = pthread_self();
		spawn(sleeps, NULL); /* or all would be found waiting */
		spawn(joins_with_a, NULL);
		pthread_barrier_wait(&both);
		printf("ready\n");
		fflush(stdout);
		pthread_mutex_lock(&a);
	} else if (!strcmp(what, "self")) {
		spawn(takes_twice, NULL);
	} else if (!strcmp(what, "handed")) {
		pthread_barrier_init(&both, NULL, 2);
		waits = spawn(waits_for_unlock, NULL);
		pthread_barrier_wait(&both);
	} else if (!strcmp(what, "timed")) {
		pthread_barrier_init(&both, NULL, 2);
		pthread_t one = spawn(a_while, NULL), other = spawn(b_while, NULL);
		join(one);
		join(other);
	} else if (!strcmp(what, "turns") || !strcmp(what, "storm")) {
		restless = !strcmp(what, "storm");
		sem_init(&mine, 0, 1);
		sem_init(&yours, 0, 0);
		spawn(first_turn, NULL);
		spawn(second_turn, NULL);
	} else if (!strcmp(what, "kernel")) {
		spawn(stays_in_the_kernel, NULL);
	} else if (!strcmp(what, "hang")) {
		for (int i = 0; i < 3; i++)
			spawn(computes, NULL);
	} else if (!strcmp(what, "many")) {
		pthread_attr_t small;
		pthread_t t;
		sem_init(&sem, 0, 0);
		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 32768);
		for (int i = atoi(argv[2]); i > 0; i--)
			MUST(pthread_create(&t, &small, waits_for_sem, NULL) == 0);
	}
	printf("ready\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	if (waits) {
		pthread_mutex_unlock(&a);
		MUST(join(waits) == &a);
		printf("handed over\n");
		fflush(stdout);
	}
	_exit(0);
}
