/* Tasks that end or are left in the middle: a future whose function does not return, members of
 * groups without number, an event that was lost to a newcomer, deadlines that come at the end or
 * while a task waits for descriptors, and tasks that are started, or are not, during a shutdown.
 *   corners end       only what concerns deadlines and shutdowns
 *   corners kernel    tasks on kernel threads, as a thread that is not main made the first one */
#include <dlfcn.h>
#include <semaphore.h>
#include <stdbool.h>

#include "rc.h"

static void *exits(void *arg)
{
	gh_task_exit(arg);
	return arg;
}

static gh_event event;

static void *waits(void *arg)
{
	return (void *)(intptr_t)gh_event_wait_until(&event, gh_after(GH_S(20)));
}

static void lost_event(void)
{
	void *r = NULL;
	gh_event_init(&event, GH_EVENT_AUTO);
	for (int i = 0; i < 300; i++) {
		gh_task *a = gh_task_spawn(waits, NULL, NULL),
			*b = gh_task_spawn(waits, NULL, NULL);
		for (int n = 0; n < 20; n++)
			gh_yield();
		gh_event_set(&event);
		int taken = gh_event_wait_try(&event);
		gh_task_cancel(a);
		gh_task_join(a, &r);
		bool a_has = r == NULL;
		gh_event_set(&event);
		if (taken == 0 || a_has) {
			gh_task_join(b, &r);
			QUIET(r == NULL);
		} else { /* b had the first one, perhaps: both are there */
			gh_task_join(b, NULL);
		}
		gh_event_reset(&event);
	}
}

static long resident_kb(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		abort();
	fclose(f);
	return pages * 4;
}

static int member(void *arg)
{
	return 0;
}

static void members_leave_nothing(void)
{
	long before = 0;
	gh_group *g = gh_group_new(NULL, 0);
	for (int i = 0; i < 60000; i++) {
		QUIET(gh_group_spawn(g, member, NULL, NULL) == 0);
		if (i % 100 == 99)
			QUIET(gh_group_wait(g) == 0);
		if (i == 20000)
			before = resident_kb();
	}
	gh_group_free(g);
	CHECK(resident_kb() - before < 3000);
}

static void *sleeps(void *arg)
{
	gh_sleep(GH_US(200));
	return NULL;
}

static void *looks(void *arg)
{
	return (void *)(intptr_t)gh_task_cancelled();
}

/* The next task has the same memory, and nothing to do with the deadline. */
static void deadlines_at_the_end(void)
{
	for (int i = 0; i < 3000; i++) {
		void *cancelled = NULL;
		gh_task *t = gh_task_spawn(sleeps, NULL, NULL);
		gh_task_set_deadline(t, gh_after(GH_US(150 + i % 100)));
		QUIET(gh_task_join(t, NULL) == 0);
		t = gh_task_spawn(looks, NULL, NULL);
		QUIET(gh_task_join(t, &cancelled) == 0 && cancelled == NULL);
	}
}

/* Deadlines and shutdowns, also where tasks are kernel threads that look for both themselves. */

static int silent[2];

static void *selects(void *arg)
{
	gh_case c[] = {GH_READABLE(silent[0])};
	QRC(-ECANCELED, gh_select_until(c, 1, gh_after(GH_S(5))));
	QRC(-ETIMEDOUT, gh_task_cancelled());
	return NULL;
}

static void *reads(void *arg)
{
	char byte;
	QRC(-ECANCELED, (int)gh_read_until(silent[0], &byte, 1, gh_after(GH_S(5))));
	QRC(-ETIMEDOUT, gh_task_cancelled());
	return NULL;
}

static void deadlines_of_descriptors(void)
{
	gh_fn waits_in[] = {selects, reads};
	MUST(gh_pipe(silent) == 0);
	for (int i = 0; i < 2; i++) {
		gh_task *t = gh_task_spawn(waits_in[i], NULL, NULL);
		gh_task_set_deadline(t, gh_after(GH_MS(30)));
		RC(0, gh_task_join(t, NULL));
	}
}

static void *starts_one_more(void *arg)
{
	while (!gh_task_cancelled())
		gh_yield();
	QRC(0, gh_go(waits, NULL, NULL));
	return NULL;
}

static void started_at_shutdown(void)
{
	gh_event_init(&event, GH_EVENT_MANUAL);
	RC(0, gh_go(starts_one_more, NULL, NULL));
	RC(0, gh_shutdown(gh_after(GH_S(5))));
}

static uint32_t stop;

static void *is_refused(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		for (int i = 0; i < 50; i++)
			QUIET(gh_group_spawn(arg, member, NULL, NULL) == -ECANCELED);
		sched_yield();
	}
	return NULL;
}

/* What was never started, and shutdown has seen, does not keep it. */
static void refused_at_shutdown(void)
{
	gh_group *g = gh_group_new(NULL, 0);
	pthread_t t;
	gh_group_cancel(g);
	MUST(pthread_create(&t, NULL, is_refused, g) == 0);
	for (int i = 0; i < 1000; i++) {
		gh_time limit = gh_after(GH_S(5));
		gh_shutdown(limit);
		if (gh_now() < limit)
			continue;
		CHECK(!"somebody woke it");
		break;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	gh_group_free(g);
}

static void at_the_end(void)
{
	deadlines_of_descriptors();
	started_at_shutdown();
	refused_at_shutdown();
}

static sem_t sem;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static uint32_t in;

static void *in_sem(void *arg)
{
	__atomic_store_n(&in, 1, __ATOMIC_SEQ_CST);
	CHECK_ERRNO(ECANCELED, sem_wait(&sem));
	return NULL;
}

static void *in_cond(void *arg)
{
	pthread_mutex_lock(&mutex);
	__atomic_store_n(&in, 1, __ATOMIC_SEQ_CST);
	CHECK_RC(ECANCELED, pthread_cond_wait(&cond, &mutex));
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *cancels(void *arg)
{
	gh_fn waits_in[] = {in_sem, in_cond};
	for (int i = 0; i < 2; i++) {
		in = 0;
		gh_task *t = gh_task_spawn(waits_in[i], NULL, NULL);
		MUST(t);
		while (!__atomic_load_n(&in, __ATOMIC_SEQ_CST))
			usleep(100);
		RC(0, gh_task_cancel(t));
		RC(0, gh_task_join_until(t, NULL, gh_after(GH_S(20))));
	}
	return NULL;
}

/* libc's own function: the library does not see the thread begin. */
static int on_kernel_threads(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOLOAD | RTLD_LAZY);
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
	    (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(
		libc, "pthread_create");
	int (*join_it)(pthread_t, void **) =
	    (int (*)(pthread_t, void **))dlsym(libc, "pthread_join");
	pthread_t t;
	sem_init(&sem, 0, 0);
	MUST(create && join_it && create(&t, NULL, cancels, NULL) == 0);
	join_it(t, NULL);
	return check_done();
}

int main(int argc, char **argv)
{
	void *value;
	if (argc > 1 && !strcmp(argv[1], "kernel"))
		return on_kernel_threads();
	gh_start();
	if (argc > 1) {
		at_the_end();
		return check_done();
	}
	gh_future *f = gh_async(exits, NULL);
	CHECK(gh_await_until(f, &value, gh_after(GH_S(20))) == -ECANCELED);
	gh_future_unref(f);
	lost_event();
	members_leave_nothing();
	deadlines_at_the_end();
	at_the_end();
	return check_done();
}
