/* Random pthread programs whose result does not depend on the schedule: each seed is one.
 *
 *   oracle --from SEED --count N    runs N programs, prints a line "SEED HASH" for each
 *          --steps 0,3,4            of each program only these steps (shrinking)
 *          --without robust,lines   none of these kinds of steps
 *          --rounds R               at most R rounds per step (shrinking)
 *          --repeat K               each program K times; all must give the same
 *          --limit S                a program that takes longer hangs (default 30)
 *          --show                   print the programs instead of running them
 *
 * Ends with 0, or 1 when a fact did not hold or repeats differ, 2 when a program hung, 3 when the
 * process died; then the last line names the seed, and the positions of its threads are printed.
 *
 * Owns: the arguments and the watchdog, a process of its own that shares the threads' positions.
 * The programs themselves are in oracle/: oracle.h first.
 */
#include "oracle/oracle.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static struct options {
	uint64_t from, count;
	unsigned rounds, repeat, limit;
	bool wanted[MAX_STEPS], choose, show;
	const char *without;
} opt = {.count = 1, .repeat = 1, .limit = 30};

/* Shared with the watchdog. */
static struct shared {
	uint64_t seed, done;
	unsigned spots_used;
	struct spot spots[MAX_SPOTS];
} * shared;

static void make(struct program *p, uint64_t seed)
{
	program_make(p, seed, opt.choose ? opt.wanted : NULL, opt.without, opt.rounds);
}

static void options_read(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		if (!strcmp(argv[i], "--show")) {
			opt.show = true;
			continue;
		}
		if (!strcmp(argv[i], "--from"))
			opt.from = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i], "--count"))
			opt.count = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i], "--rounds"))
			opt.rounds = (unsigned)atoi(value);
		else if (!strcmp(argv[i], "--repeat"))
			opt.repeat = (unsigned)atoi(value);
		else if (!strcmp(argv[i], "--limit"))
			opt.limit = (unsigned)atoi(value);
		else if (!strcmp(argv[i], "--without"))
			opt.without = value;
		else if (!strcmp(argv[i], "--steps")) {
			char *list = strdup(value), *save, *one = strtok_r(list, ",", &save);
			for (opt.choose = true; one; one = strtok_r(NULL, ",", &save))
				opt.wanted[atoi(one) % MAX_STEPS] = true;
			free(list);
		} else {
			fprintf(stderr, "oracle: %s? The head of oracle.c is the manual\n",
				argv[i]);
			exit(64);
		}
		i++;
	}
}

static int run_all(void)
{
	static struct program p;
	struct timespec none = {0};
	sigset_t all;
	/* The signals of the steps and of the disturber: blocked but where they are wanted. */
	sigemptyset(&all);
	sigaddset(&all, SIGUSR2);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		sigaddset(&all, sig);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	spots = shared->spots;
	spots_used = &shared->spots_used;
	for (uint64_t seed = opt.from; seed < opt.from + opt.count; seed++) {
		uint64_t first = 0;
		__atomic_store_n(&shared->seed, seed, __ATOMIC_SEQ_CST);
		for (unsigned k = 0; k < opt.repeat && !facts_failed; k++) {
			make(&p, seed);
			uint64_t sum = program_run(&p);
			siginfo_t info = {0};
			if (sigtimedwait(&all, &info, &none) > 0) {
				fprintf(stderr, "FAIL seed %llu: signal %d left\n",
					(unsigned long long)seed, info.si_signo);
				facts_failed++;
			}
			if (k && sum != first) {
				fprintf(stderr, "FAIL seed %llu: two runs differ\n",
					(unsigned long long)seed);
				facts_failed++;
			}
			first = sum;
			__atomic_add_fetch(&shared->done, 1, __ATOMIC_SEQ_CST);
		}
		printf("%llu %016llx%s\n", (unsigned long long)seed, (unsigned long long)first,
		       facts_failed ? " FAILED" : "");
		fflush(stdout);
		if (facts_failed)
			return 1;
	}
	return 0;
}

static void print_positions(void)
{
	static struct program p;
	make(&p, shared->seed);
	program_show(&p, stderr);
	for (unsigned i = 0; i < MAX_SPOTS && i < shared->spots_used; i++) {
		struct spot *s = &shared->spots[i];
		if (!s->used)
			continue;
		const char *file = s->file ? strrchr(s->file, '/') : NULL;
		fprintf(stderr, "  thread %d%s: ", s->thread, s->step < 0 ? " joining" : "");
		if (s->step >= 0)
			fprintf(stderr, "step %d (%s) ", s->step, p.steps[s->step].kind->name);
		fprintf(stderr, "role %d, %s %s:%d\n", s->role, s->line > 0 ? "in" : "past",
			file ? file + 1 : "-", abs(s->line));
	}
}

/* Of the process and of the children it waits for. */
static void print_stacks(pid_t pid)
{
	char command[300];
	snprintf(command, sizeof command,
		 "for p in %d $(cat /proc/%d/task/*/children); do echo \"process $p\"; "
		 "timeout 20 gdb -batch -nx -p $p -ex 'thread apply all bt 12' 2>&1 "
		 "| grep -E '^(Thread|#)'; done 1>&2",
		 (int)pid, (int)pid);
	unsetenv("LD_PRELOAD");
	if (system(command) != 0)
		fprintf(stderr, "(no stacks: gdb failed)\n");
}

static int watch(pid_t pid)
{
	uint64_t seen = 0;
	struct timespec nap = {.tv_nsec = 20000000};
	int status;
	for (time_t since = time(NULL);;) {
		pid_t r = waitpid(pid, &status, WNOHANG);
		if (r == pid)
			break;
		uint64_t done = __atomic_load_n(&shared->done, __ATOMIC_SEQ_CST);
		if (done != seen) {
			seen = done;
			since = time(NULL);
		}
		if (time(NULL) - since > (time_t)opt.limit) {
			fprintf(stderr, "seed %llu hangs\n", (unsigned long long)shared->seed);
			print_positions();
			print_stacks(pid);
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			printf("%llu HANGS\n", (unsigned long long)shared->seed);
			return 2;
		}
		nanosleep(&nap, NULL);
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "seed %llu died of signal %d\n", (unsigned long long)shared->seed,
		WTERMSIG(status));
	print_positions();
	printf("%llu DIES\n", (unsigned long long)shared->seed);
	return 3;
}

int main(int argc, char **argv)
{
	options_read(argc, argv);
	if (opt.show) {
		static struct program p;
		for (uint64_t seed = opt.from; seed < opt.from + opt.count; seed++) {
			make(&p, seed);
			program_show(&p, stdout);
		}
		return 0;
	}
	shared =
	    mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 70;
	pid_t pid = fork();
	if (pid < 0)
		return 70;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0); /* with its children */
		exit(run_all());
	}
	return watch(pid);
}
