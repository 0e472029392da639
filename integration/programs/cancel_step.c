/* A thread that waits for any child is stopped before the very instruction that enters the kernel
 * to wait, and cancelled there: the request must end it, as nothing else will. The thread steps
 * itself, instruction by instruction, into the call.
 */
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "check.h"

#if defined(__x86_64__)

static int there, go_on; /* the thread is before the instruction; the request was made */

/* System calls that no library sees, and that lead nowhere else. */
static long raw(long nr, long a, const void *b, long c, long d)
{
	long r;
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
}

/* Would it wait for a child here? */
static int about_to_wait(const greg_t *r)
{
	const unsigned char *at = (const unsigned char *)r[REG_RIP];
	if (at[0] != 0x0f || at[1] != 0x05) /* syscall */
		return 0;
	return (r[REG_RAX] == SYS_wait4 && !(r[REG_RDX] & WNOHANG)) ||
	       (r[REG_RAX] == SYS_waitid && !(r[REG_R10] & WNOHANG));
}

/* Everything is blocked meanwhile, so whatever a request sends comes when this returns. */
static void on_step(int sig, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	if (!about_to_wait(r))
		return;
	r[REG_EFL] &= ~0x100L; /* enough steps */
	__atomic_store_n(&there, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&go_on, __ATOMIC_SEQ_CST))
		raw(SYS_sched_yield, 0, NULL, 0, 0);
}

__attribute__((naked)) static void back(void)
{
	__asm__("mov $15, %eax\n\tsyscall"); /* rt_sigreturn */
}

static void step_by_step(void)
{
	__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "cc", "memory");
}

static void *waiter(void *arg)
{
	siginfo_t info;
	int how = (int)(intptr_t)arg, status;

	wait4(-1, &status, WNOHANG, NULL); /* the names are bound by now */
	waitid(P_ALL, 0, &info, WEXITED | WNOHANG);
	waitpid(-1, &status, WNOHANG);
	step_by_step();
	if (how == 0)
		wait4(-1, &status, 0, NULL);
	else if (how == 1)
		waitid(P_ALL, 0, &info, WEXITED);
	else
		waitpid(-1, &status, WUNTRACED);
	return NULL;
}

static int cancelled(int how)
{
	there = go_on = 0;
	pthread_t t = spawn(waiter, (void *)(intptr_t)how);
	while (!__atomic_load_n(&there, __ATOMIC_SEQ_CST))
		sched_yield();
	MUST(pthread_cancel(t) == 0);
	__atomic_store_n(&go_on, 1, __ATOMIC_SEQ_CST);
	return join(t) == PTHREAD_CANCELED;
}

static void catch_steps(void)
{
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} act = {on_step, SA_SIGINFO | 0x04000000, back, ~0ull};
	MUST(raw(SYS_rt_sigaction, SIGTRAP, &act, 0, 8) == 0);
}

#else
static void catch_steps(void)
{
}
static int cancelled(int how)
{
	return 1;
}
#endif

int main(void)
{
	pid_t child = fork();
	MUST(child >= 0);
	if (child == 0) {
		alarm(60);
		for (;;)
			pause();
	}
	alarm(25); /* a request that was lost */
	become_threaded();
	catch_steps();
	for (int round = 0; round < 6; round++) {
		QUIET(cancelled(0));
		QUIET(cancelled(1));
		QUIET(cancelled(2));
	}
	CHECK("each request ended its thread");
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
	return check_done();
}
