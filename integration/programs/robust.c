/* Robust mutexes: owners that end as threads, by cancellation, as processes killed with the lock in
 * a thread's hands; what the next owner learns, makes consistent or loses; conditions with them. */
#include "check.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static pthread_mutex_t *make(int type, int shared, int protocol)
{
	pthread_mutex_t *m =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t a;
	MUST(m != MAP_FAILED);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, type);
	pthread_mutexattr_setpshared(&a, shared);
	pthread_mutexattr_setprotocol(&a, protocol);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	MUST(pthread_mutex_init(m, &a) == 0);
	pthread_mutexattr_destroy(&a);
	return m;
}

static void *lock_and_end(void *m)
{
	QUIET(pthread_mutex_lock(m) == 0);
	return NULL;
}

static void *lock_and_wait(void *m)
{
	QUIET(pthread_mutex_lock(m) == 0);
	for (;;)
		pause();
	return NULL;
}

static void *try(void *m)
{
	return (void *)(intptr_t)pthread_mutex_trylock(m);
}

static void *lock(void *m)
{
	int r = pthread_mutex_lock(m);
	if (r == EOWNERDEAD)
		pthread_mutex_unlock(m);
	return (void *)(intptr_t)r;
}

static void *unlock_foreign(void *m)
{
	return (void *)(intptr_t)pthread_mutex_unlock(m);
}

/* Several wait at a time: whoever was woken passes it on. */
static void *lock_and_pass(void *m)
{
	for (int i = 0; i < 50; i++) {
		QUIET(pthread_mutex_lock(m) == 0);
		sched_yield();
		QUIET(pthread_mutex_unlock(m) == 0);
	}
	return NULL;
}

static void crowd(pthread_mutex_t *m)
{
	pthread_t t[6];
	CHECK_RC(0, pthread_mutex_lock(m));
	for (int i = 0; i < 6; i++)
		t[i] = spawn(lock_and_pass, m);
	usleep(20000); /* most of them wait */
	CHECK_RC(0, pthread_mutex_unlock(m));
	for (int i = 0; i < 6; i++)
		join(t[i]);
}

static void threads(int type, int shared, int protocol)
{
	pthread_mutex_t *m = make(type, shared, protocol);
	struct timespec soon;
	pthread_t t;

	printf("type %d shared %d protocol %d\n", type, shared, protocol);
	join(spawn(lock_and_end, m));
	CHECK_RC(EOWNERDEAD, pthread_mutex_lock(m));
	CHECK((intptr_t)join(spawn(try, m)) == EBUSY);
	CHECK((intptr_t)join(spawn(unlock_foreign, m)) == EPERM);
	CHECK_RC(0, pthread_mutex_consistent(m));
	CHECK_RC(EINVAL, pthread_mutex_consistent(m));
	if (type == PTHREAD_MUTEX_RECURSIVE) {
		CHECK_RC(0, pthread_mutex_lock(m));
		CHECK_RC(0, pthread_mutex_unlock(m));
		CHECK((intptr_t)join(spawn(try, m)) == EBUSY);
	} else if (type == PTHREAD_MUTEX_ERRORCHECK) {
		CHECK_RC(EDEADLK, pthread_mutex_lock(m));
	} else {
		soon = deadline_ms(CLOCK_REALTIME, 20);
		CHECK_RC(ETIMEDOUT, pthread_mutex_timedlock(m, &soon));
		soon.tv_nsec = -1;
		CHECK_RC(EINVAL, pthread_mutex_timedlock(m, &soon));
	}
	CHECK_RC(0, pthread_mutex_unlock(m));
	CHECK_RC(EPERM, pthread_mutex_unlock(m));

	crowd(m);
	t = spawn(lock_and_wait, m); /* a waiter is woken by the owner's end */
	while (pthread_mutex_trylock(m) == 0) {
		pthread_mutex_unlock(m);
		sched_yield();
	}
	pthread_t waiter[2]; /* with more of them glibc 2.36 loses a wake-up */
	for (int i = 0; i < 2; i++)
		waiter[i] = spawn(lock, m);
	pthread_cancel(t);
	join(t);
	int dead = 0, lost = 0;
	for (int i = 0; i < 2; i++) {
		intptr_t r = (intptr_t)join(waiter[i]);
		dead += r == EOWNERDEAD;
		lost += r == ENOTRECOVERABLE;
	}
	CHECK(dead == 1); /* and it unlocked without making the state consistent */
	CHECK(lost == 1);
	CHECK_RC(ENOTRECOVERABLE, pthread_mutex_lock(m));
	CHECK_RC(ENOTRECOVERABLE, pthread_mutex_trylock(m));
	CHECK_RC(0, pthread_mutex_destroy(m));
	munmap(m, 4096);
}

static void *lock_and_say(void *arg)
{
	void **a = arg;
	QUIET(pthread_mutex_lock(a[0]) == 0);
	if (write(*(int *)a[1], "x", 1) != 1)
		_exit(9);
	if (*(int *)a[2] == 1)
		_exit(0);
	for (;;)
		pause();
	return NULL;
}

/* The owner is a thread of another process, which is killed or ends. */
static void processes(int how)
{
	pthread_mutex_t *m = make(PTHREAD_MUTEX_NORMAL, PTHREAD_PROCESS_SHARED, PTHREAD_PRIO_NONE);
	int p[2], st;
	char c;

	MUST(pipe(p) == 0);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		void *a[] = {m, &p[1], &how};
		pthread_mutex_t *own =
		    make(PTHREAD_MUTEX_NORMAL, PTHREAD_PROCESS_PRIVATE, PTHREAD_PRIO_NONE);
		join(spawn(lock_and_end, own));
		pthread_mutex_lock(own);
		spawn(lock_and_say, a);
		for (;;)
			pause();
	}
	MUST(read(p[0], &c, 1) == 1);
	if (how == 0)
		kill(pid, SIGKILL);
	printf("owner %s\n", how == 0 ? "is killed" : "exits");
	CHECK_RC(EOWNERDEAD, pthread_mutex_lock(m));
	CHECK_RC(0, pthread_mutex_consistent(m));
	CHECK_RC(0, pthread_mutex_unlock(m));
	CHECK_RC(0, pthread_mutex_lock(m));
	CHECK_RC(0, pthread_mutex_unlock(m));
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &st, 0) == pid);
	close(p[0]);
	close(p[1]);
	munmap(m, 4096);
}

static struct meeting {
	pthread_mutex_t *m;
	pthread_cond_t c;
	int stage, cleaned;
} * meet;

static void cleanup(void *arg)
{
	meet->cleaned = pthread_mutex_unlock(meet->m) == 0;
}

static void *cond_waiter(void *arg)
{
	volatile int r = 0;
	pthread_mutex_lock(meet->m);
	pthread_cleanup_push(cleanup, NULL);
	meet->stage = 1;
	while (meet->stage != 2 && r == 0)
		r = pthread_cond_wait(&meet->c, meet->m);
	pthread_cleanup_pop(1);
	return (void *)(intptr_t)r;
}

static void *signal_and_end(void *arg)
{
	pthread_mutex_lock(meet->m);
	meet->stage = 2;
	pthread_cond_broadcast(&meet->c);
	return NULL; /* with the mutex */
}

static void *cancel_and_end(void *waiter)
{
	pthread_mutex_lock(meet->m);
	pthread_cancel(*(pthread_t *)waiter);
	return NULL; /* with the mutex */
}

static void wait_for_stage(int stage)
{
	int now;
	do {
		pthread_mutex_lock(meet->m);
		now = meet->stage;
		pthread_mutex_unlock(meet->m);
		sched_yield();
	} while (now != stage);
}

static void conditions(int shared)
{
	pthread_condattr_t a;
	struct timespec at;
	pthread_t t;

	printf("condition, shared %d\n", shared);
	meet = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	meet->m = make(PTHREAD_MUTEX_ERRORCHECK, shared, PTHREAD_PRIO_NONE);
	pthread_condattr_init(&a);
	pthread_condattr_setpshared(&a, shared);
	MUST(pthread_cond_init(&meet->c, &a) == 0);
	t = spawn(cond_waiter, NULL);
	wait_for_stage(1);
	join(spawn(signal_and_end, NULL));
	CHECK((intptr_t)join(t) == EOWNERDEAD);
	CHECK_RC(ENOTRECOVERABLE, pthread_mutex_lock(meet->m));

	meet->m = make(PTHREAD_MUTEX_ERRORCHECK, shared, PTHREAD_PRIO_NONE);
	meet->stage = 0;
	at = deadline_ms(CLOCK_REALTIME, 10);
	CHECK_RC(EPERM, pthread_cond_timedwait(&meet->c, meet->m, &at));
	pthread_mutex_lock(meet->m);
	CHECK_RC(ETIMEDOUT, pthread_cond_timedwait(&meet->c, meet->m, &at));
	CHECK_RC(EDEADLK, pthread_mutex_lock(meet->m));
	CHECK_RC(0, pthread_mutex_unlock(meet->m));
	t = spawn(cond_waiter, NULL);
	wait_for_stage(1);
	pthread_cancel(t);
	CHECK(join(t) == PTHREAD_CANCELED);
	CHECK(meet->cleaned);
	CHECK_RC(0, pthread_mutex_trylock(meet->m));
	CHECK_RC(0, pthread_mutex_unlock(meet->m));

	/* A cancelled waiter gets the mutex of a dead owner: its handlers run all the same. */
	meet->stage = meet->cleaned = 0;
	t = spawn(cond_waiter, NULL);
	wait_for_stage(1);
	join(spawn(cancel_and_end, &t));
	CHECK(join(t) == PTHREAD_CANCELED);
	CHECK(meet->cleaned);
	CHECK_RC(ENOTRECOVERABLE, pthread_mutex_lock(meet->m));
}

int main(void)
{
	alarm(50);
	for (int shared = 0; shared < 2; shared++) {
		threads(PTHREAD_MUTEX_NORMAL, shared, PTHREAD_PRIO_NONE);
		threads(PTHREAD_MUTEX_RECURSIVE, shared, PTHREAD_PRIO_NONE);
		threads(PTHREAD_MUTEX_ERRORCHECK, shared, PTHREAD_PRIO_INHERIT);
		conditions(shared);
	}
	for (int how = 0; how < 2; how++)
		processes(how);
	return check_done();
}
