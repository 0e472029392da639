/* exec from a thread while others run, wait and hold locks: the process keeps its id, its mask,
 * what was pending for the caller and which signals are ignored; other settings start anew. A
 * failed exec changes nothing. */
#include "check.h"
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static const char *self_path;
static sem_t never;
static int ran;

static void on_signal(int sig)
{
	ran++;
}

static void *waits(void *arg)
{
	sem_wait(&never);
	return NULL;
}

static void *spins(void *arg)
{
	for (;;)
		sched_yield();
	return NULL;
}

/* The new program: argv[2] is the pid it must still have. */
static int after(char **argv)
{
	sigset_t set;
	siginfo_t info;
	struct sigaction a;
	struct timespec zero = {0};
	CHECK(getpid() == atoi(argv[2]) && gettid() == getpid());
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	CHECK(sigismember(&set, SIGUSR1) && sigismember(&set, SIGRTMIN + 1) &&
	      !sigismember(&set, SIGUSR2));
	sigpending(&set);
	CHECK(sigismember(&set, SIGUSR1) && sigismember(&set, SIGRTMIN + 1));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	for (int i = 0; i < 3; i++)
		CHECK(sigtimedwait(&set, &info, &zero) == SIGRTMIN + 1 &&
		      info.si_value.sival_int == 40 + i);
	CHECK_ERRNO(EAGAIN, sigtimedwait(&set, &info, &zero));
	sigaction(SIGUSR2, NULL, &a);
	CHECK(a.sa_handler == SIG_DFL);
	sigaction(SIGHUP, NULL, &a);
	CHECK(a.sa_handler == SIG_IGN);
	CHECK(fcntl(atoi(argv[3]), F_GETFD) >= 0 && fcntl(atoi(argv[4]), F_GETFD) == -1);
	CHECK(join(spawn(check_nothing, &set)) == &set);
	return check_done();
}

static void *execs(void *arg)
{
	char pid[16], keep[16], cloexec[16];
	sigset_t set;
	snprintf(pid, sizeof(pid), "%d", getpid());
	snprintf(keep, sizeof(keep), "%d", open("/dev/null", O_RDONLY));
	snprintf(cloexec, sizeof(cloexec), "%d", open("/dev/null", O_RDONLY | O_CLOEXEC));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
	for (int i = 0; i < 3; i++)
		pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){.sival_int = 40 + i});
	char *argv[] = {(char *)self_path, "after", pid, keep, cloexec, NULL}, *none[] = {NULL};
	CHECK_ERRNO(ENOENT, execv("/nonexistent", argv));
	CHECK_ERRNO(EACCES, execve("/dev/null", argv, none));
	CHECK_ERRNO(ENOENT, execvp("no-such-program", argv));
	CHECK_ERRNO(ENOENT, execl("/nonexistent", "x", "y", (char *)NULL));
	CHECK_ERRNO(ENOENT, execle("/nonexistent", "x", (char *)NULL, none));
	CHECK_ERRNO(ENOENT, execlp("no-such-program", "x", (char *)NULL));
	CHECK_ERRNO(EINVAL, fexecve(-1, argv, none));
	CHECK(ran == 0);
	sigpending(&set);
	CHECK(sigismember(&set, SIGUSR1) && sigismember(&set, SIGRTMIN + 1));
	if (arg)
		execv(self_path, argv);
	else
		execl(self_path, self_path, "after", pid, keep, cloexec, (char *)NULL);
	CHECK(!"exec failed");
	exit(1);
}

int main(int argc, char **argv)
{
	self_path = argv[0];
	if (argc == 5)
		return after(argv);
	sem_init(&never, 0, 0);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	signal(SIGRTMIN + 1, on_signal);
	for (int i = 0; i < 4; i++)
		spawn(waits, NULL);
	spawn(spins, NULL);
	if (argc > 1 && !strcmp(argv[1], "main"))
		execs(argv);
	join(spawn(execs, NULL));
	return 1;
}
