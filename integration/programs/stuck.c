/* Everybody waits.  "mutex", "cond", "sem", "barrier", "rwlock", "join", "many", "exit", "closed":
 * and nothing can wake them; it does not end.  The others do, after three seconds in which
 * everybody waits, for something outside wakes them: a time, a signal, a child, a descriptor, a
 * kernel thread. */
#include "check.h"
#include <aio.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SECONDS = 3 };

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t sem, never;
static pthread_t main_thread;
static volatile int is_set;

static void *in_cond(void *arg)
{
	pthread_mutex_lock(&m);
	while (!is_set)
		pthread_cond_wait(&c, &m);
	pthread_mutex_unlock(&m);
	return arg;
}

static void *in_sem(void *arg)
{
	while (sem_wait(&sem) < 0)
		;
	return arg;
}

static void *in_mutex(void *arg)
{
	pthread_mutex_lock(&m);
	return arg;
}

static void *in_rwlock(void *arg)
{
	pthread_rwlock_rdlock(&rw);
	return arg;
}

static void *in_barrier(void *arg)
{
	pthread_barrier_wait(&barrier);
	return arg;
}

static void *in_join(void *arg)
{
	pthread_join(main_thread, NULL);
	return arg;
}

static void *holds_and_leaves(void *arg)
{
	pthread_mutex_lock(&m);
	return arg;
}

static void post(int sig)
{
	sem_post(&sem);
}

static void post_value(union sigval v)
{
	sem_post(&sem);
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s) < 0)
		;
}

/* ---- nothing wakes them --------------------------------------------------------------------- */

/* As one that is linked statically against something does it. */
static void close_all_behind_the_hooks(void)
{
	long r = SYS_close_range;
	__asm__ volatile("syscall" : "+a"(r) : "D"(3L), "S"(~0u), "d"(0L) : "rcx", "r11", "memory");
	MUST(r == 0);
}

/* So long that a worker with nothing to do falls asleep in the poller. */
static void compute(void)
{
	for (int64_t end = now_ns(CLOCK_MONOTONIC) + 200000000; now_ns(CLOCK_MONOTONIC) < end;)
		;
}

static void stuck(const char *what)
{
	printf("ready\n");
	fflush(stdout);
	if (!strcmp(what, "mutex")) {
		join(spawn(holds_and_leaves, NULL));
		join(spawn(in_mutex, NULL));
	} else if (!strcmp(what, "cond")) {
		spawn(in_cond, NULL);
		in_cond(NULL);
	} else if (!strcmp(what, "sem")) {
		join(spawn(in_sem, NULL));
	} else if (!strcmp(what, "barrier")) {
		pthread_barrier_init(&barrier, NULL, 3);
		spawn(in_barrier, NULL);
		in_barrier(NULL);
	} else if (!strcmp(what, "rwlock")) {
		pthread_rwlock_wrlock(&rw);
		join(spawn(in_rwlock, NULL));
	} else if (!strcmp(what, "join")) {
		spawn(in_join, NULL);
		in_sem(NULL);
	} else if (!strcmp(what, "many")) {
		for (int i = 0; i < 5000; i++)
			spawn(i % 2 ? in_cond : in_sem, NULL);
		in_sem(NULL);
	} else if (!strcmp(what, "closed")) {
		pthread_t t = spawn(in_sem, NULL);
		close_all_behind_the_hooks();
		join(t);
	} else if (!strcmp(what,
			   "kicked and closed")) { /* before who was woken for it has looked */
		pthread_t t = spawn(in_sem, NULL);
		compute();
		spawn(in_sem, NULL);
		close_all_behind_the_hooks();
		compute();
		join(t);
	} else if (!strcmp(what, "alarm")) { /* which ends it, natively, too */
		alarm(SECONDS);
		join(spawn(in_sem, NULL));
	} else if (!strcmp(what, "exit")) {
		spawn(in_sem, NULL);
		spawn(in_cond, NULL);
		pthread_exit(NULL);
	}
}

/* ---- something does ------------------------------------------------------------------------- */

static void *sleeps(void *arg)
{
	sleep(SECONDS);
	sem_post(&sem);
	return arg;
}

static void *waits_with_limit(void *arg)
{
	struct timespec at;
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += SECONDS;
	sem_timedwait(&never, &at);
	sem_post(&sem);
	return arg;
}

static void *sigwaits(void *arg)
{
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigwait(&set, &sig);
	sem_post(&sem);
	return arg;
}

static void *waits_for_child(void *arg)
{
	pid_t pid = fork();
	if (pid == 0) {
		sleep(SECONDS);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	sem_post(&sem);
	return arg;
}

static void *waits_for_any_child(void *arg)
{
	if (fork() == 0) {
		sleep(SECONDS);
		_exit(0);
	}
	wait(NULL);
	sem_post(&sem);
	return arg;
}

static int fds[2];
static void *reads(void *arg)
{
	char byte;
	if (read(fds[0], &byte, 1) == 1)
		sem_post(&sem);
	return arg;
}

static void *polls(void *arg)
{
	struct pollfd p = {fds[0], POLLIN, 0};
	if (poll(&p, 1, -1) == 1)
		sem_post(&sem);
	return arg;
}

static void *epolls(void *arg)
{
	int ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN};
	epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e);
	if (epoll_wait(ep, &e, 1, -1) == 1)
		sem_post(&sem);
	return arg;
}

static void *inline_sleep(void *arg)
{
	struct timespec ts = {SECONDS, 0};
	long r;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(SYS_nanosleep), "D"(&ts), "S"(NULL)
			 : "rcx", "r11", "memory");
	sem_post(&sem);
	return arg;
}

static void *computes(void *arg)
{
	time_t end = time(NULL) + SECONDS;
	while (time(NULL) < end)
		;
	sem_post(&sem);
	return arg;
}

static void child_writes(void)
{
	if (fork() == 0) {
		sleep(SECONDS);
		_exit(write(fds[1], "x", 1) != 1);
	}
}

#ifdef __x86_64__
/* post() becomes the handler of SIGUSR1 by a system call that nobody sees. */
static void handler_behind(void)
{
	char action[64]; /* the kernel's structure, libc's own flags and restorer included */
	register long size __asm__("r10") = 8;
	long r;

	signal(SIGUSR2, post);
	MUST(syscall(SYS_rt_sigaction, SIGUSR2, NULL, action, 8) == 0);
	signal(SIGUSR2, SIG_DFL);
	((void (**)(int))action)[0] = post;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(SYS_rt_sigaction), "D"(SIGUSR1), "S"(action), "d"(NULL), "r"(size)
			 : "rcx", "r11", "memory");
	MUST(r == 0);
}

static void child_signals(void)
{
	pid_t parent = getpid();
	if (fork() == 0) {
		sleep(SECONDS);
		_exit(kill(parent, SIGUSR1) != 0);
	}
}
#endif

static void woken(const char *what)
{
	struct itimerspec its = {.it_value.tv_sec = SECONDS};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = post_value};
	timer_t timer;

	if (!strcmp(what, "sleep")) {
		spawn(sleeps, NULL);
	} else if (!strcmp(what, "sleep and closed")) {
		/* The clock that wakes it is set, and a worker asleep beside it, when all is
		 * closed. */
		spawn(sleeps, NULL);
		compute();
		close_all_behind_the_hooks();
	} else if (!strcmp(what, "limit")) {
		spawn(waits_with_limit, NULL);
	} else if (!strcmp(what, "handler")) {
		signal(SIGALRM, post);
		alarm(SECONDS);
#ifdef __x86_64__
	} else if (!strcmp(what, "behind")) {
		handler_behind();
		child_signals();
#endif
	} else if (!strcmp(what, "sigwait")) {
		spawn(sigwaits, NULL);
		alarm(SECONDS);
	} else if (!strcmp(what, "timer")) {
		MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
		MUST(timer_settime(timer, 0, &its, NULL) == 0);
	} else if (!strcmp(what, "child")) {
		spawn(waits_for_child, NULL);
	} else if (!strcmp(what, "any")) {
		spawn(waits_for_any_child, NULL);
	} else if (!strcmp(what, "read") || !strcmp(what, "poll") || !strcmp(what, "epoll")) {
		MUST(pipe(fds) == 0);
		spawn(!strcmp(what, "read") ? reads : !strcmp(what, "poll") ? polls : epolls, NULL);
		child_writes();
	} else if (!strcmp(what, "kernel")) {
		spawn(inline_sleep, NULL);
	} else if (!strcmp(what, "computes")) {
		spawn(computes, NULL);
	} else if (!strcmp(what, "shared")) {
		sem_t *s =
		    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		MUST(s != MAP_FAILED && sem_init(s, 1, 0) == 0);
		if (fork() == 0) {
			sleep(SECONDS);
			_exit(sem_post(s));
		}
		wait_for(s);
		sem_post(&sem);
	} else if (!strcmp(what, "aio")) {
		static char byte;
		struct aiocb cb = {.aio_buf = &byte, .aio_nbytes = 1, .aio_sigevent = ev};
		MUST(pipe(fds) == 0);
		cb.aio_fildes = fds[0];
		child_writes();
		MUST(aio_read(&cb) == 0);
		wait_for(&sem);
		sem_post(&sem);
	}
	in_sem(NULL);
	is_set = 1;
	pthread_mutex_lock(&m);
	pthread_cond_broadcast(&c);
	pthread_mutex_unlock(&m);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "sleep";
	static const char *const never_woken[] = {
	    "mutex", "cond", "sem",    "barrier", "rwlock",	      "join",
	    "many",  "exit", "closed", "alarm",	  "kicked and closed"};

	main_thread = pthread_self();
	pthread_barrier_init(&barrier, NULL, 1);
	sem_init(&sem, 0, 0);
	sem_init(&never, 0, 0);
	for (size_t i = 0; i < sizeof(never_woken) / sizeof(*never_woken); i++)
		if (!strcmp(what, never_woken[i]))
			stuck(what);
	if (!strcmp(what, "sigwait")) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGALRM);
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	pthread_t t = spawn(in_cond, NULL);
	woken(what);
	join(t);
	CHECK(is_set);
	return check_done();
}
