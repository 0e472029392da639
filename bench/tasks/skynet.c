/* What does a tree of 100,000 tasks (or as many as asked for) cost, each node starting ten and
 * adding up what they return?
 *
 *   skynet [WORKERS [LEAVES]]     LEAVES is a power of ten
 */
#include "bench/tasks/tasks.h"

struct node {
	long number, size, sum;
};

static long leaves = 100000;

static void *grow(void *arg)
{
	struct node *me = (struct node *)arg, child[10];
	task t[10];

	me->sum = me->number;
	if (me->size == 1)
		return arg;
	for (long i = 0; i < 10; i++) {
		long size = me->size / 10;

		child[i] = (struct node){me->number + i * size, size, 0};
		t[i] = task_start(grow, &child[i]);
	}
	me->sum = 0;
	for (int i = 0; i < 10; i++) {
		task_join(t[i]);
		me->sum += child[i].sum;
	}
	return arg;
}

static void *body(void *arg)
{
	double best = 0;

	for (int i = 0; i < 3; i++) {
		struct node root = {0, leaves, 0};
		uint64_t start = now_ns();

		grow(&root);
		double took = (double)(now_ns() - start);
		must(root.sum == leaves * (leaves - 1) / 2, "skynet: the sum is wrong");
		if (i == 0 || took < best)
			best = took;
	}
	figure("skynet, ms", best / 1e6);
	return arg;
}

int main(int argc, char **argv)
{
	leaves = number(argc, argv, 2, leaves);
	tasks_run((int)number(argc, argv, 1, 1), body, NULL);
	puts("}");
	return 0;
}
