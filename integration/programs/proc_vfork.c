/* vfork from threads: the child runs on the caller's memory while the caller waits, the other
 * threads go on, and what the child does to its descriptors and signal actions is its own. */
#include "check.h"
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static int pipe_fd[2], stop, ticks;
static sem_t ready;

static void *reader(void *arg)
{
	char byte;
	sem_post(&ready);
	return (void *)(intptr_t)(read(pipe_fd[0], &byte, 1) == 1);
}

static void *ticker(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		__atomic_add_fetch(&ticks, 1, __ATOMIC_SEQ_CST);
		sleep_ms(1);
	}
	return NULL;
}

static int handled;

static void on_usr1(int sig)
{
	handled++;
}

static void *forks(void *arg)
{
	volatile int seen = 0, failed = 0;
	volatile pid_t parent = getpid();
	int st;
	pid_t pid = vfork();
	if (pid == 0) {
		seen = getppid() == parent && getpid() != parent ? 1 : 2;
		_exit(3);
	}
	QUIET(pid > 0 && seen == 1); /* the child was first, and wrote into our frame */
	QUIET(waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 3);

	pid = vfork();
	if (pid == 0) {
		struct sigaction dfl = {.sa_handler = SIG_DFL};
		sigset_t none;
		close(pipe_fd[0]); /* others read from it in the parent */
		close(pipe_fd[1]);
		sigaction(SIGUSR1, &dfl, NULL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/nonexistent/program", "program", (char *)NULL);
		failed = errno;
		_exit(127);
	}
	QUIET(failed == ENOENT);
	QUIET(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 127);

	pid = vfork();
	if (pid == 0) {
		execlp("sh", "sh", "-c", "exit 9", (char *)NULL);
		_exit(126);
	}
	QUIET(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 9);
	return NULL;
}

static void *slow(void *arg)
{
	pid_t pid = vfork();
	if (pid == 0) {
		struct timespec t = {.tv_nsec = 100000000};
		nanosleep(&t, NULL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return NULL;
}

int main(void)
{
	struct sigaction a = {.sa_handler = on_usr1};
	pthread_t r[4], t[8], tick;
	MUST(pipe(pipe_fd) == 0 && sem_init(&ready, 0, 0) == 0);
	sigaction(SIGUSR1, &a, NULL);
	for (int i = 0; i < 4; i++)
		r[i] = spawn(reader, NULL);
	for (int i = 0; i < 4; i++)
		sem_wait(&ready);
	tick = spawn(ticker, NULL);
	forks(NULL);
	for (int i = 0; i < 8; i++)
		t[i] = spawn(forks, NULL);
	for (int i = 0; i < 8; i++)
		join(t[i]);
	int before = __atomic_load_n(&ticks, __ATOMIC_SEQ_CST);
	join(spawn(slow, NULL));
	CHECK(__atomic_load_n(&ticks, __ATOMIC_SEQ_CST) > before);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(tick);
	MUST(write(pipe_fd[1], "xxxx", 4) == 4);
	for (int i = 0; i < 4; i++)
		CHECK(join(r[i]) == (void *)1);
	raise(SIGUSR1);
	CHECK(handled == 1);
	return check_done();
}
