/* The words of bench/tasks/tasks.h in Boost.Fiber; the questions are compiled as C++ for it.  With
 * several workers its work stealing scheduler.  It brings no I/O. */
#include <boost/fiber/all.hpp>
#include <memory>
#include <thread>
#include <vector>

typedef boost::fibers::fiber *task;
struct lock {
	std::unique_ptr<boost::fibers::mutex> m;
};
struct cond {
	std::unique_ptr<boost::fibers::condition_variable_any> c;
};
struct chan {
	std::unique_ptr<boost::fibers::unbuffered_channel<long>> direct;
	std::unique_ptr<boost::fibers::buffered_channel<long>> buffered;
};

static void must(int ok, const char *what);

static task task_start(void *(*fn)(void *), void *arg)
{
	return new boost::fibers::fiber(boost::fibers::launch::post, std::allocator_arg,
					boost::fibers::fixedsize_stack(65536), fn, arg);
}
static void task_join(task t)
{
	t->join();
	delete t;
}
static void tasks_run(int workers, void *(*body)(void *), void *arg)
{
	if (workers == 1) {
		task_join(task_start(body, arg));
		return;
	}
	boost::fibers::mutex m;
	boost::fibers::condition_variable_any end;
	bool ended = false;
	std::vector<std::thread> others;
	auto steal = [&] {
		boost::fibers::use_scheduling_algorithm<boost::fibers::algo::work_stealing>(
		    (unsigned)workers, true);
	};
	for (int i = 1; i < workers; i++)
		others.emplace_back([&] {
			steal();
			std::unique_lock<boost::fibers::mutex> held(m);
			end.wait(held, [&] { return ended; });
		});
	steal();
	task_join(task_start(body, arg));
	{
		std::unique_lock<boost::fibers::mutex> held(m);
		ended = true;
	}
	end.notify_all();
	for (auto &t : others)
		t.join();
}
static void task_yield(void)
{
	boost::this_fiber::yield();
}
static void lock_init(struct lock *l)
{
	l->m.reset(new boost::fibers::mutex);
}
static void lock_take(struct lock *l)
{
	l->m->lock();
}
static void lock_give(struct lock *l)
{
	l->m->unlock();
}
static void cond_init(struct cond *c)
{
	c->c.reset(new boost::fibers::condition_variable_any);
}
static void cond_wait(struct cond *c, struct lock *l)
{
	c->c->wait(*l->m);
}
static void cond_signal(struct cond *c)
{
	c->c->notify_one();
}
static void cond_broadcast(struct cond *c)
{
	c->c->notify_all();
}
/* One place of a buffered channel stays empty, and their number is a power of two. */
static void chan_init(struct chan *c, long capacity)
{
	c->direct.reset(capacity ? nullptr : new boost::fibers::unbuffered_channel<long>);
	c->buffered.reset(
	    capacity ? new boost::fibers::buffered_channel<long>((std::size_t)capacity) : nullptr);
}
static void chan_send(struct chan *c, long value)
{
	if (c->direct)
		c->direct->push(value);
	else
		c->buffered->push(value);
}
static long chan_recv(struct chan *c)
{
	return c->direct ? c->direct->value_pop() : c->buffered->value_pop();
}
