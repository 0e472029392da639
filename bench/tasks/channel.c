/* What does a value cost that goes from one task to another: unbuffered, 64 places, and there and
 * back (two channels)?
 *
 *   channel [WORKERS]
 */
#include "bench/tasks/tasks.h"

static struct chan go, back;
static long turns;

static void *sends(void *arg)
{
	for (long i = 0; i < turns; i++)
		chan_send(&go, i);
	return arg;
}

static void *answers(void *arg)
{
	for (long i = 0; i < turns; i++)
		chan_send(&back, chan_recv(&go));
	return arg;
}

static void one_way(long n)
{
	turns = n;
	task t = task_start(sends, NULL);
	for (long i = 0; i < n; i++)
		must(chan_recv(&go) == i, "channel: a value is wrong");
	task_join(t);
}

static void both_ways(long n)
{
	turns = n;
	task t = task_start(answers, NULL);
	for (long i = 0; i < n; i++) {
		chan_send(&go, i);
		must(chan_recv(&back) == i, "channel: a value is wrong");
	}
	task_join(t);
}

static void *body(void *arg)
{
	chan_init(&go, 0);
	chan_init(&back, 0);
	ask("channel, unbuffered", one_way, 2000);
	ask("channel, there and back", both_ways, 2000);
	chan_init(&go, 64);
	ask("channel, 64 places", one_way, 5000);
	return arg;
}

int main(int argc, char **argv)
{
	tasks_run((int)number(argc, argv, 1, 1), body, NULL);
	puts("}");
	return 0;
}
