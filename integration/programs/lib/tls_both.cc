// A library with TLS of one model (-ftls-model=) and a C++ thread_local with a destructor.
#include <atomic>

static thread_local int initialised = 4711;
static thread_local long zeroed[40];
static std::atomic<int> *destroyed;

struct Counted {
	int value = 3;
	~Counted()
	{
		if (destroyed)
			++*destroyed;
	}
};

extern "C" void count_in(std::atomic<int> *counter)
{
	destroyed = counter;
}

// 0 when the thread sees what it should: the images the first time, its own values later.
extern "C" int check_tls(long id, int first)
{
	int bad = 0;
	if (first)
		bad = initialised != 4711 || zeroed[0] || zeroed[39];
	else
		bad = initialised != (int)id || zeroed[0] != id || zeroed[39] != -id;
	initialised = (int)id;
	zeroed[0] = id;
	zeroed[39] = -id;
	return bad;
}

extern "C" int with_destructor()
{
	static thread_local Counted counted;
	return counted.value++;
}
