/* Conditions: waiting with a recursive mutex that stays held, handlers that run during a wait and
 * do not end it, a signal that comes while one runs, jumps out of one, a mutex in use by waiters.
 */
#include "check.h"
#include <setjmp.h>
#include <signal.h>

static pthread_mutex_t rec = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static volatile int stage, returned, handled;
static sigjmp_buf env;

static void *hold_thrice(void *arg)
{
	struct timespec at = deadline_ms(CLOCK_REALTIME, arg ? 20 : 20000);
	for (int i = 0; i < 3; i++)
		pthread_mutex_lock(&rec);
	stage = 1;
	int r = pthread_cond_timedwait(&c, &rec, &at);
	for (int i = 0; i < 3; i++)
		QUIET(pthread_mutex_unlock(&rec) == 0);
	QUIET(pthread_mutex_unlock(&rec) == EPERM);
	return (void *)(intptr_t)r;
}

static void recursive(void)
{
	pthread_t t = spawn(hold_thrice, NULL);
	while (!stage)
		sched_yield();
	void *r;
	while (pthread_tryjoin_np(t, &r) == EBUSY) {
		pthread_cond_signal(&c); /* without the mutex, which it keeps */
		sleep_ms(1);
	}
	CHECK((intptr_t)r == 0);
	CHECK((intptr_t)join(spawn(hold_thrice, &t)) == ETIMEDOUT);
}

static void on_usr1(int sig)
{
	handled++;
}

static void on_usr2(int sig)
{
	stage = 2;
	while (stage != 3) /* the condition is signalled meanwhile */
		sleep_ms(1);
}

static void on_alarm(int sig)
{
	siglongjmp(env, 1);
}

static void *waiter(void *arg)
{
	pthread_mutex_lock(&m);
	stage = 1;
	int r = pthread_cond_wait(&c, &m);
	returned = 1;
	pthread_mutex_unlock(&m);
	return (void *)(intptr_t)r;
}

static pthread_t start_waiter(void)
{
	stage = returned = 0;
	pthread_t t = spawn(waiter, NULL);
	for (int now = 0; !now; sched_yield()) {
		pthread_mutex_lock(&m);
		now = stage;
		pthread_mutex_unlock(&m);
	}
	return t;
}

static void handlers(void)
{
	struct sigaction a = {.sa_handler = on_usr1};
	sigaction(SIGUSR1, &a, NULL);
	a.sa_handler = on_usr2;
	sigaction(SIGUSR2, &a, NULL);
	a.sa_handler = on_alarm;
	sigaction(SIGHUP, &a, NULL);

	pthread_t t = start_waiter();
	for (int i = 1; i <= 20; i++) {
		pthread_kill(t, SIGUSR1);
		while (handled < i)
			sched_yield();
	}
	sleep_ms(20);
	CHECK(handled == 20);
	CHECK(!returned);
	pthread_kill(t, SIGUSR2);
	while (stage != 2)
		sched_yield();
	pthread_cond_signal(&c); /* a wake-up that is not lost */
	stage = 3;
	CHECK((intptr_t)join(t) == 0);
}

static void *jumper(void *arg)
{
	static pthread_cond_t own = PTHREAD_COND_INITIALIZER; /* of no use afterwards */
	static pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;
	if (sigsetjmp(env, 1))
		return "jumped";
	pthread_mutex_lock(&mine);
	stage = 1;
	pthread_cond_wait(&own, &mine);
	return NULL;
}

static void jumps(void)
{
	stage = 0;
	pthread_t t = spawn(jumper, NULL);
	while (stage != 1)
		sched_yield();
	sleep_ms(20); /* it is in the wait, where a jump leaves no lock of libc's behind */
	pthread_kill(t, SIGHUP);
	CHECK(join(t) != NULL);
	pthread_t u = start_waiter();
	while (!returned) {
		pthread_cond_signal(&c);
		sched_yield();
	}
	CHECK((intptr_t)join(u) == 0);
}

static void users(void)
{
	pthread_mutex_t used = PTHREAD_MUTEX_INITIALIZER;
	struct timespec past = {1, 0}, wrong = {1, 1000000000};
	CHECK_RC(0, pthread_mutex_lock(&used));
	CHECK_RC(EBUSY, pthread_mutex_destroy(&used));
	CHECK_RC(ETIMEDOUT, pthread_cond_timedwait(&c, &used, &past));
	CHECK_RC(EINVAL, pthread_cond_timedwait(&c, &used, &wrong));
	CHECK_RC(0, pthread_mutex_unlock(&used));
	CHECK_RC(0, pthread_mutex_destroy(&used));
	pthread_t t = start_waiter();
	sleep_ms(20);
	CHECK_RC(EBUSY, pthread_mutex_destroy(&m)); /* by its waiter on the condition */
	pthread_cond_broadcast(&c);
	join(t);
}

int main(void)
{
	alarm(50);
	become_threaded();
	recursive();
	handlers();
	users();
	jumps();
	return check_done();
}
