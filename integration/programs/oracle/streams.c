/* Steps about bytes: one stream with odd sizes, records from many to many, eventfd counts, lines of
 * stdio.
 */
#include "oracle.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Makes a pipe or a pair of sockets; ends[0] reads. */
static void stream_make(int ends[2], struct rng *r)
{
	if (below(r, 2)) {
		if (pipe2(ends, below(r, 2) ? O_CLOEXEC : 0) != 0)
			abort();
		if (below(r, 2))
			fcntl(ends[1], F_SETPIPE_SZ, 4096);
	} else {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
			abort();
		int small = 4096;
		if (below(r, 2))
			setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	}
}

/* stream: role 0 writes, role 1 reads to the end. */
struct stream {
	int ends[2];
	unsigned bytes;
};

static void stream_setup(struct step *s, struct rng *r)
{
	struct stream *t = s->state;
	stream_make(t->ends, r);
	t->bytes = below(r, below(r, 5) ? 3000 : 60000);
}

static void stream_write(struct me *me, struct stream *t)
{
	unsigned char buf[9000];
	for (unsigned done = 0; done < t->bytes;) {
		unsigned n = 1 + below(&me->noise, sizeof buf);
		if (n > t->bytes - done)
			n = t->bytes - done;
		for (unsigned i = 0; i < n; i++)
			buf[i] = (unsigned char)mix(me->step->seed + done + i);
		struct iovec v[2] = {{buf, n / 3}, {buf + n / 3, n - n / 3}};
		ssize_t r = below(&me->noise, 3) ? AGAIN(me, write(t->ends[1], buf, n))
						 : AGAIN(me, writev(t->ends[1], v, 2));
		/* A blocking write is complete, unless a signal cut it short. */
		FACT(me, r == (ssize_t)n || (r > 0 && me->program->disturbed));
		if (r <= 0)
			break;
		done += (unsigned)r;
		pause_a_bit(me);
	}
	FACT(me, close(t->ends[1]) == 0);
}

static void stream_read(struct me *me, struct stream *t)
{
	unsigned char buf[9000];
	unsigned done = 0;
	int fd = t->ends[0];
	for (;;) {
		unsigned n = 1 + below(&me->noise, sizeof buf);
		struct pollfd f = {.fd = fd, .events = POLLIN};
		fd_set set;
		switch (below(&me->noise, 8)) {
		case 0:
			FACT(me, AGAIN(me, poll(&f, 1, -1)) == 1 && f.revents);
			break;
		case 1:
			FACT(me, AGAIN(me, poll(&f, 1, FAR_SECONDS * 1000)) == 1);
			break;
		case 2: {
			int r;
			do {
				FD_ZERO(&set);
				FD_SET(fd, &set);
				r = WAITS(me, select(fd + 1, &set, NULL, NULL, NULL));
			} while (r == -1 && errno == EINTR && interrupted(me));
			FACT(me, r == 1 && FD_ISSET(fd, &set));
			break;
		}
		default:
			break;
		}
		struct iovec v[2] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
		ssize_t r =
		    below(&me->noise, 3) ? AGAIN(me, read(fd, buf, n)) : AGAIN(me, readv(fd, v, 2));
		FACT(me, r >= 0);
		if (r <= 0)
			break;
		for (ssize_t i = 0; i < r; i++)
			if (buf[i] != (unsigned char)mix(me->step->seed + done + (unsigned)i)) {
				FACT(me, "the bytes that were written" == NULL);
				break;
			}
		done += (unsigned)r;
		pause_a_bit(me);
	}
	FACT(me, done == t->bytes);
	note(me, done);
	FACT(me, close(fd) == 0);
}

static void stream_play(struct me *me)
{
	struct stream *t = me->step->state;
	if (me->role == 0)
		stream_write(me, t);
	else
		stream_read(me, t);
}

const struct kind kind_stream = {"stream",     2,	    2,	 0, sizeof(struct stream),
				 stream_setup, stream_play, NULL};

/* records: writers and readers of whole records on one pipe; the last writer closes. */
struct records {
	int ends[2];
	unsigned writers, writing;
	uint64_t sent, got;
};

static void records_setup(struct step *s, struct rng *r)
{
	struct records *c = s->state;
	/* A pipe: records below PIPE_BUF stay whole, and reads of their size get whole ones. */
	if (pipe(c->ends) != 0)
		abort();
	if (below(r, 2))
		fcntl(c->ends[1], F_SETPIPE_SZ, 4096);
	c->writers = c->writing = 1 + below(r, s->n - 1);
}

static void records_play(struct me *me)
{
	struct records *c = me->step->state;
	uint64_t record;
	if (me->role >= c->writers) {
		for (;;) {
			ssize_t r = AGAIN(me, read(c->ends[0], &record, sizeof record));
			FACT(me, r == 0 || r == sizeof record);
			if (r != sizeof record)
				break;
			__atomic_add_fetch(&c->got, record, __ATOMIC_RELAXED);
			pause_a_bit(me);
		}
		return;
	}
	for (unsigned i = 0; i < me->step->rounds; i++) {
		record = draw(&me->rng);
		note(me, record);
		__atomic_add_fetch(&c->sent, record, __ATOMIC_RELAXED);
		FACT(me, AGAIN(me, write(c->ends[1], &record, sizeof record)) == sizeof record);
		pause_a_bit(me);
	}
	if (__atomic_sub_fetch(&c->writing, 1, __ATOMIC_SEQ_CST) == 0)
		FACT(me, close(c->ends[1]) == 0);
}

static void records_finish(struct me *me)
{
	struct records *c = me->step->state;
	FACT(me, c->sent == c->got);
	note(me, c->got);
	close(c->ends[0]);
}

const struct kind kind_records = {
    "records", 2, 8, 0, sizeof(struct records), records_setup, records_play, records_finish};

/* eventfds: counts are neither lost nor doubled. */
struct eventfds {
	int fd;
	bool semaphore;
	uint64_t got;
};

static void eventfds_setup(struct step *s, struct rng *r)
{
	struct eventfds *e = s->state;
	e->semaphore = below(r, 2);
	e->fd = eventfd(0, e->semaphore ? EFD_SEMAPHORE : 0);
}

static void eventfds_play(struct me *me)
{
	struct eventfds *e = me->step->state;
	uint64_t one = 1, value;
	unsigned n = me->step->n, rounds = me->step->rounds;
	if (me->role == 0 && !e->semaphore) { /* one reader takes all */
		while (e->got < (uint64_t)(n - 1) * rounds) {
			FACT(me, AGAIN(me, read(e->fd, &value, 8)) == 8 && value > 0);
			e->got += value;
		}
		return;
	}
	for (unsigned i = 0; i < rounds; i++) {
		/* As a semaphore, even roles give and odd ones take; the odd one out takes its own.
		 */
		bool alone = me->role == n - 1 && n % 2;
		if (!e->semaphore || alone || me->role % 2 == 0)
			FACT(me, AGAIN(me, write(e->fd, &one, 8)) == 8);
		if (e->semaphore && (alone || me->role % 2)) {
			FACT(me, AGAIN(me, read(e->fd, &value, 8)) == 8 && value == 1);
			__atomic_add_fetch(&e->got, 1, __ATOMIC_RELAXED);
		}
		pause_a_bit(me);
	}
}

static void eventfds_finish(struct me *me)
{
	struct eventfds *e = me->step->state;
	struct pollfd f = {.fd = e->fd, .events = POLLIN};
	FACT(me, poll(&f, 1, 0) == 0);
	note(me, e->got);
	close(e->fd);
}

const struct kind kind_eventfds = {
    "eventfds", 2, 8, 0, sizeof(struct eventfds), eventfds_setup, eventfds_play, eventfds_finish};

/* lines: many threads print to one FILE over a pipe, one reads lines. */
struct lines {
	FILE *in, *out;
	unsigned writing;
	uint64_t sent, got;
};

static void lines_setup(struct step *s, struct rng *r)
{
	struct lines *l = s->state;
	int ends[2];
	stream_make(ends, r);
	l->in = fdopen(ends[0], "r");
	l->out = fdopen(ends[1], "w");
	setvbuf(l->out, NULL, below(r, 2) ? _IOLBF : _IOFBF, 256);
	l->writing = s->n - 1;
}

static void lines_play(struct me *me)
{
	struct lines *l = me->step->state;
	char line[100];
	if (me->role == 0) {
		while (WAITS(me, fgets(line, sizeof line, l->in))) {
			unsigned a, b, c;
			FACT(me, sscanf(line, "%u %u = %u\n", &a, &b, &c) == 3 && a * b == c);
			l->got += c;
		}
		FACT(me, fclose(l->in) == 0);
		return;
	}
	for (unsigned i = 0; i < me->step->rounds; i++) {
		unsigned a = below(&me->rng, 1000), b = below(&me->rng, 1000);
		note(me, a * b);
		FACT(me, WAITS(me, fprintf(l->out, "%u %u = %u\n", a, b, a * b)) > 0);
		__atomic_add_fetch(&l->sent, a * b, __ATOMIC_RELAXED);
		if (below(&me->noise, 8) == 0) { /* the lock is recursive and the thread's own */
			flockfile(l->out);
			sched_yield();
			FACT(me, ftrylockfile(l->out) == 0);
			funlockfile(l->out);
			funlockfile(l->out);
		}
	}
	if (__atomic_sub_fetch(&l->writing, 1, __ATOMIC_SEQ_CST) == 0)
		FACT(me, WAITS(me, fclose(l->out)) == 0);
}

static void lines_finish(struct me *me)
{
	struct lines *l = me->step->state;
	FACT(me, l->sent == l->got);
	note(me, l->got);
}

const struct kind kind_lines = {
    "lines", 2, 6, RARE | CALM, sizeof(struct lines), lines_setup, lines_play, lines_finish};
