/* C++ in light tasks: exceptions that are thrown and caught between two waits, destructors, the
 * headers. */
#include <atomic>
#include <cstdio>
#include <greenhook.h>
#include <iostream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

static std::atomic<int> alive{0}, caught{0}, good{0};
static std::mutex lock;
static std::vector<std::string> names;

struct counted {
	counted()
	{
		alive++;
	}
	~counted()
	{
		alive--;
	}
};

static int deep(int n)
{
	counted c;
	gh_yield();
	if (n == 0)
		throw std::runtime_error("deep");
	return deep(n - 1) + 1;
}

static int member(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < 50; i++) {
		std::string what;
		try {
			deep(me % 5 + i % 3);
		} catch (const std::runtime_error &e) {
			what = e.what(); /* does not wait here */
		}
		caught += what == "deep";
		std::ostringstream text;
		text << me << ' ' << 0.5;
		gh_yield();
		good +=
		    text.str() == std::to_string(me) + " 0.5" && std::uncaught_exceptions() == 0;
		std::lock_guard<std::mutex> guard(lock);
		names.push_back(text.str());
	}
	return 0;
}

int main()
{
	gh_group *g = gh_group_new(nullptr, 0);
	for (int i = 0; i < 40; i++)
		if (gh_group_spawn(g, member, (void *)(intptr_t)i, nullptr))
			return 1;
	int r = gh_group_wait(g);
	gh_group_free(g);
	std::printf("%d %d %d %d %zu\n", r, caught.load(), good.load(), alive.load(), names.size());
	if (r == 0 && caught == 2000 && good == 2000 && alive == 0 && names.size() == 2000)
		std::puts("done");
	return 0;
}
