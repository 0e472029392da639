/* Cancellation of threads that wait inside stdio and the like: it is acted on, and the FILE's lock
 * is free afterwards; a thread that waits for such a lock is not cancelled there. */
#include "libc_threads.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

static int cleaned;
static void clean(void *arg)
{
	cleaned++;
}

static FILE *file;
static int how;
static char big[1 << 20];

static void *wait_inside(void *arg)
{
	char line[64], *l = NULL;
	size_t n = 0;
	pthread_cleanup_push(clean, NULL);
	count_me();
	switch (how) {
	case 0:
		fgets(line, sizeof(line), file);
		break;
	case 1:
		n = (size_t)getline(&l, &n, file);
		break;
	case 2:
		fwrite(big, 1, sizeof(big), file);
		break;
	case 3:
		fgetc(file);
		break;
	}
	printf("FAIL came back\n");
	pthread_cleanup_pop(0);
	return l;
}

static void cancel_inside(int which, const char *mode)
{
	int sv[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	file = fdopen(sv[0], mode);
	how = which;
	counted = cleaned = 0;
	pthread_t t = spawn(wait_inside, NULL);
	wait_counted(1);
	CHECK(pthread_cancel(t) == 0);
	CHECK(join(t) == PTHREAD_CANCELED);
	CHECK(cleaned == 1);
	CHECK(ftrylockfile(file) == 0);
	funlockfile(file);
	if (which != 2) { /* and usable */
		CHECK(write(sv[1], "x\n", 2) == 2);
		CHECK(fgetc(file) == 'x');
	}
	close(sv[1]);
	fclose(file);
}

static int got_lock;
static void *wait_for_lock(void *arg)
{
	count_me();
	flockfile(file);
	got_lock = 1;
	funlockfile(file);
	pthread_testcancel();
	printf("FAIL testcancel came back\n");
	return NULL;
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	cancel_inside(0, "r");
	cancel_inside(1, "r");
	cancel_inside(2, "w");
	cancel_inside(3, "r+");
	file = stdin;
	counted = 0;
	flockfile(file);
	pthread_t t = spawn(wait_for_lock, NULL);
	wait_counted(1);
	CHECK(pthread_cancel(t) == 0);
	sleep_ms(20);
	CHECK(got_lock == 0);
	funlockfile(file);
	CHECK(join(t) == PTHREAD_CANCELED);
	CHECK(got_lock == 1);
	return check_done();
}
