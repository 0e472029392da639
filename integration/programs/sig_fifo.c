/* Real-time signals of one number that one thread sends to the process arrive in the order in which
 * they were sent, whatever the receiver does with its mask meanwhile: it opens and closes it,
 * asks for some by sigtimedwait, handles them in main or in another thread, or
 * takes turns with others. */
#include "check.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum { KINDS = 3, EACH = 300, LIMIT = 100 };

static int last[KINDS], wrong[KINDS], senders;
static sigset_t kinds;

static void came(int number, const siginfo_t *info)
{
	int k = number - SIGRTMIN - 1;
	wrong[k] += info->si_value.sival_int != last[k] + 1;
	__atomic_store_n(&last[k], info->si_value.sival_int, __ATOMIC_SEQ_CST);
}

static void handler(int number, siginfo_t *info, void *context)
{
	came(number, info);
}

static void *sends(void *arg)
{
	int k = (int)(intptr_t)arg;
	for (int i = 1; i <= EACH; i++)
		while (sigqueue(getpid(), SIGRTMIN + 1 + k, (union sigval){.sival_int = i}) < 0)
			sched_yield();
	__atomic_sub_fetch(&senders, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void flip(int i)
{
	pthread_sigmask(SIG_UNBLOCK, &kinds, NULL);
	if (i % 7 == 0)
		sched_yield();
	pthread_sigmask(SIG_BLOCK, &kinds, NULL);
}

static void take(int i)
{
	const struct timespec now = {0, 0};
	siginfo_t info;
	int number = sigtimedwait(&kinds, &info, &now);
	if (number > 0)
		came(number, &info);
	if (i % 16 == 0)
		sched_yield();
}

static void take_or_flip(int i)
{
	(i % 5 ? take : flip)(i);
}

static void wait_a_little(int i)
{
	const struct timespec limit = {0, 1000000};
	siginfo_t info;
	int number = sigtimedwait(&kinds, &info, &limit);
	if (number > 0)
		came(number, &info);
	else if (i % 8 == 0)
		flip(i);
}

static void (*receive)(int);

/* The receiver alone opens its mask. */
static void *one_round(void *arg)
{
	pthread_t t[KINDS];
	memset(last, 0, sizeof(last));
	memset(wrong, 0, sizeof(wrong));
	senders = KINDS;
	for (int k = 0; k < KINDS; k++)
		t[k] = spawn(sends, (void *)(intptr_t)k);
	for (int i = 0; __atomic_load_n(&senders, __ATOMIC_SEQ_CST); i++)
		receive(i);
	for (int k = 0; k < KINDS; k++)
		join(t[k]);
	/* What was sent before the mask is opened is handled before that returns. */
	pthread_sigmask(SIG_UNBLOCK, &kinds, NULL);
	for (int k = 0; k < KINDS; k++)
		QUIET(wrong[k] == 0 && last[k] == EACH);
	pthread_sigmask(SIG_BLOCK, &kinds, NULL);
	return NULL;
}

/* Several receivers, of which one at a time opens its mask. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *takes_turns(void *arg)
{
	for (int i = 0; __atomic_load_n(&senders, __ATOMIC_SEQ_CST); i++) {
		pthread_mutex_lock(&turn);
		(arg && i % 3 ? take : flip)(i);
		pthread_mutex_unlock(&turn);
		if (i % 5 == 0)
			sched_yield();
	}
	return NULL;
}

enum { RECEIVERS = 4 };
static pthread_t others[RECEIVERS];

static void in_turns(int i)
{
	if (i == 0)
		for (int k = 0; k < RECEIVERS; k++)
			others[k] = spawn(takes_turns, (void *)(intptr_t)(k % 2));
	takes_turns((void *)1);
	for (int k = 0; k < RECEIVERS; k++)
		join(others[k]);
}

static void rounds(const char *what, void (*fn)(int), int n)
{
	receive = fn;
	for (int i = 0; i < n; i++)
		one_round(NULL);
	for (int i = 0; i < n; i++)
		join(spawn(one_round, NULL));
	printf("%s: done\n", what);
}

/* ---- where it waits ---- */

static char order[256];

static void note(int number, siginfo_t *info, void *context)
{
	size_t at = strlen(order);
	snprintf(order + at, sizeof(order) - at, " %d:%d%s", number - SIGRTMIN,
		 info->si_value.sival_int, info->si_pid == getpid() ? "" : "c");
}

static void show(const char *what)
{
	printf("%s:%s\n", what, order);
	fflush(stdout);
	order[0] = 0;
}

static int queue(int number, int value)
{
	return sigqueue(getpid(), SIGRTMIN + number, (union sigval){.sival_int = value});
}

static void by_child(int number, int value)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(sigqueue(getppid(), SIGRTMIN + number, (union sigval){.sival_int = value}));
	MUST(waitpid(pid, NULL, 0) == pid);
}

static void *queues_two(void *arg)
{
	MUST(queue(4, 2) == 0 && queue(5, 2) == 0);
	return NULL;
}

static void several(void)
{
	by_child(4, 1);
	by_child(5, 1);
	join(spawn(queues_two, NULL));
	by_child(5, 3);
	by_child(4, 3);
	MUST(queue(4, 4) == 0 && queue(5, 4) == 0);
	by_child(4, 5);
}

static void ask(const sigset_t *set)
{
	const struct timespec now = {0, 0};
	siginfo_t info;
	for (int number; (number = sigtimedwait(set, &info, &now)) > 0;)
		note(number, &info, NULL);
}

static void *opens(void *arg)
{
	pthread_sigmask(SIG_UNBLOCK, arg, NULL);
	pthread_sigmask(SIG_BLOCK, arg, NULL);
	return NULL;
}

static void on(int number, void *action)
{
	struct sigaction a = {.sa_sigaction = action};
	if (action == (void *)note)
		a.sa_flags = SA_SIGINFO;
	MUST(sigaction(SIGRTMIN + number, &a, NULL) == 0);
}

static void read_all(const sigset_t *set)
{
	int fd = signalfd(-1, set, SFD_NONBLOCK);
	struct signalfd_siginfo s;
	while (read(fd, &s, sizeof(s)) == sizeof(s)) {
		siginfo_t info = {.si_pid = (pid_t)s.ssi_pid};
		info.si_value.sival_int = s.ssi_int;
		note((int)s.ssi_signo, &info, NULL);
	}
	close(fd);
}

static int one_of(int kind)
{
	union sigval v = {0};
	return kind == 0   ? queue(4, 0)
	       : kind == 1 ? queue(5, 0)
			   : pthread_sigqueue(pthread_self(), SIGRTMIN + 4 + kind % 2, v);
}

/* Signals and timers of the user's other processes count as well, and come and go. */
static int full(int kind, int *sent)
{
	for (int i = 0; i < 2 * LIMIT; i++, ++*sent)
		if (one_of(kind))
			return 1;
	return 0;
}

/* All that wait are counted together, wherever they wait. */
static void limited(void)
{
	struct rlimit old, few;
	int sent = 0;

	getrlimit(RLIMIT_SIGPENDING, &old);
	few = old;
	few.rlim_cur = LIMIT;
	MUST(setrlimit(RLIMIT_SIGPENDING, &few) == 0);
	CHECK(full(0, &sent) && sent <= LIMIT);
	CHECK_RC(0, kill(getpid(), SIGRTMIN + 4));
	on(4, SIG_IGN);
	on(4, note);
	on(5, SIG_DFL);
	sent = 0;
	for (int i = 0; i < LIMIT / 2; i++)
		sent += one_of(i % 4) == 0;
	CHECK(sent > 3);
	for (int kind = 0; kind < 4; kind++)
		CHECK(full(kind, &sent) && sent <= LIMIT);
	CHECK_RC(0, kill(getpid(), SIGRTMIN + 5));
	CHECK_RC(0, kill(getpid(), SIGUSR2));
	on(5, SIG_IGN);
	on(5, note);
	CHECK_RC(0, queue(5, 0));
	MUST(setrlimit(RLIMIT_SIGPENDING, &old) == 0);
}

static void where_it_waits(char *self)
{
	sigset_t set, seen;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 4);
	sigaddset(&set, SIGRTMIN + 5);
	sigaddset(&set, SIGUSR2);
	signal(SIGUSR2, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	on(4, note);
	on(5, note);
	several();
	sigpending(&seen);
	CHECK(sigismember(&seen, SIGRTMIN + 4) && sigismember(&seen, SIGRTMIN + 5));
	opens(&set);
	show("handled by main");
	several();
	join(spawn(opens, &set));
	show("handled by a thread");
	several();
	ask(&set);
	show("asked for");
	on(4, SIG_DFL);
	MUST(queue(4, 1) == 0 && queue(4, 2) == 0);
	on(4, note);
	MUST(queue(4, 3) == 0);
	on(4, SIG_DFL);
	MUST(queue(4, 4) == 0);
	ask(&set);
	show("the action changes");
	on(4, note);
	MUST(queue(4, 1) == 0 && queue(5, 1) == 0);
	on(4, SIG_IGN);
	on(4, note);
	MUST(queue(4, 2) == 0);
	opens(&set);
	show("ignored for a moment");
	limited();
	on(4, SIG_IGN);
	on(4, note);
	on(5, SIG_IGN);
	on(5, note);
	opens(&set);
	show("nothing is left");
	several();
	read_all(&set);
	show("by a signalfd");
	/* These two numbers are a signalfd's now. */
	sigaddset(&set, SIGRTMIN + 6);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	on(6, note);
	MUST(queue(6, 1) == 0);
	by_child(6, 2);
	MUST(queue(6, 3) == 0);
	by_child(6, 4);
	execl("/proc/self/exe", self, "executed", NULL);
}

static int executed(void)
{
	sigset_t set;
	siginfo_t info;
	const struct timespec now = {0, 0};

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 6);
	while (sigtimedwait(&set, &info, &now) > 0)
		note(SIGRTMIN + 6, &info, NULL);
	show("by the program that was executed");
	return check_done();
}

int main(int argc, char **argv)
{
	struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	int n = argc > 1 ? atoi(argv[1]) : 3;

	if (argc > 1 && strcmp(argv[1], "executed") == 0)
		return executed();

	sigemptyset(&kinds);
	for (int k = 0; k < KINDS; k++) {
		sigaddset(&kinds, SIGRTMIN + 1 + k);
		MUST(sigaction(SIGRTMIN + 1 + k, &a, NULL) == 0);
	}
	pthread_sigmask(SIG_BLOCK, &kinds, NULL);
	rounds("opening and closing", flip, n);
	rounds("asking", take, n);
	rounds("asking and opening", take_or_flip, n);
	rounds("waiting and opening", wait_a_little, n);
	rounds("in turns", in_turns, n);
	where_it_waits(argv[0]);
	return 1;
}
