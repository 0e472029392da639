/* Queues: real-time signals keep their number, order and value; standard ones merge; several that
 * become due at once nest as the kernel nests them; what becomes ignored is dropped. In main, in a
 * thread, sent by oneself, by another thread, to the thread and to the process. */
#include "check.h"
#include <signal.h>
#include <sys/resource.h>

static char log_text[4096];
static volatile int log_at, depth; /* volatile: sched_yield is a "leaf" call */
static sigset_t all_used;

static void note(int number, siginfo_t *info, void *context)
{
	int value = info->si_code == SI_QUEUE ? info->si_value.sival_int : -1;
	char text[40];
	int n = snprintf(text, sizeof(text), " <%d:%d@%d",
			 number >= SIGRTMIN ? 100 + number - SIGRTMIN : number, value, depth);
	memcpy(log_text + log_at, text, (size_t)n + 1);
	log_at += n;
	depth++;
	sched_yield();
	depth--;
	memcpy(log_text + log_at, ">", 2);
	log_at++;
}

static void show(const char *what)
{
	printf("%s:%s\n", what, log_text);
	fflush(stdout);
	log_text[0] = 0;
	log_at = 0;
}

static void handle(int number, int flags, int masks_number)
{
	struct sigaction a = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};
	sigemptyset(&a.sa_mask);
	if (masks_number)
		sigaddset(&a.sa_mask, masks_number);
	MUST(sigaction(number, &a, NULL) == 0);
}

static void block(int how)
{
	MUST(pthread_sigmask(how, &all_used, NULL) == 0);
}

static union sigval value(int v)
{
	return (union sigval){.sival_int = v};
}

struct job {
	pthread_t target;
	void (*fn)(pthread_t);
};

static void *run_job(void *arg)
{
	struct job *j = arg;
	j->fn(j->target);
	return NULL;
}

/* By the thread itself (0) or by another one (1). */
static void send(int other, void (*fn)(pthread_t))
{
	struct job j = {pthread_self(), fn};
	if (other)
		join(spawn(run_job, &j));
	else
		fn(j.target);
}

static void three_values(pthread_t t)
{
	for (int i = 1; i <= 3; i++)
		MUST(pthread_sigqueue(t, SIGRTMIN + 1, value(i)) == 0);
}

static void mixed(pthread_t t)
{
	pthread_sigqueue(t, SIGRTMIN + 3, value(1));
	pthread_sigqueue(t, SIGRTMIN + 1, value(2));
	pthread_kill(t, SIGUSR2);
	pthread_sigqueue(t, SIGRTMIN + 3, value(3));
	pthread_kill(t, SIGUSR1);
	pthread_sigqueue(t, SIGRTMIN + 1, value(4));
}

static void merged(pthread_t t)
{
	for (int i = 0; i < 5; i++)
		pthread_kill(t, SIGUSR1);
	pthread_sigqueue(t, SIGUSR1, value(9));
}

static void to_process(pthread_t t)
{
	sigqueue(getpid(), SIGRTMIN + 1, value(1));
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	sigqueue(getpid(), SIGRTMIN + 1, value(2));
	pthread_sigqueue(t, SIGRTMIN + 1, value(3));
	pthread_kill(t, SIGUSR1);
	pthread_kill(t, SIGUSR2);
}

static void one_of_each(pthread_t t)
{
	pthread_kill(t, SIGUSR1);
	pthread_kill(t, SIGUSR2);
	pthread_kill(t, SIGTERM);
}

static void ignored(pthread_t t)
{
	pthread_sigqueue(t, SIGRTMIN + 1, value(1));
	pthread_kill(t, SIGUSR1);
	kill(getpid(), SIGUSR2);
	struct sigaction ignore = {.sa_handler = SIG_IGN}, dfl = {.sa_handler = SIG_DFL};
	sigaction(SIGRTMIN + 1, &ignore, NULL);
	sigaction(SIGUSR1, &ignore, NULL);
	sigaction(SIGUSR2, &ignore, NULL);
	sigaction(SIGURG, &dfl, NULL);
	pthread_sigqueue(t, SIGRTMIN + 1, value(2)); /* blocked: it is queued, though ignored */
	handle(SIGUSR1, 0, 0);
	handle(SIGUSR2, 0, 0);
	handle(SIGRTMIN + 1, 0, 0);
}

static void all(int other)
{
	static const struct {
		const char *name;
		void (*fn)(pthread_t);
	} cases[] = {{"three values", three_values},
		     {"mixed", mixed},
		     {"merged", merged},
		     {"to the process too", to_process},
		     {"one of each", one_of_each},
		     {"ignored", ignored}};
	sigset_t pending;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		block(SIG_BLOCK);
		send(other, cases[i].fn);
		sigpending(&pending);
		printf("pending %d %d %d %d %d\n", sigismember(&pending, SIGUSR1),
		       sigismember(&pending, SIGUSR2), sigismember(&pending, SIGTERM),
		       sigismember(&pending, SIGRTMIN + 1), sigismember(&pending, SIGRTMIN + 3));
		block(SIG_UNBLOCK);
		show(cases[i].name);
	}
	/* Masks in the actions keep handlers apart. */
	handle(SIGUSR1, 0, SIGUSR2);
	handle(SIGTERM, SA_NODEFER, SIGUSR1);
	block(SIG_BLOCK);
	send(other, one_of_each);
	block(SIG_UNBLOCK);
	show("kept apart");
	handle(SIGUSR1, SA_NODEFER, 0);
	handle(SIGTERM, 0, 0);
	raise(SIGUSR1);
	show("raise");
	handle(SIGUSR1, SA_RESETHAND, 0);
	raise(SIGUSR1);
	show("once");
	struct sigaction now;
	sigaction(SIGUSR1, NULL, &now);
	CHECK(now.sa_handler == SIG_DFL);
	handle(SIGUSR1, 0, 0);
}

static void *in_thread(void *arg)
{
	all((int)(intptr_t)arg);
	return NULL;
}

/* How many wait: exactly as many as were sent, in order. */
static void many(int n)
{
	siginfo_t info;
	sigset_t set;
	int right = 0;
	struct timespec none = {0, 0};
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < n; i++)
		QUIET(pthread_sigqueue(pthread_self(), SIGRTMIN + 2, value(i)) == 0);
	for (int i = 0; i < n; i++)
		right += sigtimedwait(&set, &info, &none) == SIGRTMIN + 2 &&
			 info.si_value.sival_int == i && info.si_code == SI_QUEUE;
	CHECK(right == n);
	CHECK_ERRNO(EAGAIN, sigtimedwait(&set, &info, &none));
}

static void limited(void)
{
	struct rlimit old, few;
	sigset_t set;
	siginfo_t info;
	struct timespec none = {0, 0};
	int sent = 0, got = 0, rc;
	getrlimit(RLIMIT_SIGPENDING, &old);
	few = old;
	few.rlim_cur = 10;
	MUST(setrlimit(RLIMIT_SIGPENDING, &few) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	while ((rc = pthread_sigqueue(pthread_self(), SIGRTMIN + 2, value(sent))) == 0 &&
	       sent < 100)
		sent++;
	CHECK(rc == EAGAIN && sent <= 10);
	CHECK_RC(0, pthread_kill(pthread_self(), SIGUSR1));
	while (sigtimedwait(&set, &info, &none) > 0)
		got++;
	CHECK(got == sent + 1);
	setrlimit(RLIMIT_SIGPENDING, &old);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* What is sent to the process comes in order to the thread that waits for it, whether it waited
 * already or not; the signal has a handler, which does not run. */
static void *sends_numbers(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		QUIET(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}) == 0);
		if (i % 7 == 0)
			sched_yield();
		if (i % 64 == 0)
			usleep(50);
	}
	return NULL;
}

static void *takes_numbers(void *arg)
{
	int good = 0;
	siginfo_t info;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	pthread_t t = spawn(sends_numbers, NULL);
	for (int i = 0; i < 3000; i++) {
		good += sigwaitinfo(&set, &info) == SIGRTMIN + 1 && info.si_value.sival_int == i;
		if (i % 5 == 0)
			sched_yield();
	}
	join(t);
	printf("%s: %d taken in order\n", (char *)arg, good);
	return NULL;
}

int main(void)
{
	static const int used[] = {SIGUSR1, SIGUSR2, SIGTERM};
	become_threaded();
	sigemptyset(&all_used);
	for (int i = 0; i < 3; i++) {
		sigaddset(&all_used, used[i]);
		handle(used[i], 0, 0);
	}
	sigaddset(&all_used, SIGRTMIN + 1);
	sigaddset(&all_used, SIGRTMIN + 3);
	handle(SIGRTMIN + 1, 0, 0);
	handle(SIGRTMIN + 3, 0, 0);
	printf("-- main, by itself\n");
	all(0);
	printf("-- main, by another\n");
	all(1);
	block(SIG_BLOCK); /* what is sent to the process is the thread's then */
	printf("-- thread, by itself\n");
	join(spawn(in_thread, (void *)0));
	printf("-- thread, by another\n");
	join(spawn(in_thread, (void *)1));
	many(3000);
	limited();
	block(SIG_BLOCK);
	takes_numbers("main");
	join(spawn(takes_numbers, "thread"));
	return check_done();
}
