/* The functions of System V and 4.2BSD, and what signal(), siginterrupt() and their kin leave
 * behind. In main and in a thread. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

extern int ghi_bsd_pause(int mask) __asm__("sigpause");
extern int xpg_pause(int number) __asm__("__xpg_sigpause");

static __thread volatile int ran;

static void handler(int number)
{
	ran++;
}

static void other(int number)
{
	ran += 100;
}

static int is_blocked(int number)
{
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, number);
}

static void flags(int number)
{
	struct sigaction a;
	sigaction(number, NULL, &a);
	printf("flags %x mask %d\n", (unsigned)a.sa_flags, sigismember(&a.sa_mask, number));
}

static void *all(void *arg)
{
	ran = 0;
	CHECK(sigset(SIGUSR1, handler) == SIG_DFL);
	flags(SIGUSR1);
	CHECK(raise(SIGUSR1) == 0 && ran == 1);
	CHECK(sighold(SIGUSR1) == 0 && is_blocked(SIGUSR1));
	CHECK(raise(SIGUSR1) == 0 && ran == 1);
	CHECK(sigset(SIGUSR1, SIG_HOLD) == SIG_HOLD);
	CHECK(sigrelse(SIGUSR1) == 0 && ran == 2 && !is_blocked(SIGUSR1));
	CHECK(sigset(SIGUSR1, SIG_HOLD) == handler && is_blocked(SIGUSR1));
	raise(SIGUSR1);
	CHECK(xpg_pause(SIGUSR1) == -1 && errno == EINTR && ran == 3 && is_blocked(SIGUSR1));
	raise(SIGUSR1);
	CHECK(ghi_bsd_pause(0) == -1 && errno == EINTR && ran == 4 && is_blocked(SIGUSR1));
	CHECK(sigset(SIGUSR1, other) == SIG_HOLD && !is_blocked(SIGUSR1));
	raise(SIGUSR1);
	CHECK(ran == 104);
	CHECK(sigignore(SIGUSR1) == 0);
	raise(SIGUSR1);
	CHECK(ran == 104);
	CHECK(sigset(SIGUSR1, SIG_DFL) == SIG_IGN);
	CHECK(sigset(12345, handler) == SIG_ERR && errno == EINVAL);
	CHECK_ERRNO(EINVAL, sighold(12345));
	CHECK_ERRNO(EINVAL, sigrelse(12345));
	CHECK_ERRNO(EINVAL, sigignore(SIGKILL));
	CHECK(sigset(SIGKILL, handler) == SIG_ERR);

	ran = 0;
	CHECK(signal(SIGUSR2, handler) == SIG_DFL);
	flags(SIGUSR2);
	CHECK(raise(SIGUSR2) == 0 && raise(SIGUSR2) == 0 && ran == 2);
	CHECK(siginterrupt(SIGUSR2, 1) == 0);
	flags(SIGUSR2);
	CHECK(signal(SIGUSR2, other) == handler);
	flags(SIGUSR2);
	CHECK(siginterrupt(SIGUSR2, 0) == 0);
	flags(SIGUSR2);
	CHECK_ERRNO(EINVAL, siginterrupt(12345, 0));
	CHECK(signal(SIGUSR2, SIG_IGN) == other && raise(SIGUSR2) == 0);
	CHECK(signal(SIGSTOP, handler) == SIG_ERR && errno == EINVAL);
	CHECK(signal(SIGUSR2, SIG_ERR) == SIG_ERR && errno == EINVAL);
	CHECK(sysv_signal(SIGUSR2, handler) == SIG_IGN);
	flags(SIGUSR2);
	ran = 0;
	CHECK(raise(SIGUSR2) == 0 && ran == 1);
	CHECK(signal(SIGUSR2, SIG_DFL) == SIG_DFL);
	CHECK(ssignal(SIGUSR2, handler) == SIG_DFL && gsignal(SIGUSR2) == 0 && ran == 2);

	CHECK(sigblock(1 << (SIGUSR2 - 1)) == 0 && is_blocked(SIGUSR2));
	raise(SIGUSR2);
	CHECK(ran == 2 && siggetmask() == 1 << (SIGUSR2 - 1));
	CHECK(sigsetmask(0) == 1 << (SIGUSR2 - 1) && ran == 3);
	CHECK_ERRNO(EINVAL, raise(12345));
	CHECK_ERRNO(EINVAL, raise(-1));
	CHECK(raise(0) == 0);
	CHECK_ERRNO(EINVAL, kill(getpid(), 12345));
	CHECK(kill(getpid(), 0) == 0);
	CHECK_ERRNO(ESRCH, kill(0x3ffffff, 0));
	CHECK_RC(EINVAL, pthread_kill(pthread_self(), 12345));
	CHECK_RC(EINVAL, pthread_kill(pthread_self(), 32));
	CHECK_RC(0, pthread_kill(pthread_self(), 0));
	CHECK_RC(EINVAL, pthread_sigqueue(pthread_self(), 12345, (union sigval){0}));
	CHECK_ERRNO(EINVAL, sigqueue(getpid(), 12345, (union sigval){0}));
	signal(SIGUSR2, SIG_DFL);
	return NULL;
}

static jmp_buf plain;
static sigjmp_buf saved;
static volatile int which;

static void jumps(int number)
{
	if (which == 0)
		siglongjmp(saved, 1);
	if (which == 1)
		longjmp(plain, 1);
	siglongjmp(saved, 1);
}

static void *masks_after_jumps(void *arg)
{
	struct sigaction a = {.sa_handler = jumps};
	sigset_t set;
	sigaction(SIGUSR1, &a, NULL);
	which = 0;
	if (sigsetjmp(saved, 1) == 0)
		raise(SIGUSR1);
	printf("blocked after siglongjmp, saved: %d\n", is_blocked(SIGUSR1));
	which = 1;
	if (setjmp(plain) == 0)
		raise(SIGUSR1);
	printf("blocked after longjmp: %d\n", is_blocked(SIGUSR1));
	raise(SIGUSR1); /* blocked: it waits */
	sigpending(&set);
	printf("pending %d\n", sigismember(&set, SIGUSR1));
	which = 2;
	if (sigsetjmp(saved, 0) == 0) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		printf("not reached\n");
	}
	printf("blocked after siglongjmp, not saved: %d\n", is_blocked(SIGUSR1));
	sigemptyset(&set);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	signal(SIGUSR1, SIG_DFL);
	return NULL;
}

int main(void)
{
	become_threaded();
	printf("-- main\n");
	all(NULL);
	masks_after_jumps(NULL);
	printf("-- thread\n");
	join(spawn(all, NULL));
	join(spawn(masks_after_jumps, NULL));
	return check_done();
}
