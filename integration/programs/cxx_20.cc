/* C++20 on top: jthread and stop tokens, waits that a stop request ends, latch, barrier, semaphore,
 * atomic wait; built with -std=gnu++20. */
#include "check.h"
#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <semaphore>
#include <shared_mutex>
#include <stop_token>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

int main()
{
	std::mutex mutex;
	std::condition_variable_any cond;
	std::atomic<int> stopped{0}, rounds{0};
	{
		std::vector<std::jthread> all;
		for (int i = 0; i < 20; i++)
			all.emplace_back([&](std::stop_token stop) {
				std::unique_lock lock(mutex);
				if (!cond.wait(lock, stop, [] { return false; }))
					stopped++;
			});
		sleep_ms(2);
	} /* each is asked to stop and joined */
	CHECK(stopped == 20);

	/* Callbacks that stay registered until all were called. */
	std::atomic<int> called{0};
	{
		std::stop_source source;
		std::latch registered(21), over(21);
		std::vector<std::jthread> all;
		for (int i = 0; i < 20; i++)
			all.emplace_back([&, stop = source.get_token()] {
				std::stop_callback note(stop, [&] { called++; });
				registered.arrive_and_wait();
				over.arrive_and_wait();
			});
		registered.arrive_and_wait();
		CHECK(source.request_stop() && !source.request_stop());
		over.arrive_and_wait();
	}
	CHECK(called == 20);

	std::latch latch(10);
	{
		std::vector<std::jthread> all;
		for (int i = 0; i < 10; i++)
			all.emplace_back([&] { latch.arrive_and_wait(), rounds++; });
	}
	CHECK(rounds == 10);

	int phases = 0;
	std::barrier barrier(8, [&]() noexcept { phases++; });
	{
		std::vector<std::jthread> all;
		for (int i = 0; i < 8; i++)
			all.emplace_back([&] {
				for (int k = 0; k < 50; k++)
					barrier.arrive_and_wait();
			});
	}
	CHECK(phases == 50);

	std::counting_semaphore<100> tokens(3);
	std::atomic<int> inside{0}, most{0};
	{
		std::vector<std::jthread> all;
		for (int i = 0; i < 30; i++)
			all.emplace_back([&] {
				tokens.acquire();
				int n = ++inside, seen = most;
				while (n > seen && !most.compare_exchange_weak(seen, n))
					;
				std::this_thread::sleep_for(1ms);
				inside--;
				tokens.release();
			});
	}
	CHECK(most <= 3 && most >= 1);
	CHECK(!std::binary_semaphore(0).try_acquire_for(5ms));

	std::atomic<int> turn{0};
	{
		std::jthread a([&] {
			for (int k = 0; k < 500; k++) {
				turn.wait(1);
				turn = 1;
				turn.notify_all();
			}
		});
		std::jthread b([&] {
			for (int k = 0; k < 500; k++) {
				turn.wait(0);
				turn = 0;
				turn.notify_all();
			}
		});
	}
	CHECK(turn == 0);

	std::shared_mutex shared;
	long sum = 0, bad = 0;
	{
		std::vector<std::jthread> all;
		for (int i = 0; i < 10; i++)
			all.emplace_back([&, i] {
				for (int k = 0; k < 100; k++)
					if (i % 5 == 0) {
						std::unique_lock lock(shared);
						sum++;
					} else {
						std::shared_lock lock(shared);
						bad += sum < 0;
					}
			});
	}
	CHECK(sum == 200 && bad == 0);
	std::timed_mutex timed;
	timed.lock();
	std::jthread([&] { QUIET(!timed.try_lock_for(5ms)); }).join();
	timed.unlock();
	return check_done();
}
