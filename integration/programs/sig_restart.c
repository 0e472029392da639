/* With SA_RESTART read, recv, accept and waitpid go on after the handler; poll and sleeping never
 * do; locks and joins are never interrupted at all, with or without the flag. */
#include "check.h"
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static volatile sig_atomic_t handled;
static int pair[2], started, returned;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void handler(int number)
{
	handled++;
}

/* Blocks in the call number arg; tells the result. */
static void *blocks(void *arg)
{
	char byte = 0;
	long rc = -1;
	struct pollfd p = {.fd = pair[0], .events = POLLIN};
	__atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
	switch ((intptr_t)arg) {
	case 0:
		rc = read(pair[0], &byte, 1);
		break;
	case 1:
		rc = recv(pair[0], &byte, 1, MSG_WAITALL);
		break;
	case 2:
		rc = pthread_mutex_lock(&mutex) + 1;
		pthread_mutex_unlock(&mutex);
		break;
	case 3:
		rc = poll(&p, 1, -1) == -1 && errno == EINTR ? 1 : -1;
		break;
	}
	__atomic_store_n(&returned, 1, __ATOMIC_SEQ_CST);
	return (void *)rc;
}

static int survives_signals(int which)
{
	started = returned = 0;
	handled = 0;
	pthread_mutex_lock(&mutex);
	pthread_t t = spawn(blocks, (void *)(intptr_t)which);
	/* Send until the handler ran often while the call was (very likely) blocked. */
	while (handled < 20 && !__atomic_load_n(&returned, __ATOMIC_SEQ_CST)) {
		if (__atomic_load_n(&started, __ATOMIC_SEQ_CST))
			pthread_kill(t, SIGUSR1);
		sleep_ms(1);
	}
	int early = __atomic_load_n(&returned, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&mutex);
	if (which < 2)
		MUST(write(pair[1], "x", 1) == 1);
	return join(t) == (void *)1 && (which == 3 || !early);
}

struct sender {
	pthread_t target;
	int then_close;
};

static void *signal_main(void *arg)
{
	struct sender *s = arg;
	for (int i = 0; i < 10; i++) {
		pthread_kill(s->target, SIGUSR1);
		sleep_ms(1);
	}
	close(s->then_close);
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	int status, go[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	sigaction(SIGUSR1, &action, NULL);
	CHECK(survives_signals(0));
	CHECK(survives_signals(1));
	CHECK(survives_signals(2));
	CHECK(survives_signals(3));
	action.sa_flags = 0;
	sigaction(SIGUSR1, &action, NULL);
	CHECK(survives_signals(2));

	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	MUST(pipe(go) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		char byte;
		close(go[1]);
		_exit(read(go[0], &byte, 1) == 0 ? 9 : 10);
	}
	/* The child ends when the sender is done: until then waitpid is being interrupted. */
	struct sender s = {pthread_self(), go[1]};
	pthread_t sender = spawn(signal_main, &s);
	CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 9);
	join(sender);
	return check_done();
}
