/* The C++ standard library on top: threads, locks, futures, thread_local, atomic wait, clocks. */
#include "check.h"
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

static thread_local int calls;

static int fibonacci(int n)
{
	calls++;
	if (n < 2)
		return n;
	if (n < 8)
		return fibonacci(n - 1) + fibonacci(n - 2);
	auto left = std::async(std::launch::async, fibonacci, n - 1);
	return fibonacci(n - 2) + left.get();
}

int main()
{
	CHECK(fibonacci(14) == 377);

	std::mutex mutex;
	std::map<int, int> counts;
	std::vector<std::thread> threads;
	for (int i = 0; i < 20; i++)
		threads.emplace_back([&, i] {
			for (int k = 0; k < 100; k++) {
				std::lock_guard<std::mutex> lock(mutex);
				counts[i % 5]++;
			}
		});
	for (auto &t : threads)
		t.join();
	CHECK(counts.size() == 5 && counts[3] == 400);

	std::condition_variable cond;
	std::unique_lock<std::mutex> lock(mutex);
	auto start = std::chrono::steady_clock::now();
	CHECK(cond.wait_for(lock, 20ms) == std::cv_status::timeout);
	CHECK(std::chrono::steady_clock::now() - start >= 20ms);
	bool flag = false;
	std::thread setter([&] {
		std::lock_guard<std::mutex> inside(mutex);
		flag = true;
		cond.notify_one();
	});
	CHECK(cond.wait_for(lock, 20s, [&] { return flag; }));
	lock.unlock();
	setter.join();

	std::promise<int> promise;
	auto future = promise.get_future();
	CHECK(future.wait_for(5ms) == std::future_status::timeout);
	std::thread([&] { promise.set_value(5); }).join();
	CHECK(future.get() == 5);

	auto failing = std::async(std::launch::async, []() -> int { throw 7; });
	int thrown = 0;
	try {
		failing.get();
	} catch (int n) {
		thrown = n;
	}
	CHECK(thrown == 7);

	std::shared_timed_mutex shared;
	shared.lock_shared();
	CHECK(shared.try_lock_shared());
	CHECK(std::async(std::launch::async, [&] { return shared.try_lock_for(5ms); }).get() ==
	      false);
	shared.unlock_shared();
	shared.unlock_shared();

	std::timed_mutex timed;
	timed.lock();
	CHECK(!std::async(std::launch::async, [&] { return timed.try_lock_for(5ms); }).get());
	timed.unlock();

	std::once_flag once;
	std::atomic<int> runs{0};
	threads.clear();
	for (int i = 0; i < 10; i++)
		threads.emplace_back([&] { std::call_once(once, [&] { runs++; }); });
	for (auto &t : threads)
		t.join();
	CHECK(runs == 1);

	/* Local static initialisation is guarded by a futex in libstdc++. */
	threads.clear();
	static std::atomic<int> constructed{0};
	struct Slow {
		Slow()
		{
			std::this_thread::sleep_for(5ms);
			constructed++;
		}
	};
	for (int i = 0; i < 10; i++)
		threads.emplace_back([] { static Slow slow; });
	for (auto &t : threads)
		t.join();
	CHECK(constructed == 1);
	return check_done();
}
