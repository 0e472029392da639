/* Two threads connect one blocking socket at once: one of them does, and the socket stays blocking.
 */
#include "check.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { TIMES = 2000 };

static struct sockaddr_in address = {.sin_family = AF_INET};
static pthread_barrier_t step;
static int fd;

static void *connects(void *arg)
{
	for (int i = 0; i < TIMES; i++) {
		pthread_barrier_wait(&step);
		connect(fd, (struct sockaddr *)&address, sizeof(address));
		pthread_barrier_wait(&step);
	}
	return NULL;
}

int main(void)
{
	socklen_t n = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), flagged = 0, connected = 0;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (struct sockaddr *)&address, n) == 0 && listen(listener, 8) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&address, &n) == 0);
	pthread_barrier_init(&step, NULL, 3);
	pthread_t a = spawn(connects, NULL), b = spawn(connects, NULL);
	for (int i = 0; i < TIMES; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		MUST(fd >= 0);
		pthread_barrier_wait(&step);
		pthread_barrier_wait(&step);
		flagged += (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
		int other = accept(listener, NULL, NULL);
		connected += other >= 0;
		close(other);
		close(fd);
	}
	join(a);
	join(b);
	CHECK(connected == TIMES);
	CHECK(flagged == 0);
	return check_done();
}
