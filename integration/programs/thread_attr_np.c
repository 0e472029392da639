/* Attributes that are GNU's: a new thread starts bound to the processors and with the signal mask
 * that they name, its creator stays as it was. */
#include "check.h"
#include <sched.h>
#include <signal.h>

static cpu_set_t first;
static int cpu;

static int blocked(int sig)
{
	sigset_t s;
	pthread_sigmask(SIG_BLOCK, NULL, &s);
	return sigismember(&s, sig);
}

static void *bound(void *arg)
{
	cpu_set_t now, again;
	CHECK(sched_getaffinity(0, sizeof(now), &now) == 0);
	CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(cpu, &now));
	CHECK(sched_getcpu() == cpu);
	CHECK_RC(0, pthread_getaffinity_np(pthread_self(), sizeof(again), &again));
	CHECK(CPU_EQUAL(&now, &again));
	CHECK(blocked(SIGUSR1) == 0 && blocked(SIGUSR2) == 1);
	return NULL;
}

static void *plain(void *arg)
{
	CHECK(blocked(SIGUSR1) == 1 && blocked(SIGUSR2) == 0);
	return NULL;
}

int main(void)
{
	pthread_attr_t attr;
	pthread_t t;
	cpu_set_t one, none, all;
	sigset_t mask, back;

	MUST(sched_getaffinity(0, sizeof(first), &first) == 0);
	while (!CPU_ISSET(cpu, &first))
		cpu++;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	CPU_ZERO(&none);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_attr_init(&attr);
	CHECK_RC(0, pthread_attr_setaffinity_np(&attr, sizeof(one), &one));
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	CHECK_RC(0, pthread_attr_setsigmask_np(&attr, &mask));
	CHECK_RC(0, pthread_attr_getsigmask_np(&attr, &back));
	CHECK(sigismember(&back, SIGUSR2) && !sigismember(&back, SIGUSR1));
	MUST(pthread_create(&t, &attr, bound, NULL) == 0);
	join(t);
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0 && CPU_EQUAL(&all, &first));
	CHECK(blocked(SIGUSR1) == 1 && blocked(SIGUSR2) == 0);
	join(spawn(plain, NULL));
	/* Processors that do not exist are left out. */
	memset(&all, 0xff, sizeof(all));
	CHECK_RC(0, pthread_setaffinity_np(pthread_self(), sizeof(all), &all));
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0 && CPU_EQUAL(&all, &first));
	MUST(pthread_attr_setaffinity_np(&attr, sizeof(none), &none) == 0);
	CHECK_RC(EINVAL, pthread_create(&t, &attr, check_nothing, NULL));
	pthread_attr_destroy(&attr);
	return check_done();
}
