/* What does a lock and its unlock cost: nobody else there, and 64 tasks that want it too?
 *
 *   mutex [WORKERS]
 */
#include "bench/tasks/tasks.h"

enum { TASKS_64 = 64 };

static struct lock lock;
static long turns, counter;

static void *locks(void *arg)
{
	for (long i = 0; i < turns; i++) {
		lock_take(&lock);
		counter++;
		lock_give(&lock);
	}
	return arg;
}

static void alone(long n)
{
	turns = n;
	locks(NULL);
}

static void contended(long n)
{
	task t[TASKS_64];

	turns = n / TASKS_64;
	counter = 0;
	for (int i = 0; i < TASKS_64; i++)
		t[i] = task_start(locks, NULL);
	for (int i = 0; i < TASKS_64; i++)
		task_join(t[i]);
	must(counter == turns * TASKS_64, "mutex: lost a count");
}

static void *body(void *arg)
{
	lock_init(&lock);
	ask("mutex, uncontended", alone, 100000);
	ask("mutex, 64 tasks", contended, 64000);
	return arg;
}

int main(int argc, char **argv)
{
	tasks_run((int)number(argc, argv, 1, 1), body, NULL);
	puts("}");
	return 0;
}
