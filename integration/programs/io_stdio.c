/* stdio over pipes and sockets from many threads: lines stay whole, a FILE's lock is recursive and
 * belongs to the thread, fgets and getline block only their own thread. */
#include "check.h"
#include <sys/socket.h>

#define N     20
#define LINES 100
static FILE *shared;
static int pipe_fd[2], pairs[N][2];

static void *print_lines(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < LINES; i++) {
		if (i % 2) {
			fprintf(shared, "thread %d line %d %.3f\n", me, i, i / 8.0);
		} else {
			flockfile(shared); /* several calls as one unit; the lock is recursive */
			flockfile(shared);
			fprintf(shared, "thread %d ", me);
			sched_yield();
			fprintf(shared, "line %d ", i);
			funlockfile(shared);
			fprintf(shared, "%.3f\n", i / 8.0);
			funlockfile(shared);
		}
	}
	return NULL;
}

static void *echo_lines(void *arg)
{
	int fd = pairs[(intptr_t)arg][1];
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	char line[256];
	while (fgets(line, sizeof(line), in)) {
		fprintf(out, "<%s", line);
		fflush(out);
	}
	fclose(in);
	fclose(out);
	return NULL;
}

static void *talk_lines(void *arg)
{
	int me = (int)(intptr_t)arg;
	FILE *f = fdopen(pairs[me][0], "r+");
	char *line = NULL, expected[64];
	size_t size = 0;
	for (int i = 0; i < LINES; i++) {
		fprintf(f, "message %d of %d\n", i, me);
		fflush(f);
		QUIET(getline(&line, &size, f) > 0);
		snprintf(expected, sizeof(expected), "<message %d of %d\n", i, me);
		QUIET(!strcmp(line, expected));
	}
	free(line);
	shutdown(pairs[me][0], SHUT_WR);
	QUIET(fgetc(f) == EOF);
	fclose(f);
	return NULL;
}

int main(void)
{
	pthread_t t[N], u[N];
	int seen[N] = {0}, whole = 0, in_order = 1;
	char line[256];

	/* Unbuffered, so every piece of a line is a write to the pipe that may block. */
	for (int unbuffered = 0; unbuffered < 2; unbuffered++) {
		MUST(pipe(pipe_fd) == 0);
		shared = fdopen(pipe_fd[1], "w");
		if (unbuffered)
			setvbuf(shared, NULL, _IONBF, 0);
		FILE *in = fdopen(pipe_fd[0], "r");
		memset(seen, 0, sizeof(seen));
		whole = 0;
		for (intptr_t i = 0; i < N; i++)
			t[i] = spawn(print_lines, (void *)i);
		for (int i = 0; i < N * LINES; i++) {
			int who, number, all;
			double x;
			if (i == N * LINES / 2)
				sched_yield();
			if (i == 0 && !unbuffered) {
				for (int k = 0; k < N; k++)
					join(t[k]); /* everything fits the pipe's 64 KiB */
				fflush(shared);
			}
			MUST(fgets(line, sizeof(line), in) != NULL);
			all = sscanf(line, "thread %d line %d %lf", &who, &number, &x) == 3;
			whole += all && x == number / 8.0;
			if (all)
				in_order &= seen[who]++ == number;
		}
		CHECK(whole == N * LINES);
		CHECK(in_order);
		for (int k = 0; k < N && unbuffered; k++)
			join(t[k]);
		fclose(shared);
		CHECK(fgets(line, sizeof(line), in) == NULL && feof(in));
		fclose(in);
	}
	for (intptr_t i = 0; i < N; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]) == 0);
		t[i] = spawn(echo_lines, (void *)i);
		u[i] = spawn(talk_lines, (void *)i);
	}
	for (int i = 0; i < N; i++) {
		join(u[i]);
		join(t[i]);
	}
	return check_done();
}
