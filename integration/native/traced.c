/* Tasks of the native API that come and go and hand each other numbers, for `greenhook trace`. Ends
 * when its stdin does. */
#include <greenhook.h>
#include <stdio.h>
#include <unistd.h>

#include "../programs/check.h"

static gh_chan *numbers;

static void *sends_one(void *arg)
{
	int n = 1;
	gh_chan_send(numbers, &n);
	return arg;
}

static void *spawns(void *arg)
{
	for (;;) {
		int n;
		gh_task *t = gh_task_spawn(sends_one, NULL, NULL);
		MUST(t && gh_chan_recv(numbers, &n) == 0);
		gh_task_join(t, NULL);
		gh_sleep(1000000);
	}
	return arg;
}

int main(void)
{
	char c;
	numbers = gh_chan_new(sizeof(int), 0);
	MUST(numbers && gh_task_spawn(spawns, NULL, NULL));
	printf("ready\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	_exit(0);
}
