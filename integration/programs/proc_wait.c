/* Waiting for children from threads, by every function and option of the family: what they return,
 * what they leave behind, and what interrupts them. */
#include "check.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int gate[2];

/* A child that ends with `code` once a byte comes (never: the gate's writer is closed in it). */
static pid_t child(int code, int waits)
{
	pid_t pid = fork();
	if (pid == 0) {
		char byte;
		if (waits && read(gate[0], &byte, 1) != 1)
			_exit(99);
		_exit(code);
	}
	return pid;
}

static void release(void)
{
	MUST(write(gate[1], "x", 1) == 1);
}

static void *releases(void *arg)
{
	sleep_ms(30);
	release();
	return NULL;
}

static void *plain(void *arg)
{
	int st, code = (int)(intptr_t)arg;
	pid_t pid = child(code, 0);
	QUIET(waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == code);
	QUIET(waitpid(pid, &st, 0) == -1 && errno == ECHILD);
	return NULL;
}

static void by_pid(void)
{
	int st;
	struct rusage ru;
	siginfo_t info;
	pthread_t t[30], r;
	for (intptr_t i = 0; i < 30; i++)
		t[i] = spawn(plain, (void *)i);
	for (int i = 0; i < 30; i++)
		join(t[i]);

	pid_t pid = child(7, 1);
	CHECK(waitpid(pid, &st, WNOHANG) == 0);
	r = spawn(releases, NULL);
	memset(&ru, 0xff, sizeof(ru));
	CHECK(wait4(pid, &st, 0, &ru) == pid && WEXITSTATUS(st) == 7);
	CHECK(ru.ru_utime.tv_sec == 0 && ru.ru_maxrss > 0);
	join(r);

	pid = child(8, 1);
	memset(&info, 0xff, sizeof(info));
	CHECK(waitid(P_PID, pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
	r = spawn(releases, NULL);
	CHECK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0);
	CHECK(info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == 8 &&
	      info.si_signo == SIGCHLD);
	join(r);
	CHECK(waitid(P_PID, pid, NULL, WEXITED) == 0);
	CHECK_ERRNO(ECHILD, waitid(P_PID, pid, &info, WEXITED));

	pid = child(9, 1);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	MUST(fd >= 0);
	r = spawn(releases, NULL);
	CHECK(waitid(P_PIDFD, fd, &info, WEXITED) == 0 && info.si_status == 9);
	join(r);
	close(fd);
	CHECK_ERRNO(EBADF, waitid(P_PIDFD, fd, &info, WEXITED));

	pid = child(0, 1);
	MUST(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, &st, 0) == pid && WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
}

static void by_group(void)
{
	int st;
	siginfo_t info;
	pthread_t r = spawn(releases, NULL);
	pid_t pid = child(3, 1);
	CHECK(wait(&st) == pid && WEXITSTATUS(st) == 3);
	join(r);
	pid = child(4, 1);
	r = spawn(releases, NULL);
	CHECK(waitpid(0, &st, 0) == pid && WEXITSTATUS(st) == 4);
	join(r);
	pid = child(5, 0);
	CHECK(wait3(&st, 0, NULL) == pid && WEXITSTATUS(st) == 5);
	pid = child(6, 0);
	CHECK(waitid(P_ALL, 0, &info, WEXITED) == 0 && info.si_pid == pid);
	pid = child(6, 0);
	CHECK(waitid(P_PGID, getpgrp(), &info, WEXITED) == 0 && info.si_pid == pid);
	CHECK_ERRNO(ECHILD, wait(&st));
	CHECK_ERRNO(ECHILD, waitpid(-1, &st, WNOHANG));
	CHECK_ERRNO(ECHILD, waitpid(1, &st, 0));
	CHECK_ERRNO(ESRCH, waitpid(INT32_MIN, &st, 0));
	CHECK_ERRNO(EINVAL, waitpid(-1, &st, 0x10000000));
	CHECK_ERRNO(EINVAL, waitid(P_ALL, 0, &info, 0));
	CHECK_ERRNO(EINVAL, waitid((idtype_t)77, 0, &info, WEXITED));
	CHECK_ERRNO(EINVAL, waitid(P_PID, 0, &info, WEXITED));
}

static void stops(void)
{
	int st;
	siginfo_t info;
	pid_t pid = child(2, 1);
	kill(pid, SIGSTOP);
	CHECK(waitpid(pid, &st, WUNTRACED) == pid && WIFSTOPPED(st) && WSTOPSIG(st) == SIGSTOP);
	CHECK(waitpid(pid, &st, WUNTRACED | WNOHANG) == 0);
	kill(pid, SIGCONT);
	CHECK(waitpid(pid, &st, WCONTINUED) == pid && WIFCONTINUED(st));
	kill(pid, SIGSTOP);
	CHECK(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT) == 0 && info.si_code == CLD_STOPPED);
	CHECK(waitid(P_PID, pid, &info, WSTOPPED) == 0 && info.si_status == SIGSTOP);
	kill(pid, SIGCONT);
	CHECK(waitid(P_PID, pid, &info, WCONTINUED) == 0 && info.si_code == CLD_CONTINUED);
	release();
	CHECK(waitpid(pid, &st, WUNTRACED) == pid && WIFEXITED(st));
}

static int handled;

static void on_usr1(int sig)
{
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

static pthread_t target;
static int waiting;

static void *interrupts(void *arg)
{
	while (!__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
		sched_yield();
	sleep_ms(20);
	pthread_kill(target, SIGUSR1);
	while (!__atomic_load_n(&handled, __ATOMIC_SEQ_CST))
		sched_yield();
	if (arg)
		releases(NULL);
	return NULL;
}

static void interrupted(int flags, int any)
{
	struct sigaction a = {.sa_handler = on_usr1, .sa_flags = flags};
	int st;
	sigaction(SIGUSR1, &a, NULL);
	handled = waiting = 0;
	target = pthread_self();
	pid_t pid = child(1, 1), got;
	pthread_t t = spawn(interrupts, (void *)(intptr_t)(flags & SA_RESTART));
	__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
	got = waitpid(any ? -1 : pid, &st, 0);
	if (flags & SA_RESTART) {
		CHECK(got == pid && handled == 1);
	} else {
		CHECK(got == -1 && errno == EINTR && handled == 1);
		release();
		CHECK(waitpid(pid, &st, 0) == pid);
	}
	join(t);
}

static void *waits_for(void *arg)
{
	waitpid(*(pid_t *)arg, NULL, 0);
	return NULL;
}

static void cancelled(int any)
{
	pid_t pid = child(1, 1), arg = any ? -1 : pid;
	pthread_t t = spawn(waits_for, &arg);
	sleep_ms(20);
	pthread_cancel(t);
	CHECK(join(t) == PTHREAD_CANCELED);
	release();
	CHECK(waitpid(pid, NULL, 0) == pid);
}

static void ignored(void)
{
	int st;
	signal(SIGCHLD, SIG_IGN);
	pid_t pid = child(1, 1);
	pthread_t r = spawn(releases, NULL);
	CHECK_ERRNO(ECHILD, waitpid(pid, &st, 0));
	join(r);
	pid = child(1, 1);
	r = spawn(releases, NULL);
	CHECK_ERRNO(ECHILD, wait(&st));
	join(r);
	signal(SIGCHLD, SIG_DFL);
}

/* Two threads wait for one child: one gets it, the other is told that there is none. */
static pid_t shared;
static int got_it, got_none;

static void *competes(void *arg)
{
	int st;
	pid_t r = waitpid(shared, &st, 0);
	if (r == shared)
		__atomic_add_fetch(&got_it, 1, __ATOMIC_SEQ_CST);
	else if (r == -1 && errno == ECHILD)
		__atomic_add_fetch(&got_none, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *all(void *arg)
{
	pthread_t t[5];
	by_pid();
	by_group();
	stops();
	interrupted(0, 0);
	interrupted(SA_RESTART, 0);
	interrupted(0, 1);
	interrupted(SA_RESTART, 1);
	cancelled(0);
	cancelled(1);
	ignored();
	shared = child(1, 1);
	for (int i = 0; i < 5; i++)
		t[i] = spawn(competes, NULL);
	sleep_ms(20);
	release();
	for (int i = 0; i < 5; i++)
		join(t[i]);
	CHECK(got_it == 1 && got_none == 4);
	return NULL;
}

/* What a wait opens is closed again, also when it is cancelled. */
static int descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void *waits_for_pid(void *pid)
{
	waitpid((pid_t)(intptr_t)pid, NULL, 0);
	return NULL;
}

static void leaves_nothing_open(void)
{
	pid_t pid = child(1, 1);
	int before = descriptors();
	for (int i = 0; i < 100; i++) {
		pthread_t t = spawn(waits_for_pid, (void *)(intptr_t)pid);
		usleep(200);
		pthread_cancel(t);
		QUIET(join(t) == PTHREAD_CANCELED);
	}
	release();
	QUIET(waitpid(pid, NULL, 0) == pid);
	for (int i = 0; i < 50; i++) {
		pid = child(1, 1);
		pthread_t t = spawn(waits_for_pid, (void *)(intptr_t)pid);
		usleep(200);
		release();
		join(t);
	}
	CHECK(descriptors() - before < 20); /* a runtime may have some of its own */
}

int main(void)
{
	MUST(pipe(gate) == 0);
	puts("in a thread");
	join(spawn(all, NULL));
	puts("in main");
	got_it = got_none = 0;
	all(NULL);
	leaves_nothing_open();
	return check_done();
}
