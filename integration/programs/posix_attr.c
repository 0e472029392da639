/* Thread attributes in all combinations: what pthread_create answers, what the thread then is. As
 * root, and again as an ordinary user in a child. */
#include "check.h"
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

static sem_t met;
static char *own_stack;
enum { OWN = 1 << 20 };

struct seen {
	int detach, inherit, policy, priority, scope, now_policy, now_priority;
	size_t guard, size;
	int on_own;
	pid_t pid;
};
static struct seen seen;

static void *looks(void *arg)
{
	pthread_attr_t a;
	struct sched_param p;
	void *addr;
	char here;
	QUIET(pthread_getattr_np(pthread_self(), &a) == 0);
	pthread_attr_getdetachstate(&a, &seen.detach);
	pthread_attr_getinheritsched(&a, &seen.inherit);
	pthread_attr_getschedpolicy(&a, &seen.policy);
	pthread_attr_getschedparam(&a, &p);
	seen.priority = p.sched_priority;
	pthread_attr_getscope(&a, &seen.scope);
	pthread_attr_getguardsize(&a, &seen.guard);
	pthread_attr_getstack(&a, &addr, &seen.size);
	QUIET(&here >= (char *)addr && &here < (char *)addr + seen.size);
	seen.on_own = &here >= own_stack && &here < own_stack + OWN;
	pthread_getschedparam(pthread_self(), &seen.now_policy, &p);
	seen.now_priority = p.sched_priority;
	pthread_attr_destroy(&a);
	char deep[60000]; /* what it asked for can be used */
	memset(deep, 1, sizeof(deep));
	seen.pid = getpid() + deep[77] - 1;
	sem_post(&met);
	return arg;
}

static void table(const char *who)
{
	static const size_t guards[] = {0, 4096, 5000, 65536};
	static const size_t stacks[] = {0, 128 << 10, 1 << 20};
	static const int policies[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR};
	pthread_attr_t a;
	int n = 0;
	for (int bits = 0; bits < 4; bits++)
		for (unsigned g = 0; g < 4; g++)
			for (unsigned s = 0; s < 4; s++)
				for (unsigned p = 0; p < 3; p++)
					for (int prio = 0; prio < 2; prio++, n++) {
						int detached = bits & 1, explicit = bits & 2;
						struct sched_param sp = {prio};
						pthread_t t;
						pthread_attr_init(&a);
						pthread_attr_setdetachstate(&a, detached);
						QUIET(pthread_attr_setguardsize(&a, guards[g]) ==
						      0);
						if (s < 3 && stacks[s])
							QUIET(pthread_attr_setstacksize(
								  &a, stacks[s]) == 0);
						if (s == 3)
							QUIET(pthread_attr_setstack(&a, own_stack,
										    OWN) == 0);
						pthread_attr_setinheritsched(
						    &a, explicit ? PTHREAD_EXPLICIT_SCHED
								 : PTHREAD_INHERIT_SCHED);
						pthread_attr_setschedpolicy(&a, policies[p]);
						int set = pthread_attr_setschedparam(&a, &sp);
						memset(&seen, 0xff, sizeof(seen));
						int r = pthread_create(&t, &a, looks, NULL);
						if (r == 0)
							while (sem_wait(&met))
								;
						if (r == 0 && !detached)
							join(t);
						if (r == 0 && detached && s == 3)
							sleep_ms(5); /* it leaves our stack */
						printf("%s %d%d %u %u %u %d: %d %d", who,
						       !!detached, !!explicit, g, s, p, prio, set,
						       r);
						if (r == 0)
							printf(" %d %d %d %d %d %d %d %zu %d %d",
							       seen.detach, seen.inherit,
							       seen.policy, seen.priority,
							       seen.scope, seen.now_policy,
							       seen.now_priority, seen.guard,
							       seen.on_own, seen.pid == getpid());
						printf("\n");
						pthread_attr_destroy(&a);
					}
	printf("%d combinations\n", n);
	fflush(stdout);
}

static void setters(void)
{
	pthread_attr_t a;
	struct sched_param sp = {1000};
	size_t size;
	int v;
	void *addr;
	CHECK_RC(0, pthread_attr_init(&a));
	CHECK(pthread_attr_getdetachstate(&a, &v) == 0 && v == PTHREAD_CREATE_JOINABLE);
	CHECK(pthread_attr_getinheritsched(&a, &v) == 0 && v == PTHREAD_INHERIT_SCHED);
	CHECK(pthread_attr_getschedpolicy(&a, &v) == 0 && v == SCHED_OTHER);
	CHECK(pthread_attr_getscope(&a, &v) == 0 && v == PTHREAD_SCOPE_SYSTEM);
	CHECK(pthread_attr_getguardsize(&a, &size) == 0 && size == 4096);
	CHECK_RC(EINVAL, pthread_attr_setdetachstate(&a, 99));
	CHECK_RC(EINVAL, pthread_attr_setinheritsched(&a, 99));
	CHECK_RC(EINVAL, pthread_attr_setschedpolicy(&a, 99));
	CHECK_RC(EINVAL, pthread_attr_setschedparam(&a, &sp));
	CHECK_RC(ENOTSUP, pthread_attr_setscope(&a, PTHREAD_SCOPE_PROCESS));
	CHECK_RC(EINVAL, pthread_attr_setscope(&a, 99));
	CHECK_RC(EINVAL, pthread_attr_setstacksize(&a, PTHREAD_STACK_MIN - 1));
	CHECK_RC(EINVAL, pthread_attr_setstack(&a, own_stack, PTHREAD_STACK_MIN - 1));
	CHECK_RC(0, pthread_attr_setstack(&a, own_stack, OWN));
	CHECK(pthread_attr_getstack(&a, &addr, &size) == 0 && addr == own_stack && size == OWN);
	CHECK_RC(0, pthread_attr_destroy(&a));
	/* The attributes are read when the thread is made, and may go at once. */
	pthread_t t;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 1 << 20);
	CHECK_RC(0, pthread_create(&t, &a, looks, NULL));
	pthread_attr_destroy(&a);
	memset(&a, 0x55, sizeof(a));
	join(t);
	while (sem_wait(&met))
		;
	CHECK(seen.size >= 1 << 20 && seen.detach == PTHREAD_CREATE_JOINABLE);
	pthread_attr_init(&a);
	CHECK_RC(0, pthread_attr_setstacksize(&a, 1ul << 60));
	CHECK_RC(EAGAIN, pthread_create(&t, &a, looks, NULL));
}

int main(void)
{
	int status;
	sem_init(&met, 0, 0);
	own_stack = mmap(NULL, OWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(own_stack != MAP_FAILED);
	setters();
	table("first");
	if (geteuid() == 0) {
		pid_t pid = fork();
		if (pid == 0) {
			MUST(setgid(65534) == 0 && setuid(65534) == 0);
			table("user");
			_exit(check_failures != 0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		/* Threads there were, and the whole process changes its user. */
		pid = fork();
		if (pid == 0) {
			become_threaded();
			MUST(setgid(65534) == 0 && setuid(65534) == 0);
			table("later");
			_exit(check_failures != 0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	return check_done();
}
