/* One listener, several processes of several threads each in accept, and more connections than
 * all of them: every one is served, and nobody is left behind when the listener is shut down. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { CHILDREN = 3, SERVERS = 8, CLIENTS = 10, CALLS = 40 };
static int listener;
static struct sockaddr_in at = {.sin_family = AF_INET};
static int *served;

static void *server(void *arg)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		char c;
		if (fd < 0) {
			QUIET(errno == EINVAL);
			return NULL;
		}
		QUIET(read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1);
		__atomic_add_fetch(served, 1, __ATOMIC_SEQ_CST);
		close(fd);
	}
}

static void *client(void *arg)
{
	for (int i = 0; i < CALLS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		char c = 'p';
		QUIET(connect(fd, (void *)&at, sizeof(at)) == 0);
		QUIET(write(fd, &c, 1) == 1 && read(fd, &c, 1) == 1);
		close(fd);
	}
	return NULL;
}

static int child(void)
{
	pthread_t t[SERVERS];
	for (int i = 0; i < SERVERS; i++)
		t[i] = spawn(server, NULL);
	for (int i = 0; i < SERVERS; i++)
		join(t[i]);
	return check_failures != 0;
}

int main(void)
{
	pthread_t t[CLIENTS];
	socklen_t len = sizeof(at);
	int one = 1, status;

	served = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	MUST(bind(listener, (void *)&at, sizeof(at)) == 0 && listen(listener, 100) == 0);
	MUST(getsockname(listener, (void *)&at, &len) == 0);
	fflush(stdout);
	for (int i = 0; i < CHILDREN; i++)
		if (fork() == 0)
			_exit(child());
	for (int i = 0; i < CLIENTS; i++)
		t[i] = spawn(client, NULL);
	for (int i = 0; i < CLIENTS; i++)
		join(t[i]);
	for (int k = 0; k < 2000 && __atomic_load_n(served, __ATOMIC_SEQ_CST) < CLIENTS * CALLS;
	     k++)
		sleep_ms(1);
	CHECK(*served == CLIENTS * CALLS);
	CHECK(shutdown(listener, SHUT_RDWR) == 0);
	for (int i = 0; i < CHILDREN; i++)
		QUIET(wait(&status) > 0 && status == 0);
	printf("ok   all children left\n");
	return check_done();
}
