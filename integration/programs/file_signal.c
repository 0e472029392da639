/* Handlers and cancellation in calls that wait: with SA_RESTART some go on and some say EINTR,
 * without it all say EINTR; a cancelled thread leaves those that are cancellation points. */
#include "check.h"
#include <aio.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

static char path[64], fifo[64], queue_name[64];
static int held, p[2], q[2], s[2], dgram[2], timed[2], listener, queue_id, sems, inot, evt, ep, tty;
static int full[2];
static mqd_t mq, mq_full;
static volatile int handled, entered;
static struct aiocb cb;

static void handler(int sig)
{
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

#define CALL(name, expression)                                                                     \
	static long name(void)                                                                     \
	{                                                                                          \
		char buf[64] __attribute__((unused)) = "";                                         \
		struct iovec v __attribute__((unused)) = {buf, sizeof(buf)};                       \
		return (long)(expression);                                                         \
	}

static struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
static struct msghdr header;
static struct mmsghdr two[2];
static struct sembuf down = {0, -1, 0};
static struct timespec ten = {10, 0};
static struct timeval ten_tv = {10, 0};
static struct epoll_event ev;
static struct pollfd pf;
static fd_set set;
static const struct aiocb *list[1] = {&cb};

CALL(in_read, read(p[0], buf, 1))
CALL(in_readv, readv(p[0], &v, 1))
CALL(in_write, write(full[1], buf, 64))
CALL(in_eventfd, read(evt, buf, 8))
CALL(in_inotify, read(inot, buf, 64))
CALL(in_tty, read(tty, buf, 1))
CALL(in_recv, recv(s[0], buf, 1, 0))
CALL(in_waitall, recv(s[0], buf, 10, MSG_WAITALL))
CALL(in_recvmsg, recvmsg(dgram[0], &header, 0))
CALL(in_recvmmsg, recvmmsg(dgram[0], two, 2, 0, NULL))
CALL(in_timed, recv(timed[0], buf, 1, 0))
CALL(in_accept, accept(listener, NULL, NULL))
CALL(in_splice, splice(p[0], NULL, q[1], NULL, 10, 0))
CALL(in_splice_socket, splice(s[0], NULL, q[1], NULL, 10, 0))
CALL(in_tee, tee(p[0], q[1], 10, 0))
CALL(in_poll, poll(&pf, 1, 10000))
CALL(in_ppoll, ppoll(&pf, 1, &ten, NULL))
CALL(in_select, (set = (fd_set){{0}}, select(0, NULL, NULL, &set, &ten_tv)))
CALL(in_epoll, epoll_wait(ep, &ev, 1, 10000))
CALL(in_flock, flock(held, LOCK_EX))
CALL(in_setlkw, fcntl(held, F_OFD_SETLKW, &whole))
CALL(in_fifo, open(fifo, O_RDONLY))
CALL(in_msgrcv, msgrcv(queue_id, buf, 8, 1, 0))
CALL(in_semop, semop(sems, &down, 1))
CALL(in_semtimedop, semtimedop(sems, &down, 1, &ten))
CALL(in_mq_receive, mq_receive(mq, buf, 64, NULL))
CALL(in_mq_send, mq_send(mq_full, "x", 1, 0))
CALL(in_aio_suspend, aio_suspend(list, 1, &ten))

static const struct {
	const char *name;
	long (*fn)(void);
} calls[] = {
    {"read", in_read},
    {"readv", in_readv},
    {"write", in_write},
    {"eventfd", in_eventfd},
    {"inotify", in_inotify},
    {"terminal", in_tty},
    {"recv", in_recv},
    {"recv all", in_waitall},
    {"recvmsg", in_recvmsg},
    {"recvmmsg", in_recvmmsg},
    {"recv with a timeout", in_timed},
    {"accept", in_accept},
    {"splice", in_splice},
    {"splice from a socket", in_splice_socket},
    {"tee", in_tee},
    {"poll", in_poll},
    {"ppoll", in_ppoll},
    {"select", in_select},
    {"epoll_wait", in_epoll},
    {"flock", in_flock},
    {"F_OFD_SETLKW", in_setlkw},
    {"open of a FIFO", in_fifo},
    {"msgrcv", in_msgrcv},
    {"semop", in_semop},
    {"semtimedop", in_semtimedop},
    {"mq_receive", in_mq_receive},
    {"mq_send", in_mq_send},
    {"aio_suspend", in_aio_suspend},
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

static long result, error;
static int finished;

static void *call(void *arg)
{
	long (*fn)(void) = arg;
	errno = 0;
	__atomic_store_n(&entered, 1, __ATOMIC_SEQ_CST);
	result = fn();
	error = result < 0 ? errno : 0;
	__atomic_store_n(&finished, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static pthread_t begin(int i)
{
	finished = entered = handled = 0;
	pthread_t t = spawn(call, (void *)calls[i].fn);
	while (!__atomic_load_n(&entered, __ATOMIC_SEQ_CST))
		sched_yield();
	sleep_ms(15);
	return t;
}

/* Makes the waiting thread's next signal end its call. */
static void no_restart(int flags)
{
	struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
	sigaction(SIGUSR1, &a, NULL);
}

static void one(int i)
{
	/* With SA_RESTART. */
	no_restart(SA_RESTART);
	pthread_t t = begin(i);
	pthread_kill(t, SIGUSR1);
	for (int k = 0; k < 200 && !handled; k++)
		sleep_ms(1);
	sleep_ms(20);
	int restarted = !__atomic_load_n(&finished, __ATOMIC_SEQ_CST);
	if (restarted) {
		no_restart(0);
		pthread_kill(t, SIGUSR1);
	}
	join(t);
	printf("ok   %s: handled %d, %s, %s\n", calls[i].name, handled,
	       restarted ? "goes on" : "ends", error ? strerror((int)error) : "no error");
	fflush(stdout);
	/* Without. */
	no_restart(0);
	t = begin(i);
	pthread_kill(t, SIGUSR1);
	join(t);
	printf("ok   %s: %s\n", calls[i].name, error ? strerror((int)error) : "no error");
	fflush(stdout);
	/* Cancelled; if it is no cancellation point a handler ends it. */
	t = begin(i);
	pthread_cancel(t);
	void *r = NULL;
	long (*fn)(void) = calls[i].fn;
	int no_point = fn == in_flock || fn == in_semop || fn == in_semtimedop;
	struct timespec at = deadline_ms(CLOCK_REALTIME, no_point ? 300 : 20000);
	if (pthread_timedjoin_np(t, &r, &at) != 0) {
		pthread_kill(t, SIGUSR1);
		pthread_join(t, &r);
		printf("ok   %s is no cancellation point\n", calls[i].name);
	} else {
		printf("%s %s is a cancellation point\n", r == PTHREAD_CANCELED ? "ok  " : "FAIL",
		       calls[i].name);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct mq_attr a = {.mq_maxmsg = 1, .mq_msgsize = 8};
	struct timeval long_time = {20, 0};
	static char text[8];

	become_threaded();
	snprintf(path, sizeof(path), "/tmp/ghi-sig-%d", getpid());
	snprintf(fifo, sizeof(fifo), "/tmp/ghi-sigf-%d", getpid());
	snprintf(queue_name, sizeof(queue_name), "/ghi-sig-%d", getpid());
	int other = open(path, O_CREAT | O_RDWR, 0600);
	MUST((held = open(path, O_RDWR)) >= 0 && flock(other, LOCK_EX) == 0);
	MUST(fcntl(other, F_OFD_SETLK, &whole) == 0);
	MUST(mkfifo(fifo, 0600) == 0);
	MUST(pipe(p) == 0 && pipe2(full, O_NONBLOCK) == 0 && pipe(q) == 0);
	while (write(full[1], path, sizeof(path)) > 0)
		;
	fcntl(full[1], F_SETFL, O_WRONLY);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, timed) == 0);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram) == 0);
	setsockopt(timed[0], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof(long_time));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (void *)&in, sizeof(in)) == 0 && listen(listener, 5) == 0);
	MUST((queue_id = msgget(IPC_PRIVATE, 0600)) >= 0);
	MUST((sems = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	MUST((inot = inotify_init()) >= 0 && (evt = eventfd(0, 0)) >= 0);
	MUST((ep = epoll_create1(0)) >= 0);
	MUST((tty = posix_openpt(O_RDWR | O_NOCTTY)) >= 0 && unlockpt(tty) == 0);
	MUST(open(ptsname(tty), O_RDWR | O_NOCTTY) >= 0);
	a.mq_msgsize = 64;
	MUST((mq = mq_open(queue_name, O_CREAT | O_RDWR, 0600, &a)) >= 0);
	mq_unlink(queue_name);
	MUST((mq_full = mq_open(queue_name, O_CREAT | O_RDWR, 0600, &a)) >= 0);
	mq_unlink(queue_name);
	MUST(mq_send(mq_full, "x", 1, 0) == 0);
	cb = (struct aiocb){.aio_fildes = q[0], .aio_buf = text, .aio_nbytes = 1};
	MUST(aio_read(&cb) == 0);
	pf = (struct pollfd){.fd = s[0], .events = POLLIN};
	for (int i = 0; i < CALLS; i++)
		if (argc < 2 || !strcmp(argv[1], calls[i].name))
			one(i);
	msgctl(queue_id, IPC_RMID, NULL);
	semctl(sems, 0, IPC_RMID);
	unlink(path), unlink(fifo);
	printf("done\n");
	fflush(stdout);
	_exit(check_failures != 0); /* libc's thread for aio waits for ever */
}
