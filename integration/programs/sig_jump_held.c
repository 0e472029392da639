/* siglongjmp out of a handler leaves nothing of the call behind: after jumps out of accept another
 * accept gets its connection, jumps out of waitpid cost no descriptors, after jumps out of
 * pthread_join the thread can be joined. */
#include "check.h"
#include <dirent.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { JUMPS = 2000, WAITS = 100 };

static sigjmp_buf env;
static volatile sig_atomic_t armed;
static pthread_t target;
static int stop;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_size;

static void jump(int number)
{
	if (!armed)
		return;
	armed = 0;
	siglongjmp(env, 1);
}

static void *storm(void *pause_ms)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		pthread_kill(target, SIGUSR1);
		if (pause_ms)
			sleep_ms((int)(intptr_t)pause_ms);
		else
			for (volatile int i = 0; i < 3000; i++)
				;
	}
	return NULL;
}

static int call(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(s >= 0);
	if (connect(s, (struct sockaddr *)&address, address_size) == 0)
		return s;
	close(s);
	return -1;
}

static void *callers(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		struct pollfd p = {call(), POLLIN, 0};
		if (p.fd >= 0)
			poll(&p, 1, 5);
		close(p.fd);
	}
	return NULL;
}

static int listen_somewhere(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "jump-held-%d", getpid());
	address_size =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1));
	MUST(fd >= 0 && bind(fd, (struct sockaddr *)&address, address_size) == 0);
	MUST(listen(fd, 100) == 0);
	return fd;
}

static void jumps_out_of_accept(void)
{
	struct timeval limit = {.tv_sec = 5};
	int fd = listen_somewhere();
	pthread_t a, b;

	stop = 0;
	a = spawn(storm, NULL);
	b = spawn(callers, NULL);
	for (volatile int i = 0; i < JUMPS; i++) {
		if (sigsetjmp(env, 1))
			continue;
		armed = 1;
		int s = accept(fd, NULL, NULL);
		int failed = errno;
		armed = 0;
		QUIET(s >= 0 || failed == EINTR);
		if (s >= 0)
			close(s);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(a);
	join(b);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	int s = call();
	CHECK(s >= 0 && accept(fd, NULL, NULL) >= 0);
	close(s);
	close(fd);
}

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;
	MUST(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void jumps_out_of_waitpid(void)
{
	int before = descriptors(), child = fork();
	if (child == 0)
		for (;;)
			pause();
	stop = 0;
	pthread_t a = spawn(storm, (void *)1);
	for (volatile int i = 0; i < WAITS; i++) {
		if (sigsetjmp(env, 1))
			continue;
		armed = 1;
		waitpid(child, NULL, 0);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(a);
	kill(child, SIGKILL);
	CHECK(waitpid(child, NULL, 0) == child);
	CHECK(descriptors() < before + WAITS / 4);
}

static void *ends(void *go)
{
	sem_wait(go);
	return go;
}

static void jumps_out_of_join(void)
{
	sem_t go;
	sem_init(&go, 0, 0);
	pthread_t a, t = spawn(ends, &go);
	stop = 0;
	a = spawn(storm, (void *)1);
	for (volatile int i = 0; i < WAITS; i++) {
		if (sigsetjmp(env, 1))
			continue;
		armed = 1;
		pthread_join(t, NULL);
		QUIET(!"joined");
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(a);
	sem_post(&go);
	CHECK(join(t) == &go);
}

int main(void)
{
	struct sigaction action = {.sa_handler = jump};
	become_threaded();
	target = pthread_self();
	sigaction(SIGUSR1, &action, NULL);
	jumps_out_of_accept();
	jumps_out_of_waitpid();
	jumps_out_of_join();
	return check_done();
}
