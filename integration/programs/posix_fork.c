/* What a child of fork() has of its parent and what it has not, from main and from a thread. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>

static volatile sig_atomic_t caught;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static __thread int local;
static int atforks;

static void on_signal(int sig)
{
	caught++;
}

static void before(void)
{
	atforks++;
}

static void after_parent(void)
{
	atforks += 10;
}

static void after_child(void)
{
	atforks += 100;
}

static void *spins(void *arg)
{
	while (!__atomic_load_n((int *)arg, __ATOMIC_SEQ_CST))
		sched_yield();
	return NULL;
}

#define IN_CHILD(what, expr)                                                                       \
	do {                                                                                       \
		int status_;                                                                       \
		pid_t pid_ = fork();                                                               \
		if (pid_ == 0)                                                                     \
			_exit((expr) ? 0 : 1);                                                     \
		int ok_ = pid_ > 0 && waitpid(pid_, &status_, 0) == pid_ && status_ == 0;          \
		check_report(ok_, what, "", __LINE__, 0);                                          \
	} while (0)

static int threads_in_child(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/task");
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static int pending(int sig)
{
	sigset_t set;
	return sigpending(&set) == 0 && sigismember(&set, sig);
}

static int blocked(int sig)
{
	sigset_t set;
	return pthread_sigmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, sig);
}

static int signals_twice(void)
{
	sigset_t set;
	kill(getpid(), SIGUSR2);
	int was = pending(SIGUSR2);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return was && caught == 1;
}

static void *all_of_it(void *arg)
{
	struct itimerval iv = {{0, 0}, {100, 0}}, got;
	sigset_t set, old;
	struct tms tms;
	char dir[512];
	pid_t parent = getpid(), group = getpgrp(), session = getsid(0);
	pthread_t self = pthread_self();
	int stop = 0;
	pthread_t others[3];

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2); /* nobody else takes what is sent to the process */
	pthread_sigmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 3; i++)
		others[i] = spawn(spins, &stop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	local = 5;
	pthread_setspecific(key, &local);
	IN_CHILD("the ids", getpid() != parent && getppid() == parent && getpgrp() == group &&
				getsid(0) == session && gettid() == getpid());
	IN_CHILD("one thread", threads_in_child() == 1);
	IN_CHILD("the same self, locals and keys", pthread_equal(self, pthread_self()) &&
						       local == 5 &&
						       pthread_getspecific(key) == &local);
	MUST(getcwd(dir, sizeof(dir)));
	mode_t mask = umask(031);
	char now[512];
	IN_CHILD("directory and mask",
		 getcwd(now, sizeof(now)) && !strcmp(now, dir) && umask(0) == 031);
	umask(mask);
	QUIET(setitimer(ITIMER_REAL, &iv, NULL) == 0);
	IN_CHILD("no interval timer", getitimer(ITIMER_REAL, &got) == 0 &&
					  got.it_value.tv_sec == 0 && got.it_value.tv_usec == 0);
	iv.it_value.tv_sec = 0;
	QUIET(setitimer(ITIMER_REAL, &iv, NULL) == 0);
	alarm(100);
	IN_CHILD("no alarm", alarm(0) == 0);
	QUIET(alarm(0) > 90);
	for (volatile int i = 0; i < 30000000; i++)
		;
	IN_CHILD("its own CPU time",
		 times(&tms) != -1 && tms.tms_utime + tms.tms_stime <= 1 && tms.tms_cutime == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	raise(SIGUSR2);
	kill(getpid(), SIGUSR2);
	QUIET(pending(SIGUSR2));
	IN_CHILD("mask, but nothing pending", blocked(SIGUSR2) && !pending(SIGUSR2));
	while (sigtimedwait(&set, NULL, &(struct timespec){0, 0}) > 0)
		;
	caught = 0;
	IN_CHILD("signals of its own", signals_twice());
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	int fd[2], flags;
	MUST(pipe(fd) == 0);
	IN_CHILD("open files are shared", fcntl(fd[0], F_SETFL, O_NONBLOCK) == 0 &&
					      write(fd[1], "abc", 3) == 3 && close(fd[0]) == 0);
	flags = fcntl(fd[0], F_GETFL);
	CHECK((flags & O_NONBLOCK) && read(fd[0], dir, 10) == 3);
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char name[] = "/tmp/fork-XXXXXX";
	int file = mkstemp(name);
	QUIET(unlink(name) == 0 && fcntl(file, F_SETLK, &fl) == 0);
	IN_CHILD("record locks are not inherited",
		 fcntl(file, F_SETLK, &fl) == -1 && (errno == EAGAIN || errno == EACCES));
	IN_CHILD("the offset is", lseek(file, 77, SEEK_SET) == 77);
	CHECK(lseek(file, 0, SEEK_CUR) == 77);
	int *map = mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int *priv = mmap(NULL, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*map = *priv = 1;
	IN_CHILD("mappings", (*map = 2) && (*priv = 2) && mlock(priv, 4096) == 0);
	CHECK(*map == 2 && *priv == 1);
	pthread_mutex_lock(&held);
	IN_CHILD("a lock that the caller holds", pthread_mutex_trylock(&held) == EBUSY &&
						     pthread_mutex_unlock(&held) == 0 &&
						     pthread_mutex_lock(&held) == 0);
	QUIET(pthread_mutex_unlock(&held) == 0);
	struct sched_param sp;
	IN_CHILD("scheduling", sched_getscheduler(0) == SCHED_OTHER &&
				   sched_getparam(0, &sp) == 0 && sp.sched_priority == 0);
	atforks = 0;
	IN_CHILD("handlers in the child", atforks == 101);
	CHECK(atforks == 11);
	int calls = atforks = 0;
	IN_CHILD("threads and threads' children", ({
			 pthread_t t[4];
			 int go = 0, bad = 0;
			 for (int i = 0; i < 4; i++)
				 bad |= pthread_create(&t[i], NULL, spins, &go);
			 pid_t p = fork();
			 if (p == 0)
				 _exit(threads_in_child() == 1 ? 3 : 4);
			 bad |= waitpid(p, &calls, 0) != p || WEXITSTATUS(calls) != 3;
			 __atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
			 for (int i = 0; i < 4; i++)
				 bad |= pthread_join(t[i], NULL);
			 !bad;
		 }));
	close(fd[0]);
	close(fd[1]);
	close(file);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 3; i++)
		join(others[i]);
	return arg;
}

/* kill and alarm between parent and child, as single-threaded programs do. */
static void *between(void *arg)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		sleep(100);
		_exit(0);
	}
	CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid &&
	      WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, WCONTINUED) == pid &&
	      WIFCONTINUED(status));
	CHECK(waitpid(pid, &status, WNOHANG) == 0);
	CHECK(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGTERM);
	CHECK_ERRNO(ECHILD, waitpid(pid, &status, 0));
	CHECK_ERRNO(ESRCH, kill(pid, 0));
	pid = fork();
	if (pid == 0) {
		ualarm(20000, 0);
		pause();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGALRM);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		signal(SIGUSR1, SIG_IGN);
		kill(getppid(), SIGUSR1);
		killpg(getpgrp(), SIGKILL);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGKILL);
	for (int i = 0; i < 2000 && !caught; i++)
		sleep_ms(1);
	CHECK(caught == 1);
	caught = 0;
	siginfo_t si;
	pid = fork();
	if (pid == 0)
		_exit(9);
	CHECK(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) == 0 && si.si_code == CLD_EXITED &&
	      si.si_status == 9 && si.si_pid == pid);
	CHECK(waitid(P_PID, (id_t)pid, &si, WEXITED) == 0 && si.si_status == 9);
	return arg;
}

static void *opens(void *arg)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return ((void *(*)(void *))arg)(NULL);
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	pthread_key_create(&key, NULL);
	pthread_atfork(before, after_parent, after_child);
	all_of_it(NULL);
	between(NULL);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	join(spawn(opens, all_of_it));
	join(spawn(between, NULL));
	return check_done();
}
