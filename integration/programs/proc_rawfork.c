/* Processes made without libc's fork: by system call, by clone(), by _Fork and by functions that
 * fork inside (daemon). Each child is alone, knows its id, and can make threads and wait. */
#include "check.h"
#include <dlfcn.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int stop;
static sem_t never;

static void *adds(void *arg)
{
	sleep_ms(1);
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static int threads_work(void)
{
	pthread_t t[10];
	int n = 0, fd[2];
	char byte;
	for (int i = 0; i < 10; i++)
		t[i] = spawn(adds, &n);
	for (int i = 0; i < 10; i++)
		join(t[i]);
	MUST(pipe(fd) == 0 && write(fd[1], "x", 1) == 1 && read(fd[0], &byte, 1) == 1);
	close(fd[0]);
	close(fd[1]);
	return n == 10 && syscall(SYS_gettid) == getpid();
}

static int ended(pid_t pid)
{
	int st;
	return pid > 0 && waitpid(pid, &st, 0) == pid && WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static int in_clone(void *arg)
{
	return threads_work() ? (int)(intptr_t)arg : 1;
}

static int in_vfork_clone(void *arg)
{
	*(int *)arg = getpid();
	return 12;
}

static void *busy(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		sched_yield();
	return NULL;
}

static void *parked(void *arg)
{
	sem_wait(&never);
	return NULL;
}

static void *all(void *arg)
{
	pid_t pid = (pid_t)syscall(SYS_fork);
	if (pid == 0)
		_exit(threads_work() ? 4 : 1);
	QUIET(ended(pid) == 4);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(threads_work() ? 5 : 1);
	QUIET(ended(pid) == 5);
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, size, tls;
	} args = {.exit_signal = SIGCHLD};
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		_exit(threads_work() ? 6 : 1);
	QUIET(ended(pid) == 6);
	pid_t (*bare)(void) = (pid_t(*)(void))dlsym(RTLD_DEFAULT, "_Fork");
	if (bare) {
		pid = bare();
		if (pid == 0)
			_exit(threads_work() ? 7 : 1);
		QUIET(ended(pid) == 7);
	}
	char *stack = malloc(256 << 10);
	QUIET(ended(clone(in_clone, stack + (256 << 10), SIGCHLD, (void *)8)) == 8);
	int seen = 0;
	pid = clone(in_vfork_clone, stack + (256 << 10), CLONE_VM | CLONE_VFORK | SIGCHLD, &seen);
	QUIET(seen == pid && ended(pid) == 12);
	errno = 0;
	QUIET(clone(NULL, NULL, SIGCHLD, NULL) == -1 && errno == EINVAL);
	free(stack);
	return NULL;
}

/* What a process is called follows the thread that forked. */
static void *named(void *arg)
{
	char name[32] = "";
	int st;
	pthread_setname_np(pthread_self(), "the-forker");
	sched_yield();
	pid_t pid = fork();
	if (pid == 0) {
		FILE *f = fopen("/proc/self/comm", "r");
		_exit(f && fgets(name, sizeof(name), f) && !strcmp(name, "the-forker\n") ? 0 : 1);
	}
	CHECK(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 0);
	return NULL;
}

/* A daemon is a grandchild: it reports through the pipe. */
static void *daemonises(void *arg)
{
	int fd[2], st;
	char answer = 0;
	MUST(pipe(fd) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(fd[0]);
		pid_t before = getpid();
		join(spawn(check_nothing, NULL));
		int good = daemon(0, 0) == 0 && getpid() != before;
		for (int i = 0; i < 10000 && getppid() == before; i++)
			sleep_ms(1); /* daemon() may return before its caller has ended */
		good = good && getppid() != before && threads_work();
		good = write(fd[1], good ? "y" : "n", 1) == 1;
		_exit(0);
	}
	close(fd[1]);
	CHECK(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 0);
	CHECK(read(fd[0], &answer, 1) == 1 && answer == 'y');
	close(fd[0]);
	return NULL;
}

int main(void)
{
	pthread_t b, t[4];
	sem_init(&never, 0, 0);
	b = spawn(busy, NULL);
	spawn(parked, NULL);
	all(NULL);
	for (int i = 0; i < 4; i++)
		t[i] = spawn(all, NULL);
	for (int i = 0; i < 4; i++)
		join(t[i]);
	join(spawn(named, NULL));
	join(spawn(daemonises, NULL));
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(b);
	return check_done();
}
