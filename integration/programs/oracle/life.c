/* Steps about the life of threads: families made, joined and detached in every way, and specific
 * data with its destructors.
 */
#include "oracle.h"

/* family: children with attributes, some with children of their own. */
struct family {
	sem_t gone; /* detached ones say good-bye here */
	unsigned born;
};

static void family_setup(struct step *s, struct rng *r)
{
	(void)r;
	sem_init(&((struct family *)s->state)->gone, 0, 0);
}

static __thread unsigned family_tls = 5;

/* A call that the compiler does not know to end the thread. */
static void (*volatile leave)(void *) = pthread_exit;

static void leave_deeply(unsigned depth, void *result)
{
	volatile char fill[64];
	memset((char *)fill, (int)depth, sizeof fill);
	if (depth == 0)
		leave(result);
	else
		leave_deeply(depth - 1, result);
	fill[0] = 0;
}

static void *family_child(struct me *me, void *arg)
{
	struct family *f = me->step->state;
	uintptr_t depth = (uintptr_t)arg;
	uint64_t sum = me->role;
	FACT(me, family_tls == 5);
	family_tls = me->role;
	__atomic_add_fetch(&f->born, 1, __ATOMIC_SEQ_CST);
	pause_a_bit(me);
	if (depth > 0) {
		struct helper h;
		pthread_t t;
		FACT(me, helper_start(me, &h, NULL, me->role * 3, family_child, (void *)(depth - 1),
				      &t) == 0);
		sum = sum * 31 + (uintptr_t)helper_join(me, t);
	}
	FACT(me, family_tls == me->role);
	if (below(&me->noise, 3) == 0)
		leave_deeply(below(&me->noise, 8), (void *)(uintptr_t)sum);
	return (void *)(uintptr_t)sum;
}

static void *family_detached(struct me *me, void *arg)
{
	struct family *f = me->step->state;
	struct helper *own = arg;
	if (below(&me->noise, 2))
		pause_a_bit(me);
	__atomic_add_fetch(&f->born, 1, __ATOMIC_SEQ_CST);
	FACT(me, sem_post(&f->gone) == 0); /* the last touch of the step's memory */
	free(own);			   /* `me` is in there */
	return NULL;
}

static void family_join(struct me *me, pthread_t t)
{
	struct timespec at = in_ns(CLOCK_REALTIME, FAR_SECONDS * 1000000000ll);
	struct timespec mono = in_ns(CLOCK_MONOTONIC, FAR_SECONDS * 1000000000ll);
	void *result = NULL;
	int r;
	switch (below(&me->noise, 4)) {
	case 0:
		while ((r = pthread_tryjoin_np(t, &result)) == EBUSY)
			sched_yield();
		break;
	case 1:
		r = WAITS(me, pthread_timedjoin_np(t, &result, &at));
		break;
	case 2:
		r = WAITS(me, pthread_clockjoin_np(t, &result, CLOCK_MONOTONIC, &mono));
		break;
	default:
		r = WAITS(me, pthread_join(t, &result));
		break;
	}
	FACT(me, r == 0);
	note(me, (uintptr_t)result);
}

static void family_play(struct me *me)
{
	static const size_t sizes[] = {32 << 10, 100 << 10, 512 << 10, 4 << 20};
	struct family *f = me->step->state;
	struct helper h[4];
	pthread_t t[4], mine = pthread_self();
	unsigned n = 1 + below(&me->rng, 4), detached = below(&me->rng, 3);
	if (!me->program->threads[me->thread].detached)
		FACT(me, pthread_join(mine, NULL) == EDEADLK);
	for (unsigned i = 0; i < n; i++) {
		pthread_attr_t a;
		pthread_attr_init(&a);
		if (below(&me->noise, 2))
			FACT(me, pthread_attr_setstacksize(&a, sizes[below(&me->noise, 4)]) == 0);
		uintptr_t depth = below(&me->rng, 3);
		FACT(me,
		     helper_start(me, &h[i], &a, i + 1, family_child, (void *)depth, &t[i]) == 0);
		pthread_attr_destroy(&a);
	}
	for (unsigned i = 0; i < detached; i++) {
		struct helper *own = malloc(sizeof *own);
		pthread_attr_t a;
		pthread_t gone;
		bool by_attr = below(&me->noise, 2);
		pthread_attr_init(&a);
		if (by_attr)
			pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
		FACT(me, helper_start(me, own, &a, 20 + i, family_detached, own, &gone) == 0);
		if (!by_attr)
			FACT(me, pthread_detach(gone) == 0);
		pthread_attr_destroy(&a);
	}
	pause_a_bit(me);
	for (unsigned i = 0; i < n; i++)
		family_join(me, t[i]);
	for (unsigned i = 0; i < detached; i++)
		sem_take(me, &f->gone);
}

static void family_finish(struct me *me)
{
	struct family *f = me->step->state;
	note(me, f->born);
	FACT(me, sem_destroy(&f->gone) == 0);
}

const struct kind kind_family = {
    "family", 1, 3, 0, sizeof(struct family), family_setup, family_play, family_finish};

/* specific: values per thread and key; destructors run once per value, again when they set one. */
enum { KEYS = 3 };
struct specific {
	pthread_key_t keys[KEYS];
};
struct value {
	unsigned key, again;
	pthread_key_t where;
	unsigned *ended;
};

static void value_end(void *arg)
{
	struct value *v = arg;
	__atomic_add_fetch(v->ended, 1, __ATOMIC_SEQ_CST);
	if (v->again--)
		pthread_setspecific(v->where, v);
	else
		free(v);
}

static void specific_setup(struct step *s, struct rng *r)
{
	(void)r;
	struct specific *p = s->state;
	for (int k = 0; k < KEYS; k++)
		if (pthread_key_create(&p->keys[k], value_end) != 0)
			abort();
}

static void *specific_thread(struct me *me, void *arg)
{
	struct specific *p = me->step->state;
	struct value *mine[KEYS];
	for (int k = 0; k < KEYS; k++) {
		FACT(me, pthread_getspecific(p->keys[k]) == NULL);
		mine[k] = malloc(sizeof *mine[k]);
		*mine[k] =
		    (struct value){.again = below(&me->rng, 3), .where = p->keys[k], .ended = arg};
		note(me, mine[k]->again);
		FACT(me, pthread_setspecific(p->keys[k], mine[k]) == 0);
		pause_a_bit(me);
	}
	for (int k = 0; k < KEYS; k++)
		FACT(me, pthread_getspecific(p->keys[k]) == mine[k]);
	if (below(&me->noise, 2))
		pthread_exit((void *)(uintptr_t)me->hash);
	return (void *)(uintptr_t)me->hash;
}

static void specific_play(struct me *me)
{
	struct specific *p = me->step->state;
	unsigned ended = 0;
	for (int k = 0; k < KEYS; k++)
		FACT(me, pthread_setspecific(p->keys[k], NULL) == 0);
	for (unsigned i = 0; i < 1 + me->step->rounds % 3; i++) {
		struct helper h;
		pthread_t t;
		FACT(me, helper_start(me, &h, NULL, 30 + i, specific_thread, &ended, &t) == 0);
		note(me, (uintptr_t)helper_join(me, t));
		note(me, ended);
	}
}

static void specific_finish(struct me *me)
{
	struct specific *p = me->step->state;
	for (int k = 0; k < KEYS; k++)
		FACT(me, pthread_key_delete(p->keys[k]) == 0);
}

const struct kind kind_specific = {
    "specific", 1, 3, 0, sizeof(struct specific), specific_setup, specific_play, specific_finish};
