// A thread-per-connection line echo server in C++20: std::thread, condition_variable, thread_local, exceptions, atomic wait.
//
// Each connection's thread hands every line to a pool of four workers and waits for the answer. main waits for SIGTERM
// in sigwait, the way threaded servers do, then prints how many lines were served and ends with status 0.
#include <arpa/inet.h>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace
{
struct Job {
	std::string line;
	std::atomic<bool> done{false}; // waited for with std::atomic::wait

	explicit Job(std::string line) : line(std::move(line)) {}
};

std::mutex lock;
std::condition_variable filled;
std::deque<std::shared_ptr<Job>> queue; // under lock
std::atomic<long> served;
thread_local long served_here; // must be this connection's own, whatever runs in between

struct Closed : std::runtime_error {
	using std::runtime_error::runtime_error;
};

[[noreturn]] void work()
{
	for (;;) {
		std::unique_lock hold(lock);
		filled.wait(hold, [] { return !queue.empty(); });
		auto job = queue.front();
		queue.pop_front();
		hold.unlock();
		job->done.store(true);
		job->done.notify_one();
	}
}

struct Connection {
	int fd;
	std::string buffer;

	explicit Connection(int fd) : fd(fd) {}
	~Connection() { close(fd); }

	std::string read_line()
	{
		size_t end;
		while ((end = buffer.find('\n')) == std::string::npos) {
			char piece[4096];
			ssize_t n = read(fd, piece, sizeof piece);
			if (n <= 0)
				throw Closed("no more lines");
			buffer.append(piece, static_cast<size_t>(n));
		}
		std::string line = buffer.substr(0, end + 1);
		buffer.erase(0, end + 1);
		return line;
	}

	void write_all(const std::string &data)
	{
		for (size_t at = 0; at < data.size();) {
			ssize_t n = send(fd, data.data() + at, data.size() - at, MSG_NOSIGNAL);
			if (n <= 0)
				throw Closed("gone");
			at += static_cast<size_t>(n);
		}
	}
};

void serve(int fd)
{
	long count = 0;
	try {
		Connection connection(fd);
		for (;;) {
			// Shared with the worker, which still wakes us by it after it has set done.
			auto job = std::make_shared<Job>(connection.read_line());
			{
				std::lock_guard hold(lock);
				queue.push_back(job);
			}
			filled.notify_one();
			job->done.wait(false);
			connection.write_all(job->line);
			count++;
			served_here++;
			served++;
		}
	} catch (const Closed &) {
	}
	if (count != served_here) {
		std::fprintf(stderr, "thread_local: %ld here, %ld counted\n", served_here, count);
		std::abort();
	}
}
} // namespace

int main()
{
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, nullptr);

	sockaddr_in addr{};
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	socklen_t len = sizeof addr;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, reinterpret_cast<sockaddr *>(&addr), len) || listen(listener, 128) ||
	    getsockname(listener, reinterpret_cast<sockaddr *>(&addr), &len)) {
		std::perror("listen");
		return 1;
	}
	for (int i = 0; i < 4; i++)
		std::thread(work).detach();
	std::thread([listener] {
		for (;;) {
			int fd = accept(listener, nullptr, nullptr);
			if (fd >= 0)
				std::thread(serve, fd).detach();
		}
	}).detach();
	std::printf("listening on %d\n", ntohs(addr.sin_port));
	std::fflush(stdout);

	int sig;
	sigwait(&term, &sig);
	std::printf("served %ld\n", served.load());
	std::fflush(stdout);
	// The other threads still run: no destructors behind their backs.
	std::_Exit(0);
}
