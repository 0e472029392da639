/* pthread_exit in main: the other threads go on; the process ends with status 0 after the last of
 * them, running atexit handlers. */
#include "check.h"

static pthread_t main_thread;

static void at_exit(void)
{
	printf("atexit ran\n");
	fflush(stdout);
}

static void *last(void *arg)
{
	sleep_ms(30);
	printf("the last thread runs after main is gone\n");
	fflush(stdout);
	return (void *)99; /* is not the exit status */
}

static void *first(void *arg)
{
	void *result;
	CHECK_RC(0, pthread_join(main_thread, &result));
	CHECK(result == (void *)5);
	pthread_t t = spawn(last, NULL);
	pthread_detach(t);
	return NULL;
}

static void cleanup(void *arg)
{
	printf("main's cleanup handler\n");
}

int main(void)
{
	main_thread = pthread_self();
	atexit(at_exit);
	pthread_detach(spawn(first, NULL));
	pthread_cleanup_push(cleanup, NULL);
	pthread_exit((void *)5);
	pthread_cleanup_pop(0);
	return 77;
}
