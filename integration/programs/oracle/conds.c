/* Steps about condition variables and barriers: a bounded queue, strict turns, crowds that wait for
 * a generation, the same with C11's names, rounds of a barrier.
 */
#include "oracle.h"
#include <threads.h>

/* queue: producers and consumers; what arrives is what was sent. */
enum { ROOM = 4 };
struct queue {
	pthread_mutex_t lock;
	pthread_cond_t more, less;
	clockid_t clock_more, clock_less;
	uint64_t items[ROOM], sent, got;
	unsigned head, count, left, producers;
	bool broadcast;
};

static void queue_setup(struct step *s, struct rng *r)
{
	struct queue *q = s->state;
	pthread_mutex_init(&q->lock, NULL);
	cond_make(&q->more, r, &q->clock_more);
	cond_make(&q->less, r, &q->clock_less);
	q->producers = 1 + below(r, s->n - 1);
	q->left = q->producers * s->rounds;
	q->broadcast = below(r, 3) == 0;
}

static void queue_tell(struct queue *q, pthread_cond_t *c)
{
	if (q->broadcast)
		pthread_cond_broadcast(c);
	else
		pthread_cond_signal(c);
}

static void queue_play(struct me *me)
{
	struct queue *q = me->step->state;
	bool early; /* signal with the lock held, or after */
	if (me->role < q->producers) {
		for (unsigned i = 0; i < me->step->rounds; i++) {
			uint64_t item = draw(&me->rng);
			mutex_take(me, &q->lock);
			while (q->count == ROOM)
				cond_sleep(me, &q->less, &q->lock, q->clock_less);
			q->items[(q->head + q->count++) % ROOM] = item;
			q->sent += item;
			early = below(&me->noise, 2);
			if (early)
				queue_tell(q, &q->more);
			mutex_drop(me, &q->lock);
			if (!early)
				queue_tell(q, &q->more);
			pause_a_bit(me);
			note(me, item);
		}
		return;
	}
	for (;;) {
		mutex_take(me, &q->lock);
		while (q->count == 0 && q->left)
			cond_sleep(me, &q->more, &q->lock, q->clock_more);
		if (!q->left) {
			mutex_drop(me, &q->lock);
			return;
		}
		q->got += q->items[q->head];
		q->head = (q->head + 1) % ROOM;
		q->count--;
		if (--q->left == 0)
			pthread_cond_broadcast(&q->more);
		early = below(&me->noise, 2);
		if (early)
			queue_tell(q, &q->less);
		mutex_drop(me, &q->lock);
		if (!early)
			queue_tell(q, &q->less);
		pause_a_bit(me);
	}
}

static void queue_finish(struct me *me)
{
	struct queue *q = me->step->state;
	FACT(me, q->sent == q->got && q->count == 0);
	note(me, q->got);
	FACT(me, pthread_cond_destroy(&q->more) == 0 && pthread_cond_destroy(&q->less) == 0);
	FACT(me, pthread_mutex_destroy(&q->lock) == 0);
}

const struct kind kind_queue = {"queue",     2,		 10,	      0, sizeof(struct queue),
				queue_setup, queue_play, queue_finish};

/* turns: a condition each, woken one by one; the log has one order only. */
struct turns {
	pthread_mutex_t lock;
	pthread_cond_t mine[MAX_THREADS];
	clockid_t clocks[MAX_THREADS];
	unsigned turn;
	uint64_t log;
};

static void turns_setup(struct step *s, struct rng *r)
{
	struct turns *t = s->state;
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, (int)below(r, 3));
	pthread_mutex_init(&t->lock, &a);
	pthread_mutexattr_destroy(&a);
	for (unsigned i = 0; i < s->n; i++)
		cond_make(&t->mine[i], r, &t->clocks[i]);
}

static void turns_play(struct me *me)
{
	struct turns *t = me->step->state;
	unsigned n = me->step->n;
	for (unsigned i = 0; i < me->step->rounds; i++) {
		mutex_take(me, &t->lock);
		while (t->turn != i * n + me->role)
			cond_sleep(me, &t->mine[me->role], &t->lock, t->clocks[me->role]);
		t->log = mix(t->log + t->turn);
		t->turn++;
		unsigned after = (me->role + 1) % n;
		if (below(&me->noise, 2)) {
			FACT(me, pthread_cond_signal(&t->mine[after]) == 0);
			mutex_drop(me, &t->lock);
		} else {
			mutex_drop(me, &t->lock);
			FACT(me, pthread_cond_signal(&t->mine[after]) == 0);
		}
	}
}

static void turns_finish(struct me *me)
{
	struct turns *t = me->step->state;
	note(me, t->log);
	for (unsigned i = 0; i < me->step->n; i++)
		FACT(me, pthread_cond_destroy(&t->mine[i]) == 0);
	FACT(me, pthread_mutex_destroy(&t->lock) == 0);
}

const struct kind kind_turns = {"turns",     2,		 8,	      0, sizeof(struct turns),
				turns_setup, turns_play, turns_finish};

/* crowd: all wait until the last one of a round comes, who broadcasts. */
struct crowd {
	pthread_mutex_t lock;
	pthread_cond_t all;
	clockid_t clock;
	unsigned here, round;
};

static void crowd_setup(struct step *s, struct rng *r)
{
	struct crowd *c = s->state;
	pthread_mutex_init(&c->lock, NULL);
	cond_make(&c->all, r, &c->clock);
}

static void crowd_play(struct me *me)
{
	struct crowd *c = me->step->state;
	for (unsigned i = 0; i < me->step->rounds; i++) {
		mutex_take(me, &c->lock);
		FACT(me, c->round == i);
		if (++c->here == me->step->n) {
			c->here = 0;
			c->round++;
			FACT(me, pthread_cond_broadcast(&c->all) == 0);
		} else {
			while (c->round == i)
				cond_sleep(me, &c->all, &c->lock, c->clock);
		}
		mutex_drop(me, &c->lock);
	}
	note(me, c->round == me->step->rounds);
}

static void crowd_finish(struct me *me)
{
	struct crowd *c = me->step->state;
	FACT(me, c->round == me->step->rounds && c->here == 0);
	FACT(me, pthread_cond_destroy(&c->all) == 0);
	FACT(me, pthread_mutex_destroy(&c->lock) == 0);
}

const struct kind kind_crowd = {"crowd",     2,		 16,	      0, sizeof(struct crowd),
				crowd_setup, crowd_play, crowd_finish};

/* c11: a crowd, a counter and a once in C11's spelling. */
struct c11 {
	mtx_t lock;
	cnd_t all;
	unsigned here, round, calls;
	once_flag flag;
};
static unsigned *c11_calls; /* call_once passes no argument; one at a time */
static mtx_t c11_once_lock;
static once_flag c11_once_made = ONCE_FLAG_INIT;
static void c11_once_make(void)
{
	mtx_init(&c11_once_lock, mtx_plain);
}
static void c11_called(void)
{
	++*c11_calls;
}

static void c11_setup(struct step *s, struct rng *r)
{
	struct c11 *c = s->state;
	call_once(&c11_once_made, c11_once_make);
	mtx_init(&c->lock, below(r, 2) ? mtx_timed : mtx_timed | mtx_recursive);
	cnd_init(&c->all);
}

static void c11_play(struct me *me)
{
	struct c11 *c = me->step->state;
	mtx_lock(&c11_once_lock);
	c11_calls = &c->calls;
	call_once(&c->flag, c11_called);
	mtx_unlock(&c11_once_lock);
	for (unsigned i = 0; i < me->step->rounds; i++) {
		struct timespec at = in_ns(CLOCK_REALTIME, FAR_SECONDS * 1000000000ll);
		if (below(&me->noise, 2))
			FACT(me, WAITS(me, mtx_lock(&c->lock)) == thrd_success);
		else
			FACT(me, WAITS(me, mtx_timedlock(&c->lock, &at)) == thrd_success);
		if (++c->here == me->step->n) {
			c->here = 0;
			c->round++;
			cnd_broadcast(&c->all);
		} else {
			while (c->round == i)
				if (below(&me->noise, 2))
					FACT(me, WAITS(me, cnd_wait(&c->all, &c->lock)) ==
						     thrd_success);
				else
					FACT(me, WAITS(me, cnd_timedwait(&c->all, &c->lock, &at)) ==
						     thrd_success);
		}
		FACT(me, mtx_unlock(&c->lock) == thrd_success);
		thrd_yield();
	}
}

static void c11_finish(struct me *me)
{
	struct c11 *c = me->step->state;
	FACT(me, c->round == me->step->rounds && c->calls == 1);
	note(me, c->round);
	cnd_destroy(&c->all);
	mtx_destroy(&c->lock);
}

const struct kind kind_c11 = {"c11", 2, 8, 0, sizeof(struct c11), c11_setup, c11_play, c11_finish};

/* barrier: what was written before it is seen after it; one serial thread per round. */
struct rounds {
	pthread_barrier_t barrier;
	unsigned value[MAX_THREADS], serial;
};

static void barrier_setup(struct step *s, struct rng *r)
{
	(void)r;
	pthread_barrier_init(&((struct rounds *)s->state)->barrier, NULL, s->n);
}

static void barrier_play(struct me *me)
{
	struct rounds *b = me->step->state;
	for (unsigned i = 1; i <= me->step->rounds; i++) {
		b->value[me->role] = i;
		for (int half = 0; half < 2; half++) {
			int r = WAITS(me, pthread_barrier_wait(&b->barrier));
			FACT(me, r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
			if (r)
				__atomic_add_fetch(&b->serial, 1, __ATOMIC_RELAXED);
			for (unsigned k = 0; k < me->step->n && !half; k++)
				FACT(me, b->value[k] == i);
		}
	}
	note(me, b->value[me->role]);
}

static void barrier_finish(struct me *me)
{
	struct rounds *b = me->step->state;
	FACT(me, b->serial == 2 * me->step->rounds);
	note(me, b->serial);
	FACT(me, pthread_barrier_destroy(&b->barrier) == 0);
}

const struct kind kind_barrier = {
    "barrier", 1, 12, 0, sizeof(struct rounds), barrier_setup, barrier_play, barrier_finish};
