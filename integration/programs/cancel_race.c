/* What must not get lost when a cancellation races with the event the thread waits for: a byte that
 * was taken out of a pipe or a socket, a connection, the token of a semaphore, the signal of a
 * condition.  The thread says what it got before it can be cancelled again. */
#include "check.h"
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/socket.h>

static int fds[2], listener, got;
static struct sockaddr_in where;
static sem_t ready, tokens;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned seed = 7;

static void spin_a_little(void)
{
	for (volatile unsigned k = (seed = seed * 1103515245 + 12345) >> 18; k; k--)
		;
}

static void *takes_byte(void *arg)
{
	char c;
	sem_post(&ready);
	if (read(fds[0], &c, 1) == 1)
		got++;
	return NULL;
}

static void *takes_connection(void *arg)
{
	sem_post(&ready);
	int fd = accept(listener, NULL, NULL);
	if (fd >= 0) {
		got++;
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		close(fd);
	}
	return NULL;
}

static void *takes_token(void *arg)
{
	sem_post(&ready);
	if (sem_wait(&tokens) == 0)
		got++;
	return NULL;
}

/* One event and one request at about the same time: cancelled, or the event is ours, or both. */
static void race(const char *name, void *(*taker)(void *), void (*event)(void), int (*left)(void),
		 int rounds)
{
	int lost = 0, neither = 0;
	for (int i = 0; i < rounds; i++) {
		got = 0;
		pthread_t t = spawn(taker, NULL);
		sem_wait(&ready);
		spin_a_little();
		if (i % 2)
			pthread_cancel(t);
		event();
		if (i % 2 == 0) {
			spin_a_little();
			pthread_cancel(t);
		}
		int cancelled = join(t) == PTHREAD_CANCELED;
		lost += got + left() != 1;
		neither += !got && !cancelled;
	}
	printf("%s: lost %s, neither %s\n", name, lost ? "some" : "none",
	       neither ? "some" : "none");
}

static void send_byte(void)
{
	MUST(write(fds[1], "x", 1) == 1);
}
static int byte_left(void)
{
	char c;
	struct pollfd p = {.fd = fds[0], .events = POLLIN};
	return poll(&p, 1, 0) == 1 && read(fds[0], &c, 1) == 1;
}
static int pending_connection;
static void open_connection(void)
{
	pending_connection = socket(AF_INET, SOCK_STREAM, 0);
	MUST(connect(pending_connection, (void *)&where, sizeof(where)) == 0);
}
static int connection_left(void)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int n = poll(&p, 1, 0) == 1;
	if (n)
		close(accept(listener, NULL, NULL));
	close(pending_connection);
	return n;
}
static void post_token(void)
{
	sem_post(&tokens);
}
static int token_left(void)
{
	return sem_trywait(&tokens) == 0;
}

/* Two wait; one signal; one of them is cancelled: the other one, or the cancelled one, got it. */
static int permits, woken;

static void unlock(void *m)
{
	pthread_mutex_unlock(m);
}

static void *waits(void *arg)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(unlock, &mutex);
	sem_post(&ready);
	while (!permits)
		pthread_cond_wait(&cond, &mutex);
	permits--;
	woken++;
	pthread_cleanup_pop(1);
	return arg;
}

static void condition(int rounds)
{
	int bad = 0;
	for (int i = 0; i < rounds; i++) {
		pthread_t a = spawn(waits, &permits), b = spawn(waits, &permits);
		woken = 0;
		sem_wait(&ready);
		sem_wait(&ready);
		pthread_mutex_lock(&mutex);
		permits = 1;
		pthread_mutex_unlock(&mutex);
		if (i % 2)
			pthread_cond_signal(&cond);
		spin_a_little();
		pthread_cancel(a);
		if (i % 2 == 0)
			pthread_cond_signal(&cond);
		/* If the cancelled one had the permit, the other needs a new one to end. */
		if (join(a) != PTHREAD_CANCELED) {
			pthread_mutex_lock(&mutex);
			permits = 1;
			pthread_cond_signal(&cond);
			pthread_mutex_unlock(&mutex);
		}
		struct timespec at = deadline_ms(CLOCK_REALTIME, 10000);
		void *r = NULL;
		if (pthread_timedjoin_np(b, &r, &at)) {
			bad++;
			pthread_cond_broadcast(&cond);
			join(b);
		}
		permits = 0;
	}
	printf("condition: lost signals %s\n", bad ? "some" : "none");
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 500;
	socklen_t n = sizeof(where);

	sem_init(&ready, 0, 0);
	sem_init(&tokens, 0, 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	where.sin_family = AF_INET;
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (void *)&where, n) == 0 && listen(listener, 100) == 0);
	MUST(getsockname(listener, (void *)&where, &n) == 0);
	race("semaphore", takes_token, post_token, token_left, rounds);
	if (argc > 2) { /* glibc before 2.41 loses these */
		MUST(pipe(fds) == 0);
		race("pipe", takes_byte, send_byte, byte_left, rounds);
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
		race("socket", takes_byte, send_byte, byte_left, rounds);
		race("connection", takes_connection, open_connection, connection_left, rounds);
	}
	condition(rounds);
	return check_done();
}
