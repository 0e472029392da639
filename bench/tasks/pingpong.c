/* What does one wake another for: a turn handed there and back over a mutex and two condition
 * variables?
 *
 *   pingpong [WORKERS [OTHERS]]     OTHERS tasks are parked meanwhile
 */
#include "bench/tasks/tasks.h"

static struct lock lock, gate;
static struct cond ping, pong, open_gate;
static long turns, turn, waiting;
static int open_now;

static void *plays(void *arg)
{
	long me = arg != NULL;

	lock_take(&lock);
	for (long i = 0; i < turns; i++) {
		while (turn != me)
			cond_wait(me ? &ping : &pong, &lock);
		turn = !me;
		cond_signal(me ? &pong : &ping);
	}
	lock_give(&lock);
	return arg;
}

static void run(long n)
{
	turns = n;
	task t = task_start(plays, &turns);
	plays(NULL);
	task_join(t);
}

static void *parks(void *arg)
{
	lock_take(&gate);
	waiting++;
	while (!open_now)
		cond_wait(&open_gate, &gate);
	lock_give(&gate);
	return arg;
}

static void *body(void *arg)
{
	long others = *(long *)arg;
	task *t = (task *)malloc((size_t)(others + 1) * sizeof *t);

	must(t != NULL, "malloc");
	lock_init(&lock), lock_init(&gate);
	cond_init(&ping), cond_init(&pong), cond_init(&open_gate);
	for (long i = 0; i < others; i++)
		t[i] = task_start(parks, NULL);
	while (others) {
		lock_take(&gate);
		long now = waiting;
		lock_give(&gate);
		if (now == others)
			break;
		task_yield();
	}
	ask("ping-pong, mutex + 2 conds", run, 2000);
	lock_take(&gate);
	open_now = 1;
	cond_broadcast(&open_gate);
	lock_give(&gate);
	for (long i = 0; i < others; i++)
		task_join(t[i]);
	free(t);
	return arg;
}

int main(int argc, char **argv)
{
	long others = number(argc, argv, 2, 0);

	tasks_run((int)number(argc, argv, 1, 1), body, &others);
	puts("}");
	return 0;
}
