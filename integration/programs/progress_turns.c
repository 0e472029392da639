/* Threads that take turns, and spin with sched_yield until theirs comes: no time slice of anybody
 * may lie between two turns.  40,000 turns take a second at most; with one slice of the kernel's
 * each, a minute and more. */
#include "check.h"
#include <sched.h>

#define THREADS 16
#define ROUNDS	2500

static int turn, wrong;

static void *take_turns(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < ROUNDS; i++) {
		int mine = i * THREADS + me;
		while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
			sched_yield();
		if (__atomic_fetch_add(&turn, 1, __ATOMIC_ACQ_REL) != mine)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];

	alarm(30);
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(take_turns, (void *)(intptr_t)i);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	CHECK(turn == THREADS * ROUNDS && wrong == 0);
	return check_done();
}
