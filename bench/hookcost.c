/* What does a hooked call cost that does not park?  One line per call: name and ns, from a thread
 * of a process that has others, so that under greenhook every hook does its work.
 *
 *   hookcost [ROUNDS]     JSON: {"call": ns, ...}, each the least of ROUNDS batches
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"

enum { BATCH = 20000 };

static int zero, null, pair[2], pipes[2], poller;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_key_t key;
static sem_t sem;
static char buf[64];

static void must(long ok)
{
	if (ok < 0) {
		perror("hookcost");
		exit(1);
	}
}

static void read_zero(void)
{
	must(read(zero, buf, 1));
}
static void write_null(void)
{
	must(write(null, buf, 1));
}
static void send_recv(void)
{
	must(send(pair[0], buf, 64, 0));
	must(recv(pair[1], buf, 64, 0));
}
static void write_read_socket(void)
{
	must(write(pair[0], buf, 64));
	must(read(pair[1], buf, 64));
}
static void write_read_pipe(void)
{
	must(write(pipes[1], buf, 64));
	must(read(pipes[0], buf, 64));
}
static void poll_ready(void)
{
	struct pollfd p = {pair[0], POLLOUT, 0};
	must(poll(&p, 1, 1000));
}
static void epoll_ready(void)
{
	struct epoll_event e;
	must(epoll_wait(poller, &e, 1, 1000));
}
static void lock_unlock(void)
{
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}
static void lock_recursive(void)
{
	pthread_mutex_lock(&recursive);
	pthread_mutex_unlock(&recursive);
}
static void rdlock_unlock(void)
{
	pthread_rwlock_rdlock(&rwlock);
	pthread_rwlock_unlock(&rwlock);
}
static void wrlock_unlock(void)
{
	pthread_rwlock_wrlock(&rwlock);
	pthread_rwlock_unlock(&rwlock);
}
static void signal_nobody(void)
{
	pthread_cond_signal(&cond);
}
static void post_wait(void)
{
	sem_post(&sem);
	sem_wait(&sem);
}
static void ask_self(void)
{
	__asm__ volatile("" : : "r"(pthread_self()));
}
static void specific(void)
{
	pthread_setspecific(key, buf);
}
static void open_close(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	must(fd);
	close(fd);
}
static void ask_mask(void)
{
	sigset_t set;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
}
static void fcntl_get(void)
{
	must(fcntl(zero, F_GETFL));
}
static void pread_file(void)
{
	static int fd;
	if (!fd)
		must(fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	must(pread(fd, buf, 64, 0));
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
    {"read /dev/zero", read_zero},
    {"write /dev/null", write_null},
    {"send, recv", send_recv},
    {"write, read: socket", write_read_socket},
    {"write, read: pipe", write_read_pipe},
    {"poll, ready", poll_ready},
    {"epoll_wait, ready", epoll_ready},
    {"mutex lock, unlock", lock_unlock},
    {"recursive lock, unlock", lock_recursive},
    {"rwlock rd, unlock", rdlock_unlock},
    {"rwlock wr, unlock", wrlock_unlock},
    {"cond_signal, nobody", signal_nobody},
    {"sem_post, sem_wait", post_wait},
    {"pthread_self", ask_self},
    {"setspecific", specific},
    {"open, close", open_close},
    {"sigmask, asked", ask_mask},
    {"fcntl F_GETFL", fcntl_get},
    {"pread, cached file", pread_file},
};

static void *measure(void *arg)
{
	enum { N = sizeof(calls) / sizeof(*calls) };
	int rounds = *(int *)arg;
	double best[N];
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < N; i++) {
			uint64_t start = now_ns();
			for (int n = 0; n < BATCH; n++)
				calls[i].call();
			double ns = (double)(now_ns() - start) / BATCH;
			if (r == 0 || ns < best[i])
				best[i] = ns;
		}
	for (int i = 0; i < N; i++)
		printf("%s\"%s\": %.1f", i ? ", " : "{", calls[i].name, best[i]);
	puts("}");
	return NULL;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 15;
	pthread_t t;
	struct epoll_event e = {.events = EPOLLOUT};

	must(zero = open("/dev/zero", O_RDONLY));
	must(null = open("/dev/null", O_WRONLY));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(pipe(pipes));
	must(poller = epoll_create1(0));
	must(epoll_ctl(poller, EPOLL_CTL_ADD, pair[0], &e));
	must(sem_init(&sem, 0, 0));
	pthread_key_create(&key, NULL);
	if (pthread_create(&t, NULL, measure, &rounds))
		return 1;
	pthread_join(t, NULL);
	return 0;
}
