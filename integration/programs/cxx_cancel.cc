/* Cancellation in C++: destructors of every frame run, at each kind of point; catch (...) sees it
 * and must rethrow; noexcept frames in between are the program's end, as natively (not shown); a
 * lock guard lets go of its mutex; the thread of a cancelled std::thread can be joined. */
#include "check.h"
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <semaphore.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

static sem_t ready, never;
static int silent[2];
static std::mutex mutex;
static std::condition_variable cond;
static std::string order;

struct Note {
	const char *name;
	~Note()
	{
		order += name;
	}
};

static void point(int which)
{
	char c;
	switch (which) {
	case 0:
		sem_wait(&never);
		break;
	case 1:
		QUIET(read(silent[0], &c, 1) < 0);
		break;
	case 2:
		sleep(1000);
		break;
	case 3: {
		std::unique_lock<std::mutex> lock(mutex);
		cond.wait(lock);
		break;
	}
	case 4:
		waitpid(-1, nullptr, 0);
		break;
	case 5:
		system("exec sleep 1000");
		break;
	}
}

__attribute__((noinline)) static void middle(int which)
{
	Note n{"m"};
	std::vector<std::string> heap(10, std::string(100, 'x'));
	try {
		Note inner{"i"};
		point(which);
	} catch (...) {
		order += "c";
		throw;
	}
}

static void *cancelled(void *arg)
{
	Note n{"o"};
	sem_post(&ready);
	middle((int)(intptr_t)arg);
	return nullptr;
}

static void *guarded(void *)
{
	std::lock_guard<std::mutex> hold(mutex);
	sem_post(&ready);
	sem_wait(&never);
	return nullptr;
}

int main()
{
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, silent) == 0);
	pid_t child = fork();
	if (child == 0) {
		for (;;)
			pause();
	}
	for (int which = 0; which < 6; which++)
		for (int i = 0; i < (which == 5 ? 1 : 10); i++) {
			order.clear();
			pthread_t t = spawn(cancelled, (void *)(intptr_t)which);
			sem_wait(&ready);
			if (i % 2)
				sleep_ms(1);
			pthread_cancel(t);
			QUIET(join(t) == PTHREAD_CANCELED);
			if (i == 0)
				printf("%d: %s\n", which, order.c_str());
			QUIET(order == "icmo");
		}
	for (int i = 0; i < 20; i++) {
		pthread_t t = spawn(guarded, nullptr);
		sem_wait(&ready);
		pthread_cancel(t);
		QUIET(join(t) == PTHREAD_CANCELED);
	}
	CHECK(mutex.try_lock());
	mutex.unlock();
	order.clear();
	std::thread t([] {
		Note n{"t"};
		sem_post(&ready);
		sem_wait(&never);
	});
	sem_wait(&ready);
	kill(child, SIGKILL);
	std::thread u(check_nothing, nullptr);
	u.join();
	sem_post(&never);
	t.join();
	printf("std::thread: %s\n", order.c_str());
	return check_done();
}
