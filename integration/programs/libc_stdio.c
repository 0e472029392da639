/* Threads that wait inside stdio: fgets on sockets, getline on pipes, all at once; twenty that
 * print to one FILE over a socket whose reader is slow; a buffered FILE read by several threads. */
#include "libc_threads.h"
#include <sys/socket.h>

#define N 50
static int ends[N][2];

static void *read_line(void *arg)
{
	int i = (int)(intptr_t)arg;
	FILE *f = fdopen(ends[i][0], "r");
	char buf[128], want[64], *line = NULL;
	size_t size = 0;
	MUST(f != NULL);
	count_me();
	for (int round = 0; round < 2; round++) {
		snprintf(want, sizeof(want), "line %d for %d\n", round, i);
		if (i % 2) {
			QUIET(fgets(buf, sizeof(buf), f) == buf && !strcmp(buf, want));
		} else {
			QUIET(getline(&line, &size, f) > 0 && !strcmp(line, want));
		}
	}
	QUIET(fgetc(f) == EOF && feof(f) && !ferror(f));
	free(line);
	QUIET(fclose(f) == 0);
	return NULL;
}

static void many_readers(void)
{
	pthread_t t[N];
	for (int i = 0; i < N; i++) {
		MUST(i % 2 ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]) == 0
			   : pipe(ends[i]) == 0);
		t[i] = spawn(read_line, (void *)(intptr_t)i);
	}
	wait_counted(N);
	tell_kernel_threads();
	for (int round = 0; round < 2; round++)
		for (int i = N - 1; i >= 0; i--) {
			char line[64];
			int n = snprintf(line, sizeof(line), "line %d for %d\n", round, i);
			QUIET(write(ends[i][1], line, 3) == 3);
			sched_yield();
			QUIET(write(ends[i][1], line + 3, (size_t)n - 3) == n - 3);
		}
	for (int i = 0; i < N; i++) {
		close(ends[i][1]);
		join(t[i]);
	}
	CHECK("many readers");
}

#define WRITERS 20
#define LINES	400
static FILE *shared;

static void *print_lines(void *arg)
{
	count_me();
	for (int i = 0; i < LINES; i++) {
		QUIET(fprintf(shared, "writer %02d line %03d %s\n", (int)(intptr_t)arg, i,
			      "a tail that makes the line long enough to fill the socket soon") >
		      0);
	}
	return NULL;
}

static void *join_and_close(void *arg)
{
	for (int i = 0; i < WRITERS; i++)
		join(((pthread_t *)arg)[i]);
	QUIET(fclose(shared) == 0);
	return NULL;
}

static void many_writers(void)
{
	pthread_t t[WRITERS];
	int sv[2], seen[WRITERS] = {0}, whole = 0, in_order = 1, small = 4096;
	char line[256];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	MUST(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
	shared = fdopen(sv[0], "w");
	setvbuf(shared, NULL, _IOFBF, 1024);
	counted = 0;
	for (int i = 0; i < WRITERS; i++)
		t[i] = spawn(print_lines, (void *)(intptr_t)i);
	wait_counted(WRITERS);
	tell_kernel_threads();
	FILE *in = fdopen(sv[1], "r");
	pthread_t closer = spawn(join_and_close, t);
	while (fgets(line, sizeof(line), in)) {
		int who, which;
		char tail[8];
		if (sscanf(line, "writer %d line %d %7s", &who, &which, tail) == 3 && who >= 0 &&
		    who < WRITERS && line[strlen(line) - 1] == '\n') {
			whole++;
			in_order &= seen[who]++ == which;
		}
	}
	join(closer);
	CHECK(whole == WRITERS * LINES);
	CHECK(in_order);
	CHECK(feof(in) && !ferror(in));
	fclose(in);
}

static FILE *pool;
static int taken;

static void *take_lines(void *arg)
{
	char line[64];
	while (fgets(line, sizeof(line), pool)) {
		QUIET(strlen(line) == 8);
		__atomic_add_fetch(&taken, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void one_file_many_readers(void)
{
	pthread_t t[10];
	int p[2];
	MUST(pipe(p) == 0);
	pool = fdopen(p[0], "r");
	for (int i = 0; i < 10; i++)
		t[i] = spawn(take_lines, NULL);
	for (int i = 0; i < 1000; i++) {
		char line[16];
		snprintf(line, sizeof(line), "n %05d\n", i);
		QUIET(write(p[1], line, 8) == 8);
		if (i % 100 == 0)
			sleep_ms(1);
	}
	close(p[1]);
	for (int i = 0; i < 10; i++)
		join(t[i]);
	CHECK(taken == 1000);
	fclose(pool);
}

int main(void)
{
	many_readers();
	many_writers();
	one_file_many_readers();
	return check_done();
}
