/* siglongjmp out of handlers: from a blocked call, from a fault in main and in threads, on the
 * normal and on an alternate stack; the mask comes back; a stack overflow is survived. */
#include "check.h"
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>

static __thread sigjmp_buf env;
static __thread volatile int altstack_used;
static sem_t never;
static int jumped;
static pthread_t target;

static void jump(int number)
{
	siglongjmp(env, number);
}

static void jump_from_alternate(int number, siginfo_t *info, void *context)
{
	stack_t now;
	sigaltstack(NULL, &now);
	altstack_used += (now.ss_flags & SS_ONSTACK) != 0;
	siglongjmp(env, number);
}

static void *signal_until_jumped(void *arg)
{
	while (!__atomic_load_n(&jumped, __ATOMIC_SEQ_CST)) {
		pthread_kill(target, SIGUSR1);
		sleep_ms(1);
	}
	return NULL;
}

static int blocked(int number)
{
	sigset_t now;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, number);
}

/* The signals may come before the wait too: armed only between the two sets of the mask. */
static void jump_out_of_wait(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	target = pthread_self();
	jumped = 0;
	pthread_t t = spawn(signal_until_jumped, NULL);
	if (sigsetjmp(env, 1) == 0) {
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		for (;;)
			sem_wait(&never);
	}
	QUIET(blocked(SIGUSR1));
	__atomic_store_n(&jumped, 1, __ATOMIC_SEQ_CST);
	join(t);
	/* One may be pending still; let it in with a place to jump to. */
	if (sigsetjmp(env, 1) == 0) {
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		sched_yield();
	}
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *faults(void *arg)
{
	for (volatile int i = 0; i < 20; i++) {
		int number = sigsetjmp(env, 1);
		if (number == 0) {
			*(volatile int *)(uintptr_t)(16 + i) = 1;
			QUIET(!"a fault must not be passed over");
		}
		QUIET(number == SIGSEGV && !blocked(SIGSEGV));
		sched_yield();
	}
	return NULL;
}

__attribute__((noinline)) static int overflow(int n)
{
	volatile char frame[4096];
	frame[n % 4096] = 1;
	return n < 0 ? 0 : overflow(n + 1) + frame[0];
}

static void *overflows(void *arg)
{
	stack_t alternate = {.ss_sp = malloc(65536), .ss_size = 65536}, old;
	MUST(alternate.ss_sp != NULL);
	QUIET(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE); /* not inherited */
	QUIET(sigaltstack(&alternate, NULL) == 0);
	for (volatile int i = 0; i < 3; i++) {
		int number = sigsetjmp(env, 1);
		if (number == 0)
			overflow(0);
		QUIET(number == SIGSEGV);
		sched_yield();
	}
	QUIET(altstack_used == 3);
	QUIET(sigaltstack(NULL, &old) == 0 && old.ss_sp == alternate.ss_sp && old.ss_flags == 0);
	alternate.ss_flags = SS_DISABLE;
	QUIET(sigaltstack(&alternate, NULL) == 0);
	free(old.ss_sp);
	return NULL;
}

static void *jump_in_thread(void *arg)
{
	jump_out_of_wait();
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_handler = jump};
	pthread_t t[10];
	become_threaded();
	sem_init(&never, 0, 0);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	jump_out_of_wait();
	CHECK("out of a wait in main");
	join(spawn(jump_in_thread, NULL));
	CHECK("out of a wait in a thread");
	faults(NULL);
	CHECK("faults in main");
	for (int i = 0; i < 10; i++)
		t[i] = spawn(faults, NULL);
	for (int i = 0; i < 10; i++)
		join(t[i]);
	CHECK("faults in threads");
	action.sa_sigaction = jump_from_alternate;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGSEGV, &action, NULL);
	for (int i = 0; i < 5; i++)
		t[i] = spawn(overflows, NULL);
	for (int i = 0; i < 5; i++)
		join(t[i]);
	CHECK("stack overflow in threads");
	overflows(NULL);
	CHECK("stack overflow in main");
	return check_done();
}
