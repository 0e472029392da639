/* Steps about mutual exclusion: counters, philosophers, spin locks, read-write locks, dead owners.
 *
 * Each increments in two halves with a pause between, so that a lock granted twice loses one.
 */
#include "oracle.h"

/* counter: every kind of mutex. */
struct counter {
	pthread_mutex_t lock;
	int type;
	uint64_t value;
};

static void counter_setup(struct step *s, struct rng *r)
{
	struct counter *c = s->state;
	static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
				    PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP};
	pthread_mutexattr_t a;
	c->type = types[below(r, 4)];
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, c->type);
	if (below(r, 8) == 0)
		pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&c->lock, &a);
	pthread_mutexattr_destroy(&a);
}

static void counter_play(struct me *me)
{
	struct counter *c = me->step->state;
	for (unsigned i = 0; i < me->step->rounds; i++) {
		mutex_take(me, &c->lock);
		uint64_t seen = c->value;
		if (c->type == PTHREAD_MUTEX_RECURSIVE) {
			FACT(me, pthread_mutex_trylock(&c->lock) == 0);
			mutex_take(me, &c->lock);
			mutex_drop(me, &c->lock);
		} else if (c->type == PTHREAD_MUTEX_ERRORCHECK) {
			FACT(me, pthread_mutex_lock(&c->lock) == EDEADLK);
		} else {
			FACT(me, pthread_mutex_trylock(&c->lock) == EBUSY);
		}
		pause_a_bit(me);
		if (c->type == PTHREAD_MUTEX_RECURSIVE)
			mutex_drop(me, &c->lock);
		c->value = seen + 1;
		mutex_drop(me, &c->lock);
		if (c->type == PTHREAD_MUTEX_ERRORCHECK || c->type == PTHREAD_MUTEX_RECURSIVE)
			FACT(me, pthread_mutex_unlock(&c->lock) == EPERM);
	}
	note(me, me->step->rounds);
}

static void counter_finish(struct me *me)
{
	struct counter *c = me->step->state;
	FACT(me, c->value == (uint64_t)me->step->n * me->step->rounds);
	FACT(me, pthread_mutex_destroy(&c->lock) == 0);
	note(me, c->value);
}

const struct kind kind_counter = {
    "counter", 2, 10, 0, sizeof(struct counter), counter_setup, counter_play, counter_finish};

/* philosophers: several locks at once, in order. */
enum { FORKS = 5 };
struct table {
	pthread_mutex_t forks[FORKS];
	uint64_t eaten[FORKS], expected[FORKS];
};

static void philosophers_setup(struct step *s, struct rng *r)
{
	(void)r;
	struct table *t = s->state;
	static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
	for (int i = 0; i < FORKS; i++)
		t->forks[i] = fresh;
}

static void philosophers_play(struct me *me)
{
	struct table *t = me->step->state;
	for (unsigned i = 0; i < me->step->rounds; i++) {
		unsigned set = 1 + below(&me->rng, (1u << FORKS) - 1);
		note(me, set);
		for (int f = 0; f < FORKS; f++)
			if (set & 1u << f) {
				mutex_take(me, &t->forks[f]);
				__atomic_add_fetch(&t->expected[f], 1, __ATOMIC_RELAXED);
			}
		uint64_t seen[FORKS];
		for (int f = 0; f < FORKS; f++)
			if (set & 1u << f)
				seen[f] = t->eaten[f];
		pause_a_bit(me);
		for (int f = 0; f < FORKS; f++)
			if (set & 1u << f) {
				t->eaten[f] = seen[f] + 1;
				mutex_drop(me, &t->forks[f]);
			}
	}
}

static void philosophers_finish(struct me *me)
{
	struct table *t = me->step->state;
	for (int f = 0; f < FORKS; f++) {
		FACT(me, t->eaten[f] == t->expected[f]);
		note(me, t->eaten[f]);
		FACT(me, pthread_mutex_destroy(&t->forks[f]) == 0);
	}
}

const struct kind kind_philosophers = {
    "philosophers",	2, 8, 0, sizeof(struct table), philosophers_setup, philosophers_play,
    philosophers_finish};

/* spin: the holder does not pause for long. */
struct spin {
	pthread_spinlock_t lock;
	uint64_t value;
};

static void spin_setup(struct step *s, struct rng *r)
{
	pthread_spin_init(&((struct spin *)s->state)->lock, (int)below(r, 2));
}

static void spin_play(struct me *me)
{
	struct spin *s = me->step->state;
	for (unsigned i = 0; i < me->step->rounds; i++) {
		if (below(&me->noise, 3) == 0)
			while (pthread_spin_trylock(&s->lock) == EBUSY)
				sched_yield();
		else
			FACT(me, WAITS(me, pthread_spin_lock(&s->lock)) == 0);
		uint64_t seen = s->value;
		if (below(&me->noise, 8) == 0)
			sched_yield();
		s->value = seen + 1;
		FACT(me, pthread_spin_unlock(&s->lock) == 0);
	}
}

static void spin_finish(struct me *me)
{
	struct spin *s = me->step->state;
	FACT(me, s->value == (uint64_t)me->step->n * me->step->rounds);
	note(me, s->value);
	pthread_spin_destroy(&s->lock);
}

const struct kind kind_spin = {"spin",	   2,	      5,	  RARE, sizeof(struct spin),
			       spin_setup, spin_play, spin_finish};

/* rwlock: writers change two words, readers see them equal. */
struct pair {
	pthread_rwlock_t lock;
	uint64_t a, b, written;
	unsigned inside;
};

static void rwlock_setup(struct step *s, struct rng *r)
{
	static const int kinds[] = {PTHREAD_RWLOCK_PREFER_READER_NP,
				    PTHREAD_RWLOCK_PREFER_WRITER_NP,
				    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP};
	pthread_rwlockattr_t a;
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, kinds[below(r, 3)]);
	pthread_rwlock_init(&((struct pair *)s->state)->lock, &a);
	pthread_rwlockattr_destroy(&a);
}

static void rwlock_take(struct me *me, pthread_rwlock_t *l, bool write)
{
	unsigned way = below(&me->noise, 7);
	struct timespec at;
	int r;
	if (way == 0) {
		while ((r = write ? pthread_rwlock_trywrlock(l) : pthread_rwlock_tryrdlock(l)) ==
		       EBUSY)
			sched_yield();
	} else if (way <= 2) {
		int64_t limit = way == 1 ? FAR_SECONDS * 1000000000ll : 0;
		do {
			at = in_ns(CLOCK_REALTIME, limit ? limit : 1000 * below(&me->noise, 200));
			r = write ? WAITS(me, pthread_rwlock_timedwrlock(l, &at))
				  : WAITS(me, pthread_rwlock_timedrdlock(l, &at));
		} while (!limit && r == ETIMEDOUT);
	} else if (way == 3) {
		at = in_ns(CLOCK_MONOTONIC, FAR_SECONDS * 1000000000ll);
		r = write ? WAITS(me, pthread_rwlock_clockwrlock(l, CLOCK_MONOTONIC, &at))
			  : WAITS(me, pthread_rwlock_clockrdlock(l, CLOCK_MONOTONIC, &at));
	} else {
		r = write ? WAITS(me, pthread_rwlock_wrlock(l))
			  : WAITS(me, pthread_rwlock_rdlock(l));
	}
	FACT(me, r == 0);
}

static void rwlock_play(struct me *me)
{
	struct pair *p = me->step->state;
	for (unsigned i = 0; i < me->step->rounds; i++) {
		bool write = below(&me->rng, 3) == 0;
		rwlock_take(me, &p->lock, write);
		if (write) {
			FACT(me, __atomic_add_fetch(&p->inside, 1, __ATOMIC_SEQ_CST) == 1);
			FACT(me, pthread_rwlock_tryrdlock(&p->lock) == EBUSY);
			p->a++;
			pause_a_bit(me);
			p->b++;
			__atomic_sub_fetch(&p->inside, 1, __ATOMIC_SEQ_CST);
			__atomic_add_fetch(&p->written, 1, __ATOMIC_RELAXED);
		} else {
			uint64_t a = p->a;
			FACT(me, pthread_rwlock_trywrlock(&p->lock) == EBUSY);
			pause_a_bit(me);
			FACT(me, a == p->b);
		}
		FACT(me, pthread_rwlock_unlock(&p->lock) == 0);
		note(me, write);
	}
}

static void rwlock_finish(struct me *me)
{
	struct pair *p = me->step->state;
	FACT(me, p->a == p->written && p->b == p->written);
	note(me, p->a);
	FACT(me, pthread_rwlock_destroy(&p->lock) == 0);
}

const struct kind kind_rwlock = {"rwlock",     2,	    10,		  0, sizeof(struct pair),
				 rwlock_setup, rwlock_play, rwlock_finish};

/* robust: owners die, each death is told to exactly one successor. */
struct robust {
	pthread_mutex_t lock;
	uint64_t value, deaths, told;
};

static void robust_setup(struct step *s, struct rng *r)
{
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&a, (int)below(r, 2));
	pthread_mutex_init(&((struct robust *)s->state)->lock, &a);
	pthread_mutexattr_destroy(&a);
}

static void robust_take(struct me *me, struct robust *b)
{
	int r = WAITS(me, pthread_mutex_lock(&b->lock));
	FACT(me, r == 0 || r == EOWNERDEAD);
	if (r == EOWNERDEAD) {
		b->told++;
		FACT(me, pthread_mutex_consistent(&b->lock) == 0);
	}
}

static void *robust_dies(struct me *me, void *arg)
{
	struct robust *b = arg;
	robust_take(me, b);
	b->value++;
	b->deaths++;
	return NULL;
}

static void robust_play(struct me *me)
{
	struct robust *b = me->step->state;
	struct helper h;
	pthread_t t;
	unsigned rounds = 1 + me->step->rounds % 3;
	for (unsigned i = 0; i < rounds; i++) {
		FACT(me, helper_start(me, &h, NULL, 50, robust_dies, b, &t) == 0);
		if (below(&me->noise, 2)) {
			robust_take(me, b);
			b->value++;
			mutex_drop(me, &b->lock);
			helper_join(me, t);
		} else {
			helper_join(me, t);
			robust_take(me, b);
			b->value++;
			mutex_drop(me, &b->lock);
		}
	}
	note(me, rounds);
}

static void robust_finish(struct me *me)
{
	struct robust *b = me->step->state;
	robust_take(me, b);
	mutex_drop(me, &b->lock);
	FACT(me, b->told == b->deaths && b->value == 2 * b->deaths);
	note(me, b->value);
	FACT(me, pthread_mutex_destroy(&b->lock) == 0);
}

const struct kind kind_robust = {
    "robust", 1, 3, RARE, sizeof(struct robust), robust_setup, robust_play, robust_finish};
