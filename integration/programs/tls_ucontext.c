/* Coroutines by makecontext and swapcontext on threads: they block, they see the data of the thread
 * that runs them, they go from one thread to another, they end into their link; the signal mask
 * goes with the context. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <ucontext.h>

enum { THREADS = 8, STEPS = 50, STACK = 64 << 10 };
static __thread int whose;
static __thread ucontext_t main_context, coroutine;
static __thread int steps;

/* Not inlined: the address of a thread-local must not be kept over a switch. */
__attribute__((noinline)) static int me(void)
{
	__asm__ volatile("");
	return whose;
}
__attribute__((noinline)) static void leave(void)
{
	swapcontext(&coroutine, &main_context);
}
__attribute__((noinline)) static void enter(void)
{
	swapcontext(&main_context, &coroutine);
}

static void blocks(void)
{
	for (int i = 0; i < STEPS; i++) {
		int before = me();
		sched_yield();
		if (i % 10 == 0)
			sleep_ms(1);
		QUIET(before == me());
		steps++;
		leave();
	}
}

static void *runs(void *arg)
{
	char *stack = malloc(STACK);
	whose = (int)(intptr_t)arg;
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = STACK;
	coroutine.uc_link = &main_context;
	makecontext(&coroutine, blocks, 0);
	for (int i = 0; i <= STEPS; i++) { /* the last one ends it, into its link */
		enter();
		QUIET(me() == (int)(intptr_t)arg);
	}
	QUIET(steps == STEPS);
	free(stack);
	return NULL;
}

/* One coroutine handed from thread to thread. */
static ucontext_t traveller, *home;
static sem_t turn[THREADS];
static int visits[THREADS], over;

__attribute__((noinline)) static void go_home(void)
{
	swapcontext(&traveller, home);
}

static void travels(void)
{
	for (int i = 0; i < THREADS * 20; i++) {
		visits[me()]++;
		sched_yield();
		go_home();
	}
	over = 1;
	for (;;)
		go_home();
}

static void *hosts(void *arg)
{
	int n = (int)(intptr_t)arg;
	ucontext_t here;
	whose = n;
	for (;;) {
		sem_wait(&turn[n]);
		if (!over) {
			home = &here;
			swapcontext(&here, &traveller);
		}
		QUIET(me() == n);
		int last = over;
		sem_post(&turn[(n + 1) % THREADS]);
		if (last)
			return NULL;
	}
}

/* The mask: another context's is in force while it runs, and nobody else's is touched. */
static sigset_t mask_now(void)
{
	sigset_t s;
	pthread_sigmask(SIG_BLOCK, NULL, &s);
	return s;
}

static void *others_mask(void *arg)
{
	for (int i = 0; i < 200; i++) {
		sigset_t s = mask_now();
		QUIET(!sigismember(&s, SIGUSR1));
		sched_yield();
	}
	return NULL;
}

static void blocked_inside(void)
{
	for (int i = 0; i < 20; i++) {
		sigset_t s = mask_now();
		QUIET(sigismember(&s, SIGUSR1));
		sched_yield();
		sleep_ms(0);
		leave();
	}
}

static void *masks(void *arg)
{
	char *stack = malloc(STACK);
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = STACK;
	coroutine.uc_link = &main_context;
	sigaddset(&coroutine.uc_sigmask, SIGUSR1);
	makecontext(&coroutine, blocked_inside, 0);
	for (int i = 0; i < 21; i++) {
		enter();
		sched_yield();
		sigset_t s = mask_now();
		QUIET(!sigismember(&s, SIGUSR1));
	}
	free(stack);
	return NULL;
}

/* getcontext and setcontext as a loop; cancellation in a coroutine. */
static void *loops(void *arg)
{
	volatile int n = 0;
	ucontext_t again;
	sigset_t usr1;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	getcontext(&again); /* with the signal open */
	sched_yield();
	sigset_t now = mask_now();
	QUIET(!sigismember(&now, SIGUSR1));
	if (++n < 100) {
		pthread_sigmask(SIG_BLOCK, &usr1, NULL);
		sched_yield();
		setcontext(&again);
	}
	QUIET(n == 100);
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		t[i] = spawn(runs, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	CHECK(runs((void *)99) == NULL);

	char *stack = malloc(STACK);
	getcontext(&traveller);
	traveller.uc_stack.ss_sp = stack;
	traveller.uc_stack.ss_size = STACK;
	traveller.uc_link = NULL;
	makecontext(&traveller, travels, 0);
	for (int i = 0; i < THREADS; i++)
		sem_init(&turn[i], 0, i == 0);
	for (intptr_t i = 0; i < THREADS; i++)
		t[i] = spawn(hosts, (void *)i);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	int equal = 1;
	for (int i = 0; i < THREADS; i++)
		equal &= visits[i] == 20;
	CHECK(equal);

	for (intptr_t i = 0; i < THREADS; i++)
		t[i] = spawn(i % 2 ? masks : others_mask, NULL);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	for (intptr_t i = 0; i < THREADS; i++)
		t[i] = spawn(loops, NULL);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	return check_done();
}
