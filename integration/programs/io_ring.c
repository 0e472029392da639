/* A token runs around a ring of 100 threads, over pipes and over socket pairs; every thread blocks
 * in read almost all the time. */
#include "check.h"
#include <sys/socket.h>

#define N    100
#define LAPS 50
static int in[N], out[N];

static void *relay(void *arg)
{
	int me = (int)(intptr_t)arg;
	uint64_t token;
	for (int lap = 0; lap < LAPS; lap++) {
		QUIET(read(in[me], &token, sizeof(token)) == sizeof(token));
		token = token * 31 + me;
		QUIET(write(out[me], &token, sizeof(token)) == sizeof(token));
	}
	return NULL;
}

static void lap_around(const char *name, int sockets)
{
	pthread_t t[N];
	int pair[N + 1][2];
	uint64_t token = 1, expected = 1;
	for (int i = 0; i <= N; i++)
		MUST((sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) : pipe(pair[i])) == 0);
	for (intptr_t i = 0; i < N; i++) {
		in[i] = pair[i][0];
		out[i] = pair[i + 1][1];
		t[i] = spawn(relay, (void *)i);
	}
	for (int lap = 0; lap < LAPS; lap++) {
		QUIET(write(pair[0][1], &token, sizeof(token)) == sizeof(token));
		QUIET(read(pair[N][0], &token, sizeof(token)) == sizeof(token));
		for (int i = 0; i < N; i++)
			expected = expected * 31 + i;
	}
	for (int i = 0; i < N; i++)
		join(t[i]);
	for (int i = 0; i <= N; i++) {
		close(pair[i][0]);
		close(pair[i][1]);
	}
	printf("%s %016llx %s\n", name, (unsigned long long)token,
	       token == expected ? "ok" : "FAIL");
}

int main(void)
{
	lap_around("pipes", 0);
	lap_around("socket pairs", 1);
	return check_done();
}
