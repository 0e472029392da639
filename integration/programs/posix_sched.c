/* sched_* and the pthread_* functions on scheduling, as root and as an ordinary user: what is
 * granted, what is refused, what is remembered. */
#include "check.h"
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/wait.h>

static sem_t go, met;

static void *stays(void *arg)
{
	sem_post(&met);
	sem_wait(&go);
	return NULL;
}

static void table(const char *who, pthread_t t)
{
	static const int policies[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH,
				       SCHED_IDLE,  -1,		77,	  SCHED_DEADLINE};
	static const int priorities[] = {-1, 0, 1, 50, 99, 100};
	struct sched_param p;
	int policy;

	for (unsigned i = 0; i < 8; i++) {
		errno = 0;
		int max = sched_get_priority_max(policies[i]), e = errno;
		errno = 0;
		printf("%s %d: max %d (%d) min %d (%d)\n", who, policies[i], max, e,
		       sched_get_priority_min(policies[i]), errno);
		for (unsigned k = 0; k < 6; k++) {
			p.sched_priority = priorities[k];
			int r = pthread_setschedparam(t, policies[i], &p);
			QUIET(pthread_getschedparam(t, &policy, &p) == 0);
			printf("%s thread %d %d: %d, now %d %d", who, policies[i], priorities[k], r,
			       policy, p.sched_priority);
			printf(" prio %d", pthread_setschedprio(t, 7));
			QUIET(pthread_getschedparam(t, &policy, &p) == 0);
			printf(" now %d %d", policy, p.sched_priority);
			p.sched_priority = 0;
			pthread_setschedparam(t, SCHED_OTHER, &p);
			p.sched_priority = priorities[k];
			errno = 0;
			r = sched_setscheduler(0, policies[i], &p);
			printf(" self %d %d", r, errno);
			QUIET(sched_getparam(0, &p) == 0);
			printf(" now %d %d", sched_getscheduler(0), p.sched_priority);
			p.sched_priority = 3;
			errno = 0;
			r = sched_setparam(0, &p);
			printf(" param %d %d", r, errno);
			p.sched_priority = 0;
			printf(" back %d\n", sched_setscheduler(0, SCHED_OTHER, &p));
		}
	}
	fflush(stdout);
}

static void *errors(void *arg)
{
	struct sched_param p = {0};
	struct timespec ts;
	CHECK_ERRNO(ESRCH, sched_getscheduler(INT_MAX));
	CHECK_ERRNO(EINVAL, sched_getscheduler(-1));
	CHECK_ERRNO(ESRCH, sched_setscheduler(INT_MAX, SCHED_OTHER, &p));
	CHECK_ERRNO(EINVAL, sched_setscheduler(-1, SCHED_OTHER, &p));
	CHECK_ERRNO(EINVAL, sched_setscheduler(0, SCHED_OTHER, NULL));
	CHECK_ERRNO(ESRCH, sched_getparam(INT_MAX, &p));
	CHECK_ERRNO(EINVAL, sched_getparam(-1, &p));
	CHECK_ERRNO(EINVAL, sched_getparam(0, NULL));
	CHECK_ERRNO(ESRCH, sched_setparam(INT_MAX, &p));
	CHECK_ERRNO(EINVAL, sched_setparam(-1, &p));
	CHECK_ERRNO(ESRCH, sched_rr_get_interval(INT_MAX, &ts));
	CHECK_ERRNO(EINVAL, sched_rr_get_interval(-1, &ts));
	CHECK(sched_rr_get_interval(0, &ts) == 0 && sched_yield() == 0);
	CHECK(sched_getscheduler(getpid()) >= 0 && sched_getscheduler(getppid()) >= 0);
	return NULL;
}

int main(void)
{
	int status;
	sem_init(&go, 0, 0);
	sem_init(&met, 0, 0);
	pthread_t t = spawn(stays, NULL);
	sem_wait(&met);
	table("main", t);
	errors(NULL);
	join(spawn(errors, NULL));
	sem_post(&go);
	join(t);
	if (geteuid() == 0) {
		pid_t pid = fork();
		if (pid == 0) {
			t = spawn(stays, NULL);
			sem_wait(&met);
			MUST(setgid(65534) == 0 && setuid(65534) == 0);
			table("user", t);
			errors(NULL);
			sem_post(&go);
			join(t);
			_exit(check_failures != 0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	return check_done();
}
