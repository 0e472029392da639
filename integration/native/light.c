/* What a light task has of its own and what it shares: errno, locks, signals, stdio, libc's own
 * waits, children, its stack.  "overflow" and "memory N" are modes of their own. */
#include <aio.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "rc.h"

static gh_group *group;

/* The very first thing that runs beside main, on a block where nothing ran before. */
static void *formats(void *arg)
{
	char text[32];
	snprintf(text, sizeof(text), "%.2f", 1.25);
	return !strcmp(text, "1.25") && isalpha('x') && strtod("2.5", NULL) == 2.5 ? arg : NULL;
}

static void crowd(gh_group_fn fn, int n)
{
	for (int i = 0; i < n; i++)
		QRC(0, gh_group_spawn(group, fn, (void *)(intptr_t)i, NULL));
	QRC(0, gh_group_wait(group));
}

/* ---- errno ---------------------------------------------------------------------------------- */

/* One function: a compiler that keeps where errno is reads another kernel thread's. */
static int errnos(void *arg)
{
	int i = (int)(intptr_t)arg, zero = open("/dev/zero", O_RDONLY);
	char byte;
	for (int round = 0; round < 200; round++) {
		errno = 0;
		if (read(-1, &byte, 1) != -1 || errno != EBADF)
			return -1;
		if ((round + i) % 7 == 0)
			gh_sleep(GH_US(50));
		else
			gh_yield();
		if (write(zero, &byte, 0) != -1 || errno != EBADF)
			return -2;
		gh_yield();
		if (open("/nowhere/nothing", O_RDONLY) != -1 || errno != ENOENT)
			return -3;
	}
	close(zero);
	return 0;
}

/* ---- identity and locks -----------------------------------------------------------------------
 */

static pthread_mutex_t checked, recursive;
static int inside;

static int owners(void *arg)
{
	pid_t me = (pid_t)syscall(SYS_gettid);
	(void)arg;
	for (int round = 0; round < 20; round++) {
		QUIET(pthread_mutex_lock(&recursive) == 0 &&
		      pthread_mutex_trylock(&recursive) == 0);
		QUIET(__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) == 1);
		gh_yield();
		QUIET(syscall(SYS_gettid) == me);
		QUIET(__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST) == 0);
		QUIET(pthread_mutex_unlock(&recursive) == 0);
		gh_yield();
		QUIET(pthread_mutex_unlock(&recursive) == 0);
		if (pthread_mutex_lock(&checked) == 0) {
			QUIET(pthread_mutex_lock(&checked) == EDEADLK);
			gh_yield();
			QUIET(pthread_mutex_unlock(&checked) == 0);
		}
		int r = pthread_mutex_unlock(&checked);
		QUIET(r == EPERM);
	}
	return 0;
}

static void *exits(void *arg)
{
	pthread_exit(arg);
}

static void *looks_at_itself(void *arg)
{
	pthread_attr_t a;
	void *lo;
	size_t size;
	char name[16];
	CHECK_RC(0, pthread_getattr_np(pthread_self(), &a));
	pthread_attr_getstack(&a, &lo, &size);
	CHECK((char *)&a >= (char *)lo && (char *)&a < (char *)lo + size && size < 70000);
	pthread_attr_destroy(&a);
	CHECK_RC(0, pthread_setname_np(pthread_self(), "light one"));
	gh_yield();
	CHECK_RC(0, pthread_getname_np(pthread_self(), name, sizeof(name)));
	CHECK(!strcmp(name, "light one"));
	return arg;
}

/* ---- signals ----------------------------------------------------------------------------------
 */

static __thread int unused;
static volatile sig_atomic_t ran;
static int hold[2];
static void handler(int sig)
{
	char here;
	(void)sig;
	ran += (char *)&unused != &here;
}

static void waits(int sig)
{
	char byte;
	(void)sig;
	QUIET(read(hold[0], &byte, 1) == 1); /* on top of any code: in the kernel */
	ran++;
}

static void *signalled(void *arg)
{
	sigset_t s, old;
	ran = 0;
	CHECK(raise(SIGUSR1) == 0 && ran == 1);
	CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0 && ran == 2);
	CHECK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1) == 0 && ran == 3);
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &s, &old);
	raise(SIGUSR1);
	gh_sleep(GH_MS(1));
	CHECK(ran == 3);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	CHECK(ran == 4);
	return arg;
}

static void *handler_that_waits(void *arg)
{
	ran = 0;
	raise(SIGUSR2);
	CHECK(ran == 1);
	return arg;
}

static void signals(void)
{
	void *ret;
	struct sigaction a = {.sa_handler = handler};
	sigaction(SIGUSR1, &a, NULL);
	a.sa_handler = waits;
	sigaction(SIGUSR2, &a, NULL);
	MUST(pipe(hold) == 0);
	RC(0, gh_task_join(gh_task_spawn(signalled, NULL, NULL), &ret));
	gh_task *t = gh_task_spawn(handler_that_waits, NULL, NULL);
	crowd(errnos, 5); /* go on, on whatever kernel threads are left */
	CHECK(write(hold[1], "", 1) == 1);
	RC(0, gh_task_join(t, &ret));
}

/* ---- stdio, and what else libc waits for inside ------------------------------------------------
 */

enum { WRITERS = 40, LINES = 50 };
static FILE *out;
static int lines[2];

static int writes(void *arg)
{
	int who = (int)(intptr_t)arg;
	for (int i = 0; i < LINES; i++) {
		/* In one call: the lock is held while the pipe is full. */
		fprintf(out, "%d %d %0200d\n", who, i, 0);
		if (i % 10 == who % 10)
			fflush(out);
	}
	return 0;
}

static void *reads(void *arg)
{
	FILE *in = fdopen(lines[0], "r");
	int next[WRITERS] = {0}, who, i, got = 0;
	char zeros[300], line[512];
	while (fgets(line, sizeof(line), in)) {
		int n = sscanf(line, "%d %d %299s", &who, &i, zeros);
		QUIET(n == 3 && who >= 0 && who < WRITERS && strlen(zeros) == 200);
		QUIET(i == next[who]++);
		if (++got % 100 == 0)
			gh_sleep(GH_MS(1));
	}
	fclose(in);
	*(int *)arg = got;
	return NULL;
}

static void stdio(void)
{
	int got = 0;
	MUST(pipe(lines) == 0);
	fcntl(lines[1], F_SETPIPE_SZ, 4096);
	MUST((out = fdopen(lines[1], "w")));
	pthread_t t = spawn(reads, &got);
	crowd(writes, WRITERS);
	fclose(out);
	join(t);
	CHECK(got == WRITERS * LINES);
}

static int libc_waits(void *arg)
{
	struct addrinfo *found = NULL, hints = {.ai_family = AF_INET};
	char text[16] = "";
	usleep(1000);
	QUIET(getaddrinfo("127.0.0.1", "80", &hints, &found) == 0 && found);
	freeaddrinfo(found);
	if ((intptr_t)arg % 4 == 0) {
		QUIET(system("exit 3") >> 8 == 3);
		FILE *p = popen("echo child", "r");
		QUIET(p && fgets(text, sizeof(text), p) && !strcmp(text, "child\n"));
		QUIET(pclose(p) == 0);
	}
	return 0;
}

static int spawns(void *arg)
{
	extern char **environ;
	char *argv[] = {"sh", "-c", "exit 7", NULL};
	pid_t pid;
	int status = 0;
	(void)arg;
	QUIET(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
	QUIET(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
	pid = vfork();
	if (pid == 0)
		_exit(9);
	QUIET(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 9);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	gh_yield();
	return *(const int *)a - *(const int *)b;
}

static int sorts(void *arg)
{
	int v[64];
	char *blocks[64];
	for (int i = 0; i < 64; i++) {
		v[i] = (i * 37 + (int)(intptr_t)arg) % 64;
		blocks[i] = malloc((size_t)v[i] * 8 + 1);
		blocks[i][0] = (char)i;
	}
	qsort(v, 64, sizeof(*v), by_value);
	for (int i = 0; i < 64; i++) {
		QUIET(v[i] == i && blocks[i][0] == (char)i);
		free(blocks[i]);
		if (i % 8 == 0)
			gh_yield();
	}
	return 0;
}

/* ---- a fork's child ---------------------------------------------------------------------------
 */

static void *child_works(void *arg)
{
	return arg;
}

static void note(void *text)
{
	QUIET(write(1, text, strlen(text)) == (ssize_t)strlen(text));
}

static void *forks(void *arg)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		gh_defer(note, "the child's deferred function runs\n");
		void *ret = NULL;
		gh_task *t = gh_task_spawn(formats, &pid, NULL);
		pthread_t p = spawn(child_works, &ret);
		QUIET(gh_task_join(t, &ret) == 0 && ret == &pid && join(p) == &ret);
		QUIET(gh_task_self() != NULL && gh_sleep(GH_MS(1)) == 0);
		if (arg)
			return arg; /* the only thread of the child ends */
		_exit(5);
	}
	int status = 0;
	QUIET(waitpid(pid, &status, 0) == pid);
	QUIET(WIFEXITED(status) && WEXITSTATUS(status) == (arg ? 0 : 5));
	return NULL;
}

/* ---- all together ------------------------------------------------------------------------------
 */

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static long counter, turn;
static gh_time stop_at;
static sem_t told;

static void *mixes(void *arg)
{
	int me = (int)(intptr_t)arg, fds[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	for (unsigned n = (unsigned)me; gh_now() < stop_at; n++) {
		char byte = 'x', *p;
		switch (n % 8) {
		case 0:
			gh_yield();
			break;
		case 1:
			gh_sleep(GH_US(n % 300));
			break;
		case 2:
			pthread_mutex_lock(&m);
			counter++;
			if (n % 5 == 0)
				gh_yield();
			pthread_mutex_unlock(&m);
			break;
		case 3:
			QUIET(write(fds[0], &byte, 1) == 1 && read(fds[1], &byte, 1) == 1);
			break;
		case 4:
			p = malloc(n % 5000 + 1);
			*p = 1;
			gh_yield();
			free(p);
			break;
		case 5: {
			void *ret = NULL;
			gh_task_opts o = {.size = sizeof(o), .flags = n & 8 ? GH_TASK_OWN_TLS : 0};
			gh_task *t = gh_task_spawn(child_works, &ret, &o);
			QUIET(t && gh_task_join(t, &ret) == 0 && ret == &ret);
			break;
		}
		case 6:
			pthread_mutex_lock(&m);
			turn++;
			pthread_cond_broadcast(&c);
			if (n % 3 == 0) {
				struct timespec at = deadline_ms(CLOCK_REALTIME, 1);
				pthread_cond_timedwait(&c, &m, &at);
			}
			pthread_mutex_unlock(&m);
			break;
		case 7:
			errno = 0;
			QUIET(read(-1, &byte, 1) == -1 && errno == EBADF);
			break;
		}
	}
	close(fds[0]);
	close(fds[1]);
	return NULL;
}

static int mixes_light(void *arg)
{
	mixes(arg);
	return 0;
}

/* A kernel thread of libc's. */
static void on_kernel_thread(union sigval v)
{
	(void)v;
	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(&m);
		counter++;
		pthread_mutex_unlock(&m);
		void *ret = NULL;
		gh_task *t = gh_task_spawn(child_works, &ret, NULL);
		QUIET(t && gh_task_join(t, &ret) == 0 && ret == &ret);
		QUIET(gh_sleep(GH_US(20)) == 0);
	}
	sem_post(&told);
}

static void together(int seconds)
{
	pthread_t t[20];
	static char data[8];
	stop_at = gh_after(seconds ? GH_S(seconds) : GH_MS(700));
	sem_init(&told, 0, 0);
	for (int i = 0; i < 20; i++)
		t[i] = spawn(mixes, (void *)(intptr_t)i);
	for (int i = 0; i < 60; i++)
		QRC(0, gh_group_spawn(group, mixes_light, (void *)(intptr_t)i, NULL));
	int fd = open("/dev/zero", O_RDONLY);
	do {
		struct aiocb a = {.aio_fildes = fd,
				  .aio_buf = data,
				  .aio_nbytes = sizeof(data),
				  .aio_sigevent = {.sigev_notify = SIGEV_THREAD}};
		a.aio_sigevent.sigev_notify_function = on_kernel_thread;
		MUST(aio_read(&a) == 0);
		while (sem_wait(&told))
			;
		while (aio_error(&a) == EINPROGRESS)
			gh_sleep(GH_US(100));
	} while (gh_now() < stop_at);
	close(fd);
	for (int i = 0; i < 20; i++)
		join(t[i]);
	RC(0, gh_group_wait(group));
}

static int recurse(volatile char *above)
{
	volatile char here[512];
	here[0] = above ? above[0] : 1;
	return above == here ? 0 : recurse(here) + here[0];
}

static void *overflows(void *arg)
{
	return (void *)(intptr_t)recurse(arg);
}

static long status_kb(const char *what)
{
	char line[256];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kb = atol(line + strlen(what) + 1);
	fclose(f);
	return kb;
}

static void *parks(void *arg)
{
	gh_sleep(GH_FOREVER);
	return arg;
}

static void memory(int n)
{
	gh_task *first = gh_task_spawn(parks, NULL, NULL);
	gh_sleep(GH_MS(10));
	long before = status_kb("VmRSS:") + status_kb("VmPTE:");
	for (int i = 0; i < n; i++)
		MUST(gh_go(parks, NULL, NULL) == 0);
	gh_sleep(GH_MS(500));
	long after = status_kb("VmRSS:") + status_kb("VmPTE:");
	printf("bytes per task: %ld\n", (after - before) * 1024 / n);
	gh_task_cancel(first);
	gh_task_join(first, NULL);
	RC(0, gh_shutdown(gh_after(GH_S(60))));
}

static int program(int argc, char **argv)
{
	void *ret;
	if (argc > 1 && !strcmp(argv[1], "overflow"))
		gh_task_join(gh_task_spawn(overflows, NULL, NULL), NULL);
	if (argc > 2 && !strcmp(argv[1], "memory")) {
		memory(atoi(argv[2]));
		return check_done();
	}
	CHECK(gh_task_join(gh_task_spawn(formats, &ret, NULL), &ret) == 0 && ret == &ret);
	group = gh_group_new(NULL, 0);
	if (argc > 2 && !strcmp(argv[1], "together")) {
		together(atoi(argv[2]));
		gh_group_free(group);
		return check_done();
	}
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&checked, &a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&recursive, &a);
	crowd(errnos, 40);
	crowd(owners, 20);
	CHECK(gh_task_join(gh_task_spawn(exits, &ret, NULL), &ret) == 0 && ret == &ret);
	gh_task_join(gh_task_spawn(looks_at_itself, NULL, NULL), NULL);
	signals();
	stdio();
	crowd(libc_waits, 20);
	crowd(spawns, 10);
	crowd(sorts, 20);
	gh_task_join(gh_task_spawn(forks, NULL, NULL), NULL);
	gh_task_join(gh_task_spawn(forks, &ret, NULL), NULL);
	together(0);
	gh_group_free(group);
	return check_done();
}

int main(int argc, char **argv)
{
	return gh_main(program, argc, argv);
}
