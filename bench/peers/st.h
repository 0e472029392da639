/* The words of bench/tasks/tasks.h in State Threads: one kernel thread, whatever is asked for.
 * A condition variable of it needs no mutex: nothing runs between an unlock and a wait. */
#include <st.h>

#define TASKS_IO
typedef st_thread_t task;
struct lock {
	st_mutex_t m;
};
struct cond {
	st_cond_t c;
};
struct io {
	st_netfd_t fd;
};

static void must(int ok, const char *what);

static void tasks_run(int workers, void *(*body)(void *), void *arg)
{
	must(st_set_eventsys(ST_EVENTSYS_ALT) == 0 && st_init() == 0, "st_init");
	body(arg);
}
static task task_start(void *(*fn)(void *), void *arg)
{
	st_thread_t t = st_thread_create(fn, arg, 1, 65536);

	must(t != NULL, "st_thread_create");
	return t;
}
static void task_join(task t)
{
	must(st_thread_join(t, NULL) == 0, "st_thread_join");
}
static void task_yield(void)
{
	st_usleep(0);
}
static void lock_init(struct lock *l)
{
	l->m = st_mutex_new();
}
static void lock_take(struct lock *l)
{
	st_mutex_lock(l->m);
}
static void lock_give(struct lock *l)
{
	st_mutex_unlock(l->m);
}
static void cond_init(struct cond *c)
{
	c->c = st_cond_new();
}
static void cond_wait(struct cond *c, struct lock *l)
{
	st_mutex_unlock(l->m);
	st_cond_wait(c->c);
	st_mutex_lock(l->m);
}
static void cond_signal(struct cond *c)
{
	st_cond_signal(c->c);
}
static void cond_broadcast(struct cond *c)
{
	st_cond_broadcast(c->c);
}
static void io_init(struct io *io, int fd)
{
	io->fd = st_netfd_open_socket(fd);
	must(io->fd != NULL, "st_netfd_open_socket");
}
static ssize_t task_read(struct io *io, void *buf, size_t n)
{
	return st_read(io->fd, buf, n, ST_UTIME_NO_TIMEOUT);
}
static ssize_t task_write(struct io *io, const void *buf, size_t n)
{
	return st_write(io->fd, buf, n, ST_UTIME_NO_TIMEOUT);
}

#include "bench/peers/chan.h"
