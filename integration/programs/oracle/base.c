/* What all steps use: facts, pauses, helpers, and the many ways to take a lock or a token.
 *
 * Owns: the failure count, the spots.  Must not know: what a step does.
 */
#include "oracle.h"

struct spot *spots;
unsigned *spots_used;
unsigned facts_failed;

void fact(struct me *me, bool holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	int err = errno;
	const char *base = strrchr(file, '/');
	if (__atomic_add_fetch(&facts_failed, 1, __ATOMIC_SEQ_CST) > 20)
		return;
	fprintf(stderr, "FAIL seed %llu step %d %s role %u: %s (%s:%d, errno %d)\n",
		(unsigned long long)me->program->seed, me->step ? (int)me->step->index : -1,
		me->step ? me->step->kind->name : "-", me->role, what, base ? base + 1 : file, line,
		err);
}

bool interrupted(struct me *me)
{
	FACT(me, me->interrupted || me->program->disturbed);
	return true;
}

struct spot *spot_take(unsigned thread)
{
	static struct spot overflow;
	unsigned i = __atomic_fetch_add(spots_used, 1, __ATOMIC_SEQ_CST);
	struct spot *s = i < MAX_SPOTS ? &spots[i] : &overflow;
	*s = (struct spot){.used = 1, .thread = (int)thread, .step = -1};
	return s;
}

int64_t now_ns(clockid_t c)
{
	struct timespec ts;
	clock_gettime(c, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

struct timespec in_ns(clockid_t c, int64_t ns)
{
	int64_t at = now_ns(c) + ns;
	return (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
}

void pause_a_bit(struct me *me)
{
	switch (below(&me->noise, 24)) {
	case 0:
	case 1:
	case 2:
		sched_yield();
		break;
	case 3: {
		struct timespec ts = {.tv_nsec = 1000 + below(&me->noise, 60000)};
		while (WAITS(me, nanosleep(&ts, &ts)) != 0 && interrupted(me))
			;
		break;
	}
	case 4:
		for (volatile unsigned i = 0; i < 4000; i++)
			;
		break;
	case 5: {
		size_t n = 1 + below(&me->noise, 3000);
		char *p = malloc(n);
		memset(p, 1, n);
		free(p);
		break;
	}
	default:
		break;
	}
}

static void *helper_main(void *arg)
{
	struct helper *h = arg;
	h->me.spot = spot_take(h->me.thread);
	h->me.spot->step = (int)h->me.step->index;
	h->me.spot->role = (int)h->me.role;
	return h->run(&h->me, h->arg);
}

int helper_start(struct me *me, struct helper *h, const pthread_attr_t *a, unsigned role,
		 void *(*run)(struct me *, void *), void *arg, pthread_t *t)
{
	h->me = *me;
	h->me.role = role;
	h->me.rng.state = mix(me->step->seed + role * 977);
	h->me.noise.state = draw(&me->noise);
	h->me.hash = 0;
	h->run = run;
	h->arg = arg;
	return pthread_create(t, a, helper_main, h);
}

void *helper_join(struct me *me, pthread_t t)
{
	void *result = NULL;
	FACT(me, WAITS(me, pthread_join(t, &result)) == 0);
	return result;
}

void mutex_take(struct me *me, pthread_mutex_t *m)
{
	struct timespec at;
	int r;
	switch (below(&me->noise, 8)) {
	case 0:
		while ((r = pthread_mutex_trylock(m)) == EBUSY)
			sched_yield();
		break;
	case 1:
		at = in_ns(CLOCK_REALTIME, FAR_SECONDS * 1000000000ll);
		r = WAITS(me, pthread_mutex_timedlock(m, &at));
		break;
	case 2:
		at = in_ns(CLOCK_MONOTONIC, FAR_SECONDS * 1000000000ll);
		r = WAITS(me, pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &at));
		break;
	case 3:
		do { /* the limit and the unlock race */
			at = in_ns(CLOCK_REALTIME, 1000 * below(&me->noise, 200));
			r = WAITS(me, pthread_mutex_timedlock(m, &at));
		} while (r == ETIMEDOUT);
		break;
	default:
		r = WAITS(me, pthread_mutex_lock(m));
		break;
	}
	FACT(me, r == 0);
}

void mutex_drop(struct me *me, pthread_mutex_t *m)
{
	FACT(me, pthread_mutex_unlock(m) == 0);
}

void cond_make(pthread_cond_t *c, struct rng *r, clockid_t *clock)
{
	pthread_condattr_t a;
	*clock = below(r, 2) ? CLOCK_MONOTONIC : CLOCK_REALTIME;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, *clock);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

void cond_sleep(struct me *me, pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock)
{
	struct timespec at;
	clockid_t other = below(&me->noise, 2) ? CLOCK_MONOTONIC : CLOCK_REALTIME;
	bool near = false;
	int r;
	switch (below(&me->noise, 6)) {
	case 0:
		at = in_ns(clock, FAR_SECONDS * 1000000000ll);
		r = WAITS(me, pthread_cond_timedwait(c, m, &at));
		break;
	case 1:
		at = in_ns(other, FAR_SECONDS * 1000000000ll);
		r = WAITS(me, pthread_cond_clockwait(c, m, other, &at));
		break;
	case 2: /* the limit and the signal race */
		near = true;
		at = in_ns(clock, 1000 * below(&me->noise, 300));
		r = WAITS(me, pthread_cond_timedwait(c, m, &at));
		break;
	default:
		r = WAITS(me, pthread_cond_wait(c, m));
		break;
	}
	FACT(me, r == 0 || (near && r == ETIMEDOUT));
}

void sem_take(struct me *me, sem_t *s)
{
	struct timespec at;
	int r;
	switch (below(&me->noise, 8)) {
	case 0:
		while ((r = sem_trywait(s)) != 0 && errno == EAGAIN)
			sched_yield();
		break;
	case 1:
		at = in_ns(CLOCK_REALTIME, FAR_SECONDS * 1000000000ll);
		r = AGAIN(me, sem_timedwait(s, &at));
		break;
	case 2:
		at = in_ns(CLOCK_MONOTONIC, FAR_SECONDS * 1000000000ll);
		r = AGAIN(me, sem_clockwait(s, CLOCK_MONOTONIC, &at));
		break;
	case 3:
		do {
			at = in_ns(CLOCK_REALTIME, 1000 * below(&me->noise, 200));
			r = AGAIN(me, sem_timedwait(s, &at));
		} while (r == -1 && errno == ETIMEDOUT);
		break;
	default:
		r = AGAIN(me, sem_wait(s));
		break;
	}
	FACT(me, r == 0);
}

void sem_give(struct me *me, sem_t *s)
{
	FACT(me, sem_post(s) == 0);
}

void write_all(struct me *me, int fd, const void *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = AGAIN(me, write(fd, (const char *)buf + done, n - done));
		FACT(me, r > 0);
		if (r <= 0)
			return;
		done += (size_t)r;
	}
}

size_t read_all(struct me *me, int fd, void *buf, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = AGAIN(me, read(fd, (char *)buf + done, n - done));
		FACT(me, r >= 0);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	return done;
}
