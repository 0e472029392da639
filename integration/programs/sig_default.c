/* A signal whose default action ends or stops the process, sent by a thread to its own process: it
 * has happened when the call returns, whatever other threads there are.  And how the end of a stack
 * is told. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int silent[2], ended[2];

static void *parked(void *arg)
{
	char c;
	QUIET(read(silent[0], &c, 1) == 1);
	return NULL;
}

static void child(int number, int how)
{
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	signal(number, SIG_DFL);
	for (int i = 0; i < 3; i++)
		spawn(parked, NULL);
	if (how == 0)
		kill(getpid(), number);
	else if (how == 1)
		sigqueue(getpid(), number, (union sigval){0});
	else
		raise(number);
	/* Only after a stop. */
	_exit(write(ended[1], "x", 1) == 1 ? 42 : 43);
}

static const char *told(int status)
{
	static char text[40];
	if (WIFSTOPPED(status))
		snprintf(text, sizeof(text), "stopped by %d", WSTOPSIG(status));
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "ended by %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "status %d", WEXITSTATUS(status));
	return text;
}

static void defaults(void)
{
	static const int numbers[] = {SIGQUIT, SIGTRAP, SIGABRT, SIGSYS,  SIGXCPU, SIGTERM,
				      SIGUSR1, SIGALRM, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		for (int how = 0; how < 3; how++) {
			int status;
			char c;
			pid_t pid = fork();
			if (!pid) {
				setpgid(0, 0);
				child(numbers[i], how);
			}
			MUST(waitpid(pid, &status, WUNTRACED) == pid);
			printf("%d, %d: %s", numbers[i], how, told(status));
			if (WIFSTOPPED(status)) {
				kill(pid, SIGCONT);
				MUST(waitpid(pid, &status, 0) == pid);
				MUST(read(ended[0], &c, 1) == 1);
				printf(", then %s", told(status));
			}
			printf("\n");
			fflush(stdout);
		}
}

static sigjmp_buf out;
static volatile int code;

static void overflowed(int number, siginfo_t *info, void *context)
{
	code = info->si_code;
	siglongjmp(out, 1);
}

static int deeper(int n)
{
	volatile char used[2048];
	used[0] = (char)n;
	return n == 1 << 28 ? 0 : deeper(n + 1) + used[0];
}

static void *overflows(void *arg)
{
	stack_t own = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
	sigaltstack(&own, NULL);
	if (!sigsetjmp(out, 1))
		deeper(0);
	CHECK(code == SEGV_ACCERR);
	return NULL;
}

int main(void)
{
	struct sigaction a = {.sa_sigaction = overflowed, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	alarm(50);
	MUST(pipe(silent) == 0 && pipe(ended) == 0);
	join(spawn(check_nothing, NULL));
	defaults();
	sigemptyset(&a.sa_mask);
	MUST(sigaction(SIGSEGV, &a, NULL) == 0);
	join(spawn(overflows, NULL));
	return check_done();
}
