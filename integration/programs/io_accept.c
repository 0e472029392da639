/* Fifty threads in accept/accept4 on one listener, fifty clients: each connection is served by
 * exactly one thread; then the connect side: refused, unix, wrong addresses. */
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#define N 50
static int listener, port, served;

static int connect_to(int to)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to)};
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(fd >= 0);
	if (connect(fd, (void *)&in, sizeof(in)) != 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static void *server(void *arg)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char byte;
	int use4 = (int)(intptr_t)arg % 2;
	int fd = use4 ? accept4(listener, (void *)&peer, &len, SOCK_CLOEXEC)
		      : accept(listener, (void *)&peer, &len);
	QUIET(fd >= 0 && len == sizeof(peer) && peer.sin_family == AF_INET);
	QUIET(fcntl(fd, F_GETFD) == (use4 ? FD_CLOEXEC : 0));
	QUIET(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	QUIET(read(fd, &byte, 1) == 1);
	byte++;
	QUIET(write(fd, &byte, 1) == 1);
	QUIET(read(fd, &byte, 1) == 0);
	close(fd);
	__atomic_add_fetch(&served, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *client(void *arg)
{
	char byte = (char)(intptr_t)arg, answer;
	int fd = connect_to(port);
	QUIET(fd >= 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK));
	QUIET(write(fd, &byte, 1) == 1);
	QUIET(read(fd, &answer, 1) == 1 && answer == byte + 1);
	close(fd);
	return NULL;
}

static void *unix_server(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);
	QUIET(fd >= 0 && write(fd, "u", 1) == 1);
	close(fd);
	return NULL;
}

int main(void)
{
	pthread_t servers[N], clients[N];
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(bind(listener, (void *)&in, sizeof(in)) == 0 && listen(listener, 100) == 0);
	MUST(getsockname(listener, (void *)&in, &len) == 0);
	port = ntohs(in.sin_port);
	for (int round = 0; round < 4; round++) {
		for (intptr_t i = 0; i < N; i++)
			servers[i] = spawn(server, (void *)i);
		for (intptr_t i = 0; i < N; i++)
			clients[i] = spawn(client, (void *)i);
		for (int i = 0; i < N; i++)
			join(clients[i]);
		for (int i = 0; i < N; i++)
			join(servers[i]);
	}
	CHECK(served == 4 * N);
	CHECK(!(fcntl(listener, F_GETFL) & O_NONBLOCK));

	/* A port that was just free: bound but not listening, so nobody else can take it. */
	int closed = socket(AF_INET, SOCK_STREAM, 0);
	in.sin_port = 0;
	MUST(bind(closed, (void *)&in, sizeof(in)) == 0);
	MUST(getsockname(closed, (void *)&in, &len) == 0);
	CHECK_ERRNO(ECONNREFUSED, connect_to(ntohs(in.sin_port)));
	CHECK_ERRNO(EINVAL, accept(closed, NULL, NULL)); /* not listening */
	CHECK_ERRNO(EBADF, accept(-1, NULL, NULL));
	/* Nothing that could ever accept: refused at once, not waited for. */
	int ends[2], udp = socket(AF_INET, SOCK_DGRAM, 0);
	MUST(pipe(ends) == 0);
	CHECK_ERRNO(ENOTSOCK, accept(ends[0], NULL, NULL));
	CHECK_ERRNO(EOPNOTSUPP, accept(udp, NULL, NULL));
	CHECK_ERRNO(EINVAL, accept4(listener, NULL, NULL, 0x10));
	CHECK_ERRNO(EISCONN, ({
			    int fd = connect_to(port);
			    in.sin_port = htons(port);
			    connect(fd, (void *)&in, sizeof(in));
		    }));

	struct sockaddr_un un = {.sun_family = AF_UNIX};
	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/check-%d.sock", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte;
	CHECK_ERRNO(ENOENT, connect(fd, (void *)&un, sizeof(un)));
	MUST(bind(local, (void *)&un, sizeof(un)) == 0);
	CHECK_ERRNO(ECONNREFUSED, connect(fd, (void *)&un, sizeof(un)));
	MUST(listen(local, 5) == 0);
	pthread_t t = spawn(unix_server, &local);
	CHECK(connect(fd, (void *)&un, sizeof(un)) == 0);
	CHECK(read(fd, &byte, 1) == 1 && byte == 'u');
	join(t);
	unlink(un.sun_path);
	CHECK_ERRNO(EBADF, connect(-1, (void *)&un, sizeof(un)));
	CHECK_ERRNO(ENOTSOCK, connect(0, (void *)&un, sizeof(un)));
	return check_done();
}
