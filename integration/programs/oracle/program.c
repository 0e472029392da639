/* A seed becomes a program, and a program runs.
 *
 * Owns: the choice of steps and roles, the tree of threads, the disturber.  Must not know: what the
 * steps do.
 */
#include "oracle.h"

static const struct kind *const kinds[] = {
#define K(name) &kind_##name,
    KINDS(K)
#undef K
};
enum { NKINDS = sizeof kinds / sizeof kinds[0] };

static unsigned threads_wanted(struct rng *r)
{
	unsigned sort = below(r, 20);
	return sort < 14 ? 2 + below(r, 4) : sort < 19 ? 4 + below(r, 6) : 8 + below(r, 16);
}

/* Roles go to different threads, in random order. */
static void cast_roles(struct step *s, struct program *p, struct rng *r)
{
	uint8_t pool[MAX_THREADS];
	unsigned n = 0, most = s->kind->max;
	for (unsigned t = 0; t < p->nthreads; t++)
		if (!(s->kind->flags & NOT_DETACHED && p->threads[t].detached))
			pool[n++] = (uint8_t)t;
	if (most > n)
		most = n;
	if (most < s->kind->min) {
		s->n = 0;
		return;
	}
	s->n = s->kind->min + below(r, most - s->kind->min + 1);
	for (unsigned i = 0; i < s->n; i++) {
		unsigned j = i + below(r, n - i);
		s->who[i] = pool[j];
		pool[j] = pool[i];
	}
}

static bool plays(const struct step *s, unsigned t)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->who[i] == t)
			return true;
	return false;
}

/* Who exists, and when it is made: after its parent, before its first step. */
static void plan_births(struct program *p, struct rng *r)
{
	for (unsigned t = p->nthreads; t-- > 1;) {
		struct thread *th = &p->threads[t];
		unsigned first = p->nsteps;
		for (unsigned k = p->nsteps; k-- > 0;)
			if (plays(&p->steps[k], t))
				first = k;
		for (unsigned c = t + 1; c < p->nthreads; c++) /* children are planned already */
			if (p->threads[c].alive && p->threads[c].parent == t &&
			    p->threads[c].birth < first)
				first = p->threads[c].birth;
		th->alive = first < p->nsteps;
		th->birth = first ? below(r, first + 1) : 0;
	}
	p->threads[0].alive = true;
	for (unsigned t = 1; t < p->nthreads; t++)
		p->detached_left += p->threads[t].alive && p->threads[t].detached;
}

void program_make(struct program *p, uint64_t seed, const bool *wanted, const char *without,
		  unsigned max_rounds)
{
	struct rng r = {mix(seed + 0x0123456789abcdefull)}, births = {mix(seed) + 7};
	memset(p, 0, sizeof *p);
	p->seed = seed;
	p->nthreads = threads_wanted(&r);
	p->disturbed = below(&r, 6) == 0;
	for (unsigned t = 0; t < p->nthreads; t++) {
		struct thread *th = &p->threads[t];
		th->parent = t && below(&r, 3) == 0 ? below(&r, t) : 0;
		th->detached = t && below(&r, 6) == 0;
		th->detach_how = below(&r, 3);
		/* A detached parent may be gone before its child is: main joins that one. */
		th->joiner = p->threads[th->parent].detached || below(&r, 2) ? 0 : th->parent;
		if (p->threads[th->parent].detached)
			th->detached = true;
		th->noise = draw(&r);
	}
	unsigned nsteps = 2 + below(&r, 7), signals = 0;
	for (unsigned k = 0; k < nsteps; k++) {
		struct step *s = &p->steps[p->nsteps++];
		do
			s->kind = kinds[below(&r, NKINDS)];
		while ((s->kind->flags & RARE && below(&r, 4)) ||
		       (s->kind->flags & CALM && p->disturbed));
		s->index = k;
		s->seed = draw(&r);
		s->rounds = 1 + below(&r, below(&r, 4) ? 5 : 25);
		if (max_rounds && s->rounds > max_rounds)
			s->rounds = max_rounds;
		cast_roles(s, p, &r);
		if (s->kind->flags & WANTS_SIGNAL)
			s->signo = SIGRTMIN + 1 + (int)signals++;
		if ((wanted && !wanted[k]) || (without && strstr(without, s->kind->name)))
			s->n = 0;
	}
	plan_births(p, &births);
}

void program_show(const struct program *p, FILE *out)
{
	fprintf(out, "program %llu: %u threads, %u steps%s\n", (unsigned long long)p->seed,
		p->nthreads, p->nsteps, p->disturbed ? ", disturbed by signals" : "");
	for (unsigned t = 1; t < p->nthreads; t++)
		if (p->threads[t].alive)
			fprintf(out, "  thread %u: made by %u before step %u, %s\n", t,
				p->threads[t].parent, p->threads[t].birth,
				p->threads[t].detached ? "detached" : "joined");
	for (unsigned k = 0; k < p->nsteps; k++) {
		if (!p->steps[k].n)
			continue;
		fprintf(out, "  step %u: %s, %u rounds, threads", k, p->steps[k].kind->name,
			p->steps[k].rounds);
		for (unsigned i = 0; i < p->steps[k].n; i++)
			fprintf(out, " %u", p->steps[k].who[i]);
		fputc('\n', out);
	}
}

struct start {
	struct program *p;
	unsigned thread;
};

static void run_steps(struct me *me);

static void *thread_main(void *arg)
{
	struct start st = *(struct start *)arg;
	struct thread *th = &st.p->threads[st.thread];
	struct me me = {.program = st.p, .thread = st.thread, .noise = {th->noise}};
	free(arg);
	me.spot = spot_take(st.thread);
	if (th->detached && th->detach_how == 2)
		FACT(&me, pthread_detach(pthread_self()) == 0);
	identity_begin(&me);
	run_steps(&me);
	me.spot->used = 0;
	if (th->detached) { /* the last touch: main may free everything after the unlock */
		mutex_take(&me, &st.p->lock);
		if (--st.p->detached_left == 0)
			pthread_cond_signal(&st.p->less);
		pthread_mutex_unlock(&st.p->lock);
	}
	return (void *)(uintptr_t)(st.thread * 3 + 1);
}

static void give_birth(struct me *me, unsigned t)
{
	struct program *p = me->program;
	struct thread *th = &p->threads[t];
	struct start *st = malloc(sizeof *st);
	static const size_t sizes[] = {64 << 10, 256 << 10, 1 << 20, 8 << 20};
	pthread_attr_t a;
	*st = (struct start){p, t};
	pthread_attr_init(&a);
	if (below(&me->noise, 3) == 0)
		FACT(me, pthread_attr_setstacksize(&a, sizes[below(&me->noise, 4)]) == 0);
	if (below(&me->noise, 8) == 0)
		FACT(me, pthread_attr_setguardsize(&a, 8192 * below(&me->noise, 3)) == 0);
	if (th->detached && th->detach_how == 0)
		pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	bool joined = !th->detached;
	bool detach = th->detached && th->detach_how == 1;
	pthread_t handle;
	FACT(me, pthread_create(&handle, &a, thread_main, st) == 0);
	if (detach)
		FACT(me, pthread_detach(handle) == 0);
	if (joined) {
		th->handle = handle;
		__atomic_store_n(&th->reached, 1, __ATOMIC_RELEASE);
	}
	pthread_attr_destroy(&a);
}

static void join_children(struct me *me, unsigned joiner)
{
	struct program *p = me->program;
	for (unsigned t = 1; t < p->nthreads; t++) {
		struct thread *th = &p->threads[t];
		if (!th->alive || th->detached || th->joiner != joiner)
			continue;
		me->spot->role = (int)t;
		FACT(me, helper_join(me, th->handle) == (void *)(uintptr_t)(t * 3 + 1));
	}
}

static void run_steps(struct me *me)
{
	struct program *p = me->program;
	for (unsigned k = 0; k < p->nsteps; k++) {
		struct step *s = &p->steps[k];
		me->spot->step = (int)k;
		for (unsigned t = me->thread + 1; t < p->nthreads; t++)
			if (p->threads[t].alive && p->threads[t].parent == me->thread &&
			    p->threads[t].birth == k)
				give_birth(me, t);
		for (unsigned i = 0; i < s->n; i++) {
			if (s->who[i] != me->thread)
				continue;
			me->step = s;
			me->role = i;
			me->spot->role = (int)i;
			me->hash = mix(s->seed) + i;
			me->rng.state = mix(s->seed + i * 977);
			me->interrupted = false;
			pause_a_bit(me);
			s->kind->play(me);
			__atomic_add_fetch(&p->sum, mix(me->hash), __ATOMIC_SEQ_CST);
			identity_check(me);
		}
	}
	me->step = NULL;
	me->spot->step = -1;
	if (me->thread != 0)
		join_children(me, me->thread);
}

/* The disturber: signals whose handler does nothing, at threads that main will join. */
static int disturber_stop;
static void on_disturb(int sig)
{
	(void)sig;
}

static void *disturb(void *arg)
{
	struct program *p = arg;
	struct rng r = {p->seed};
	struct me me = {.program = p, .spot = spot_take(99)};
	for (unsigned shots = 0; shots < 400; shots++) {
		if (__atomic_load_n(&disturber_stop, __ATOMIC_ACQUIRE))
			break;
		struct thread *th = &p->threads[below(&r, p->nthreads)];
		if (th->joiner == 0 && __atomic_load_n(&th->reached, __ATOMIC_ACQUIRE))
			FACT(&me, pthread_kill(th->handle, SIGUSR2) == 0);
		struct timespec ts = {.tv_nsec = 1000 + below(&r, 100000)};
		nanosleep(&ts, NULL);
	}
	return NULL;
}

uint64_t program_run(struct program *p)
{
	struct me me = {.program = p, .noise = {p->seed}};
	pthread_t disturber;
	__atomic_store_n(spots_used, 0, __ATOMIC_SEQ_CST);
	memset(spots, 0, sizeof(struct spot) * MAX_SPOTS);
	me.spot = spot_take(0);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->less, NULL);
	int lowest = dup(0);
	close(lowest);

	sigset_t usr2;
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	/* Everything is blocked from the start; disturbed programs let one signal through. */
	pthread_sigmask(p->disturbed ? SIG_UNBLOCK : SIG_BLOCK, &usr2, NULL);
	struct sigaction sa = {.sa_handler = on_disturb,
			       .sa_flags = below(&me.noise, 2) ? SA_RESTART : 0};
	sigaction(SIGUSR2, &sa, NULL);

	for (unsigned k = 0; k < p->nsteps; k++) {
		struct step *s = &p->steps[k];
		struct rng r = {s->seed};
		s->state = s->n ? calloc(1, s->kind->size + 1) : NULL;
		if (s->n && s->kind->setup)
			s->kind->setup(s, &r);
	}
	identity_begin(&me);
	if (p->disturbed) {
		disturber_stop = 0;
		p->threads[0].handle = pthread_self();
		p->threads[0].reached = 1;
		FACT(&me, pthread_create(&disturber, NULL, disturb, p) == 0);
	}
	run_steps(&me);
	if (p->disturbed) {
		__atomic_store_n(&disturber_stop, 1, __ATOMIC_RELEASE);
		helper_join(&me, disturber);
	}
	join_children(&me, 0);
	mutex_take(&me, &p->lock);
	while (p->detached_left)
		cond_sleep(&me, &p->less, &p->lock, CLOCK_REALTIME);
	mutex_drop(&me, &p->lock);
	FACT(&me, pthread_mutex_destroy(&p->lock) == 0);
	FACT(&me, pthread_cond_destroy(&p->less) == 0);

	for (unsigned k = 0; k < p->nsteps; k++) {
		struct step *s = &p->steps[k];
		me.step = s;
		me.role = 99;
		me.rng.state = s->seed;
		me.hash = mix(s->seed);
		if (s->n && s->kind->finish)
			s->kind->finish(&me);
		p->sum += mix(me.hash);
		free(s->state);
	}
	me.step = NULL;
	/* No descriptor leaked.  A number may be somebody else's for a moment: a leak lasts. */
	int after = lowest + 1;
	for (int tries = 0; tries < 50 && after > lowest; tries++) {
		struct timespec ts = {.tv_nsec = tries * 100000};
		nanosleep(&ts, NULL);
		after = dup(0);
		close(after);
	}
	FACT(&me, after <= lowest);
	return p->sum;
}
