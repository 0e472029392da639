/* Threads spin on flags, without any call, that another thread sets after a sleep. */
#include "check.h"

static volatile int plain;
static int flag[4];

static void *spin_plain(void *arg)
{
	while (!plain)
		;
	return NULL;
}

static void *spin_chain(void *arg)
{
	int me = (int)(intptr_t)arg;
	while (!__atomic_load_n(&flag[me], __ATOMIC_ACQUIRE))
		;
	if (me + 1 < 4)
		__atomic_store_n(&flag[me + 1], 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *set_after_sleep(void *arg)
{
	sleep_ms(50);
	plain = 1;
	sleep_ms(10);
	__atomic_store_n(&flag[0], 1, __ATOMIC_RELEASE);
	return NULL;
}

int main(void)
{
	pthread_t spinner = spawn(spin_plain, NULL), chain[4];
	/* From the far end, so that each spinner waits for one that may start later. */
	for (intptr_t i = 3; i >= 0; i--)
		chain[i] = spawn(spin_chain, (void *)i);
	pthread_t setter = spawn(set_after_sleep, NULL);
	join(spinner);
	for (int i = 0; i < 4; i++)
		join(chain[i]);
	join(setter);
	CHECK(plain == 1);

	/* Main spins for a thread that has not even started. */
	plain = 0;
	setter = spawn(set_after_sleep, NULL);
	while (!plain)
		;
	join(setter);
	return check_done();
}
