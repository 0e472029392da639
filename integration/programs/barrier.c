/* Barriers: nobody passes before all arrived, exactly one serial thread per round, reuse. */
#include "check.h"

#define N      20
#define ROUNDS 100
static pthread_barrier_t barrier;
static int arrived[ROUNDS], serial[ROUNDS];

static void *thread(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		__atomic_add_fetch(&arrived[i], 1, __ATOMIC_SEQ_CST);
		int rc = pthread_barrier_wait(&barrier);
		QUIET(__atomic_load_n(&arrived[i], __ATOMIC_SEQ_CST) == N);
		QUIET(rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD);
		if (rc == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&serial[i], 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void *wait_once(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	int one_each = 1;
	pthread_barrier_t *short_lived;

	CHECK_RC(EINVAL, pthread_barrier_init(&barrier, NULL, 0));
	CHECK_RC(0, pthread_barrier_init(&barrier, NULL, 1));
	CHECK(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
	CHECK_RC(0, pthread_barrier_destroy(&barrier));

	CHECK_RC(0, pthread_barrier_init(&barrier, NULL, N));
	for (int i = 0; i < N; i++)
		t[i] = spawn(thread, NULL);
	for (int i = 0; i < N; i++)
		join(t[i]);
	for (int i = 0; i < ROUNDS; i++)
		one_each &= serial[i] == 1;
	CHECK(one_each);
	CHECK_RC(0, pthread_barrier_destroy(&barrier));

	/* Destroying right after one's own wait is allowed: destroy waits for the others to leave.
	 */
	for (int i = 0; i < 300; i++) {
		short_lived = malloc(sizeof(*short_lived));
		pthread_barrier_init(short_lived, NULL, 3);
		t[0] = spawn(wait_once, short_lived);
		t[1] = spawn(wait_once, short_lived);
		pthread_barrier_wait(short_lived);
		QUIET(pthread_barrier_destroy(short_lived) == 0);
		memset(short_lived, 0xff, sizeof(*short_lived));
		free(short_lived);
		join(t[0]);
		join(t[1]);
	}
	return check_done();
}
