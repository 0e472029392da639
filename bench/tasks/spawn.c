/* What does a task cost that does nothing, from its start to its end, one by one and 10,000 at
 * once?
 *
 *   spawn [WORKERS [BATCH]]
 */
#include "bench/tasks/tasks.h"

static long batch = 10000;

static void *nothing(void *arg)
{
	return arg;
}

static void one(long n)
{
	for (long i = 0; i < n; i++)
		task_join(task_start(nothing, NULL));
}

static void many(long n)
{
	task *t = (task *)malloc((size_t)batch * sizeof *t);

	must(t != NULL, "malloc");
	for (long done = 0; done < n; done += batch) {
		for (long i = 0; i < batch; i++)
			t[i] = task_start(nothing, NULL);
		for (long i = 0; i < batch; i++)
			task_join(t[i]);
	}
	free(t);
}

static void *body(void *arg)
{
	ask("spawn+join, one", one, 1000);
	ask("spawn+join, batch", many, batch);
	return arg;
}

int main(int argc, char **argv)
{
	batch = number(argc, argv, 2, batch);
	tasks_run((int)number(argc, argv, 1, 1), body, NULL);
	puts("}");
	return 0;
}
