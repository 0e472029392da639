/* What waits behind a mask: the thread's before the process's, real-time signals in order however
 * often the mask changes, SIGCONT and the stops that void each other; what the kernel takes from
 * and writes to memory that is not there; the alternate stack as a handler finds it. */
#include "check.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char text[1024];
static volatile int at, last, wrong;
static sigset_t everything;

static void note(int number, siginfo_t *info, void *context)
{
	int value = info->si_code == SI_QUEUE ? info->si_value.sival_int : -1;
	at += snprintf(text + at, sizeof(text) - (size_t)at, " %d:%d",
		       number >= SIGRTMIN ? 100 + number - SIGRTMIN : number, value);
}

static void in_order(int number, siginfo_t *info, void *context)
{
	wrong += info->si_value.sival_int != last + 1;
	last = info->si_value.sival_int;
}

static void ignored_value(int number)
{
}

static void handle(int number, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction a = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};
	sigemptyset(&a.sa_mask);
	MUST(sigaction(number, &a, NULL) == 0);
}

static void to_thread(int number, int v)
{
	MUST(pthread_sigqueue(pthread_self(), number, (union sigval){.sival_int = v}) == 0);
}

static void to_process(int number, int v)
{
	MUST(sigqueue(getpid(), number, (union sigval){.sival_int = v}) == 0);
}

/* Everybody else blocks all: what is sent to the process is this thread's to handle. */
static void order(void)
{
	sigset_t old;

	handle(SIGHUP, note, 0);
	handle(SIGUSR1, note, 0);
	for (int i = 0; i < 3; i++)
		handle(SIGRTMIN + i, note, 0);
	for (int round = 0; round < 2; round++) {
		pthread_sigmask(SIG_SETMASK, &everything, &old);
		to_process(SIGRTMIN, 1);
		to_thread(SIGRTMIN, 2);
		to_process(SIGRTMIN, 3);
		to_thread(SIGRTMIN, 4);
		to_thread(SIGRTMIN + 2, 5);
		to_process(SIGRTMIN + 1, 6);
		kill(getpid(), SIGHUP);
		if (round)
			raise(SIGUSR1);
		at = 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		printf("handled%s\n", text);
	}
	handle(SIGRTMIN, in_order, 0);
	signal(SIGRTMIN + 1, ignored_value);
	for (int round = 0; round < 400; round++) {
		pthread_sigmask(SIG_SETMASK, &everything, &old);
		for (int v = 0; v < 3; v++) {
			to_process(SIGRTMIN + 1, v);
			to_process(SIGRTMIN, v);
		}
		last = -1;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		QUIET(last == 2);
	}
	CHECK(wrong == 0);
}

static int pends(int number)
{
	sigset_t s;
	sigpending(&s);
	return sigismember(&s, number);
}

static void stops(void)
{
	sigset_t old;

	pthread_sigmask(SIG_SETMASK, &everything, &old);
	kill(getpid(), SIGTSTP);
	raise(SIGTTIN);
	CHECK(pends(SIGTSTP) && pends(SIGTTIN) && !pends(SIGCONT));
	kill(getpid(), SIGCONT);
	CHECK(!pends(SIGTSTP) && !pends(SIGTTIN) && pends(SIGCONT));
	raise(SIGTTOU);
	CHECK(pends(SIGTTOU) && !pends(SIGCONT));
	kill(getpid(), SIGTSTP);
	raise(SIGCONT);
	CHECK(!pends(SIGTSTP) && !pends(SIGTTOU) && pends(SIGCONT));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	CHECK(!pends(SIGCONT));
}

static void not_there(void)
{
	const struct timespec now = {0, 0};
	void *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	siginfo_t info;
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	CHECK_ERRNO(EFAULT, sigtimedwait(&one, &info, nothing));
	CHECK_ERRNO(EFAULT, sigtimedwait(nothing, &info, &now));
	CHECK_ERRNO(EFAULT, sigsuspend(nothing));
	CHECK_ERRNO(EFAULT, sigaltstack(nothing, NULL));
	CHECK_ERRNO(EFAULT, sigaltstack(NULL, nothing));
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	raise(SIGUSR1);
	CHECK_ERRNO(EFAULT, sigtimedwait(&one, nothing, &now));
	CHECK(!pends(SIGUSR1));
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);

	const struct timespec hour = {3600, 0};
	const struct itimerspec soon = {{0, 5000000}, {0, 5000000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t timer;
	signal(SIGUSR1, ignored_value);
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	MUST(timer_settime(timer, 0, &soon, NULL) == 0);
	CHECK_ERRNO(EFAULT, nanosleep(&hour, nothing));
	CHECK_RC(EFAULT, clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, nothing));
	timer_delete(timer);
	munmap(nothing, 4096);
}

static void disarmed(int number, siginfo_t *info, void *context)
{
	stack_t now;
	sigaltstack(NULL, &now);
	CHECK(now.ss_flags == SS_DISABLE && now.ss_size == 0 && !now.ss_sp);
}

static void stack_and_flags(void)
{
	stack_t own = {
	    .ss_sp = malloc(1 << 16), .ss_size = 1 << 16, .ss_flags = (int)SS_AUTODISARM};
	stack_t now;
	struct sigaction a = {.sa_handler = ignored_value, .sa_flags = -1}, is;

	CHECK(sigaltstack(&own, NULL) == 0);
	handle(SIGUSR1, disarmed, SA_ONSTACK);
	raise(SIGUSR1);
	sigaltstack(NULL, &now);
	CHECK(now.ss_sp == own.ss_sp && now.ss_size == own.ss_size);
	own.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&own, NULL) == 0);
	free(own.ss_sp);
	/* Flags that the kernel does not know are not kept. */
	sigemptyset(&a.sa_mask);
	MUST(sigaction(SIGRTMIN + 5, &a, NULL) == 0 && sigaction(SIGRTMIN + 5, NULL, &is) == 0);
	printf("flags %x\n", is.sa_flags);
}

/* By the system call, which says what it wants of the sender. */
static void by_system_call(int main_thread)
{
	siginfo_t info;
	memset(&info, 0, sizeof(info));
	info.si_code = -77;
	handle(SIGUSR1, note, 0);
	at = 0;
	CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &info) == 0);
	CHECK(at > 0);
	CHECK_ERRNO(ESRCH, syscall(SYS_rt_tgsigqueueinfo, getpid(), 99999999, SIGUSR1, &info));
	info.si_code = SI_TKILL;
	if (!main_thread)
		CHECK_ERRNO(EPERM, syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
}

static void *all(void *who)
{
	printf("%s\n", (char *)who);
	wrong = 0;
	order();
	stops();
	not_there();
	stack_and_flags();
	by_system_call(gettid() == getpid());
	return NULL;
}

int main(void)
{
	pthread_t t;
	pthread_attr_t a;
	sigset_t none;

	alarm(50);
	sigfillset(&everything);
	sigdelset(&everything, SIGALRM);
	join(spawn(check_nothing, NULL));
	all((void *)"main");
	pthread_sigmask(SIG_SETMASK, &everything, NULL);
	sigemptyset(&none);
	pthread_attr_init(&a);
	pthread_attr_setsigmask_np(&a, &none);
	MUST(pthread_create(&t, &a, all, (void *)"a thread, when main blocks them") == 0);
	join(t);
	return check_done();
}
