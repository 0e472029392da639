/* The words of bench/tasks/tasks.h in pthreads: kernel threads, or green ones under greenhook run.
 */
#include <pthread.h>
#include <sched.h>

#define TASKS_IO
typedef pthread_t task;
struct lock {
	pthread_mutex_t m;
};
struct cond {
	pthread_cond_t c;
};
struct io {
	int fd;
};

static void must(int ok, const char *what);

/* How many there are is up to taskset and GREENHOOK_WORKERS. */
static void tasks_run(int workers, void *(*body)(void *), void *arg)
{
	body(arg);
}

static task task_start(void *(*fn)(void *), void *arg)
{
	static pthread_attr_t attr;
	static int made;
	pthread_t t;

	if (!made) {
		made = 1;
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 65536);
	}
	must(pthread_create(&t, &attr, fn, arg) == 0, "pthread_create");
	return t;
}
static void task_join(task t)
{
	must(pthread_join(t, NULL) == 0, "pthread_join");
}
static void task_yield(void)
{
	sched_yield();
}
static void lock_init(struct lock *l)
{
	pthread_mutex_init(&l->m, NULL);
}
static void lock_take(struct lock *l)
{
	pthread_mutex_lock(&l->m);
}
static void lock_give(struct lock *l)
{
	pthread_mutex_unlock(&l->m);
}
static void cond_init(struct cond *c)
{
	pthread_cond_init(&c->c, NULL);
}
static void cond_wait(struct cond *c, struct lock *l)
{
	pthread_cond_wait(&c->c, &l->m);
}
static void cond_signal(struct cond *c)
{
	pthread_cond_signal(&c->c);
}
static void cond_broadcast(struct cond *c)
{
	pthread_cond_broadcast(&c->c);
}
static void io_init(struct io *io, int fd)
{
	io->fd = fd;
}
static ssize_t task_read(struct io *io, void *buf, size_t n)
{
	return read(io->fd, buf, n);
}
static ssize_t task_write(struct io *io, const void *buf, size_t n)
{
	return write(io->fd, buf, n);
}

#include "bench/peers/chan.h"
