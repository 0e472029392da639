/* Every cancellation point of pthreads(7) that can be made to wait, and some that cannot: a request
 * that is pending when the call is made, and one that comes at any time before, while or after it
 * begins to wait.  Handlers run each time. */
#include "check.h"
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <threads.h>

static int silent[2], full[2], empty_pipe[2], full_pipe[2], listener, ep, locked, queue, file;
static struct sockaddr_un busy = {.sun_family = AF_UNIX};
static pid_t child;
static char fifo[64];
static sem_t ready, never, *shared_sem;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct shared {
	sem_t sem;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
} * shared;
static mqd_t mq_empty, mq_full;
static sigset_t usr1;
static pthread_t sleeper;
static FILE *stream;
static char byte, big[65536];
static const struct timespec hour = {.tv_sec = 3600};

static struct iovec one = {&byte, 1}, many = {big, sizeof(big)};
static struct msghdr in = {.msg_iov = &one, .msg_iovlen = 1},
		     out = {.msg_iov = &many, .msg_iovlen = 1};
#define POINT(name, call)                                                                          \
	static void name(void)                                                                     \
	{                                                                                          \
		(void)!(call);                                                                     \
	}
static struct timespec in_an_hour(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 3600;
	return t;
}
static void unlock(void *m)
{
	pthread_mutex_unlock(m);
}

POINT(do_read, read(silent[0], &byte, 1))
POINT(do_read_pipe, read(empty_pipe[0], &byte, 1))
POINT(do_readv, readv(silent[0], &one, 1))
POINT(do_write, write(full[0], big, sizeof(big)))
POINT(do_write_pipe, write(full_pipe[1], big, sizeof(big)))
POINT(do_writev, writev(full[0], &many, 1))
POINT(do_recv, recv(silent[0], &byte, 1, 0))
POINT(do_recv_all, recv(silent[0], big, 10, MSG_WAITALL | MSG_PEEK))
POINT(do_recvfrom, recvfrom(silent[0], &byte, 1, 0, NULL, NULL))
POINT(do_recvmsg, recvmsg(silent[0], &in, 0))
POINT(do_send, send(full[0], big, sizeof(big), 0))
POINT(do_sendto, sendto(full[0], big, sizeof(big), 0, NULL, 0))
POINT(do_sendmsg, sendmsg(full[0], &out, 0))
POINT(do_accept, accept(listener, NULL, NULL))
POINT(do_accept4, accept4(listener, NULL, NULL, SOCK_CLOEXEC))
POINT(do_open_fifo, open(fifo, O_RDONLY))
POINT(do_openat_fifo, openat(AT_FDCWD, fifo, O_WRONLY))
POINT(do_setlkw, fcntl(locked, F_SETLKW, &(struct flock){.l_type = F_WRLCK}))
POINT(do_lockf, lockf(locked, F_LOCK, 0))
POINT(do_poll, poll(&(struct pollfd){.fd = silent[0], .events = POLLIN}, 1, -1))
POINT(do_poll_none, poll(NULL, 0, 3600000))
POINT(do_ppoll,
      ppoll(&(struct pollfd){.fd = silent[0], .events = POLLIN}, 1, &hour, &(sigset_t){{0}}))
POINT(do_epoll_wait, epoll_wait(ep, &(struct epoll_event){0}, 1, -1))
POINT(do_epoll_pwait, epoll_pwait(ep, &(struct epoll_event){0}, 1, 3600000, &(sigset_t){{0}}))
POINT(do_nanosleep, nanosleep(&hour, NULL))
POINT(do_clock_nanosleep, clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, NULL))
POINT(do_clock_cpu, clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &hour, NULL))
POINT(do_sleep, sleep(3600))
POINT(do_usleep, usleep(999999999))
POINT(do_pause, pause())
POINT(do_sigsuspend, sigsuspend(&(sigset_t){{0}}))
POINT(do_sigwait, sigwait(&usr1, &(int){0}))
POINT(do_sigwaitinfo, sigwaitinfo(&usr1, NULL))
POINT(do_sigtimedwait, sigtimedwait(&usr1, NULL, &hour))
POINT(do_waitpid, waitpid(child, NULL, 0))
POINT(do_wait, wait(NULL))
POINT(do_waitid, waitid(P_PID, child, &(siginfo_t){0}, WEXITED))
POINT(do_sem_wait, sem_wait(&never))
POINT(do_sem_timedwait, sem_timedwait(&never, &(struct timespec){.tv_sec = 1ll << 33}))
POINT(do_sem_shared, sem_wait(&shared->sem))
POINT(do_sem_named, sem_wait(shared_sem))
POINT(do_join, pthread_join(sleeper, NULL))
POINT(do_thrd_sleep, thrd_sleep(&hour, NULL))
POINT(do_msgrcv, msgrcv(queue, &(struct {
				long t;
				char c[8];
			}){0},
			8, 1, 0))
POINT(do_mq_receive, mq_receive(mq_empty, big, sizeof(big), NULL))
POINT(do_mq_send, mq_send(mq_full, "x", 1, 0))
POINT(do_system, system("exec sleep 3600"))
POINT(do_fgetc, fgetc(stream))
POINT(do_pthread_testcancel, (pthread_testcancel(), 0))
POINT(do_close, close(-1))
POINT(do_fsync, fsync(file))
POINT(do_fdatasync, fdatasync(file))
POINT(do_pread, pread(file, &byte, 1, 0))
POINT(do_pwrite, pwrite(file, "x", 1, 0))
POINT(do_msync, msync(shared, 4096, MS_SYNC))
POINT(do_creat, creat("/dev/null", 0600))
POINT(do_open, open("/dev/null", O_RDONLY))
POINT(do_read_file, read(file, &byte, 1))
POINT(do_connect, connect(-1, NULL, 0))
static void do_select(void)
{
	fd_set r;
	FD_ZERO(&r);
	FD_SET(silent[0], &r);
	select(silent[0] + 1, &r, NULL, NULL, NULL);
}
static void do_pselect(void)
{
	fd_set r;
	FD_ZERO(&r);
	FD_SET(silent[0], &r);
	pselect(silent[0] + 1, &r, NULL, NULL, &hour, NULL);
}
static void do_connect_busy(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(fd, (void *)&busy, sizeof(busy));
}
static void do_timedjoin(void)
{
	struct timespec t = in_an_hour();
	pthread_timedjoin_np(sleeper, NULL, &t);
}
static void do_cond_wait(void)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(unlock, &mutex);
	pthread_cond_wait(&cond, &mutex);
	pthread_cleanup_pop(1);
}
static void do_cond_timedwait(void)
{
	struct timespec t = in_an_hour();
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(unlock, &mutex);
	pthread_cond_timedwait(&cond, &mutex, &t);
	pthread_cleanup_pop(1);
}
static void do_cond_shared(void)
{
	pthread_mutex_lock(&shared->mutex);
	pthread_cleanup_push(unlock, &shared->mutex);
	pthread_cond_wait(&shared->cond, &shared->mutex);
	pthread_cleanup_pop(1);
}

enum { AT_ONCE = 1, SLOW = 2 };
static const struct point {
	const char *name;
	void (*call)(void);
	int flags; /* AT_ONCE: does not wait, so only a pending request acts */
} points[] = {
#define B(name)                                                                                    \
	{                                                                                          \
#name, do_##name, 0                                                                \
	}
#define N(name)                                                                                    \
	{                                                                                          \
#name, do_##name, AT_ONCE                                                          \
	}
    B(read),
    B(read_pipe),
    B(readv),
    B(write),
    B(write_pipe),
    B(writev),
    B(recv),
    B(recv_all),
    B(recvfrom),
    B(recvmsg),
    B(send),
    B(sendto),
    B(sendmsg),
    B(accept),
    B(accept4),
    B(open_fifo),
    B(openat_fifo),
    B(setlkw),
    B(lockf),
    B(poll),
    B(poll_none),
    B(ppoll),
    B(epoll_wait),
    B(epoll_pwait),
    B(nanosleep),
    B(clock_nanosleep),
    B(clock_cpu),
    B(sleep),
    B(usleep),
    B(pause),
    B(sigsuspend),
    B(sigwait),
    B(sigwaitinfo),
    B(sigtimedwait),
    B(waitpid),
    B(wait),
    B(waitid),
    B(sem_wait),
    B(sem_timedwait),
    B(sem_shared),
    B(sem_named),
    B(join),
    B(thrd_sleep),
    B(msgrcv),
    B(mq_receive),
    B(mq_send),
    B(fgetc),
    B(select),
    B(pselect),
    B(connect_busy),
    B(timedjoin),
    B(cond_wait),
    B(cond_timedwait),
    B(cond_shared),
    {"system", do_system, SLOW},
    N(pthread_testcancel),
    N(close),
    N(fsync),
    N(fdatasync),
    N(pread),
    N(pwrite),
    N(msync),
    N(creat),
    N(open),
    N(read_file),
    N(connect),
};
enum { NPOINTS = sizeof(points) / sizeof(points[0]) };

static int ran;

static void note(void *arg)
{
	ran++;
}

static void *pending(void *arg)
{
	pthread_cleanup_push(note, NULL);
	pthread_cancel(pthread_self());
	((const struct point *)arg)->call();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *waits(void *arg)
{
	pthread_cleanup_push(note, NULL);
	sem_post(&ready);
	((const struct point *)arg)->call();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *sleeps(void *arg)
{
	sem_wait(&never);
	return arg;
}

static void set_up(void)
{
	char name[64];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, silent) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, full) == 0);
	MUST(pipe(empty_pipe) == 0 && pipe(full_pipe) == 0);
	while (send(full[0], big, sizeof(big), MSG_DONTWAIT) > 0)
		;
	fcntl(full_pipe[1], F_SETFL, O_NONBLOCK);
	while (write(full_pipe[1], big, sizeof(big)) > 0)
		;
	fcntl(full_pipe[1], F_SETFL, 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(listen(listener, 5) == 0);
	/* A Unix listener whose queue is full: connect waits. */
	snprintf(busy.sun_path, sizeof(busy.sun_path), "/tmp/cancel-%d.s", getpid());
	int l = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(bind(l, (void *)&busy, sizeof(busy)) == 0 && listen(l, 0) == 0);
	int fd;
	do {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (connect(fd, (void *)&busy, sizeof(busy)) == 0);
	snprintf(fifo, sizeof(fifo), "/tmp/cancel-%d.f", getpid());
	MUST(mkfifo(fifo, 0600) == 0);
	snprintf(name, sizeof(name), "/tmp/cancel-%d.l", getpid());
	MUST((file = locked = open(name, O_CREAT | O_RDWR, 0600)) >= 0);
	ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN};
	epoll_ctl(ep, EPOLL_CTL_ADD, silent[0], &e);
	MUST((queue = msgget(IPC_PRIVATE, 0600)) >= 0);
	snprintf(name, sizeof(name), "/cancel-%d", getpid());
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};
	mq_empty = mq_open(name, O_CREAT | O_RDWR, 0600, &attr);
	mq_unlink(name);
	mq_full = mq_open(name, O_CREAT | O_RDWR, 0600, &attr);
	mq_unlink(name);
	MUST(mq_empty >= 0 && mq_full >= 0 && mq_send(mq_full, "x", 1, 0) == 0);
	shared_sem = sem_open(name, O_CREAT, 0600, 0);
	sem_unlink(name);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sem_init(&shared->sem, 1, 0);
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->mutex, &ma);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->cond, &ca);
	stream = fdopen(dup(empty_pipe[0]), "r");
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	/* Holds the record lock and waits to be killed. */
	int told[2];
	MUST(pipe(told) == 0);
	child = fork();
	if (child == 0) {
		struct flock lock = {.l_type = F_WRLCK};
		MUST(fcntl(locked, F_SETLK, &lock) == 0);
		MUST(write(told[1], "", 1) == 1);
		for (;;)
			pause();
	}
	MUST(read(told[0], &byte, 1) == 1);
}

static void tear_down(void)
{
	char name[64];
	kill(child, SIGKILL);
	unlink(fifo);
	unlink(busy.sun_path);
	snprintf(name, sizeof(name), "/tmp/cancel-%d.l", getpid());
	unlink(name);
	msgctl(queue, IPC_RMID, NULL);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	const char *only = argc > 2 ? argv[2] : NULL;
	unsigned seed = 1;

	set_up();
	sleeper = spawn(sleeps, NULL);
	for (const struct point *p = points; p < points + NPOINTS; p++) {
		if (only && strcmp(only, p->name))
			continue;
		int acted = 0, handled = ran;
		if (argc > 3)
			fprintf(stderr, "%s\n", p->name);
		acted += join(spawn(pending, (void *)p)) == PTHREAD_CANCELED;
		int n = p->flags & AT_ONCE ? 0 : p->flags & SLOW ? 1 : rounds;
		for (int i = 0; i < n; i++) {
			pthread_t t = spawn(waits, (void *)p);
			sem_wait(&ready);
			if (i % 2 == 0 && i)
				sleep_ms(i % 8);
			else
				for (volatile unsigned k = (seed = seed * 1103515245 + 12345) >> 16;
				     k; k--)
					;
			QUIET(pthread_cancel(t) == 0);
			acted += join(t) == PTHREAD_CANCELED;
		}
		printf("%s: %s, handlers %s\n", p->name,
		       acted == n + 1 ? "cancelled" : "not always",
		       ran - handled == acted ? "ran" : "did not run");
		fflush(stdout);
	}
	CHECK_RC(0, pthread_mutex_trylock(&mutex));
	tear_down();
	return check_done();
}
