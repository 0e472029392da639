/* A handler without SA_RESTART interrupts blocking calls with EINTR: in main, and in threads that
 * are signalled with pthread_kill. The sender repeats the signal until the call has returned, so no
 * guess is needed about when the call began to block. */
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

static volatile sig_atomic_t handled;
static int returned, pair[2], listener, ep;
static sem_t never;
static pthread_t target;

static void handler(int number)
{
	handled++;
}

static void *signal_until_returned(void *arg)
{
	while (!__atomic_load_n(&returned, __ATOMIC_SEQ_CST)) {
		pthread_kill(target, SIGUSR1);
		sleep_ms(1);
	}
	return NULL;
}

static int call(int which)
{
	char byte;
	struct pollfd p = {.fd = pair[0], .events = POLLIN};
	struct timespec ts = {.tv_sec = 1000}, rest = {0, 0};
	struct epoll_event e;
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	fd_set set;
	int rc;
	switch (which) {
	case 0:
		return read(pair[0], &byte, 1);
	case 1:
		return recv(pair[0], &byte, 1, 0);
	case 2:
		return recvmsg(pair[0], &m, 0);
	case 3:
		return accept(listener, NULL, NULL);
	case 4:
		return poll(&p, 1, -1);
	case 5:
		return poll(&p, 1, 1000000);
	case 6:
		FD_ZERO(&set);
		FD_SET(pair[0], &set);
		return select(pair[0] + 1, &set, NULL, NULL, NULL);
	case 7:
		return epoll_wait(ep, &e, 1, -1);
	case 8:
		rc = nanosleep(&ts, &rest);
		QUIET(rest.tv_sec > 900 &&
		      rest.tv_sec <= 1000); /* what is left, plus timer slack */
		return rc;
	case 9:
		rc = clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
		errno = rc;
		return rc ? -1 : 0;
	case 10:
		return sem_wait(&never);
	case 11:
		ts = deadline_ms(CLOCK_REALTIME, 1000000);
		return sem_timedwait(&never, &ts);
	case 12:
		return usleep(999999) == 0 ? 0 : -1;
	case 13:
		return pause();
	case 14:
		rc = sleep(1000); /* returns the rest, sets no errno */
		errno = EINTR;
		return rc > 900 ? -1 : 0;
	}
	return 0;
}

static const char *names[] = {
    "read",   "recv",	    "recvmsg",	 "accept",	    "poll",	"poll with limit",
    "select", "epoll_wait", "nanosleep", "clock_nanosleep", "sem_wait", "sem_timedwait",
    "usleep", "pause",	    "sleep"};

static void *all_calls(void *arg)
{
	for (int which = 0; which < 15; which++) {
		target = pthread_self();
		returned = 0;
		handled = 0;
		pthread_t sender = spawn(signal_until_returned, NULL);
		errno = 0;
		int rc = call(which);
		int interrupted = rc == -1 && errno == EINTR;
		__atomic_store_n(&returned, 1, __ATOMIC_SEQ_CST);
		join(sender);
		printf("%s %s\n", names[which], interrupted && handled ? "interrupted" : "FAIL");
	}
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_handler = handler};
	struct epoll_event e = {.events = EPOLLIN};
	become_threaded();
	sigaction(SIGUSR1, &action, NULL);
	sem_init(&never, 0, 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(listen(listener, 5) == 0);
	ep = epoll_create1(0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, pair[0], &e) == 0);
	printf("-- main\n");
	all_calls(NULL);
	printf("-- thread\n");
	join(spawn(all_calls, NULL));
	return check_done();
}
