/* system, popen, posix_spawn and waitpid in many threads at once, while others go on. */
#include "check.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#define N 8
extern char **environ;
static int ticks, stop;

static void *tick(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		sleep_ms(1);
		__atomic_add_fetch(&ticks, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void *children(void *arg)
{
	int me = (int)(intptr_t)arg, status;
	char command[64], line[64];
	pid_t pid;
	siginfo_t info;

	snprintf(command, sizeof(command), "exit %d", me + 1);
	status = system(command);
	QUIET(WIFEXITED(status) && WEXITSTATUS(status) == me + 1);

	snprintf(command, sizeof(command), "echo %d; exit %d", me * 11, me);
	FILE *f = popen(command, "r");
	QUIET(f && fgets(line, sizeof(line), f) && atoi(line) == me * 11);
	QUIET(WEXITSTATUS(pclose(f)) == me);

	char *argv[] = {"sh", "-c", command, NULL};
	posix_spawn_file_actions_t actions;
	int fd[2];
	MUST(pipe2(fd, O_CLOEXEC) == 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd[1], 1);
	QUIET(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ) == 0);
	close(fd[1]);
	ssize_t n = read(fd[0], line, sizeof(line) - 1);
	QUIET(n > 0 && atoi(line) == me * 11);
	QUIET(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == me);
	close(fd[0]);
	posix_spawn_file_actions_destroy(&actions);
	QUIET(posix_spawn(&pid, "/no/such/program", NULL, NULL, argv, environ) == ENOENT);

	pid = fork();
	if (pid == 0) {
		sleep_ms(30);
		_exit(me);
	}
	QUIET(waitpid(pid, &status, WNOHANG) == 0);
	QUIET(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0 && info.si_status == me);
	QUIET(wait4(pid, &status, 0, NULL) == pid && WEXITSTATUS(status) == me);
	return NULL;
}

int main(void)
{
	pthread_t t[N], ticker = spawn(tick, NULL);
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(children, (void *)i);
	for (int i = 0; i < N; i++)
		join(t[i]);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(ticker);
	CHECK(ticks > 5); /* waiting for children stopped nobody */
	CHECK_ERRNO(ECHILD, waitpid(-1, NULL, 0));
	CHECK_ERRNO(ECHILD, wait(NULL));
	CHECK(WEXITSTATUS(system("exit 3")) == 3);
	CHECK(system(NULL) != 0);
	return check_done();
}
