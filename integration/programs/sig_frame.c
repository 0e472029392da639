/* What a handler finds: mask, nesting, siginfo, context, errno, alternate stack; what it may
 * change; and that all of it survives a handler that waits. In main and in threads. */
#include "check.h"
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

static sem_t done;
static __thread volatile int ran, last_code, last_value, blocked_usr2, blocked_self, context_usr2;
static __thread volatile int on_alternate, context_flags;
static __thread volatile pid_t last_pid;
static __thread int edit;
static __thread char *volatile at;

static int is_blocked(int number)
{
	sigset_t now;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, number);
}

static void handler(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	stack_t now;
	char local;
	at = &local;
	last_code = info->si_code;
	last_pid = info->si_pid;
	last_value = info->si_value.sival_int;
	blocked_self = is_blocked(number);
	blocked_usr2 = is_blocked(SIGUSR2);
	context_usr2 = sigismember(&uc->uc_sigmask, SIGUSR2);
	sigaltstack(NULL, &now);
	on_alternate = now.ss_flags;
	context_flags = uc->uc_stack.ss_flags;
	if (edit)
		sigaddset(&uc->uc_sigmask, SIGUSR2);
	if (info->si_signo != number)
		last_code = 12345;
	struct timespec t = {.tv_nsec = 100000};
	nanosleep(&t, NULL); /* parks: it may come back on another kernel thread */
	ran++;
}

static void install(int number, int flags, int also)
{
	struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
	sigemptyset(&a.sa_mask);
	if (also)
		sigaddset(&a.sa_mask, also);
	MUST(sigaction(number, &a, NULL) == 0);
}

static void *sends(void *arg)
{
	MUST(pthread_kill(*(pthread_t *)arg, SIGUSR1) == 0);
	sem_post(&done);
	return NULL;
}

static void from_another(void)
{
	pthread_t self = pthread_self(), t = spawn(sends, &self);
	while (sem_wait(&done) != 0)
		;
	join(t);
	while (!ran)
		sched_yield();
}

static void *frames(void *arg)
{
	sigset_t set;
	char mark;

	ran = 0;
	errno = 77;
	QUIET(raise(SIGUSR1) == 0 && ran == 1);
	QUIET(errno == 77);
	QUIET(last_code == SI_TKILL && last_pid == getpid());
	QUIET(blocked_self && blocked_usr2 && !context_usr2);
	QUIET(!is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
	QUIET(on_alternate == SS_DISABLE);
	QUIET((char *)at < &mark && &mark - (char *)at < 100000);

	ran = 0;
	from_another();
	QUIET(ran == 1 && last_code == SI_TKILL && blocked_self && blocked_usr2);

	/* The mask in the context is what the thread returns to. */
	edit = 1;
	ran = 0;
	raise(SIGUSR1);
	QUIET(ran == 1 && !context_usr2 && is_blocked(SIGUSR2) && !is_blocked(SIGUSR1));
	edit = 0;
	ran = 0;
	raise(SIGUSR2);
	QUIET(ran == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	QUIET(ran == 1);

	QUIET(pthread_sigqueue(pthread_self(), SIGUSR1, (union sigval){.sival_int = 31}) == 0);
	QUIET(ran == 2 && last_code == SI_QUEUE && last_value == 31 && last_pid == getpid());

	/* Alternate stack: each thread's own; only for handlers that ask. */
	stack_t alternate = {.ss_sp = malloc(65536), .ss_size = 65536}, old;
	char *lo = alternate.ss_sp;
	QUIET(sigaltstack(&alternate, NULL) == 0);
	raise(SIGUSR1);
	QUIET(on_alternate == 0 && context_flags == 0 &&
	      !((char *)at > lo && (char *)at < lo + 65536));
	raise(SIGHUP);
	QUIET(on_alternate == SS_ONSTACK && context_flags == 0);
	QUIET((char *)at > lo && (char *)at < lo + 65536);
	QUIET(ran == 4);
	pthread_kill(pthread_self(), SIGHUP);
	QUIET(ran == 5 && (char *)at > lo && (char *)at < lo + 65536);
	stack_t small = {.ss_sp = lo, .ss_size = 100},
		odd = {.ss_sp = lo, .ss_size = 65536, .ss_flags = 64};
	QUIET(sigaltstack(&small, NULL) == -1 && errno == ENOMEM);
	QUIET(sigaltstack(&odd, NULL) == -1 && errno == EINVAL);
	QUIET(sigaltstack(NULL, &old) == 0 && old.ss_sp == lo && old.ss_size == 65536 &&
	      !old.ss_flags);
	alternate.ss_flags = SS_DISABLE;
	QUIET(sigaltstack(&alternate, &old) == 0 && old.ss_sp == lo);
	QUIET(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
	raise(SIGHUP);
	QUIET(on_alternate == SS_DISABLE && (char *)at < &mark && &mark - (char *)at < 100000);
	free(lo);
	return NULL;
}

/* Floating-point and vector state of the interrupted code. */
static void *computes(void *arg)
{
	double x = 1.0, y = 1.0;
	for (int i = 0; i < 200; i++) {
		x = x * 1.0000001 + 1.0 / (i + 1);
		raise(SIGUSR1);
		y = y * 1.0000001 + 1.0 / (i + 1);
		QUIET(x == y);
	}
	return NULL;
}

static void *killed_in_computation(void *arg)
{
	volatile double x = 0;
	int *stop = arg;
	do {
		double a = 1, b = 1;
		for (int i = 1; i < 1000; i++) {
			a += 1.0 / i;
			b += 1.0 / i;
		}
		QUIET(a == b);
		x = a;
	} while (!__atomic_load_n(stop, __ATOMIC_SEQ_CST));
	QUIET(x > 0 && ran > 0);
	return NULL;
}

int main(void)
{
	pthread_t t[16];
	int stop = 0;
	sem_init(&done, 0, 0);
	install(SIGUSR1, 0, SIGUSR2);
	install(SIGUSR2, 0, 0);
	install(SIGHUP, SA_ONSTACK, 0);
	become_threaded();
	frames(NULL);
	CHECK("main");
	for (int i = 0; i < 16; i++)
		t[i] = spawn(frames, NULL);
	for (int i = 0; i < 16; i++)
		join(t[i]);
	CHECK("sixteen threads");
	for (int i = 0; i < 4; i++)
		t[i] = spawn(computes, NULL);
	for (int i = 0; i < 4; i++)
		join(t[i]);
	t[0] = spawn(killed_in_computation, &stop);
	for (int i = 0; i < 100; i++) {
		QUIET(pthread_kill(t[0], SIGUSR1) == 0);
		sleep_ms(1);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(t[0]);
	CHECK("state of the interrupted code");
	struct sigaction old;
	sigaction(SIGUSR1, NULL, &old);
	CHECK(old.sa_sigaction == handler && (old.sa_flags & SA_SIGINFO) &&
	      sigismember(&old.sa_mask, SIGUSR2) && !sigismember(&old.sa_mask, SIGUSR1));
	printf("flags of handler %x\n", (unsigned)old.sa_flags);
	struct sigaction full = {.sa_handler = SIG_IGN};
	sigfillset(&full.sa_mask);
	sigaction(SIGUSR1, &full, NULL);
	sigaction(SIGUSR1, NULL, &old);
	CHECK(old.sa_handler == SIG_IGN && !sigismember(&old.sa_mask, SIGKILL) &&
	      !sigismember(&old.sa_mask, SIGSTOP) && sigismember(&old.sa_mask, SIGTERM));
	printf("flags of ignored %x\n", (unsigned)old.sa_flags);
	CHECK_ERRNO(EINVAL, sigaction(SIGKILL, &full, NULL));
	CHECK_ERRNO(EINVAL, sigaction(0, NULL, &old));
	CHECK_ERRNO(EINVAL, sigaction(65, NULL, &old));
	CHECK_ERRNO(EINVAL, sigaction(32, NULL, &old));
	return check_done();
}
