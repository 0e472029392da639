/* A child of fork() uses the objects that other threads of its parent were using. */
#include "rc.h"

#include <sys/wait.h>

enum { FUTURES = 4 };

static int stop;
static gh_chan *chan;
static gh_group *outer, *inner;
static gh_future *promise, *lost, *busy[FUTURES];
static gh_timer *timer;
static gh_task *other;
static int ticks, rounds;

static void count(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_ACQ_REL);
}

static int member(void *arg)
{
	(void)arg;
	gh_yield();
	return 0;
}

static int stays(void *arg)
{
	(void)arg;
	gh_sleep(GH_FOREVER);
	return -EXDEV;
}

static void *sleeps(void *arg)
{
	gh_sleep(GH_FOREVER);
	return arg;
}

/* Takes and gives all their locks, all the time. */
static void *noise(void *arg)
{
	for (intptr_t i = (intptr_t)arg; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); i++) {
		gh_future *f = busy[i % FUTURES];
		gh_group *g = gh_group_new(outer, 0);
		gh_await_any(busy, FUTURES, 0);
		gh_future_ref(f);
		gh_future_done(f);
		gh_future_unref(f);
		gh_group_spawn(i % 2 ? g : inner, member, NULL, NULL);
		gh_group_count(inner);
		gh_group_free(g);
		gh_chan_send_try(chan, &i);
		gh_chan_recv_try(chan, &i);
		gh_timer_set(timer, gh_after(GH_US(50)), 0);
		gh_error_unref(gh_error_wrap(gh_error_new(-EIO, "noise"), 0, "more"));
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
		gh_yield();
	}
	return NULL;
}

/* Objects that others wait for, of which nobody may be woken in the child. */
static gh_mutex mutex;
static gh_cond cond;
static gh_sem sem;
static gh_event event;
static int waiting;

static void *waits(void *arg)
{
	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELEASE);
	switch ((intptr_t)arg % 3) {
	case 0:
		gh_mutex_lock(&mutex);
		gh_cond_wait(&cond, &mutex);
		gh_mutex_unlock(&mutex);
		break;
	case 1:
		gh_sem_wait(&sem);
		break;
	default:
		gh_event_wait(&event);
	}
	return NULL;
}

static void *sets(void *arg)
{
	return (void *)(intptr_t)gh_future_set(arg, 0, arg);
}

#define NEED(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			dprintf(2, "in the child, line %d: %s\n", __LINE__, #cond);                \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* The child's own waiters, not its parent's, are woken. */
static void wakes(void)
{
	gh_task *t[3];
	__atomic_store_n(&waiting, 0, __ATOMIC_RELEASE);
	for (intptr_t i = 0; i < 3; i++)
		NEED((t[i] = gh_task_spawn(waits, (void *)i, NULL)));
	for (int i = 0; i < 3; i++) {
		int r = -ETIMEDOUT;
		while (r == -ETIMEDOUT) { /* it has counted itself, and may not wait yet */
			gh_mutex_lock(&mutex);
			if (i == 0)
				gh_cond_signal(&cond);
			else if (i == 1 && __atomic_exchange_n(&waiting, 0, __ATOMIC_ACQUIRE))
				gh_sem_post(&sem);
			else if (i == 2)
				gh_event_set(&event);
			gh_mutex_unlock(&mutex);
			r = gh_task_join_until(t[i], NULL, gh_after(GH_MS(5)));
		}
		NEED(r == 0);
	}
}

/* Whatever they were doing, nobody is there but the caller. */
static void child(void)
{
	void *value = NULL;
	intptr_t n = 7;
	alarm(30);
	wakes();
	NEED(gh_group_count(inner) == 0);
	NEED(gh_group_wait_until(inner, gh_after(GH_S(10))) == 0);
	NEED(gh_group_free(outer) == -EBUSY);
	NEED(gh_group_spawn(inner, member, NULL, NULL) == 0);
	NEED(gh_group_wait(inner) == 0);
	NEED(gh_group_spawn(inner, stays, NULL, NULL) == 0);
	NEED(gh_group_cancel(outer) == 0);
	NEED(gh_group_wait(inner) == -EXDEV);

	NEED(gh_future_done(promise) == 0);
	gh_task *t = gh_task_spawn(sets, promise, NULL);
	NEED(t && gh_await_until(promise, &value, gh_after(GH_S(10))) == 0 && value == promise);
	NEED(gh_task_join(t, &value) == 0 && !value);
	NEED(gh_await_until(lost, &value, gh_after(GH_S(10))) == -ECANCELED);
	NEED(gh_await_any(busy, FUTURES, 0) == -ETIMEDOUT);
	NEED(gh_future_set(busy[1], 0, NULL) == 0);
	NEED(gh_await_any(busy, FUTURES, gh_after(GH_S(10))) == 1);
	NEED(gh_future_cancel(busy[2]) == 0);

	NEED(gh_task_join(other, NULL) == -EINVAL);
	NEED(gh_task_cancel(other) == -EINVAL);
	while (gh_chan_recv_try(chan, &n) == 0)
		;
	NEED(gh_chan_send_until(chan, &n, gh_after(GH_S(10))) == 0 && gh_chan_recv(chan, &n) == 0);

	ticks = 0;
	NEED(gh_timer_set(timer, 0, 0) == 0);
	for (int i = 0; i < 10000 && !__atomic_load_n(&ticks, __ATOMIC_ACQUIRE); i++)
		gh_sleep(GH_MS(1));
	NEED(ticks == 1);
	NEED(gh_timer_free(timer) == 0);

	gh_error *e = gh_error_new(-EIO, "in the child");
	char text[4096];
	NEED(gh_error_text(e, text, sizeof(text)) > 0 && strstr(text, "child+0x"));
	gh_error_unref(e);
	NEED(gh_group_free(inner) == 0);
	NEED(gh_group_free(outer) == 0 || gh_group_free(outer) == -EBUSY); /* the others' parts */
	NEED(gh_future_unref(lost) == 0);
	NEED(gh_shutdown(gh_after(GH_S(10))) == 0);
	gh_sleep(GH_MS(getenv("LINGER") ? 500 : 0));
	_exit(0);
}

static void *forks(void *arg)
{
	int n = (int)(intptr_t)arg;
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		if (pid == 0)
			child();
		int status = -1;
		pid_t got;
		do
			got = waitpid(pid, &status, 0);
		while (got < 0 && errno == EINTR);
		QUIET(pid > 0 && got == pid && status == 0);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	enum { TASKS = 6, THREADS = 3, WAITERS = 6 };
	gh_task *w[WAITERS];
	pthread_t k[3];
	int n = argc > 1 ? atoi(argv[1]) : 12;
	gh_task *t[TASKS];
	pthread_t p[THREADS], f;

	chan = gh_chan_new(sizeof(intptr_t), 8);
	outer = gh_group_new(NULL, 0);
	inner = gh_group_new(outer, 0);
	promise = gh_future_new();
	lost = gh_async(sleeps, NULL);
	for (int i = 0; i < FUTURES; i++)
		busy[i] = gh_future_new();
	timer = gh_timer_new(count, &ticks);
	other = gh_task_spawn(sleeps, NULL, NULL);
	for (intptr_t i = 0; i < TASKS; i++)
		MUST((t[i] = gh_task_spawn(noise, (void *)i, NULL)));
	for (intptr_t i = 0; i < THREADS; i++)
		MUST(!pthread_create(&p[i], NULL, noise, (void *)(i + 50)));
	for (intptr_t i = 0; i < WAITERS; i++)
		MUST((w[i] = gh_task_spawn(waits, (void *)i, NULL)));
	for (intptr_t i = 0; i < 3; i++)
		MUST(!pthread_create(&k[i], NULL, waits, (void *)i));
	while (__atomic_load_n(&rounds, __ATOMIC_ACQUIRE) < 100 ||
	       __atomic_load_n(&waiting, __ATOMIC_ACQUIRE) < WAITERS + 3)
		gh_yield();

	forks((void *)(intptr_t)n);
	RC(0, gh_task_join(gh_task_spawn(forks, (void *)(intptr_t)n, NULL), NULL));
	RC(0,
	   gh_task_join(gh_task_spawn(forks, (void *)(intptr_t)n,
				      &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = GH_TASK_OWN_TLS}),
			NULL));
	MUST(!pthread_create(&f, NULL, forks, (void *)(intptr_t)n));
	CHECK(!pthread_join(f, NULL));

	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < TASKS; i++)
		QRC(0, gh_task_join(t[i], NULL));
	for (int i = 0; i < THREADS; i++)
		pthread_join(p[i], NULL);
	gh_mutex_lock(&mutex);
	gh_cond_broadcast(&cond);
	gh_mutex_unlock(&mutex);
	for (int i = 0; i < WAITERS; i++)
		gh_sem_post(&sem);
	gh_event_set(&event);
	for (int i = 0; i < WAITERS; i++)
		QRC(0, gh_task_join(w[i], NULL));
	for (int i = 0; i < 3; i++)
		QUIET(!pthread_join(k[i], NULL));
	RC(0, gh_future_cancel(lost));
	RC(0, gh_task_cancel(other));
	RC(0, gh_task_join(other, NULL));
	RC(0, gh_timer_free(timer));
	RC(0, gh_group_free(inner));
	RC(0, gh_group_free(outer));
	return check_done();
}
