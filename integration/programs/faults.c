/* What the fault-injection runs: one family of calls per mode (faults.py).
 *
 * A call that may fail for want of something (EAGAIN, ENOMEM, ...) ends the program with "error
 * CALL: TEXT" and status 3, as a careful program would; a fact that is wrong is a FAIL and
 * status 1. So the runner can tell an error that was reported from a byte that was lost.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

extern char **environ;

static void report(const char *call, int error)
{
	char line[200];
	int n = snprintf(line, sizeof(line), "error %s: %s\n", call, strerror(error));
	if (write(1, line, (size_t)n) < 0)
		_exit(4);
	exit(3);
}

#define NEED(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			report(#cond, errno);                                                      \
	} while (0)

static pthread_t start(void *(*entry)(void *), void *arg)
{
	pthread_t t;
	int rc = pthread_create(&t, NULL, entry, arg);
	if (rc)
		report("pthread_create", rc);
	return t;
}

#define NEED_RC(call)                                                                              \
	do {                                                                                       \
		int rc_ = (call);                                                                  \
		if (rc_)                                                                           \
			report(#call, rc_);                                                        \
	} while (0)

#define MANY 24
static void together(void *(*entry)(void *), int n)
{
	pthread_t t[MANY];
	for (int i = 0; i < n; i++)
		t[i] = start(entry, (void *)(intptr_t)i);
	for (int i = 0; i < n; i++)
		QUIET(pthread_join(t[i], NULL) == 0);
}

/* ---- threads and locks ---------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t sem;
static int turn, sum;

static void *take_turns(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int round = 0; round < 5; round++) {
		pthread_mutex_lock(&lock);
		while (turn % MANY != me)
			pthread_cond_wait(&changed, &lock);
		turn++;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
		pthread_rwlock_wrlock(&shared);
		sum++;
		pthread_rwlock_unlock(&shared);
		pthread_rwlock_rdlock(&shared);
		QUIET(sum > 0);
		pthread_rwlock_unlock(&shared);
		pthread_barrier_wait(&barrier);
	}
	sem_post(&sem);
	return NULL;
}

static void *big_stack(void *arg)
{
	volatile char deep[300000];
	memset((char *)deep, 7, sizeof(deep));
	return (void *)(intptr_t)deep[1234];
}

static void *wait_for_ever(void *arg)
{
	while (!arg)
		pause();
	return NULL;
}

static void threads(void)
{
	pthread_attr_t attr;
	pthread_t t;
	void *result;

	pthread_barrier_init(&barrier, NULL, MANY);
	sem_init(&sem, 0, 0);
	together(take_turns, MANY);
	for (int i = 0; i < MANY; i++)
		QUIET(sem_wait(&sem) == 0);
	CHECK(turn == 5 * MANY && sum == 5 * MANY);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1 << 20);
	for (int i = 0; i < 3; i++) {
		int rc = pthread_create(&t, &attr, big_stack, NULL);
		if (rc)
			report("pthread_create", rc);
		QUIET(pthread_join(t, &result) == 0 && result == (void *)7);
	}
	t = start(wait_for_ever, NULL);
	CHECK(pthread_cancel(t) == 0);
	CHECK(pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED);
}

/* ---- sockets and pipes ---------------------------------------------------------------------- */

enum { CONNECTIONS = 20, MESSAGES = 6, BYTES = 5000 };
static int listener, port, ends[2];

static bool all_of(int fd, char *buf, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = recv(fd, buf + got, n - got, 0);
		if (r < 0)
			report("recv", errno);
		if (r == 0)
			return false;
		got += (size_t)r;
	}
	return true;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[BYTES];
	while (all_of(fd, buf, sizeof(buf)))
		NEED(send(fd, buf, sizeof(buf), MSG_NOSIGNAL) == sizeof(buf));
	close(fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	pthread_t t[CONNECTIONS];
	for (int i = 0; i < CONNECTIONS; i++) {
		int fd = accept(listener, NULL, NULL);
		NEED(fd >= 0);
		t[i] = start(serve, (void *)(intptr_t)fd);
	}
	for (int i = 0; i < CONNECTIONS; i++)
		join(t[i]);
	return NULL;
}

static void *ask(void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char out[BYTES], in[BYTES];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	NEED(fd >= 0);
	NEED(connect(fd, (void *)&to, sizeof(to)) == 0);
	for (int m = 0; m < MESSAGES; m++) {
		for (int i = 0; i < BYTES; i++)
			out[i] = (char)(i * 31 + m + (int)(intptr_t)arg);
		NEED(send(fd, out, sizeof(out), MSG_NOSIGNAL) == sizeof(out));
		QUIET(all_of(fd, in, sizeof(in)) && !memcmp(in, out, sizeof(in)));
	}
	close(fd);
	return NULL;
}

static void *fill(void *arg)
{
	static char block[200000];
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7);
	NEED(write(ends[1], block, sizeof(block)) == sizeof(block));
	close(ends[1]);
	return NULL;
}

static void *tick(void *arg)
{
	uint64_t one = 1;
	for (int i = 0; i < 3; i++) {
		usleep(2000);
		NEED(write((int)(intptr_t)arg, &one, sizeof(one)) == sizeof(one));
	}
	return NULL;
}

static void sockets(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	NEED(bind(listener, (void *)&at, n) == 0 && listen(listener, 64) == 0);
	getsockname(listener, (void *)&at, &n);
	port = ntohs(at.sin_port);
	pthread_t server = start(accept_all, NULL);
	together(ask, CONNECTIONS);
	QUIET(pthread_join(server, NULL) == 0);
	close(listener);
	printf("ok   %d connections\n", CONNECTIONS);

	NEED(pipe(ends) == 0);
	pthread_t writer = start(fill, NULL);
	size_t got = 0;
	unsigned char buf[3000];
	for (ssize_t r; (r = read(ends[0], buf, sizeof(buf))) != 0; got += (size_t)r) {
		NEED(r > 0);
		for (ssize_t i = 0; i < r; i++)
			QUIET(buf[i] == (unsigned char)((got + (size_t)i) * 7));
	}
	join(writer);
	close(ends[0]);
	CHECK(got == 200000);

	int ev = eventfd(0, EFD_NONBLOCK), ep = epoll_create1(0), seen = 0;
	struct epoll_event e = {.events = EPOLLIN};
	NEED(ev >= 0 && ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e) == 0);
	pthread_t ticker = start(tick, (void *)(intptr_t)ev);
	while (seen < 3) {
		struct pollfd p = {ev, POLLIN, 0};
		uint64_t count = 0;
		int r = seen % 2 ? poll(&p, 1, 5000) : epoll_wait(ep, &e, 1, 5000);
		NEED(r >= 0);
		QUIET(r == 1);
		NEED(read(ev, &count, sizeof(count)) == sizeof(count));
		seen += (int)count;
	}
	join(ticker);
	CHECK(seen == 3);
	fd_set set;
	FD_ZERO(&set);
	FD_SET(ev, &set);
	struct timeval tv = {0, 3000};
	int r = select(ev + 1, &set, NULL, NULL, &tv);
	NEED(r >= 0);
	CHECK(r == 0);
	close(ev);
	close(ep);
}

/* ---- files ---------------------------------------------------------------------------------- */

static int file;

static void *write_block(void *arg)
{
	char block[4096];
	long me = (intptr_t)arg;
	memset(block, 'a' + (int)me, sizeof(block));
	NEED(pwrite(file, block, sizeof(block), me * 4096) == sizeof(block));
	NEED(flock(file, LOCK_EX) == 0 && flock(file, LOCK_UN) == 0);
	NEED(fdatasync(file) == 0);
	return NULL;
}

static void *line_by_line(void *arg)
{
	FILE *f = arg;
	for (int i = 0; i < 50; i++)
		NEED(fprintf(f, "a line of some length, number %d\n", i) > 0);
	return NULL;
}

static void files(void)
{
	char name[] = "/tmp/faults.XXXXXX", line[100];
	file = mkstemp(name);
	NEED(file >= 0);
	together(write_block, 8);
	for (int i = 0; i < 8; i++) {
		char block[4096];
		NEED(read(file, block, sizeof(block)) == sizeof(block));
		QUIET(block[0] == 'a' + i && !memcmp(block, block + 1, sizeof(block) - 1));
	}
	close(file);
	FILE *f = fopen(name, "w+");
	NEED(f != NULL);
	pthread_t a = start(line_by_line, f), b = start(line_by_line, f);
	join(a);
	join(b);
	NEED(fflush(f) == 0);
	rewind(f);
	int lines = 0;
	while (fgets(line, sizeof(line), f)) {
		lines++;
		QUIET(!strncmp(line, "a line of some length", 21));
	}
	CHECK(lines == 100);
	CHECK(fclose(f) == 0);
	unlink(name);
}

/* ---- time ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t alarms;
static void on_alarm(int sig)
{
	alarms++;
}

static void *doze(void *arg)
{
	struct timespec limit = deadline_ms(CLOCK_REALTIME, 4);
	struct pollfd none = {-1, 0, 0};
	int64_t before = now_ns(CLOCK_MONOTONIC);
	sleep_ms(3);
	pthread_mutex_lock(&lock);
	QUIET(pthread_cond_timedwait(&changed, &lock, &limit) == ETIMEDOUT);
	pthread_mutex_unlock(&lock);
	QUIET(sem_timedwait(&sem, &limit) == -1 && errno == ETIMEDOUT);
	int r = poll(&none, 1, 2);
	NEED(r >= 0);
	QUIET(r == 0);
	QUIET(now_ns(CLOCK_MONOTONIC) - before >= 5000000);
	return NULL;
}

static void *nap(void *arg)
{
	sleep_ms(100);
	return NULL;
}

static void sleeps(void)
{
	struct itimerspec its = {{0, 3000000}, {0, 3000000}};
	struct sigevent se = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct timespec soon;
	timer_t timer;

	sem_init(&sem, 0, 0);
	together(doze, MANY);
	together(doze, 1);
	pthread_t t = start(nap, NULL);
	soon = deadline_ms(CLOCK_REALTIME, 5);
	CHECK(pthread_timedjoin_np(t, NULL, &soon) == ETIMEDOUT);
	join(t);
	signal(SIGALRM, on_alarm);
	NEED(timer_create(CLOCK_MONOTONIC, &se, &timer) == 0);
	NEED(timer_settime(timer, 0, &its, NULL) == 0);
	while (alarms < 3)
		pause();
	CHECK(timer_delete(timer) == 0);
	CHECK(alarms >= 3);
}

/* ---- signals -------------------------------------------------------------------------------- */

static volatile sig_atomic_t handled[65];
static void on_signal(int sig)
{
	handled[sig]++;
}

static void *wait_for_usr2(void *arg)
{
	sigset_t set;
	int got = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	NEED_RC(sigwait(&set, &got));
	QUIET(got == SIGUSR2);
	return NULL;
}

static void *sleep_until_usr1(void *arg)
{
	while (!handled[SIGUSR1])
		usleep(1000);
	return NULL;
}

static void *spin_until_hup(void *arg)
{
	while (!handled[SIGHUP])
		;
	return NULL;
}

static void signals(void)
{
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct timespec limit = {5, 0};
	siginfo_t info;
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	pthread_t w = start(wait_for_usr2, NULL), s = start(sleep_until_usr1, NULL);
	pthread_t h = start(spin_until_hup, NULL);
	NEED_RC(pthread_kill(s, SIGUSR1));
	NEED_RC(pthread_kill(w, SIGUSR2));
	NEED_RC(pthread_kill(h, SIGHUP));
	join(w);
	join(s);
	join(h);
	CHECK(handled[SIGUSR1] == 1 && handled[SIGHUP] == 1);
	NEED(kill(getpid(), SIGTERM) == 0);
	int got = sigtimedwait(&set, &info, &limit);
	NEED(got >= 0);
	CHECK(got == SIGTERM);
	for (int i = 0; i < 4; i++)
		NEED(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}) == 0);
	for (int i = 0; i < 4; i++) {
		got = sigtimedwait(&set, &info, &limit);
		NEED(got >= 0);
		CHECK(got == SIGRTMIN && info.si_value.sival_int == i);
	}
	NEED(kill(getpid(), SIGHUP) == 0);
	while (handled[SIGHUP] < 2)
		sleep_ms(1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	NEED(setgid(getgid()) == 0);
	CHECK(raise(SIGUSR1) == 0 && handled[SIGUSR1] == 2);
}

/* ---- processes ------------------------------------------------------------------------------ */

static void *parent(void *arg)
{
	int status;
	fflush(stdout);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		join(start(check_nothing, NULL));
		sleep_ms(2);
		_exit(40 + (int)(intptr_t)arg);
	}
	NEED(waitpid(child, &status, 0) == child);
	QUIET(WIFEXITED(status) && WEXITSTATUS(status) == 40 + (int)(intptr_t)arg);
	return NULL;
}

static void *spawner(void *arg)
{
	char *argv[] = {"sh", "-c", "exit 5", NULL};
	siginfo_t info = {0};
	pid_t child;
	int rc = posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ);
	if (rc)
		report("posix_spawn", rc);
	NEED(waitid(P_PID, (id_t)child, &info, WEXITED) == 0);
	QUIET(info.si_code == CLD_EXITED && info.si_status == 5);
	return NULL;
}

static void processes(void)
{
	char line[40] = "";
	together(parent, 3);
	together(spawner, 3);
	int status = system("exit 6");
	NEED(status != -1);
	CHECK(WEXITSTATUS(status) == 6);
	FILE *f = popen("echo hello", "r");
	NEED(f != NULL);
	NEED(fgets(line, sizeof(line), f));
	CHECK(!strcmp(line, "hello\n"));
	CHECK(pclose(f) == 0);
	fflush(stdout);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		join(start(check_nothing, NULL));
		execl("/bin/echo", "echo", "after exec", NULL);
		_exit(9);
	}
	NEED(wait(&status) == child);
	CHECK(status == 0);
}

/* ---- names ---------------------------------------------------------------------------------- */

static void *look_up(void *arg)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
	int rc = getaddrinfo("localhost", "80", &hints, &list);
	if (rc == EAI_SYSTEM || rc == EAI_AGAIN || rc == EAI_MEMORY)
		report("getaddrinfo", errno);
	QUIET(rc == 0 && list != NULL);
	if (list)
		freeaddrinfo(list);
	return NULL;
}

static void names(void)
{
	together(look_up, MANY);
	printf("ok   %d look-ups\n", MANY);
}

/* ---- progress ------------------------------------------------------------------------------- */

static volatile int go;

static void *compute(void *arg)
{
	int64_t end = now_ns(CLOCK_MONOTONIC) + 30000000;
	while (now_ns(CLOCK_MONOTONIC) < end)
		;
	return NULL;
}

/* A system call that no hook sees. */
static void *unseen(void *arg)
{
	struct timespec t = {0, 15000000};
	long r;
	register long r10 __asm__("r10") = 0;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(SYS_clock_nanosleep), "D"(CLOCK_MONOTONIC), "S"(0L), "d"(&t),
			   "r"(r10)
			 : "rcx", "r11", "memory");
	QUIET(r == 0);
	return NULL;
}

static void *own_state(void *arg)
{
	cpu_set_t set;
	NEED(prctl(PR_SET_TIMERSLACK, 60000 + (long)arg) == 0);
	sleep_ms(1);
	QUIET(prctl(PR_GET_TIMERSLACK) == 60000 + (long)arg);
	NEED(sched_getaffinity(0, sizeof(set), &set) == 0);
	NEED(pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0);
	NEED(pthread_setname_np(pthread_self(), "renamed") == 0);
	return NULL;
}

static void progress(void)
{
	together(compute, 6);
	together(unseen, 8);
	sleep_ms(60);
	together(unseen, 8);
	together(own_state, 3);
	puts("ok   all got on");
}

/* ---- disk: the native API's files, where there is one ---------------------------------------- */

static int64_t (*do_pwrite)(int, const void *, size_t, int64_t);
static int64_t (*do_pread)(int, void *, size_t, int64_t);
static int (*do_fsync)(int);

/* -errno, as the API has it */
static int64_t plain_pwrite(int fd, const void *buf, size_t n, int64_t at)
{
	ssize_t r = pwrite(fd, buf, n, at);
	return r < 0 ? -errno : r;
}

static int64_t plain_pread(int fd, void *buf, size_t n, int64_t at)
{
	ssize_t r = pread(fd, buf, n, at);
	return r < 0 ? -errno : r;
}

static int plain_fsync(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

#define NEED_NATIVE(name, want, call)                                                              \
	do {                                                                                       \
		int64_t r_ = (call);                                                               \
		if (r_ < 0)                                                                        \
			report(name, (int)-r_);                                                    \
		QUIET(r_ == (want));                                                               \
	} while (0)

static int disk_file;

static void *use_disk(void *arg)
{
	int64_t at = (int64_t)(intptr_t)arg * 100;
	char line[100], seen[100];
	for (int round = 0; round < 4; round++) {
		memset(line, 'a' + (int)(at / 100 + round) % 26, sizeof(line));
		NEED_NATIVE("gh_pwrite", 100, do_pwrite(disk_file, line, sizeof(line), at));
		NEED_NATIVE("gh_fsync", 0, do_fsync(disk_file));
		NEED_NATIVE("gh_pread", 100, do_pread(disk_file, seen, sizeof(seen), at));
		QUIET(!memcmp(line, seen, sizeof(line)));
	}
	return NULL;
}

static void disk(void)
{
	char path[] = "/var/tmp/faults.XXXXXX";
	do_pwrite = (__typeof__(do_pwrite))dlsym(RTLD_DEFAULT, "gh_pwrite");
	do_pread = (__typeof__(do_pread))dlsym(RTLD_DEFAULT, "gh_pread");
	do_fsync = (__typeof__(do_fsync))dlsym(RTLD_DEFAULT, "gh_fsync");
	if (!do_pwrite || !do_pread || !do_fsync) {
		do_pwrite = plain_pwrite;
		do_pread = plain_pread;
		do_fsync = plain_fsync;
	}
	NEED((disk_file = mkostemp(path, O_DSYNC)) >= 0);
	unlink(path);
	for (int i = 0; i < 3; i++) { /* the ring is there from the second on */
		together(use_disk, MANY);
		sleep_ms(2);
	}
	NEED(setgid(getgid()) == 0);
	close(disk_file);
	puts("ok   all is on the disk");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {{"threads", threads}, {"sockets", sockets},   {"files", files},
		     {"sleeps", sleeps},   {"signals", signals},   {"processes", processes},
		     {"names", names},	   {"progress", progress}, {"disk", disk}};
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(argv[1], modes[i].name)) {
			modes[i].run();
			int status = check_done();
			if (ferror(stdout))
				report("printf", EIO);
			return status;
		}
	return 2;
}
