/* What pthread_getattr_np says of a thread: stack, guard, detach state, scheduling; what prctl says
 * of it; names of threads that ended; concurrency; default attributes. */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct seen {
	size_t size, guard;
	int detached, inherit, policy, priority, scope, inside, exact;
};

static struct seen look(pthread_t t, void *address)
{
	struct seen s = {0};
	struct sched_param p;
	pthread_attr_t a;
	void *base;
	MUST(pthread_getattr_np(t, &a) == 0);
	pthread_attr_getstack(&a, &base, &s.size);
	pthread_attr_getguardsize(&a, &s.guard);
	pthread_attr_getdetachstate(&a, &s.detached);
	pthread_attr_getinheritsched(&a, &s.inherit);
	pthread_attr_getschedpolicy(&a, &s.policy);
	pthread_attr_getschedparam(&a, &p);
	pthread_attr_getscope(&a, &s.scope);
	s.priority = p.sched_priority;
	s.inside = (char *)address > (char *)base && (char *)address < (char *)base + s.size;
	pthread_attr_destroy(&a);
	return s;
}

static void *looks(void *arg)
{
	char here;
	*(struct seen *)arg = look(pthread_self(), &here);
	return arg;
}

static void say(const char *what, struct seen s)
{
	printf(
	    "%s: size %zu guard %zu detached %d inherit %d policy %d priority %d scope %d inside "
	    "%d\n",
	    what, s.size, s.guard, s.detached, s.inherit, s.policy, s.priority, s.scope, s.inside);
}

static void with(const char *what, size_t size, size_t guard, void *stack, int policy)
{
	pthread_attr_t a;
	pthread_t t;
	struct seen s;
	pthread_attr_init(&a);
	if (stack)
		MUST(pthread_attr_setstack(&a, stack, size) == 0);
	else if (size)
		MUST(pthread_attr_setstacksize(&a, size) == 0);
	MUST(pthread_attr_setguardsize(&a, guard) == 0);
	if (policy >= 0) {
		struct sched_param p = {.sched_priority = policy == SCHED_OTHER ? 0 : 5};
		pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED);
		pthread_attr_setschedpolicy(&a, policy);
		pthread_attr_setschedparam(&a, &p);
	}
	int r = pthread_create(&t, &a, looks, &s);
	printf("%s: create %s\n", what, r ? strerror(r) : "works");
	if (r == 0) {
		join(t);
		say(what, s);
	}
	pthread_attr_destroy(&a);
}

static sem_t ended;

static void *ends(void *arg)
{
	sem_post(&ended);
	return NULL;
}

static void *slack(void *arg)
{
	CHECK(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 50000);
	CHECK(prctl(PR_SET_TIMERSLACK, 70000, 0, 0, 0) == 0);
	for (int i = 0; i < 5; i++)
		sched_yield();
	CHECK(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 70000);
	CHECK(prctl(PR_SET_TIMERSLACK, 0, 0, 0, 0) == 0);
	CHECK(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 50000);
	return NULL;
}

static void *options(void *arg)
{
	int sig = -1;
	CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0) == 0);
	for (int i = 0; i < 5; i++)
		sched_yield();
	CHECK(prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0) == 0 && sig == SIGUSR1);
	CHECK(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0);
	CHECK_ERRNO(EINVAL, prctl(PR_SET_PDEATHSIG, 1000, 0, 0, 0));
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	for (int i = 0; i < 5; i++) {
		sched_yield();
		QUIET(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	}
	CHECK_ERRNO(EINVAL, prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0));
	CHECK_ERRNO(EFAULT, prctl(PR_SET_NAME, NULL));
	CHECK_ERRNO(EINVAL, prctl(12345, 0, 0, 0, 0));
	return NULL;
}

int main(void)
{
	pthread_attr_t a;
	char name[16];
	pthread_t t;
	void *m = aligned_alloc(4096, 256 << 10);
	sem_init(&ended, 0, 0);

	become_threaded();
	with("default", 0, 4096, NULL, -1);
	with("one MiB", 1 << 20, 4096, NULL, -1);
	with("one MiB, no guard", 1 << 20, 0, NULL, -1);
	with("64 KiB, guard of a byte", 64 << 10, 1, NULL, -1);
	with("64 KiB, guard of 64 KiB", 64 << 10, 64 << 10, NULL, -1);
	with("own stack", 256 << 10, 4096, m, -1);
	with("own stack, smallest", 16384, 4096, m, -1);
	with("own stack, odd", 20000, 4096, (char *)m + 96, -1);
	with("explicit other", 0, 4096, NULL, SCHED_OTHER);
	with("too large", (size_t)1 << 60, 4096, NULL, -1);

	/* The default for those without attributes. */
	MUST(pthread_getattr_default_np(&a) == 0);
	pthread_attr_setstacksize(&a, 16 << 20); /* libc reuses stacks that are large enough */
	pthread_attr_setguardsize(&a, 8192);
	CHECK_RC(0, pthread_setattr_default_np(&a));
	struct seen s;
	join(spawn(looks, &s));
	say("by default", s);
	pthread_attr_destroy(&a);

	int before = pthread_getconcurrency();
	CHECK(before == 0);
	CHECK_RC(0, pthread_setconcurrency(3));
	CHECK(pthread_getconcurrency() == 3);
	CHECK_RC(EINVAL, pthread_setconcurrency(-1));

	/* A thread that ended and was not joined yet has no name. */
	t = spawn(ends, NULL);
	sem_wait(&ended);
	while (pthread_getname_np(t, name, sizeof(name)) == 0)
		sched_yield();
	CHECK_RC(ENOENT, pthread_getname_np(t, name, sizeof(name)));
	CHECK_RC(ENOENT, pthread_setname_np(t, "x"));
	join(t);
	join(spawn(slack, NULL));
	join(spawn(options, NULL));
	return check_done();
}
