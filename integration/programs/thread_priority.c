/* Scheduling parameters by thread: what a thread sets is its own, found again by its id from
 * another thread, inherited by its threads and by a child, and what the kernel refuses is refused.
 */
#include "check.h"
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static pid_t tid;
static sem_t ready, go;

static int prio(int which, id_t who)
{
	errno = 0;
	int r = getpriority(which, who);
	return errno ? -100 : r;
}

static void *inherits(void *arg)
{
	int policy;
	struct sched_param p;
	CHECK(prio(PRIO_PROCESS, 0) == 7);
	CHECK_RC(0, pthread_getschedparam(pthread_self(), &policy, &p));
	CHECK(policy == SCHED_BATCH && p.sched_priority == 0);
	return NULL;
}

static void *thread(void *arg)
{
	struct attr a = {0};
	struct sched_param p = {0};
	struct timespec t = {-1, -1};
	int status;

	tid = gettid();
	CHECK(prio(PRIO_PROCESS, 0) == 0);
	CHECK(prio(PRIO_PROCESS, (id_t)tid) == 0);
	CHECK(sched_getscheduler(tid) == SCHED_OTHER);
	CHECK(sched_getparam(tid, &p) == 0 && p.sched_priority == 0);
	CHECK(syscall(SYS_sched_getattr, tid, &a, sizeof(a), 0) == 0);
	CHECK(a.policy == SCHED_OTHER && a.nice == 0 && a.priority == 0);
	CHECK(syscall(SYS_sched_setattr, tid, &a, 0) == 0);
	CHECK(syscall(SYS_sched_setattr, 0, &a, 0) == 0);
	CHECK(sched_rr_get_interval(tid, &t) == 0 && t.tv_nsec >= 0);

	CHECK(setpriority(PRIO_PROCESS, (id_t)tid, 5) == 0);
	CHECK(prio(PRIO_PROCESS, 0) == 5);
	CHECK(nice(2) == 7);
	CHECK(prio(PRIO_PROCESS, (id_t)tid) == 7);
	CHECK(sched_setscheduler(0, SCHED_BATCH, &p) == 0);
	CHECK(sched_getscheduler(tid) == SCHED_BATCH);
	CHECK(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) == 0);
	CHECK(a.policy == SCHED_BATCH && a.nice == 7);
	p.sched_priority = 1;
	CHECK_ERRNO(EINVAL, sched_setscheduler(0, SCHED_BATCH, &p));
	CHECK_ERRNO(EINVAL, sched_setparam(tid, &p));
	CHECK_ERRNO(EINVAL, sched_setscheduler(tid, 77, &p));
	CHECK_ERRNO(EINVAL, sched_setscheduler(tid, -1, &p));
	CHECK_ERRNO(EINVAL, syscall(SYS_sched_setattr, tid, &a, 1));
	CHECK_RC(EINVAL, pthread_setschedprio(pthread_self(), 3));
	p.sched_priority = 100;
	CHECK_ERRNO(EINVAL, sched_setscheduler(0, SCHED_FIFO, &p));
	CHECK(syscall(SYS_ioprio_set, 1, tid, 2 << 13 | 6) == 0);
	CHECK(syscall(SYS_ioprio_get, 1, 0) == (2 << 13 | 6));

	pid_t child = fork();
	if (child == 0)
		_exit(prio(PRIO_PROCESS, 0) == 7 && sched_getscheduler(0) == SCHED_BATCH);
	MUST(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	join(spawn(inherits, NULL));
	sem_post(&ready);
	sem_wait(&go);
	CHECK(prio(PRIO_PROCESS, 0) == 9);
	CHECK(nice(100) == 19);
	return NULL;
}

static void *explicit_policy(void *arg)
{
	CHECK(sched_getscheduler(0) == SCHED_OTHER);
	return NULL;
}

/* An ordinary user may lower itself only, and gets no real-time policy. */
static void *unprivileged(void *arg)
{
	struct sched_param p = {.sched_priority = 5};
	struct rlimit none = {0, 0};
	pthread_attr_t attr;
	pthread_t t;

	MUST(setrlimit(RLIMIT_NICE, &none) == 0 && setrlimit(RLIMIT_RTPRIO, &none) == 0);
	if (geteuid() == 0)
		MUST(setresuid(65534, 65534, 65534) == 0);
	CHECK(setpriority(PRIO_PROCESS, 0, 3) == 0);
	CHECK_ERRNO(EACCES, setpriority(PRIO_PROCESS, 0, 2));
	CHECK_ERRNO(EPERM, nice(-1));
	CHECK_ERRNO(EPERM, sched_setscheduler(0, SCHED_FIFO, &p));
	struct sched_param zero = {0};
	CHECK(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &zero) == 0);
	CHECK_ERRNO(EPERM, sched_setscheduler(0, SCHED_OTHER, &zero));
	CHECK(sched_getscheduler(0) == (SCHED_OTHER | SCHED_RESET_ON_FORK));
	CHECK_RC(EPERM, pthread_setschedparam(pthread_self(), SCHED_RR, &p));
	CHECK(prio(PRIO_PROCESS, 0) == 3);
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &p);
	CHECK_RC(EPERM, pthread_create(&t, &attr, check_nothing, NULL));
	return NULL;
}

int main(void)
{
	pthread_attr_t attr;
	struct sched_param p = {0};
	pthread_t t, u;
	int status;

	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	t = spawn(thread, NULL);
	sem_wait(&ready);
	CHECK(prio(PRIO_PROCESS, (id_t)tid) == 7);
	CHECK(prio(PRIO_PROCESS, 0) == 0);
	CHECK(prio(PRIO_PROCESS, (id_t)getpid()) == 0);
	CHECK(sched_getscheduler(tid) == SCHED_BATCH && sched_getscheduler(0) == SCHED_OTHER);
	CHECK(setpriority(PRIO_PROCESS, (id_t)tid, 9) == 0);
	sem_post(&go);
	join(t);
	/* Natively it may be there a moment longer than the join. */
	for (int wait = 0; wait < 2000 && getpriority(PRIO_PROCESS, (id_t)tid) != -1; wait++)
		usleep(1000);
	CHECK_ERRNO(ESRCH, setpriority(PRIO_PROCESS, (id_t)tid, 9));
	CHECK_ERRNO(ESRCH, sched_getscheduler(tid));
	CHECK_ERRNO(EINVAL, getpriority(77, 0));

	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
	MUST(sched_setscheduler(0, SCHED_BATCH, &p) == 0);
	MUST(pthread_create(&u, &attr, explicit_policy, NULL) == 0);
	join(u);
	MUST(sched_setscheduler(0, SCHED_OTHER, &p) == 0);

	pid_t child = fork();
	if (child == 0) {
		join(spawn(unprivileged, NULL));
		_exit(check_done());
	}
	MUST(waitpid(child, &status, 0) == child);
	CHECK(status == 0);
	return check_done();
}
