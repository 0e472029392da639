/* The flags of inherited descriptors, which others share, are the same before, while and after
 * threads block on them. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>

static void *read_stdin(void *arg)
{
	char byte;
	QUIET(read(STDIN_FILENO, &byte, 1) == 1);
	return NULL;
}

static void *print(void *arg)
{
	printf("a line\n");
	fflush(stdout);
	return NULL;
}

int main(void)
{
	int before[3], readers = 0;
	pthread_t t[10];
	for (int i = 0; i < 3; i++)
		before[i] = fcntl(i, F_GETFL);
	/* The test gives ten bytes on stdin. */
	for (int i = 0; i < 10; i++)
		t[i] = spawn(read_stdin, NULL);
	for (int i = 0; i < 10; i++)
		readers += join(t[i]) == NULL;
	CHECK(readers == 10);
	for (int i = 0; i < 10; i++)
		t[i] = spawn(print, NULL);
	for (int i = 0; i < 3; i++)
		QUIET(fcntl(i, F_GETFL) == before[i]);
	for (int i = 0; i < 10; i++)
		join(t[i]);
	struct pollfd p = {.fd = 0, .events = POLLIN};
	poll(&p, 1, 10);
	for (int i = 0; i < 3; i++)
		CHECK(fcntl(i, F_GETFL) == before[i]);
	return check_done();
}
