/* posix_spawn with its attributes and file actions, system and popen, from threads with others
 * running: what the child sees, and what the calls return. */
#include "check.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int status_of(pid_t pid)
{
	int st = -1;
	return waitpid(pid, &st, 0) == pid && WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static int shell(const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at, const char *cmd)
{
	char *argv[] = {"sh", "-c", (char *)cmd, NULL};
	pid_t pid;
	int r = posix_spawn(&pid, "/bin/sh", fa, at, argv, environ);
	return r ? -r : status_of(pid);
}

/* grep itself, since a shell may reset its mask. */
static int usr2_blocked(const posix_spawnattr_t *at)
{
	char *argv[] = {"grep", "-q", "SigBlk:.*0800$", "/proc/self/status", NULL};
	pid_t pid;
	return posix_spawnp(&pid, "grep", NULL, at, argv, environ) == 0 && status_of(pid) == 0;
}

static void spawns(void)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t set, old;
	char *argv[] = {"true", NULL}, buf[16] = "";
	pid_t pid;
	int fd[2];

	QUIET(shell(NULL, NULL, "exit 5") == 5);
	QUIET(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ) == ENOENT);
	QUIET(posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0 && status_of(pid) == 0);
	QUIET(posix_spawnp(&pid, "no-such-program", NULL, NULL, argv, environ) == ENOENT);

	MUST(pipe(fd) == 0);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
	posix_spawn_file_actions_addclose(&fa, fd[0]);
	posix_spawn_file_actions_addclose(&fa, fd[1]);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addchdir_np(&fa, "/");
	QUIET(shell(&fa, NULL, "cat; pwd") == 0);
	QUIET(read(fd[0], buf, sizeof(buf)) == 2 && !strcmp(buf, "/\n"));
	posix_spawn_file_actions_destroy(&fa);
	close(fd[0]);
	close(fd[1]);

	posix_spawnattr_init(&at);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	/* The mask is inherited, or set; bit 11 of SigBlk is SIGUSR2. */
	QUIET(usr2_blocked(NULL));
	posix_spawnattr_setsigmask(&at, &old);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	QUIET(!usr2_blocked(&at));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	posix_spawnattr_destroy(&at);
}

static void systems(void)
{
	QUIET(system(NULL) != 0);
	QUIET(WEXITSTATUS(system("exit 6")) == 6);
	QUIET(WEXITSTATUS(system("no-such-command 2>/dev/null")) == 127);
	int st = system("kill -9 $$");
	QUIET(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
}

static void pipes(void)
{
	char line[32] = "";
	FILE *f = popen("echo said; exit 4", "r");
	QUIET(f && fgets(line, sizeof(line), f) && !strcmp(line, "said\n"));
	QUIET(WEXITSTATUS(pclose(f)) == 4);
	f = popen("read a && test $a = told", "w");
	QUIET(f && fputs("told\n", f) >= 0);
	QUIET(pclose(f) == 0);
	errno = 0;
	QUIET(popen("true", "x") == NULL && errno == EINVAL);
}

static void *all(void *arg)
{
	spawns();
	systems();
	pipes();
	return NULL;
}

static int stop;

static void *runs(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		sched_yield();
	return NULL;
}

static void *in_system(void *arg)
{
	system("exec sleep 60 >/dev/null 2>&1"); /* what is left of it holds no output */
	return NULL;
}

int main(void)
{
	/* It is ignored where a shell started all this in the background. */
	signal(SIGINT, SIG_DFL);
	pthread_t t[3], r = spawn(runs, NULL);
	struct sigaction now;
	all(NULL);
	for (int i = 0; i < 3; i++)
		t[i] = spawn(all, NULL);
	for (int i = 0; i < 3; i++)
		join(t[i]);
	/* Signals that system() ignores meanwhile are as before. */
	CHECK(sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	t[0] = spawn(in_system, NULL);
	do
		sigaction(SIGINT, NULL, &now);
	while (now.sa_handler != SIG_IGN && sched_yield() == 0);
	sleep_ms(20);
	pthread_cancel(t[0]);
	CHECK(join(t[0]) == PTHREAD_CANCELED);
	CHECK(sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	CHECK_ERRNO(ECHILD, wait(NULL)); /* killed and reaped */
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(r);
	return check_done();
}
