/* What the kernel keeps per thread stays with the thread that set it, and is inherited by the
 * threads it makes: credentials, capabilities, no_new_privs, system call filters, file system
 * attributes.  Others never see it, wherever anybody runs.  The parts that need root are left out
 * without it. */
#include "check.h"
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { PLAIN = 12, ROUNDS = 40, USER = 4711 };

static int stop, personality_before, pipes[2][2];
static pthread_barrier_t all_changed;

static uid_t euid_now(void)
{
	return (uid_t)syscall(SYS_geteuid);
}

/* Something that parks in one of several ways. */
static void wait_somehow(int i)
{
	struct timespec ts = {0, 200000};
	char c = 'x';

	switch (i % 3) {
	case 0:
		nanosleep(&ts, NULL);
		break;
	case 1:
		sched_yield();
		break;
	default:
		QUIET(write(pipes[0][1], &c, 1) == 1);
		QUIET(read(pipes[0][0], &c, 1) == 1);
	}
}

static void *plain(void *arg)
{
	int i = (int)(intptr_t)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		QUIET(euid_now() == 0);
		QUIET(setfsuid(-1) == 0);
		QUIET(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
		QUIET(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0);
		QUIET(access("/", F_OK) == 0);
		QUIET(syscall(SYS_getpgid, 0) >= 0);
		QUIET(personality(0xffffffff) == personality_before);
		wait_somehow(i++);
	}
	return NULL;
}

static void *child_has(void *arg)
{
	for (int i = 0; i < 5; i++) {
		QUIET(euid_now() == (uid_t)(uintptr_t)arg);
		wait_somehow(i);
	}
	return arg;
}

static void *changes_user(void *arg)
{
	uid_t mine = USER + (uid_t)(uintptr_t)arg;
	int status;

	QUIET(syscall(SYS_setresuid, -1, mine, -1) == 0);
	pthread_barrier_wait(&all_changed);
	for (int i = 0; i < ROUNDS; i++) {
		QUIET(euid_now() == mine);
		wait_somehow(i);
		QUIET(euid_now() == mine);
		if (i % 10 == 0)
			QUIET(join(spawn(child_has, (void *)(uintptr_t)mine)) ==
			      (void *)(uintptr_t)mine);
	}
	pid_t pid = fork();
	if (pid == 0) {
		pthread_t t;
		int ok = euid_now() == mine &&
			 pthread_create(&t, NULL, child_has, (void *)(uintptr_t)mine) == 0;
		ok = ok && pthread_join(t, NULL) == 0;
		_exit(ok && check_failures == 0 ? 0 : 1);
	}
	QUIET(waitpid(pid, &status, 0) == pid && status == 0);
	QUIET(syscall(SYS_setresuid, -1, 0, -1) == 0);
	QUIET(euid_now() == 0);
	return NULL;
}

static void *changes_fsuid(void *arg)
{
	QUIET(setfsuid(USER) == 0);
	pthread_barrier_wait(&all_changed);
	for (int i = 0; i < ROUNDS; i++) {
		wait_somehow(i);
		QUIET(setfsuid(-1) == USER);
	}
	QUIET(syscall(SYS_setfsuid, 0) == USER);
	return NULL;
}

static void *drops_capabilities(void *arg)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {{0}}, now[2];

	QUIET(syscall(SYS_capset, &h, none) == 0);
	pthread_barrier_wait(&all_changed);
	for (int i = 0; i < ROUNDS; i++) {
		wait_somehow(i);
		h.pid = 0;
		QUIET(syscall(SYS_capget, &h, now) == 0 && now[0].effective == 0);
		QUIET(syscall(SYS_sethostname, "x", (size_t)-1) == -1 && errno == EPERM);
	}
	return NULL;
}

static void *takes_a_directory(void *arg)
{
	char name[64];
	QUIET(unshare(CLONE_FS) == 0);
	QUIET(chdir("/proc") == 0);
	umask(077);
	pthread_barrier_wait(&all_changed);
	for (int i = 0; i < ROUNDS; i++) {
		wait_somehow(i);
		QUIET(getcwd(name, sizeof(name)) && !strcmp(name, "/proc"));
	}
	QUIET(umask(077) == 077);
	return NULL;
}

/* getpgid answers error 77 from now on, and what an older sandbox does not know is refused. */
static struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_preadv2, 1, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev2, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
static struct sock_fprog prog = {sizeof(code) / sizeof(*code), code};

/* On a descriptor that nothing is known of yet. */
static void reads_and_writes(void)
{
	int p[2];
	char c = 'x';
	MUST(pipe(p) == 0);
	QUIET(write(p[1], &c, 1) == 1);
	QUIET(read(p[0], &c, 1) == 1);
	close(p[0]);
	close(p[1]);
}

static void *filters(void *arg)
{
	QUIET(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	QUIET(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == 0);
	if (!arg)
		pthread_barrier_wait(&all_changed);
	for (int i = 0; i < ROUNDS; i++) {
		wait_somehow(i);
		QUIET(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
		QUIET(syscall(SYS_getpgid, 0) == -1 && errno == 77);
	}
	reads_and_writes();
	return NULL;
}

/* With the right to, so that no other call comes before it. */
static void *filters_by_right(void *arg)
{
	QUIET(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0);
	pthread_barrier_wait(&all_changed);
	for (int i = 0; i < ROUNDS; i++) {
		wait_somehow(i);
		QUIET(syscall(SYS_getpgid, 0) == -1 && errno == 77);
	}
	return NULL;
}

static void *changes_personality(void *arg)
{
	int mine = personality_before ^ ADDR_NO_RANDOMIZE;
	QUIET(personality((unsigned)mine) == personality_before);
	pthread_barrier_wait(&all_changed);
	for (int i = 0; i < ROUNDS; i++) {
		wait_somehow(i);
		QUIET(personality(0xffffffff) == mine);
	}
	return NULL;
}

static void *keeps(void *arg)
{
	QUIET(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
	pthread_barrier_wait(&all_changed);
	for (int i = 0; i < ROUNDS; i++) {
		wait_somehow(i);
		QUIET(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 1);
	}
	return NULL;
}

static void *traces(void *arg)
{
	int status, fds[2];
	char c;
	MUST(pipe(fds) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[1]);
		_exit(read(fds[0], &c, 1) == 1 ? 5 : 6);
	}
	close(fds[0]);
	QUIET(ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0);
	for (int i = 0; i < 10; i++) {
		QUIET(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0);
		QUIET(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status));
		wait_somehow(i);
		QUIET(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	}
	QUIET(write(fds[1], "x", 1) == 1);
	QUIET(waitpid(pid, &status, __WALL) == pid && WIFEXITED(status) &&
	      WEXITSTATUS(status) == 5);
	close(fds[1]);
	return NULL;
}

/* Signals, cancellation and deadlines reach a thread that has changed. */
static sem_t never;
static __thread int handled;
static void on_signal(int sig)
{
	handled++;
}

static void *is_interrupted(void *arg)
{
	struct timespec at = deadline_ms(CLOCK_REALTIME, 20);
	QUIET(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
	QUIET(sem_timedwait(&never, &at) == -1 && errno == ETIMEDOUT);
	QUIET(raise(SIGUSR1) == 0 && handled == 1);
	sem_post(arg);
	while (handled < 2)
		QUIET(sem_wait(&never) == -1 && errno == EINTR);
	sem_post(arg);
	sem_wait(&never);
	return NULL;
}

static void interrupt(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sem_t said;
	sem_init(&said, 0, 0);
	sigaction(SIGUSR1, &sa, NULL);
	pthread_t t = spawn(is_interrupted, &said);
	QUIET(sem_wait(&said) == 0);
	pthread_kill(t, SIGUSR1);
	QUIET(sem_wait(&said) == 0);
	pthread_cancel(t);
	QUIET(join(t) == PTHREAD_CANCELED);
	CHECK("signals, deadlines and cancellation");
}

static void as_root(void)
{
	static void *(*const changers[])(void *) = {
	    changes_user, changes_user, changes_user,	   changes_fsuid,    drops_capabilities,
	    filters,	  keeps,	takes_a_directory, filters_by_right, changes_personality};
	enum { N = sizeof(changers) / sizeof(*changers) };
	pthread_t t[PLAIN], c[N];
	char name[4096], again[4096];
	mode_t mask = umask(022);

	umask(mask);
	MUST(getcwd(name, sizeof(name)));
	personality_before = personality(0xffffffff);
	pthread_barrier_init(&all_changed, NULL, N + 1);
	for (int i = 0; i < PLAIN; i++)
		t[i] = spawn(plain, (void *)(intptr_t)i);
	for (int i = 0; i < N; i++)
		c[i] = spawn(changers[i], (void *)(intptr_t)(changers[i] == filters ? 0 : i));
	pthread_barrier_wait(&all_changed);
	QUIET(euid_now() == 0);
	for (int i = 0; i < N; i++)
		join(c[i]);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < PLAIN; i++)
		join(t[i]);
	QUIET(getcwd(again, sizeof(again)) && !strcmp(name, again) && umask(mask) == mask);
	CHECK("rights belong to the thread that changed them");
	/* libc's functions are for the whole process, whoever calls. */
	QUIET(setegid(USER) == 0 && getegid() == USER && setegid(0) == 0);
	/* main, and the thread that is made by it. */
	QUIET(syscall(SYS_setresuid, -1, USER, -1) == 0);
	join(spawn(child_has, (void *)(uintptr_t)USER));
	struct stat st;
	QUIET(stat("/proc/self", &st) == 0 && euid_now() == USER);
	QUIET(syscall(SYS_setresuid, -1, 0, -1) == 0);
	join(spawn(child_has, (void *)0));
	CHECK("main and what it makes");
}

int main(void)
{
	MUST(pipe(pipes[0]) == 0);
	sem_init(&never, 0, 0);
	become_threaded();
	interrupt();
	join(spawn(traces, NULL));
	CHECK("a tracer stays the tracer");
	if (geteuid() == 0)
		as_root();
	/* Many one after the other. */
	for (int i = 0; i < 100; i++)
		join(spawn(filters, (void *)1));
	CHECK("a hundred threads with filters");
	return check_done();
}
