/* sched_getcpu answers with a processor the thread may run on, and with exactly the one the process
 * is pinned to; affinity reads back. */
#include "check.h"
#include <sched.h>

static cpu_set_t allowed;

static void *look(void *arg)
{
	unsigned cpu2;
	for (int i = 0; i < 20; i++) {
		int cpu = sched_getcpu();
		QUIET(cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed));
		QUIET(getcpu(&cpu2, NULL) == 0 && CPU_ISSET(cpu2, &allowed));
		sched_yield();
	}
	return NULL;
}

/* Pins itself to the processor in arg and has to be told so. */
static void *pinned(void *arg)
{
	int cpu = (int)(intptr_t)arg;
	cpu_set_t one, got;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	QUIET(pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0);
	QUIET(sched_getcpu() == cpu);
	QUIET(pthread_getaffinity_np(pthread_self(), sizeof(got), &got) == 0);
	QUIET(CPU_EQUAL(&one, &got));
	return NULL;
}

int main(void)
{
	pthread_t t[50];
	MUST(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
	for (int i = 0; i < 50; i++)
		t[i] = spawn(look, NULL);
	for (int i = 0; i < 50; i++)
		join(t[i]);
	CHECK(CPU_COUNT(&allowed) >= 1);
	int last = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			last = cpu;
	/* The highest processor: a zeroed answer would be another one where there are several. */
	join(spawn(pinned, (void *)(intptr_t)last));
	join(spawn(look, NULL)); /* a new thread of main's is not pinned */
	return check_done();
}
