/* What does a byte cost that goes there and back over a socketpair, between two tasks?
 *
 *   socketpair [WORKERS]
 */
#include <sys/socket.h>
#include "bench/tasks/tasks.h"

#ifdef TASKS_IO
static struct io ends[2];
static long turns;

static void *answers(void *arg)
{
	char c;

	for (long i = 0; i < turns; i++) {
		must(task_read(&ends[1], &c, 1) == 1, "read");
		must(task_write(&ends[1], &c, 1) == 1, "write");
	}
	return arg;
}

static void run(long n)
{
	char c = 'x';

	turns = n;
	task t = task_start(answers, NULL);
	for (long i = 0; i < n; i++) {
		must(task_write(&ends[0], &c, 1) == 1, "write");
		must(task_read(&ends[0], &c, 1) == 1, "read");
	}
	task_join(t);
}

static void *body(void *arg)
{
	int fds[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
	io_init(&ends[0], fds[0]), io_init(&ends[1], fds[1]);
	ask("socketpair, there and back", run, 500);
	return arg;
}
#else
static void *body(void *arg)
{
	printf("{");
	return arg;
}
#endif

int main(int argc, char **argv)
{
	tasks_run((int)number(argc, argv, 1, 1), body, NULL);
	puts("}");
	return 0;
}
