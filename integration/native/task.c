/* Tasks: results, errors of misuse, detached ones, deadlines, cancellation of every kind of wait.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "rc.h"

static unsigned flags; /* how the tasks of this run are made */
static bool inert;     /* tasks are kernel threads: plain calls are not interrupted */

static gh_task *start(gh_fn fn, void *arg)
{
	gh_task_opts o = {.size = sizeof(o), .flags = flags};
	gh_task *t = gh_task_spawn(fn, arg, &o);
	MUST(t);
	return t;
}

static void *end(gh_task *t)
{
	void *ret = (void *)-1;
	int r = gh_task_join(t, &ret);
	if (r)
		printf("join says %d\n", r);
	QUIET(r == 0);
	return ret;
}

static void *same(void *arg)
{
	return arg;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void *self_join(void *arg)
{
	RC(-EDEADLK, gh_task_join(gh_task_self(), NULL));
	*(gh_task **)arg = gh_task_self();
	gh_task_exit(arg);
	return NULL;
}

static void *until_told(void *arg)
{
	while (!__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE))
		gh_sleep(GH_MS(1));
	return arg;
}

static void *joins(void *task)
{
	void *ret;
	int r;
	while ((r = gh_task_join(task, &ret)) == -EINVAL) /* main looks */
		gh_yield();
	return (void *)(intptr_t)r;
}

static int count;
static void *counts(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void life(void)
{
	void *ret;
	int tell = 0;
	gh_task *t = start(same, &ret);
	RC(0, gh_task_join(t, &ret));
	CHECK(ret == &ret);
	RC(-EINVAL, gh_task_join(t, NULL));
	RC(-EINVAL, gh_task_detach(t));
	RC(-EINVAL, gh_task_cancel(t));
	RC(-EINVAL, gh_task_join(NULL, NULL));
	RC(-EINVAL, gh_task_join_until((gh_task *)((char *)&tell + 1), NULL, 0));
	RC(-EINVAL, gh_task_detach(NULL));
	RC(-EINVAL, gh_task_cancel(NULL));
	CHECK(gh_task_self() == NULL);
	errno = 0;
	CHECK(!gh_task_spawn(NULL, NULL, NULL) && errno == EINVAL);
	gh_task_opts o = {.size = 0};
	CHECK(!gh_task_spawn(same, NULL, &o) && errno == EINVAL);
	o = (gh_task_opts){.size = sizeof(o), .flags = 1u << 31};
	CHECK(!gh_task_spawn(same, NULL, &o) && errno == EINVAL);
	o = (gh_task_opts){.size = sizeof(o), .priority = 99};
	CHECK(!gh_task_spawn(same, NULL, &o) && errno == EINVAL);
	o = (gh_task_opts){.size = sizeof(o), .stack_size = SIZE_MAX};
	CHECK(!gh_task_spawn(same, NULL, &o) && errno == EINVAL);
	struct {
		gh_task_opts o;
		long more;
	} newer = {.o.size = sizeof(newer), .more = 1};
	CHECK(!gh_task_spawn(same, NULL, &newer.o) && errno == E2BIG);
	newer.more = 0;
	CHECK((t = gh_task_spawn(same, &newer, &newer.o)) && end(t) == &newer);

	gh_task *self;
	t = start(self_join, &self);
	CHECK(end(t) == &self && self == t);
	t = start(until_told, &tell);
	RC(-ETIMEDOUT, gh_task_join_until(t, NULL, 0));
	RC(-ETIMEDOUT, gh_task_join_until(t, NULL, -7));
	RC(-ETIMEDOUT, gh_task_join_until(t, NULL, gh_after(GH_MS(3))));
	gh_task *other = start(joins, t);
	int r;
	while ((r = gh_task_join_until(t, NULL, 0)) ==
	       -ETIMEDOUT) /* one may find the other at it */
		gh_sleep(GH_US(100));
	RC(-EINVAL, r);
	RC(-EINVAL, gh_task_detach(t));
	RC(-EINVAL, gh_task_join(t, NULL));
	tell = 1;
	CHECK(end(other) == NULL);

	for (int i = 0; i < 1000; i++)
		QUIET(gh_go(counts, NULL, NULL) == 0);
	for (int i = 0; i < 1000; i++)
		QUIET(gh_task_detach(start(counts, NULL)) == 0);
	gh_time limit = gh_after(GH_S(10));
	while (__atomic_load_n(&count, __ATOMIC_RELAXED) < 2000 && gh_now() < limit)
		gh_sleep(GH_MS(1));
	CHECK(count == 2000);
	RC(-EINVAL, gh_go(NULL, NULL, NULL));
	RC(-EPERM, gh_defer(free, NULL));
	RC(-EPERM, gh_task_shield());
}

/* ---- defer ---------------------------------------------------------------------------------- */

static char order[16];
static void note(void *text)
{
	gh_sleep(GH_MS(1)); /* may wait, cancelled or not */
	strcat(order, text);
}

static void *defers(void *leave)
{
	RC(-EINVAL, gh_defer(NULL, NULL));
	RC(0, gh_defer(note, "a"));
	gh_defer(note, "b");
	gh_defer(note, "x");
	gh_defer(note, "c");
	RC(0, gh_defer_pop(true));
	RC(0, gh_defer_pop(false));
	if (leave)
		gh_task_exit("left");
	gh_task_cancel(gh_task_self());
	return "returned";
}

static void *nothing_deferred(void *arg)
{
	RC(-ENOENT, gh_defer_pop(true));
	return arg;
}

static void defer(void)
{
	end(start(nothing_deferred, NULL));
	CHECK(!strcmp(end(start(defers, "")), "left") && !strcmp(order, "cba"));
	*order = 0;
	CHECK(!strcmp(end(start(defers, NULL)), "returned") && !strcmp(order, "cba"));
}

/* ---- cancellation --------------------------------------------------------------------------- */

struct wait {
	const char *name;
	long (*call)(void); /* a negative errno */
};

static int pair[2], listener;
static sem_t empty;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static gh_task *sleeper;

static long plain(long r)
{
	return r < 0 ? -errno : r;
}
static long w_sleep(void)
{
	return gh_sleep(GH_S(60));
}
static long w_forever(void)
{
	return gh_sleep(GH_FOREVER);
}
static long w_join(void)
{
	return gh_task_join(sleeper, NULL);
}
static long w_read(void)
{
	char byte;
	return plain(read(pair[0], &byte, 1));
}
static long w_recv(void)
{
	char byte;
	return plain(recv(pair[0], &byte, 1, 0));
}
static long w_accept(void)
{
	return plain(accept(listener, NULL, NULL));
}
static long w_poll(void)
{
	return plain(poll(&(struct pollfd){.fd = pair[0], .events = POLLIN}, 1, -1));
}
static long w_select(void)
{
	fd_set s;
	FD_ZERO(&s);
	FD_SET(pair[0], &s);
	return plain(select(pair[0] + 1, &s, NULL, NULL, NULL));
}
static long w_nanosleep(void)
{
	return plain(nanosleep(&(struct timespec){60, 0}, NULL));
}
static long w_usleep(void)
{
	return plain(usleep(60000000));
}
static long w_clock(void)
{
	return -clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){60, 0}, NULL);
}
static long w_longsleep(void)
{
	return sleep(60) >= 59 ? -ECANCELED : 0;
}
static long w_sem(void)
{
	return plain(sem_wait(&empty));
}
static long w_cond(void)
{
	pthread_mutex_lock(&m);
	int r = pthread_cond_wait(&c, &m);
	pthread_mutex_unlock(&m);
	return -r;
}
static long w_pthread(void)
{
	pthread_t t = spawn(until_told, &count);
	int r = pthread_join(t, NULL);
	pthread_detach(t);
	return -r;
}
static long w_child(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		for (;;)
			syscall(SYS_pause);
	}
	long r = plain(waitpid(pid, NULL, 0));
	kill(pid, SIGKILL);
	gh_task_shield();
	QUIET(waitpid(pid, NULL, 0) == pid);
	gh_task_unshield();
	return r;
}
static long w_pause(void)
{
	return plain(pause());
}
static long w_sigwait(void)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	return plain(sigtimedwait(&s, NULL, NULL));
}

static const struct wait waits[] = {
    {"gh_sleep", w_sleep},
    {"gh_sleep forever", w_forever},
    {"gh_task_join", w_join},
    {"read", w_read},
    {"recv", w_recv},
    {"accept", w_accept},
    {"poll", w_poll},
    {"select", w_select},
    {"nanosleep", w_nanosleep},
    {"usleep", w_usleep},
    {"clock_nanosleep", w_clock},
    {"sleep", w_longsleep},
    {"sem_wait", w_sem},
    {"pthread_cond_wait", w_cond},
    {"pthread_join", w_pthread},
    {"waitpid", w_child},
    {"pause", w_pause},
    {"sigtimedwait", w_sigwait},
};

static int ready;
static void *waits_once(void *arg)
{
	const struct wait *w = arg;
	__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
	long r = w->call();
	/* The request stands: each further wait says so at once. */
	if (r == -ECANCELED && gh_task_cancelled())
		r = gh_sleep(GH_S(60));
	return (void *)r;
}

static void cancel(void)
{
	int zero = 0;
	struct sockaddr_in a = {.sin_family = AF_INET};
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST((listener = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(listener, 5) == 0);
	sem_init(&empty, 0, 0);
	count = 0;
	sleeper = start(until_told, &zero);
	for (size_t i = 0; i < (inert ? 3 : sizeof(waits) / sizeof(*waits)); i++)
		for (int early = 0; early < 2; early++) {
			ready = 0;
			gh_task *t = start(waits_once, (void *)&waits[i]);
			if (!early) {
				while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
					gh_yield();
				gh_sleep(GH_MS(3));
			}
			QUIET(gh_task_cancel(t) == 0);
			QUIET(gh_task_cancel(t) == 0);
			void *ret = NULL;
			int r = gh_task_join_until(t, &ret, gh_after(GH_S(10)));
			printf("%s %s%s: %s\n", (long)ret == -ECANCELED ? "ok  " : "FAIL",
			       waits[i].name, early ? ", cancelled before it ran" : "",
			       r ? "hangs" : strerror((int)-(long)ret));
			fflush(stdout);
			QUIET((long)ret == -ECANCELED);
			MUST(r == 0);
		}
	zero = 1;
	count = 1;
	end(sleeper);
}

/* ---- shields and deadlines ------------------------------------------------------------------ */

static void *shielded(void *arg)
{
	gh_task *self = gh_task_self();
	RC(-EINVAL, gh_task_unshield());
	RC(0, gh_task_shield());
	RC(0, gh_task_shield());
	gh_task_cancel(self);
	RC(-ECANCELED, gh_task_cancelled());
	RC(0, gh_sleep(GH_MS(2)));
	QUIET(usleep(2000) == 0);
	RC(0, gh_task_unshield());
	RC(0, gh_sleep(GH_MS(2)));
	RC(0, gh_task_unshield());
	RC(-ECANCELED, gh_sleep(GH_S(60)));
	RC(-ECANCELED, gh_sleep_until(0));
	return arg;
}

static void *inherits(void *arg)
{
	gh_time at = gh_task_deadline();
	CHECK(at == *(gh_time *)arg);
	RC(-ECANCELED, gh_sleep(GH_S(60)));
	RC(-ETIMEDOUT, gh_task_cancelled());
	return NULL;
}

static void *has_deadline(void *arg)
{
	gh_time at = gh_after(GH_MS(10));
	CHECK(gh_task_deadline() == GH_FOREVER);
	RC(0, gh_task_set_deadline(gh_task_self(), gh_after(GH_S(100))));
	RC(0, gh_task_set_deadline(gh_task_self(), GH_FOREVER));
	RC(0, gh_task_cancelled());
	RC(0, gh_task_set_deadline(gh_task_self(), at));
	gh_task *child = start(inherits, &at);
	char byte;
	if (inert)
		RC(-ECANCELED, gh_sleep(GH_S(60)));
	else
		CHECK_ERRNO(ECANCELED, read(pair[0], &byte, 1));
	CHECK(gh_now() >= at);
	RC(-ETIMEDOUT, gh_task_cancelled());
	gh_task_shield();
	end(child);
	gh_task_unshield();
	return arg;
}

static void *past_deadline(void *arg)
{
	RC(0, gh_task_set_deadline(gh_task_self(), -1));
	RC(-ETIMEDOUT, gh_task_cancelled());
	RC(-ECANCELED, gh_sleep(GH_S(60)));
	return arg;
}

static void *computes(void *arg)
{
	gh_time limit = gh_after(GH_S(20));
	while (!gh_task_cancelled() && gh_now() < limit)
		;
	return (void *)(intptr_t)gh_task_cancelled();
}

static void deadline(void)
{
	RC(-EINVAL, gh_task_set_deadline(NULL, 0));
	CHECK(gh_task_deadline() == GH_FOREVER);
	end(start(shielded, NULL));
	end(start(has_deadline, NULL));
	end(start(past_deadline, NULL));
	gh_task *t = start(computes, NULL);
	RC(0, gh_task_set_deadline(t, gh_after(GH_MS(5))));
	CHECK((intptr_t)end(t) == -ETIMEDOUT);
	t = start(computes, NULL);
	RC(0, gh_task_cancel(t));
	CHECK((intptr_t)end(t) == -ECANCELED);
	for (int i = 0; i < 300; i++) { /* the deadline against the end */
		t = start(same, NULL);
		gh_task_set_deadline(t, gh_after(GH_US(i % 50)));
		end(t);
	}
}

/* ---- from kernel threads, from a fork's child ------------------------------------------------ */

static void *spawns(void *arg)
{
	QUIET(end(start(same, &count)) == &count);
	return arg;
}

static void forks(void)
{
	for (int i = 0; i < 5; i++) {
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			int ok = end(start(same, &pid)) == &pid;
			_exit(ok ? 17 : 1);
		}
		int status = 0;
		QUIET(waitpid(pid, &status, 0) == pid);
		QUIET(WIFEXITED(status) && WEXITSTATUS(status) == 17);
	}
}

static void *forks_in_task(void *arg)
{
	forks();
	return arg;
}

static void elsewhere(void)
{
	pthread_t t[8];
	for (int i = 0; i < 8; i++)
		t[i] = spawn(spawns, NULL);
	for (int i = 0; i < 8; i++)
		join(t[i]);
	forks();
	end(start(forks_in_task, NULL));
}

static void *stubborn(void *arg)
{
	int *stop = arg;
	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE))
		sched_yield();
	return NULL;
}

static void *shuts_down(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)gh_shutdown(gh_after(GH_S(10)));
}

static void shutdown_all(void)
{
	static int never, stop;
	for (int i = 0; i < 100; i++)
		gh_go(until_told, &never, NULL);
	RC(0, gh_shutdown(0) > 100 ? -1 : 0);
	RC(100, gh_shutdown(gh_after(GH_MS(20)))); /* until_told does not look */
	never = 1;
	RC(0, gh_shutdown(gh_after(GH_S(10))));
	gh_go(stubborn, &stop, NULL);
	RC(1, gh_shutdown(gh_after(GH_MS(5))));
	stop = 1;
	CHECK(end(start(shuts_down, NULL)) == NULL);
}

static int program(int argc, char **argv)
{
	flags = argc > 1 && !strcmp(argv[1], "own") ? GH_TASK_OWN_TLS : 0;
	inert = gh_start() == -EPERM;
	life();
	defer();
	cancel();
	deadline();
	elsewhere();
	shutdown_all();
	return check_done();
}

int main(int argc, char **argv)
{
	return gh_main(program, argc, argv);
}
