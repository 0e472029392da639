/* signal(7), "Interruption of system calls": for each call that waits, what a handler with and
 * without SA_RESTART makes of it, in main and in a thread. The sender signals until the handler has
 * run five times or the call has returned, and then lets the call end. */
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>

static volatile int handled;
static int returned, pair[2], full[2], dgram[2], timed[2], listener, port, ep, event, msgs, sems;
static int child_gate[2], fifo_gate;
static uint32_t word;
static char file[] = "/tmp/sig_rules.XXXXXX", fifo[64];
static sem_t sem;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, cond_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static int cond_set;
static pthread_t caller;

static void handler(int number)
{
	handled++;
}

static int opened(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = (in_port_t)port};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static void one_byte(int fd)
{
	MUST(write(fd, "x", 1) == 1);
}

static int locked_by_other;

static void *holds_file(void *arg)
{
	int fd = open(file, O_RDWR);
	MUST(flock(fd, LOCK_EX) == 0);
	__atomic_store_n(&locked_by_other, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n((int *)arg, __ATOMIC_SEQ_CST))
		sleep_ms(1);
	close(fd);
	return NULL;
}

static int let_go;

static void *holds_locks(void *arg)
{
	pthread_mutex_lock(&mutex);
	pthread_rwlock_wrlock(&rwlock);
	__atomic_store_n(&locked_by_other, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n((int *)arg, __ATOMIC_SEQ_CST))
		sleep_ms(1);
	pthread_rwlock_unlock(&rwlock);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *waits_go(void *arg)
{
	while (!__atomic_load_n((int *)arg, __ATOMIC_SEQ_CST))
		sleep_ms(1);
	return NULL;
}

static pthread_t helper;
static pid_t child;

enum {
	READ,
	READV,
	RECV,
	RECVFROM,
	RECVMSG,
	RECVMMSG,
	RECV_TIMEO,
	READ_EVENT,
	ACCEPT,
	WRITE,
	SEND,
	OPEN_FIFO,
	WAITPID,
	WAITID,
	FLOCK,
	SEM_WAIT,
	SEM_TIMEDWAIT,
	FUTEX,
	FUTEX_TIME,
	MSGRCV,
	SEMOP,
	POLL,
	PPOLL,
	SELECT,
	PSELECT,
	EPOLL_WAIT,
	EPOLL_PWAIT,
	NANOSLEEP,
	CLOCK_NANOSLEEP,
	USLEEP,
	SLEEP,
	THRD_SLEEP,
	PAUSE,
	SIGSUSPEND,
	SIGTIMEDWAIT,
	SIGWAITINFO,
	JOIN,
	MUTEX,
	TIMED_MUTEX,
	RWLOCK,
	BARRIER,
	COND,
	TIMED_COND,
	CALLS
};

static const char *const names[CALLS] = {"read",
					 "readv",
					 "recv",
					 "recvfrom",
					 "recvmsg",
					 "recvmmsg",
					 "recv with SO_RCVTIMEO",
					 "read of an eventfd",
					 "accept",
					 "write",
					 "send",
					 "open of a FIFO",
					 "waitpid",
					 "waitid",
					 "flock",
					 "sem_wait",
					 "sem_timedwait",
					 "futex",
					 "futex with time",
					 "msgrcv",
					 "semop",
					 "poll",
					 "ppoll",
					 "select",
					 "pselect",
					 "epoll_wait",
					 "epoll_pwait",
					 "nanosleep",
					 "clock_nanosleep",
					 "usleep",
					 "sleep",
					 "thrd_sleep",
					 "pause",
					 "sigsuspend",
					 "sigtimedwait",
					 "sigwaitinfo",
					 "pthread_join",
					 "pthread_mutex_lock",
					 "pthread_mutex_timedlock",
					 "pthread_rwlock_rdlock",
					 "pthread_barrier_wait",
					 "pthread_cond_wait",
					 "pthread_cond_timedwait"};

static void prepare(int which)
{
	cond_set = 0;
	word = 0;
	__atomic_store_n(&locked_by_other, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&let_go, 0, __ATOMIC_SEQ_CST);
	if (which == WAITPID || which == WAITID) {
		MUST(pipe(child_gate) == 0);
		child = fork();
		if (child == 0) {
			char byte;
			close(child_gate[1]);
			_exit(read(child_gate[0], &byte, 1) == 0 ? 3 : 4);
		}
		close(child_gate[0]);
	}
	if (which == FLOCK)
		helper = spawn(holds_file, &let_go);
	if (which == MUTEX || which == TIMED_MUTEX || which == RWLOCK)
		helper = spawn(holds_locks, &let_go);
	if (which == FLOCK || which == MUTEX || which == TIMED_MUTEX || which == RWLOCK)
		while (!__atomic_load_n(&locked_by_other, __ATOMIC_SEQ_CST))
			sleep_ms(1);
	if (which == JOIN)
		helper = spawn(waits_go, &let_go);
}

/* Lets the call end. */
static void release(int which)
{
	char bytes[65536];
	struct {
		long type;
		char text[1];
	} m = {.type = 1};
	struct sembuf up = {.sem_op = 1};
	__atomic_store_n(&let_go, 1, __ATOMIC_SEQ_CST);
	switch (which) {
	case READ:
	case READV:
	case RECV:
	case RECVFROM:
	case RECVMSG:
	case RECVMMSG:
	case POLL:
	case PPOLL:
	case SELECT:
	case PSELECT:
	case EPOLL_WAIT:
	case EPOLL_PWAIT:
		one_byte(pair[1]);
		break;
	case RECV_TIMEO:
		one_byte(timed[1]);
		break;
	case READ_EVENT:
		eventfd_write(event, 1);
		break;
	case ACCEPT:
		close(opened());
		break;
	case WRITE:
		while (read(full[0], bytes, sizeof(bytes)) > 0)
			;
		break;
	case SEND:
		while (recv(dgram[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		break;
	case OPEN_FIFO:
		fifo_gate = open(fifo, O_WRONLY | O_NONBLOCK);
		break;
	case WAITPID:
	case WAITID:
		close(child_gate[1]);
		break;
	case SEM_WAIT:
	case SEM_TIMEDWAIT:
		sem_post(&sem);
		break;
	case FUTEX:
	case FUTEX_TIME:
		__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
		break;
	case MSGRCV:
		msgsnd(msgs, &m, 1, 0);
		break;
	case SEMOP:
		semop(sems, &up, 1);
		break;
	case BARRIER:
		pthread_barrier_wait(&barrier);
		break;
	case COND:
	case TIMED_COND:
		pthread_mutex_lock(&cond_mutex);
		cond_set = 1;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&cond_mutex);
		break;
	}
}

/* Takes back what release() gave to a call that did not wait for it. */
static void clean_up(int which, int interrupted)
{
	char byte;
	int status;
	struct sembuf down = {.sem_op = -1, .sem_flg = IPC_NOWAIT};
	struct {
		long type;
		char text[1];
	} m;
	while (recv(pair[0], &byte, 1, MSG_DONTWAIT) > 0 ||
	       recv(timed[0], &byte, 1, MSG_DONTWAIT) > 0)
		;
	while (sem_trywait(&sem) == 0)
		;
	while (msgrcv(msgs, &m, 1, 0, IPC_NOWAIT) >= 0 || semop(sems, &down, 1) == 0)
		;
	if (interrupted && (which == WAITPID || which == WAITID))
		MUST(waitpid(child, &status, 0) == child);
	if (interrupted && which == ACCEPT)
		close(accept(listener, NULL, NULL));
	if (interrupted && which == BARRIER)
		pthread_barrier_wait(&barrier);
	if (which == OPEN_FIFO && fifo_gate >= 0)
		close(fifo_gate);
	if (which == FLOCK || which == MUTEX || which == TIMED_MUTEX || which == RWLOCK)
		join(helper);
	eventfd_t v;
	struct pollfd p = {.fd = event, .events = POLLIN};
	if (poll(&p, 1, 0) == 1)
		eventfd_read(event, &v);
}

static int positive(int rc)
{
	errno = rc;
	return rc ? -1 : 0;
}

static int call(int which)
{
	char byte, bytes[4096] = "";
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr mm = {.msg_hdr = m};
	struct pollfd p = {.fd = pair[0], .events = POLLIN};
	struct timespec ts = {.tv_sec = 1000}, at = deadline_ms(CLOCK_REALTIME, 1000000);
	struct epoll_event e;
	struct sembuf down = {.sem_op = -1};
	struct {
		long type;
		char text[1];
	} msg;
	siginfo_t info;
	sigset_t empty, term;
	fd_set set;
	eventfd_t count;
	int status, rc, fd;
	sigemptyset(&empty);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	FD_ZERO(&set);
	FD_SET(pair[0], &set);
	switch (which) {
	case READ:
		return read(pair[0], &byte, 1);
	case READV:
		return readv(pair[0], &v, 1);
	case RECV:
		return recv(pair[0], &byte, 1, 0);
	case RECVFROM:
		return recvfrom(pair[0], &byte, 1, 0, NULL, NULL);
	case RECVMSG:
		return recvmsg(pair[0], &m, 0);
	case RECVMMSG:
		return recvmmsg(pair[0], &mm, 1, 0, NULL);
	case RECV_TIMEO:
		return recv(timed[0], &byte, 1, 0);
	case READ_EVENT:
		return eventfd_read(event, &count);
	case ACCEPT:
		fd = accept(listener, NULL, NULL);
		if (fd >= 0)
			close(fd);
		return fd;
	case WRITE:
		return write(full[1], bytes, sizeof(bytes));
	case SEND:
		return send(dgram[1], bytes, 1000, 0);
	case OPEN_FIFO:
		fd = open(fifo, O_RDONLY);
		if (fd >= 0)
			close(fd);
		return fd;
	case WAITPID:
		return waitpid(child, &status, 0);
	case WAITID:
		return waitid(P_PID, (id_t)child, &info, WEXITED);
	case FLOCK:
		fd = open(file, O_RDWR);
		rc = flock(fd, LOCK_EX);
		status = errno;
		close(fd);
		errno = status;
		return rc;
	case SEM_WAIT:
		return sem_wait(&sem);
	case SEM_TIMEDWAIT:
		return sem_timedwait(&sem, &at);
	case FUTEX:
		return syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0);
	case FUTEX_TIME:
		return syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &ts, NULL, 0);
	case MSGRCV:
		return msgrcv(msgs, &msg, 1, 0, 0);
	case SEMOP:
		return semop(sems, &down, 1);
	case POLL:
		return poll(&p, 1, -1);
	case PPOLL:
		return ppoll(&p, 1, &ts, &empty);
	case SELECT:
		return select(pair[0] + 1, &set, NULL, NULL, NULL);
	case PSELECT:
		return pselect(pair[0] + 1, &set, NULL, NULL, &ts, &empty);
	case EPOLL_WAIT:
		return epoll_wait(ep, &e, 1, -1);
	case EPOLL_PWAIT:
		return epoll_pwait(ep, &e, 1, 1000000, &empty);
	case NANOSLEEP:
		return nanosleep(&ts, NULL);
	case CLOCK_NANOSLEEP:
		return positive(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL));
	case USLEEP:
		return usleep(999999);
	case SLEEP:
		return positive(sleep(1000) > 900 ? EINTR : 0);
	case THRD_SLEEP:
		return thrd_sleep(&ts, NULL) == -1 ? positive(EINTR) : 0;
	case PAUSE:
		return pause();
	case SIGSUSPEND:
		return sigsuspend(&empty);
	case SIGTIMEDWAIT:
		return sigtimedwait(&term, NULL, &ts);
	case SIGWAITINFO:
		return sigwaitinfo(&term, NULL);
	case JOIN:
		return positive(pthread_join(helper, NULL));
	case MUTEX:
		rc = pthread_mutex_lock(&mutex);
		if (rc == 0)
			pthread_mutex_unlock(&mutex);
		return positive(rc);
	case TIMED_MUTEX:
		rc = pthread_mutex_timedlock(&mutex, &at);
		if (rc == 0)
			pthread_mutex_unlock(&mutex);
		return positive(rc);
	case RWLOCK:
		rc = pthread_rwlock_rdlock(&rwlock);
		if (rc == 0)
			pthread_rwlock_unlock(&rwlock);
		return positive(rc);
	case BARRIER:
		rc = pthread_barrier_wait(&barrier);
		return positive(rc == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : rc);
	case COND:
	case TIMED_COND:
		pthread_mutex_lock(&cond_mutex);
		rc = 0;
		while (!cond_set && rc == 0)
			rc = which == COND ? pthread_cond_wait(&cond, &cond_mutex)
					   : pthread_cond_timedwait(&cond, &cond_mutex, &at);
		pthread_mutex_unlock(&cond_mutex);
		return positive(rc);
	}
	return 0;
}

static void *sender(void *arg)
{
	for (int tries = 0; tries < 5000; tries++) {
		if (__atomic_load_n(&returned, __ATOMIC_SEQ_CST))
			break;
		if (handled >= 5)
			break;
		pthread_kill(caller, SIGUSR1);
		sleep_ms(1);
	}
	release((int)(intptr_t)arg);
	return NULL;
}

static void *all(void *arg)
{
	char bytes[65536] = "";
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction a = {.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};
		sigaction(SIGUSR1, &a, NULL);
		for (int which = 0; which < CALLS; which++) {
			while (write(full[1], bytes, 4096) > 0 && which == WRITE)
				;
			if (which == WRITE) {
				MUST(fcntl(full[1], F_SETFL, 0) == 0);
			}
			while (which == SEND && send(dgram[1], bytes, 1000, MSG_DONTWAIT) > 0)
				;
			prepare(which);
			handled = 0;
			returned = 0;
			caller = pthread_self();
			pthread_t t = spawn(sender, (void *)(intptr_t)which);
			errno = 0;
			int rc = call(which), error = errno;
			__atomic_store_n(&returned, 1, __ATOMIC_SEQ_CST);
			join(t);
			printf("%-12s %-24s %s\n", restart ? "SA_RESTART" : "no flag", names[which],
			       rc >= 0		? "goes on"
			       : error == EINTR ? "EINTR"
						: strerror(error));
			fflush(stdout);
			clean_up(which, rc < 0);
			if (which == JOIN && rc < 0)
				join(helper);
			MUST(fcntl(full[1], F_SETFL, O_NONBLOCK) == 0);
		}
	}
	return NULL;
}

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t n = sizeof(a);
	struct timeval limit = {.tv_sec = 1000};
	struct epoll_event e = {.events = EPOLLIN};
	int fd = mkstemp(file);
	MUST(fd >= 0);
	close(fd);
	snprintf(fifo, sizeof(fifo), "%s.fifo", file);
	MUST(mkfifo(fifo, 0600) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, timed) == 0);
	MUST(setsockopt(timed[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram) == 0);
	MUST(pipe2(full, O_NONBLOCK) == 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (struct sockaddr *)&a, n) == 0 && listen(listener, 5) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&a, &n) == 0);
	port = a.sin_port;
	ep = epoll_create1(0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, pair[0], &e) == 0);
	event = eventfd(0, 0);
	msgs = msgget(IPC_PRIVATE, 0600);
	sems = semget(IPC_PRIVATE, 1, 0600);
	MUST(msgs >= 0 && sems >= 0);
	sem_init(&sem, 0, 0);
	pthread_barrier_init(&barrier, NULL, 2);
	become_threaded();
	printf("-- main\n");
	all(NULL);
	printf("-- thread\n");
	join(spawn(all, NULL));
	msgctl(msgs, IPC_RMID, NULL);
	semctl(sems, 0, IPC_RMID);
	unlink(fifo);
	unlink(file);
	return check_done();
}
