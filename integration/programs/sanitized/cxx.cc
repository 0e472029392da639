// Exceptions over frames with arrays, in threads whose stacks are used again; thread_local objects,
// containers that grow, futures.  Correct, so that a sanitizer has nothing to report.
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static thread_local volatile int sink;

__attribute__((noinline)) static void thrower(int n)
{
	char a[200];
	memset(a, n, sizeof(a));
	sink = sink + a[n];
	if (n == 0)
		throw std::runtime_error("deep enough");
	if (n % 7 == 0)
		std::this_thread::yield();
	thrower(n - 1);
	sink = sink + a[n];
}

struct value {
	std::string text = "some text that needs memory of its own";
	~value()
	{
		std::this_thread::yield();
		char a[100];
		memset(a, 1, sizeof(a));
		sink = sink + a[3];
	}
};
static thread_local value per_thread;

__attribute__((noinline)) static int catcher(int n)
{
	int caught = 0;
	for (int i = 0; i < n; i++)
		try {
			thrower(40);
		} catch (const std::exception &e) {
			char a[300];
			memset(a, i, sizeof(a));
			std::this_thread::yield(); // others throw meanwhile
			caught += strlen(e.what()) == 11 && a[5] == (char)i;
			try {
				throw;
			} catch (std::runtime_error &) {
				caught++;
			}
		}
	per_thread.text += "x";
	return caught;
}

int main()
{
	int caught = 0;
	for (int round = 0; round < 6; round++) {
		std::vector<std::future<int>> all;
		for (int i = 0; i < 10; i++)
			all.push_back(std::async(std::launch::async, catcher, 5));
		for (auto &f : all)
			caught += f.get();
	}
	printf("caught: %d\n", caught);

	std::mutex m;
	std::condition_variable c;
	std::vector<std::string> list;
	int turn = 0;
	std::vector<std::thread> threads;
	for (int i = 0; i < 20; i++)
		threads.emplace_back([&, i] {
			std::unique_lock<std::mutex> l(m);
			c.wait(l, [&] { return turn == i; });
			list.push_back(std::to_string(i) + " was here, and here");
			turn++;
			c.notify_all();
		});
	for (auto &t : threads)
		t.join();
	size_t bytes = 0;
	for (auto &s : list)
		bytes += s.size();
	printf("turns: %d, bytes: %zu\n", turn, bytes);

	std::promise<int> p;
	auto f = p.get_future();
	std::thread([&] {
		try {
			thrower(10);
		} catch (...) {
			p.set_exception(std::current_exception());
		}
	}).detach();
	try {
		f.get();
	} catch (std::exception &e) {
		printf("from a thread: %s\n", e.what());
	}
	return 0;
}
