/* The words of bench/tasks/tasks.h in greenhook's native API: light tasks. */
#include <greenhook.h>

#define TASKS_IO
typedef gh_task *task;
struct lock {
	gh_mutex m;
};
struct cond {
	gh_cond c;
};
struct chan {
	gh_chan *c;
};
struct io {
	int fd;
};

static void must(int ok, const char *what);

static task task_start(void *(*fn)(void *), void *arg)
{
	gh_task *t = gh_task_spawn(fn, arg, NULL);

	must(t != NULL, "gh_task_spawn");
	return t;
}
static void task_join(task t)
{
	must(gh_task_join(t, NULL) == 0, "gh_task_join");
}
/* The number of slots is GREENHOOK_WORKERS. */
static void tasks_run(int workers, void *(*body)(void *), void *arg)
{
	task_join(task_start(body, arg));
}
static void task_yield(void)
{
	gh_yield();
}
static void lock_init(struct lock *l)
{
	gh_mutex_init(&l->m, GH_MUTEX_PLAIN);
}
static void lock_take(struct lock *l)
{
	gh_mutex_lock(&l->m);
}
static void lock_give(struct lock *l)
{
	gh_mutex_unlock(&l->m);
}
static void cond_init(struct cond *c)
{
	*c = (struct cond){GH_COND_INIT};
}
static void cond_wait(struct cond *c, struct lock *l)
{
	gh_cond_wait(&c->c, &l->m);
}
static void cond_signal(struct cond *c)
{
	gh_cond_signal(&c->c);
}
static void cond_broadcast(struct cond *c)
{
	gh_cond_broadcast(&c->c);
}
static void chan_init(struct chan *c, long capacity)
{
	c->c = gh_chan_new(sizeof(long), (size_t)capacity);
	must(c->c != NULL, "gh_chan_new");
}
static void chan_send(struct chan *c, long value)
{
	must(gh_chan_send(c->c, &value) == 0, "gh_chan_send");
}
static long chan_recv(struct chan *c)
{
	long value;

	must(gh_chan_recv(c->c, &value) == 0, "gh_chan_recv");
	return value;
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
