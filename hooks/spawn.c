/* Programs run by others: posix_spawn, system, popen.
 *
 * Owns: the hooks of that family.  Called by: the program.  Must not know: how the child is waited
 * for (wait_child.c).
 *
 * libc's posix_spawn makes a child on our memory: the caller's thread block is lent to it
 * (gthread.h).  system is made of hooks here, so that its wait parks and its signal mask is the
 * gthread's.
 */
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "hooks/hook.h"
#include "src/fdtab.h"

extern char **environ;

/* The child may change the flags of our files, and runs on the caller's thread block. */
#define LENT(call)                                                                                 \
	({                                                                                         \
		ghi_fd_mark_all_shared();                                                          \
		ghi_lend_begin();                                                                  \
		__typeof__(call) ret_ = (call);                                                    \
		ghi_lend_end();                                                                    \
		ret_;                                                                              \
	})

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *acts,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	HOOK_ENTER(self, REAL(posix_spawn)(pid, path, acts, attr, argv, envp));
	(void)self;
	return LENT(real.posix_spawn(pid, path, acts, attr, argv, envp));
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *acts,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	HOOK_ENTER(self, REAL(posix_spawnp)(pid, file, acts, attr, argv, envp));
	(void)self;
	return LENT(real.posix_spawnp(pid, file, acts, attr, argv, envp));
}

EXPORT FILE *popen(const char *cmd, const char *mode)
{
	HOOK_ENTER(self, REAL(popen)(cmd, mode));
	(void)self;
	FILE *f = LENT(real.popen(cmd, mode));
	if (f)
		ghi_fd_fresh(fileno_unlocked(f), GHI_FD_UNKNOWN);
	return f;
}

/* ---- system --------------------------------------------------------------------------------- */

/* SIGINT and SIGQUIT are ignored while any thread is in system(). */
static struct {
	pthread_mutex_t lock;
	unsigned users;
	struct sigaction intr, quit;
} ignoring = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void ignore_begin(void)
{
	struct sigaction ign = {.sa_handler = SIG_IGN};
	pthread_mutex_lock(&ignoring.lock);
	if (ignoring.users++ == 0) {
		sigaction(SIGINT, &ign, &ignoring.intr);
		sigaction(SIGQUIT, &ign, &ignoring.quit);
	}
	pthread_mutex_unlock(&ignoring.lock);
}

static void ignore_end(void)
{
	pthread_mutex_lock(&ignoring.lock);
	if (--ignoring.users == 0) {
		sigaction(SIGINT, &ignoring.intr, NULL);
		sigaction(SIGQUIT, &ignoring.quit, NULL);
	}
	pthread_mutex_unlock(&ignoring.lock);
}

/* In a fork's child nobody else is in system(): the lock and the count start anew, as libc's. */
void ghi_spawn_after_fork(void)
{
	pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
	ignoring.lock = fresh;
	ignoring.users = 0;
}

/* Cancelled while it waits: the command is killed and reaped, as libc does. */
static void cancelled(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	int saved = errno, state;

	ghi_sys_program(SYS_kill, pid, SIGKILL);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	pthread_setcancelstate(state, NULL);
	ignore_end();
	errno = saved;
}

static int run(const char *cmd)
{
	char *argv[] = {"sh", "-c", (char *)cmd, NULL};
	sigset_t block, mask, defaults;
	posix_spawnattr_t attr;
	pid_t pid = -1;
	int status = -1;

	ignore_begin();
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &block, &mask);
	sigemptyset(&defaults);
	if (ignoring.intr.sa_handler != SIG_IGN)
		sigaddset(&defaults, SIGINT);
	if (ignoring.quit.sa_handler != SIG_IGN)
		sigaddset(&defaults, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &mask);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	int r = posix_spawn(&pid, "/bin/sh", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (r == 0) {
		pthread_cleanup_push(cancelled, &pid);
		pid_t got;
		while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
			;
		if (got != pid)
			status = -1;
		pthread_cleanup_pop(0);
	} else {
		status = W_EXITCODE(127, 0); /* as if the shell had said exit 127 */
	}
	ignore_end();
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (r)
		errno = r;
	return status;
}

EXPORT int system(const char *cmd)
{
	HOOK_ENTER(self, REAL(system)(cmd));
	(void)self;
	return cmd ? run(cmd) : run("exit 0") == 0;
}
