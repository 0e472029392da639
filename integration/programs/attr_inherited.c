/* What pthread_getattr_np tells beside the stack: processors and policy; the signal mask of the
 * default attributes, and of a thread attribute, against the one that is inherited. */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <threads.h>

static int blocked(void)
{
	sigset_t now;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, SIGHUP) * 4 + sigismember(&now, SIGUSR1) * 2 +
	       sigismember(&now, SIGUSR2);
}

static void *posix_thread(void *arg)
{
	return (void *)(intptr_t)blocked();
}

static int c11_thread(void *arg)
{
	return blocked();
}

static int in_c11_thread(void)
{
	thrd_t t;
	int r = -1;
	MUST(thrd_create(&t, c11_thread, NULL) == thrd_success);
	MUST(thrd_join(t, &r) == thrd_success);
	return r;
}

static int in_posix_thread(const pthread_attr_t *a)
{
	pthread_t t;
	MUST(pthread_create(&t, a, posix_thread, NULL) == 0);
	return (int)(intptr_t)join(t);
}

static void *ask(void *arg)
{
	pthread_attr_t a;
	cpu_set_t told, real;
	struct sched_param p;
	int policy, how;

	CHECK_RC(0, pthread_getattr_np(pthread_self(), &a));
	CHECK_RC(0, pthread_attr_getaffinity_np(&a, sizeof(told), &told));
	CHECK_RC(0, pthread_getaffinity_np(pthread_self(), sizeof(real), &real));
	CHECK(CPU_EQUAL(&told, &real));
	CHECK_RC(0, pthread_attr_getschedpolicy(&a, &policy));
	CHECK(policy == SCHED_OTHER);
	CHECK_RC(0, pthread_attr_getschedparam(&a, &p));
	CHECK(p.sched_priority == 0);
	CHECK_RC(0, pthread_attr_getinheritsched(&a, &how));
	CHECK(how == PTHREAD_INHERIT_SCHED);
	pthread_attr_destroy(&a);
	return NULL;
}

int main(void)
{
	pthread_attr_t a, plain;
	sigset_t set;

	join(spawn(ask, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	pthread_attr_init(&plain);
	pthread_attr_init(&a);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	CHECK_RC(0, pthread_attr_setsigmask_np(&a, &set));
	CHECK(in_posix_thread(&a) == 4);
	CHECK(in_posix_thread(NULL) == 2);
	CHECK_RC(0, pthread_setattr_default_np(&a));
	CHECK(in_posix_thread(NULL) == 4);
	CHECK(in_posix_thread(&plain) == 2);
	CHECK(in_c11_thread() == 4);
	CHECK_RC(0, pthread_setattr_default_np(&plain));
	CHECK(in_posix_thread(NULL) == 2);
	CHECK(in_c11_thread() == 2);
	return check_done();
}
