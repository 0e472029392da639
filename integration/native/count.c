/* Does nothing but one operation of the native API, argv[2] times, for integration/test_counts.py;
 * see bench/ops.c. */
#include <greenhook.h>

#include "../programs/check.h"

static long n;
static gh_chan *channel;
static gh_mutex mutex = GH_MUTEX_INIT;

static void *nothing(void *arg)
{
	return arg;
}

static void *yields(void *arg)
{
	for (long i = 0; i < n; i++)
		gh_yield();
	return arg;
}

static void *receives(void *arg)
{
	long value;
	for (long i = 0; i < n; i++)
		MUST(gh_chan_recv(channel, &value) == 0 && value == i);
	return arg;
}

static void beside(gh_fn there, gh_fn here)
{
	gh_task *t = gh_task_spawn(there, NULL, NULL);
	MUST(t != NULL);
	here(NULL);
	MUST(gh_task_join(t, NULL) == 0);
}

static void *sends(void *arg)
{
	for (long i = 0; i < n; i++)
		MUST(gh_chan_send(channel, &i) == 0);
	return arg;
}

int main(int argc, char **argv)
{
	MUST(argc == 3 && (n = atol(argv[2])) > 0 && gh_start() == 0);
	for (int i = 0; i < 20; i++) /* as in bench/ops.c */
		beside(nothing, nothing);
	if (!strcmp(argv[1], "gh_yield"))
		beside(yields, yields);
	else if (!strcmp(argv[1], "gh_spawn_and_join"))
		for (long i = 0; i < n; i++)
			beside(nothing, nothing);
	else if (!strcmp(argv[1], "gh_mutex"))
		for (long i = 0; i < n; i++)
			MUST(gh_mutex_lock(&mutex) == 0 && gh_mutex_unlock(&mutex) == 0);
	else if (!strcmp(argv[1], "gh_chan_unbuffered") && (channel = gh_chan_new(sizeof(long), 0)))
		beside(receives, sends);
	else if (!strcmp(argv[1], "gh_chan_buffered") && (channel = gh_chan_new(sizeof(long), 64)))
		beside(receives, sends);
	else
		MUST(!"an operation");
	return check_done();
}
