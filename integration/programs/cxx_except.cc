/* Exceptions across every kind of frame that the runtime calls the program from: initialisers of
 * pthread_once and std::call_once, handlers of atfork, of signals (a synchronous
 * fault); exception_ptr and futures between threads; uncaught ones end the process. */
#include "check.h"
#include <atomic>
#include <csignal>
#include <exception>
#include <execinfo.h>
#include <fcntl.h>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <vector>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static std::once_flag flag;
static int calls, atfork;

static void throws_twice()
{
	if (++calls < 3)
		throw calls;
}

static void once_again()
{
	int caught = 0;
	calls = 0;
	for (int i = 0; i < 5; i++)
		try {
			pthread_once(&once, throws_twice);
		} catch (int) {
			caught++;
		}
	CHECK(caught == 2 && calls == 3);
	calls = caught = 0;
	for (int i = 0; i < 5; i++)
		try {
			std::call_once(flag, throws_twice);
		} catch (int) {
			caught++;
		}
	CHECK(caught == 2 && calls == 3);
	/* Those who wait get their turn when the initialiser throws. */
	static pthread_once_t contended = PTHREAD_ONCE_INIT;
	static int tries;
	std::vector<std::thread> all;
	std::atomic<int> threw{0};
	for (int i = 0; i < 8; i++)
		all.emplace_back([&] {
			try {
				pthread_once(&contended, [] {
					sched_yield();
					if (__atomic_add_fetch(&tries, 1, __ATOMIC_SEQ_CST) < 5)
						throw 1;
				});
			} catch (int) {
				threw++;
			}
		});
	for (auto &t : all)
		t.join();
	CHECK(threw == 4 && tries == 5);
}

/* In the handler itself; out of it would leave libc's locks behind. */
static void prepare()
{
	try {
		throw std::runtime_error("prepare");
	} catch (const std::exception &) {
		atfork++;
	}
}

static void at_fork()
{
	pthread_atfork(prepare, prepare, prepare);
	pid_t pid = fork();
	if (pid == 0)
		_exit(atfork);
	int status;
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 2 && atfork == 2);
}

static void on_fault(int)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGFPE);
	pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
	throw std::runtime_error("fault");
}

__attribute__((noinline)) static int divide(volatile int *by)
{
	return 5 / *by; /* built with -fnon-call-exceptions */
}

static void from_a_handler()
{
	struct sigaction sa = {};
	sa.sa_handler = on_fault;
	sigaction(SIGFPE, &sa, nullptr);
	int caught = 0;
	volatile int zero = 0;
	for (int i = 0; i < 3; i++)
		try {
			caught += 100 * divide(&zero);
		} catch (const std::runtime_error &e) {
			caught += e.what() == std::string("fault");
		}
	CHECK(caught == 3);
	signal(SIGFPE, SIG_DFL);
}

static void pointers()
{
	std::exception_ptr p;
	for (int i = 0; i < 20; i++)
		std::thread([&p, i] {
			try {
				if (p)
					std::rethrow_exception(p);
				throw std::runtime_error("0");
			} catch (const std::runtime_error &e) {
				try {
					std::throw_with_nested(
					    std::runtime_error(std::to_string(i + 1)));
				} catch (...) {
					p = std::current_exception();
				}
			}
		}).join();
	int depth = 0;
	while (p)
		try {
			std::rethrow_exception(p);
		} catch (const std::runtime_error &e) {
			depth++;
			p = nullptr;
			try {
				std::rethrow_if_nested(e);
			} catch (...) {
				p = std::current_exception();
			}
		}
	CHECK(depth == 21);
	auto f = std::async(std::launch::async, []() -> int { throw std::out_of_range("async"); });
	try {
		f.get();
		CHECK(false);
	} catch (const std::out_of_range &e) {
		CHECK(e.what() == std::string("async"));
	}
	std::promise<int> broken;
	auto g = broken.get_future();
	std::thread([b = std::move(broken)]() mutable {}).join();
	try {
		g.get();
		CHECK(false);
	} catch (const std::future_error &e) {
		CHECK(e.code() == std::future_errc::broken_promise);
	}
	std::packaged_task<int(int)> task([](int n) { return n * 2; });
	auto h = task.get_future();
	std::thread(std::move(task), 21).join();
	CHECK(h.get() == 42);
	std::promise<std::string> late;
	std::thread waiter(
	    [&] { std::thread([&] { late.set_value_at_thread_exit("at exit"); }).join(); });
	CHECK(late.get_future().get() == "at exit");
	waiter.join();
	CHECK(std::uncaught_exceptions() == 0);
}

/* Exceptions in flight while the thread parks, on many threads at once. */
struct Parks {
	~Parks()
	{
		CHECK_parks();
	}
	static void CHECK_parks()
	{
		int before = std::uncaught_exceptions();
		sleep_ms(1);
		sched_yield();
		QUIET(before == 1 && std::uncaught_exceptions() == 1);
	}
};

static void in_flight()
{
	std::vector<std::thread> all;
	std::atomic<int> sum{0};
	for (int i = 0; i < 100; i++)
		all.emplace_back([i, &sum] {
			try {
				Parks p;
				throw i;
			} catch (int n) {
				sched_yield();
				QUIET(n == i && std::uncaught_exceptions() == 0);
				sum += n;
			}
		});
	for (auto &t : all)
		t.join();
	CHECK(sum == 4950);
}

static void *uncaught(void *how)
{
	if (how)
		std::set_terminate([] { _exit(44); });
	throw 5;
}

static void ends_the_process()
{
	for (intptr_t how = 0; how < 2; how++) {
		pid_t pid = fork();
		if (pid == 0) {
			dup2(open("/dev/null", O_WRONLY), 2);
			pthread_t t = spawn(uncaught, (void *)how);
			join(t);
			_exit(1);
		}
		int status;
		waitpid(pid, &status, 0);
		CHECK(how ? WIFEXITED(status) && WEXITSTATUS(status) == 44
			  : WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

__attribute__((noinline)) static int frames(int depth)
{
	void *pc[100];
	if (depth)
		return frames(depth - 1) + (depth < 0);
	int n = backtrace(pc, 100);
	char **names = backtrace_symbols(pc, n);
	QUIET(names != nullptr);
	free(names);
	return n;
}

static void *backtraces(void *)
{
	sched_yield();
	int shallow = frames(0), deep = frames(30);
	QUIET(deep - shallow == 30);
	QUIET(shallow >= 3 && shallow < 12);
	return nullptr;
}

static void *everything(void *)
{
	once_again();
	at_fork();
	from_a_handler();
	pointers();
	in_flight();
	ends_the_process();
	for (int i = 0; i < 10; i++)
		backtraces(nullptr);
	return nullptr;
}

int main()
{
	join(spawn(everything, nullptr));
	/* The flags are used up; from main the rest. */
	from_a_handler();
	pointers();
	in_flight();
	ends_the_process();
	return check_done();
}
