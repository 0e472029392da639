/* Affinity: of oneself and of others, by handle, by thread id and by attribute; in force at once,
 * inherited, reported back as the kernel trims it; and what is refused. */
#include "check.h"
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>

static cpu_set_t all;
static int cpus[2]; /* the same one twice on a small machine */
static sem_t ready, go;
static int want = -1, stop;
static pid_t tid;

static cpu_set_t only(int cpu)
{
	cpu_set_t s;
	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	return s;
}

/* Spins without a call that could switch, and looks where it is. */
static void *spins(void *arg)
{
	tid = gettid();
	sem_post(&ready);
	int bad = 0;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		int w = __atomic_load_n(&want, __ATOMIC_SEQ_CST), is = sched_getcpu();
		bad += w >= 0 && is != w && __atomic_load_n(&want, __ATOMIC_SEQ_CST) == w;
	}
	return (void *)(intptr_t)bad;
}

static void *inherits(void *arg)
{
	cpu_set_t now, *set = arg;
	return (void *)(intptr_t)(sched_getaffinity(0, sizeof(now), &now) == 0 &&
				  CPU_EQUAL(&now, set));
}

static void *starts_others(void *arg)
{
	cpu_set_t one = only(cpus[1]);
	QUIET(sched_setaffinity(0, sizeof(one), &one) == 0);
	QUIET(join(spawn(inherits, &one)) == (void *)1);
	for (int i = 0; i < 20; i++) {
		QUIET(sched_getcpu() == cpus[1]);
		sched_yield();
	}
	return NULL;
}

static void *waits(void *arg)
{
	tid = gettid();
	sem_post(&ready);
	sem_wait(&go);
	QUIET(sched_getcpu() == cpus[0]);
	return NULL;
}

int main(void)
{
	cpu_set_t one, got, wide;
	pthread_t t;
	pthread_attr_t attr;
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	MUST(sched_getaffinity(0, sizeof(all), &all) == 0);
	cpus[0] = cpus[1] = -1;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all)) {
			cpus[1] = i;
			if (cpus[0] < 0)
				cpus[0] = i;
		}

	t = spawn(spins, NULL);
	sem_wait(&ready);
	for (int i = 0; i < 6; i++) {
		__atomic_store_n(&want, -1, __ATOMIC_SEQ_CST);
		one = only(cpus[i % 2]);
		QUIET((i & 2 ? pthread_setaffinity_np(t, sizeof(one), &one)
			     : sched_setaffinity(tid, sizeof(one), &one)) == 0);
		__atomic_store_n(&want, cpus[i % 2], __ATOMIC_SEQ_CST);
		sleep_ms(5);
		QUIET(pthread_getaffinity_np(t, sizeof(got), &got) == 0 && CPU_EQUAL(&got, &one));
		QUIET(sched_getaffinity(tid, sizeof(got), &got) == 0 && CPU_EQUAL(&got, &one));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	CHECK(join(t) == NULL);
	CHECK(sched_getaffinity(0, sizeof(got), &got) == 0 && CPU_EQUAL(&got, &all));

	t = spawn(waits, NULL);
	sem_wait(&ready);
	one = only(cpus[0]);
	CHECK_RC(0, pthread_setaffinity_np(t, sizeof(one), &one));
	sem_post(&go);
	join(t);
	join(spawn(starts_others, NULL));
	CHECK(join(spawn(inherits, &all)) == (void *)1);

	/* Processors that do not exist fall away. */
	memset(&wide, 0xff, sizeof(wide));
	CHECK(sched_setaffinity(0, sizeof(wide), &wide) == 0);
	CHECK(sched_getaffinity(0, sizeof(got), &got) == 0 && CPU_COUNT(&got) < CPU_SETSIZE);
	CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);

	pthread_attr_init(&attr);
	one = only(cpus[1]);
	CHECK_RC(0, pthread_attr_setaffinity_np(&attr, sizeof(one), &one));
	MUST(pthread_create(&t, &attr, inherits, &one) == 0);
	CHECK(join(t) == (void *)1);
	one = only(CPU_SETSIZE - 1);
	pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
	CHECK_RC(EINVAL, pthread_create(&t, &attr, inherits, &one));
	pthread_attr_destroy(&attr);
	CHECK(sched_getaffinity(0, sizeof(got), &got) == 0 && CPU_EQUAL(&got, &all));
	MUST(pthread_getattr_np(pthread_self(), &attr) == 0);
	CHECK(pthread_attr_getaffinity_np(&attr, sizeof(got), &got) == 0 && CPU_EQUAL(&got, &all));
	pthread_attr_destroy(&attr);

	CPU_ZERO(&one);
	CHECK_RC(EINVAL, pthread_setaffinity_np(pthread_self(), sizeof(one), &one));
	one = only(CPU_SETSIZE - 1);
	CHECK_ERRNO(EINVAL, sched_setaffinity(0, sizeof(one), &one));
	CHECK_ERRNO(EINVAL, sched_getaffinity(0, 0, &got));
	CHECK_RC(EINVAL, pthread_getaffinity_np(pthread_self(), 1, &got));
	CHECK_ERRNO(ESRCH, sched_setaffinity(4000000, sizeof(all), &all));
	CHECK_ERRNO(ESRCH, sched_getaffinity(4000000, sizeof(all), &got));
	CHECK_ERRNO(EFAULT, syscall(SYS_sched_setaffinity, 0, sizeof(all), 1));
	CHECK(syscall(SYS_sched_getaffinity, 0, sizeof(got), &got) > 0);
	CHECK(syscall(SYS_sched_getaffinity, gettid(), sizeof(got), &got) > 0);
	return check_done();
}
