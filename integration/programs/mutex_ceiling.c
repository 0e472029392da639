/* Mutexes with a priority ceiling: only a thread with a real-time policy at or below the ceiling
 * may lock one; kinds, contention, time limits, the ceiling changed. */
#include "check.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

static pthread_mutex_t *make(int type, int shared)
{
	static pthread_mutex_t *m;
	pthread_mutexattr_t a;
	if (!m)
		m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			 0);
	MUST(m != MAP_FAILED);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, type);
	pthread_mutexattr_setpshared(&a, shared);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_PROTECT);
	pthread_mutexattr_setprioceiling(&a, 10);
	MUST(pthread_mutex_init(m, &a) == 0);
	return m;
}

static int become(int policy, int priority)
{
	struct sched_param p = {.sched_priority = priority};
	return pthread_setschedparam(pthread_self(), policy, &p);
}

static void *refused(void *m)
{
	CHECK_RC(EINVAL, pthread_mutex_lock(m)); /* no real-time policy */
	if (become(SCHED_FIFO, 20))
		return "no rights";
	CHECK_RC(EINVAL, pthread_mutex_lock(m)); /* above the ceiling */
	return NULL;
}

static void *other(void *m)
{
	struct timespec soon = deadline_ms(CLOCK_REALTIME, 20), wrong = {1, -1};
	become(SCHED_FIFO, 3);
	CHECK_RC(EBUSY, pthread_mutex_trylock(m));
	CHECK_RC(ETIMEDOUT, pthread_mutex_timedlock(m, &soon));
	CHECK_RC(EINVAL, pthread_mutex_timedlock(m, &wrong));
	return NULL;
}

static void *lock_and_unlock(void *m)
{
	become(SCHED_RR, 10);
	for (int i = 0; i < 200; i++) {
		QUIET(pthread_mutex_lock(m) == 0);
		sched_yield();
		QUIET(pthread_mutex_unlock(m) == 0);
	}
	return NULL;
}

/* A process waits for a mutex that a thread of another one holds. */
static void *other_process(void *m)
{
	int status;
	become(SCHED_FIFO, 5);
	CHECK_RC(0, pthread_mutex_lock(m));
	pid_t pid = fork();
	if (pid == 0) {
		alarm(10);
		_exit(pthread_mutex_lock(m) == 0 && pthread_mutex_unlock(m) == 0 ? 5 : 6);
	}
	/* The word says when somebody waits; it goes to sleep right after. */
	while ((*(volatile unsigned *)m & 3) != 2)
		usleep(1000);
	usleep(20000);
	CHECK_RC(0, pthread_mutex_unlock(m));
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5);
	return NULL;
}

static void *allowed(void *m)
{
	int type = ((pthread_mutex_t *)m)->__data.__kind & 3, old = 0;

	become(SCHED_FIFO, 5);
	CHECK_RC(0, pthread_mutex_lock(m));
	if (type == PTHREAD_MUTEX_RECURSIVE) {
		CHECK_RC(0, pthread_mutex_trylock(m));
		CHECK_RC(0, pthread_mutex_unlock(m));
	} else if (type == PTHREAD_MUTEX_ERRORCHECK) {
		CHECK_RC(EDEADLK, pthread_mutex_lock(m));
	}
	join(spawn(other, m));
	CHECK_RC(EBUSY, pthread_mutex_destroy(m));
	CHECK_RC(0, pthread_mutex_unlock(m));
	if (type != PTHREAD_MUTEX_NORMAL)
		CHECK_RC(EPERM, pthread_mutex_unlock(m));
	pthread_t t[3];
	for (int i = 0; i < 3; i++)
		t[i] = spawn(lock_and_unlock, m);
	for (int i = 0; i < 3; i++)
		join(t[i]);
	CHECK_RC(0, pthread_mutex_setprioceiling(m, 4, &old));
	CHECK(old == 10);
	CHECK_RC(EINVAL, pthread_mutex_lock(m));
	CHECK_RC(0, pthread_mutex_destroy(m));
	return NULL;
}

int main(void)
{
	static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
				    PTHREAD_MUTEX_ERRORCHECK};
	alarm(30);
	for (int shared = 0; shared < 2; shared++)
		for (int i = 0; i < 3; i++) {
			pthread_mutex_t *m = make(types[i], shared);
			if (join(spawn(refused, m))) {
				puts("no right to real-time policies");
				return check_done();
			}
			if (shared)
				join(spawn(other_process, m));
			join(spawn(allowed, m));
		}
	return check_done();
}
