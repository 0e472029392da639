/* Steps about readiness: one thread watches many pipes, and a small service on a unix socket.
 */
#include "oracle.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>

/* readiness: role 0 watches a pipe from each of the others, until all have closed. */
struct readiness {
	int ends[8][2], epoll;
	unsigned how; /* 0 poll, 1 select, 2 epoll level, 3 epoll edge, 4 epoll one-shot */
};

static void readiness_setup(struct step *s, struct rng *r)
{
	struct readiness *y = s->state;
	y->how = below(r, 5);
	y->epoll = epoll_create1(0);
	static const uint32_t events[] = {0, 0, EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
	for (unsigned i = 1; i < s->n; i++) {
		if (pipe(y->ends[i]) != 0)
			abort();
		/* Edge-triggered readers drain: their end does not block. */
		if (y->how == 3)
			fcntl(y->ends[i][0], F_SETFL, O_NONBLOCK);
		struct epoll_event ev = {.events = events[y->how], .data.u32 = i};
		if (y->how >= 2)
			epoll_ctl(y->epoll, EPOLL_CTL_ADD, y->ends[i][0], &ev);
	}
}

/* Reads what is there; true: the end. */
static bool readiness_read(struct me *me, struct readiness *y, unsigned i, uint64_t *sum)
{
	unsigned char byte;
	ssize_t r;
	do {
		r = AGAIN(me, read(y->ends[i][0], &byte, 1));
		FACT(me, r >= 0 || (y->how == 3 && errno == EAGAIN));
		if (r == 1)
			*sum += byte;
	} while (r == 1 && y->how == 3);
	if (r == 0) {
		/* Not by close alone: a child of another step may have a copy. */
		FACT(me,
		     y->how < 2 || epoll_ctl(y->epoll, EPOLL_CTL_DEL, y->ends[i][0], NULL) == 0);
		close(y->ends[i][0]);
	} else if (y->how == 4) {
		struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = i};
		FACT(me, epoll_ctl(y->epoll, EPOLL_CTL_MOD, y->ends[i][0], &ev) == 0);
	}
	return r == 0;
}

/* Which of the open ones may be read, as a set of bits. */
static unsigned readiness_wait(struct me *me, struct readiness *y, unsigned open)
{
	unsigned n = me->step->n, found = 0;
	if (y->how == 0) {
		struct pollfd f[8];
		for (unsigned i = 1; i < n; i++)
			f[i] = (struct pollfd){.fd = open & 1u << i ? y->ends[i][0] : -1,
					       .events = POLLIN};
		FACT(me, AGAIN(me, poll(f + 1, n - 1, below(&me->noise, 2) ? -1 : 100000)) > 0);
		for (unsigned i = 1; i < n; i++)
			if (f[i].fd >= 0 && f[i].revents)
				found |= 1u << i;
	} else if (y->how == 1) {
		fd_set set;
		int r;
		do {
			FD_ZERO(&set);
			for (unsigned i = 1; i < n; i++)
				if (open & 1u << i)
					FD_SET(y->ends[i][0], &set);
			r = WAITS(me, select(FD_SETSIZE, &set, NULL, NULL, NULL));
		} while (r == -1 && errno == EINTR && interrupted(me));
		FACT(me, r > 0);
		for (unsigned i = 1; i < n; i++)
			if (open & 1u << i && FD_ISSET(y->ends[i][0], &set))
				found |= 1u << i;
	} else {
		struct epoll_event ev[8];
		int r = AGAIN(me, epoll_wait(y->epoll, ev, 8, below(&me->noise, 2) ? -1 : 100000));
		FACT(me, r > 0);
		for (int i = 0; i < r; i++)
			found |= 1u << ev[i].data.u32;
	}
	FACT(me, (found & ~open) == 0);
	return found & open;
}

static void readiness_play(struct me *me)
{
	struct readiness *y = me->step->state;
	if (me->role) {
		for (unsigned i = 0; i < me->step->rounds; i++) {
			unsigned char byte = (unsigned char)draw(&me->rng);
			FACT(me, AGAIN(me, write(y->ends[me->role][1], &byte, 1)) == 1);
			note(me, byte);
			pause_a_bit(me);
		}
		FACT(me, close(y->ends[me->role][1]) == 0);
		return;
	}
	unsigned open = (1u << me->step->n) - 2;
	uint64_t sum = 0;
	while (open) {
		unsigned found = readiness_wait(me, y, open);
		for (unsigned i = 1; i < me->step->n; i++)
			if (found & 1u << i && readiness_read(me, y, i, &sum))
				open &= ~(1u << i);
	}
	note(me, sum);
	close(y->epoll);
}

const struct kind kind_readiness = {
    "readiness", 2, 8, 0, sizeof(struct readiness), readiness_setup, readiness_play, NULL};

/* service: some accept, some connect; each question gets its answer. */
struct service {
	int listener;
	struct sockaddr_un at;
	socklen_t len;
	unsigned acceptors, served;
};

static void service_setup(struct step *s, struct rng *r)
{
	struct service *v = s->state;
	v->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	v->at.sun_family = AF_UNIX; /* autobind: an abstract name of its own */
	if (bind(v->listener, (struct sockaddr *)&v->at, sizeof(sa_family_t)) != 0 ||
	    listen(v->listener, 64) != 0)
		abort();
	v->len = sizeof v->at;
	getsockname(v->listener, (struct sockaddr *)&v->at, &v->len);
	v->acceptors = 1 + below(r, s->n - 1);
}

static void service_play(struct me *me)
{
	struct service *v = me->step->state;
	unsigned clients = me->step->n - v->acceptors;
	uint64_t question, answer;
	if (me->role < v->acceptors) {
		unsigned total = clients * me->step->rounds;
		while (__atomic_fetch_add(&v->served, 1, __ATOMIC_SEQ_CST) < total) {
			int fd = below(&me->noise, 2)
				     ? AGAIN(me, accept(v->listener, NULL, NULL))
				     : AGAIN(me, accept4(v->listener, NULL, NULL, SOCK_CLOEXEC));
			FACT(me, fd >= 0);
			FACT(me, read_all(me, fd, &question, 8) == 8);
			pause_a_bit(me);
			answer = mix(question);
			FACT(me, AGAIN(me, send(fd, &answer, 8, MSG_NOSIGNAL)) == 8);
			FACT(me, close(fd) == 0);
		}
		return;
	}
	for (unsigned i = 0; i < me->step->rounds; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		FACT(me, AGAIN(me, connect(fd, (struct sockaddr *)&v->at, v->len)) == 0);
		question = draw(&me->rng);
		write_all(me, fd, &question, 8);
		FACT(me, AGAIN(me, recv(fd, &answer, 8, MSG_WAITALL)) == 8);
		FACT(me, answer == mix(question));
		FACT(me, read_all(me, fd, &answer, 8) == 0);
		note(me, answer);
		FACT(me, close(fd) == 0);
	}
}

static void service_finish(struct me *me)
{
	struct service *v = me->step->state;
	close(v->listener);
}

const struct kind kind_service = {
    "service", 2, 8, 0, sizeof(struct service), service_setup, service_play, service_finish};
