// A C++ plug-in of a C program that is not linked with libstdc++.
#include <pthread.h>
#include <stdexcept>
#include <string>

static thread_local std::string own = "initial";

struct Counted {
	int *n;
	~Counted()
	{
		++*n;
	}
};

extern "C" int plugin_throws(int n)
{
	try {
		own += std::to_string(n);
		if (n % 2)
			throw std::runtime_error(own);
		return (int)own.size();
	} catch (const std::exception &e) {
		return -(int)std::string(e.what()).size();
	}
}

extern "C" void plugin_calls(void (*fn)(void *), void *arg, int *destroyed)
{
	Counted c{destroyed};
	std::string heap(100, 'x');
	try {
		Counted inner{destroyed};
		fn(arg);
	} catch (const std::exception &) {
		++*destroyed;
	}
}
