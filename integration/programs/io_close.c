/* Closing one descriptor of a pair of duplicates leaves the waiter on the other; shutdown wakes
 * readers with 0; numbers reused at speed never deliver another's data. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <sys/socket.h>

static sem_t ready;

static void *read_one(void *arg)
{
	char byte = 0;
	sem_post(&ready);
	ssize_t n = read(*(int *)arg, &byte, 1);
	return (void *)(intptr_t)(n == 1 ? byte : n);
}

/* Thousands of short-lived descriptors in several threads: numbers are reused all the time. */
static void *churn(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < 1000; i++) {
		int fd[2], value = me * 100000 + i, got = -1;
		MUST((i % 2 ? socketpair(AF_UNIX, SOCK_STREAM, 0, fd) : pipe(fd)) == 0);
		if (i % 4 == 3) {
			pthread_t t = spawn(read_one, &fd[0]);
			char byte = (char)(1 + i % 100);
			QUIET(write(fd[1], &byte, 1) == 1);
			QUIET(join(t) == (void *)(intptr_t)byte);
			sem_wait(&ready);
		}
		QUIET(write(fd[1], &value, sizeof(value)) == sizeof(value));
		QUIET(read(fd[0], &got, sizeof(got)) == sizeof(got) && got == value);
		QUIET(close(fd[0]) == 0 && close(fd[1]) == 0);
	}
	return NULL;
}

int main(void)
{
	int fd[2];
	pthread_t t[10];
	char byte = 0;
	sem_init(&ready, 0, 0);

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	int copy = dup(fd[0]);
	t[0] = spawn(read_one, &fd[0]);
	sem_wait(&ready);
	CHECK(close(copy) == 0);
	CHECK(write(fd[1], "a", 1) == 1);
	CHECK(join(t[0]) == (void *)'a');

	/* The other way round: the thread reads the duplicate. */
	copy = dup(fd[0]);
	t[0] = spawn(read_one, &copy);
	sem_wait(&ready);
	CHECK(close(fd[0]) == 0);
	CHECK(write(fd[1], "b", 1) == 1);
	CHECK(join(t[0]) == (void *)'b');

	for (int i = 0; i < 5; i++)
		t[i] = spawn(read_one, &copy);
	for (int i = 0; i < 5; i++)
		sem_wait(&ready);
	CHECK(shutdown(copy, SHUT_RD) == 0);
	for (int i = 0; i < 5; i++)
		QUIET(join(t[i]) == NULL);
	CHECK_ERRNO(EPIPE, send(fd[1], "c", 1, MSG_NOSIGNAL));
	close(copy);
	close(fd[1]);

	/* The peer closes: every waiting reader sees the end. */
	MUST(pipe(fd) == 0);
	for (int i = 0; i < 5; i++)
		t[i] = spawn(read_one, &fd[0]);
	for (int i = 0; i < 5; i++)
		sem_wait(&ready);
	close(fd[1]);
	for (int i = 0; i < 5; i++)
		QUIET(join(t[i]) == NULL);
	close(fd[0]);

	/* shutdown of a listener ends accept with EINVAL. */
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(listen(listener, 5) == 0);
	CHECK(shutdown(listener, SHUT_RDWR) == 0);
	CHECK_ERRNO(EINVAL, accept(listener, NULL, NULL));

	for (intptr_t i = 0; i < 8; i++)
		t[i] = spawn(churn, (void *)i);
	for (int i = 0; i < 8; i++)
		join(t[i]);
	CHECK(pipe(fd) == 0 && write(fd[1], "z", 1) == 1 && read(fd[0], &byte, 1) == 1 &&
	      byte == 'z');
	return check_done();
}
