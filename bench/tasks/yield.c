/* What does giving way cost, with 2 tasks and with 1,000 that are all ready?
 *
 *   yield [WORKERS [TASKS]]
 */
#include "bench/tasks/tasks.h"

static long tasks = 2, turns;

static void *yields(void *arg)
{
	for (long i = 0; i < turns; i++)
		task_yield();
	return arg;
}

/* n yields in all, by all tasks together; what starting them costs is a small part of it. */
static void run(long n)
{
	task *t = (task *)malloc((size_t)tasks * sizeof *t);

	must(t != NULL, "malloc");
	turns = n / tasks;
	for (long i = 0; i < tasks; i++)
		t[i] = task_start(yields, NULL);
	for (long i = 0; i < tasks; i++)
		task_join(t[i]);
	free(t);
}

static void *body(void *arg)
{
	if (arg) {
		ask("yield", run, tasks * 100);
		return arg;
	}
	ask("yield, 2 tasks", run, 20000);
	tasks = 1000;
	ask("yield, 1000 tasks", run, 300000);
	return arg;
}

int main(int argc, char **argv)
{
	if (argc > 2)
		tasks = atol(argv[2]);
	tasks_run((int)number(argc, argv, 1, 1), body, argc > 2 ? argv : NULL);
	puts("}");
	return 0;
}
