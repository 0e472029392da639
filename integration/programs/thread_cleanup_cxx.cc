/* C++: destructors of locals and thread_locals run when a thread leaves by pthread_exit, by
 * cancellation, by return; exceptions inside threads work; catch (...) sees forced unwinding. */
#include "check.h"
#include <semaphore.h>
#include <stdexcept>
#include <string>

static std::string order;

struct Note {
	std::string name;
	explicit Note(const char *n) : name(n)
	{
	}
	~Note()
	{
		order += name + " ";
	}
};

static thread_local Note in_tls("tls");

__attribute__((noinline)) static void inner()
{
	Note note("inner");
	pthread_exit(reinterpret_cast<void *>(4));
}

static void *exits(void *)
{
	order += in_tls.name.empty() ? "?" : "";
	Note note("outer");
	try {
		inner();
	} catch (...) {
		order += "caught ";
		throw; /* forced unwinding has to go on */
	}
	return nullptr;
}

static void *returns(void *)
{
	order += in_tls.name.empty() ? "?" : "";
	Note note("local");
	return nullptr;
}

static sem_t ready, never;

static void *cancelled(void *)
{
	Note note("cancelled-local");
	sem_post(&ready);
	sem_wait(&never);
	return nullptr;
}

static void *throws(void *arg)
{
	for (int i = 0; i < 200; i++) {
		try {
			sched_yield();
			throw std::runtime_error("x" + std::to_string(i));
		} catch (const std::exception &e) {
			QUIET(e.what() == "x" + std::to_string(i));
		}
	}
	return arg;
}

int main()
{
	CHECK(join(spawn(exits, nullptr)) == reinterpret_cast<void *>(4));
	printf("exit: %s\n", order.c_str());
	order.clear();
	join(spawn(returns, nullptr));
	printf("return: %s\n", order.c_str());
	order.clear();
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	pthread_t t = spawn(cancelled, nullptr);
	sem_wait(&ready);
	pthread_cancel(t);
	CHECK(join(t) == PTHREAD_CANCELED);
	printf("cancel: %s\n", order.c_str());

	pthread_t many[50];
	for (auto &m : many)
		m = spawn(throws, nullptr);
	for (auto &m : many)
		join(m);
	return check_done();
}
