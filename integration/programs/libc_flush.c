/* fclose, fflush and pclose that have to wait: twenty FILEs with a full pipe behind each; what a
 * failing flush says; twenty popen at once. */
#include "libc_threads.h"
#include <fcntl.h>
#include <signal.h>

#define N 20
static int ends[N][2];
static char block[1000];

static void fill(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (write(fd, block, sizeof(block)) > 0)
		;
	while (write(fd, block, 1) > 0)
		;
	fcntl(fd, F_SETFL, flags);
}

static void *flush_and_close(void *arg)
{
	int i = (int)(intptr_t)arg;
	FILE *f = fdopen(ends[i][1], "w");
	QUIET(fprintf(f, "the last words of %d\n", i) > 0);
	count_me();
	if (i % 2)
		QUIET(fflush(f) == 0);
	QUIET(fclose(f) == 0);
	QUIET(fcntl(ends[i][1], F_GETFD) == -1 || 1);
	return NULL;
}

static void full_pipes(void)
{
	pthread_t t[N];
	char tail[4096];
	for (int i = 0; i < N; i++) {
		MUST(pipe(ends[i]) == 0);
		fill(ends[i][1]);
		t[i] = spawn(flush_and_close, (void *)(intptr_t)i);
	}
	wait_counted(N);
	tell_kernel_threads();
	for (int i = 0; i < N; i++) {
		char want[64];
		size_t have = 0,
		       n = (size_t)snprintf(want, sizeof(want), "the last words of %d\n", i);
		ssize_t r;
		while ((r = read(ends[i][0], tail + have, sizeof(tail) - have)) > 0) {
			have += (size_t)r;
			if (have > 2048) {
				memmove(tail, tail + have - 1024, 1024);
				have = 1024;
			}
		}
		QUIET(r == 0 && have >= n && !memcmp(tail + have - n, want, n));
		close(ends[i][0]);
		join(t[i]);
	}
	CHECK("full pipes");
}

static volatile sig_atomic_t pipes;
static void on_pipe(int sig)
{
	pipes++;
}

/* One attempt to write, one signal, EOF and EPIPE from fclose; the number is free afterwards. */
static void *failing(void *arg)
{
	int p[2];
	struct sigaction a = {.sa_handler = on_pipe};
	sigaction(SIGPIPE, &a, NULL);
	MUST(pipe(p) == 0);
	FILE *f = fdopen(p[1], "w");
	fputs("nobody will read this", f);
	close(p[0]);
	errno = 0;
	int r = fclose(f), err = errno;
	CHECK(r == EOF);
	CHECK(err == EPIPE);
	CHECK(pipes == 1);
	CHECK_ERRNO(EBADF, fcntl(p[1], F_GETFD));
	f = fopen("/dev/full", "w");
	MUST(f != NULL);
	fputs("x", f);
	CHECK_ERRNO(ENOSPC, fflush(f));
	CHECK(fclose(f) == 0); /* what could not be written is gone */
	return NULL;
}

static void *run_command(void *arg)
{
	char line[64], want[64], cmd[128];
	snprintf(cmd, sizeof(cmd), "sleep 0.3; echo child %d; exit %d", (int)(intptr_t)arg,
		 (int)(intptr_t)arg % 7);
	snprintf(want, sizeof(want), "child %d\n", (int)(intptr_t)arg);
	FILE *f = popen(cmd, "r");
	MUST(f != NULL);
	count_me();
	QUIET(fgets(line, sizeof(line), f) && !strcmp(line, want));
	QUIET(fgets(line, sizeof(line), f) == NULL);
	int st = pclose(f);
	QUIET(st == (int)(intptr_t)arg % 7 << 8);
	return NULL;
}

static void *run_system(void *arg)
{
	char cmd[64];
	snprintf(cmd, sizeof(cmd), "sleep 0.3; exit %d", (int)(intptr_t)arg % 7);
	count_me();
	QUIET(system(cmd) == (int)(intptr_t)arg % 7 << 8);
	sigset_t now;
	QUIET(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGCHLD));
	return NULL;
}

static void commands(void *(*fn)(void *), const char *what)
{
	pthread_t t[N];
	counted = 0;
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(fn, (void *)i);
	wait_counted(N);
	tell_kernel_threads();
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(what);
}

/* After system() the mask of whatever kernel thread runs the next gthread must be right. */
static volatile sig_atomic_t child_signals;
static void on_child(int sig)
{
	child_signals++;
}

static void *masks_are_whole(void *arg)
{
	struct sigaction a = {.sa_handler = on_child};
	sigaction(SIGCHLD, &a, NULL);
	int before = child_signals;
	for (int i = 0; i < 20; i++) {
		pthread_kill(pthread_self(), SIGCHLD);
		sched_yield();
	}
	CHECK(child_signals == before + 20);
	return NULL;
}

int main(void)
{
	full_pipes();
	join(spawn(failing, NULL));
	commands(run_command, "popen");
	commands(run_system, "system");
	join(spawn(masks_are_whole, NULL));
	return check_done();
}
