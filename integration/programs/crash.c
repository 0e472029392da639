/* Ends by a fatal signal in a thread: argv[1] says how.  The status must be the native one, with
 * and without a crash report in front of it. */
#include "check.h"
#include <signal.h>

static volatile int *nowhere;

static volatile int endless = 1;

static int deeper(int n)
{
	volatile char frame[1024];
	frame[0] = (char)n;
	return endless ? deeper(n + 1) + frame[0] : 0;
}

static void *ends(void *how)
{
	pthread_setname_np(pthread_self(), "doomed");
	switch (*(char *)how) {
	case 's':
		*nowhere = 1;
		break;
	case 'o':
		return (void *)(intptr_t)deeper(0);
	case 'a':
		abort();
	case 'f':
		raise(SIGFPE);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	join(spawn(ends, argc > 1 ? argv[1] : "s"));
	return 0;
}
