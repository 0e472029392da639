/* Every signal with every kind of handler, on main and on a thread: nesting, masks, codes, the
 * alternate stack, queueing, what sigaction then answers; and what each does by default. */
#include "check.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static volatile sig_atomic_t calls, depth, deepest, code, on_alternate, nests;
static char alternate[65536];

static void on_signal(int sig)
{
	char here;
	calls++;
	depth++;
	if (depth > deepest)
		deepest = depth;
	on_alternate = &here >= alternate && &here < alternate + sizeof(alternate);
	if (nests && calls < 3)
		raise(sig);
	depth--;
}

static void with_info(int sig, siginfo_t *si, void *uc)
{
	code = si->si_code;
	on_signal(sig);
}

static void one(int sig, int flags)
{
	struct sigaction sa = {.sa_flags = flags}, old, now;
	union sigval v = {.sival_int = sig};
	sigset_t set, before, pending;

	sigaddset(&sa.sa_mask, SIGUSR2);
	if (flags & SA_SIGINFO)
		sa.sa_sigaction = with_info;
	else
		sa.sa_handler = on_signal;
	int r = sigaction(sig, &sa, &old);
	printf("%d %x: %d %d", sig, (unsigned)flags, r, r ? errno : 0);
	if (r == 0) {
		calls = deepest = depth = code = on_alternate = 0;
		nests = !(flags & SA_RESETHAND);
		raise(sig);
		sigaction(sig, NULL, &now);
		printf(" %d %d %d %d, %d %x %d", calls, deepest, code, on_alternate,
		       now.sa_handler == SIG_DFL, (unsigned)now.sa_flags & ~0x04000000u,
		       sigismember(&now.sa_mask, SIGUSR2));
		calls = nests = 0;
		if (now.sa_handler != SIG_DFL) {
			sigemptyset(&set);
			sigaddset(&set, sig);
			pthread_sigmask(SIG_BLOCK, &set, &before);
			for (int i = 0; i < 3; i++)
				pthread_sigqueue(pthread_self(), sig, v);
			sigpending(&pending);
			printf(", %d", sigismember(&pending, sig));
			pthread_sigmask(SIG_SETMASK, &before, NULL);
			printf(" %d %d", calls, code);
		}
		signal(sig, SIG_IGN);
		raise(sig);
		sigaction(sig, &old, NULL);
	}
	printf("\n");
}

static void *handlers(void *arg)
{
	static const int flags[] = {0,
				    SA_NODEFER,
				    SA_RESETHAND,
				    SA_SIGINFO,
				    SA_ONSTACK,
				    SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
				    SA_RESTART,
				    SA_RESETHAND | SA_NODEFER};
	stack_t ss = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	sigaltstack(&ss, NULL);
	for (int sig = 1; sig <= 64; sig++)
		for (unsigned f = 0; f < sizeof(flags) / sizeof(*flags); f++)
			one(sig, flags[f]);
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
	fflush(stdout);
	return arg;
}

static void *defaults(void *arg)
{
	for (int sig = 1; sig <= 64; sig++) {
		int status = 0;
		if (sig == 32 || sig == 33 || sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN ||
		    sig == SIGTTOU)
			continue;
		pid_t pid = fork();
		if (pid == 0) {
			if (arg)
				become_threaded();
			signal(sig, SIG_DFL);
			raise(sig);
			_exit(7);
		}
		waitpid(pid, &status, 0);
		printf("default %d: %x\n", sig, (unsigned)status & 0xff7f); /* core files vary */
		fflush(stdout);
	}
	return arg;
}

int main(void)
{
	static char buffer[1 << 20]; /* a handler's signal may not come in the middle of a write */
	struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	handlers(NULL);
	join(spawn(handlers, NULL));
	defaults(NULL);
	join(spawn(defaults, (void *)1));
	return check_done();
}
