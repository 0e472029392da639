/* The oracle's vocabulary: what a random program is made of.
 *
 * A program is a tree of threads and a list of steps.  A step is a meeting of some of the threads,
 * each in a role; every thread plays its steps in the order of the list.  A step needs only threads
 * that are in it, ends by itself, and keeps no lock: so the first step that is not over can always
 * go on, and no program can deadlock.  Whatever a role notes must not depend on the schedule; what
 * does (waiting one way or another, pausing) is drawn from `noise`.
 *
 * Owns: struct program, step, me; the checks; random numbers.  Must not know: greenhook.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 24, MAX_STEPS = 16, MAX_SPOTS = 128, FAR_SECONDS = 300 };

struct rng {
	uint64_t state;
};

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static inline uint64_t draw(struct rng *r)
{
	return mix(r->state += 0x9e3779b97f4a7c15);
}

static inline unsigned below(struct rng *r, unsigned n)
{
	return (unsigned)((draw(r) >> 33) % n);
}

/* Where a thread is, in memory that the watchdog's process shares. */
struct spot {
	int used, thread, step, role;
	int line; /* > 0: in the call on that line; < 0: past it */
	const char *file;
};

struct step {
	const struct kind *kind;
	unsigned index, n, rounds;
	uint8_t who[MAX_THREADS]; /* thread of each role */
	uint64_t seed;
	void *state; /* kind->size bytes of zeroes */
	int signo;   /* of this step alone, when the kind wants one */
};

struct thread {
	pthread_t handle;
	unsigned parent, birth; /* made by parent before its step `birth` */
	bool alive;		/* it has steps, or children */
	bool detached;
	unsigned detach_how, joiner; /* joiner: parent or main */
	uint64_t noise;
	int reached; /* the disturber may signal it */
};

struct program {
	uint64_t seed;
	unsigned nthreads, nsteps;
	bool disturbed; /* signals arrive at any time: calls may say EINTR */
	struct thread threads[MAX_THREADS];
	struct step steps[MAX_STEPS];
	pthread_mutex_t lock; /* of the detached threads' counter */
	pthread_cond_t less;
	unsigned detached_left;
	uint64_t sum; /* of all roles' hashes, in any order */
};

/* A role being played. */
struct me {
	struct program *program;
	struct step *step;
	unsigned thread, role;
	struct rng rng;	  /* the same for every schedule */
	struct rng noise; /* may be drawn from any number of times */
	uint64_t hash;
	struct spot *spot;
	bool interrupted; /* signals are part of this step: EINTR is no surprise */
};

enum { WANTS_SIGNAL = 1, NOT_DETACHED = 2, RARE = 4, CALM = 8 }; /* CALM: not with a disturber */

struct kind {
	const char *name;
	unsigned min, max; /* roles */
	unsigned flags;
	size_t size;
	void (*setup)(struct step *s, struct rng *r); /* by main, before any thread */
	void (*play)(struct me *me);
	void (*finish)(struct me *me); /* by main, after all threads */
};

/* clang-format off */
#define KINDS(K) \
	K(counter) K(philosophers) K(spin) K(rwlock) K(robust) /* locks.c */ \
	K(queue) K(turns) K(crowd) K(c11) K(barrier)           /* conds.c */ \
	K(permits) K(pingpong) K(once) K(futex) K(mailbox)     /* tokens.c */ \
	K(limits)                                              /* limits.c */ \
	K(stream) K(records) K(eventfds) K(lines)              /* streams.c */ \
	K(readiness) K(service)                                /* ready.c */ \
	K(family) K(specific) K(cancel)                        /* life.c, cancel.c */ \
	K(kicks) K(sigwaits) K(masks)                          /* signals.c */ \
	K(forks)                                               /* forks.c */
/* clang-format on */
#define K(name) extern const struct kind kind_##name;
KINDS(K)
#undef K

/* Adds to the result. */
static inline void note(struct me *me, uint64_t value)
{
	me->hash = mix(me->hash * 31 + value + 1);
}

/* A fact that holds in every schedule; printed when it does not. */
#define FACT(me, cond) fact(me, !!(cond), #cond, __FILE__, __LINE__)
/* A call that may block: the watchdog tells where.  Keeps errno. */
#define WAITS(me, call)                                                                            \
	({                                                                                         \
		(me)->spot->file = __FILE__;                                                       \
		(me)->spot->line = __LINE__;                                                       \
		__typeof__(call) ret_ = (call);                                                    \
		(me)->spot->line = -__LINE__;                                                      \
		ret_;                                                                              \
	})
/* The same until it is not interrupted; interrupted() judges whether it may be. */
#define AGAIN(me, call)                                                                            \
	({                                                                                         \
		__typeof__(call) again_;                                                           \
		do                                                                                 \
			again_ = WAITS(me, call);                                                  \
		while (again_ == -1 && errno == EINTR && interrupted(me));                         \
		again_;                                                                            \
	})

/* base.c */
void fact(struct me *me, bool holds, const char *what, const char *file, int line);
bool interrupted(struct me *me);
struct spot *spot_take(unsigned thread);
extern struct spot *spots; /* MAX_SPOTS, shared */
extern unsigned *spots_used;
extern unsigned facts_failed;
int64_t now_ns(clockid_t c);
struct timespec in_ns(clockid_t c, int64_t ns);
/* Drawn from noise: mostly nothing, or a yield, a sleep, some work. */
void pause_a_bit(struct me *me);
/* A thread of the step's own, which gets a copy of `me` with a role of its own. */
struct helper {
	struct me me;
	void *(*run)(struct me *me, void *arg);
	void *arg;
};
int helper_start(struct me *me, struct helper *h, const pthread_attr_t *a, unsigned role,
		 void *(*run)(struct me *, void *), void *arg, pthread_t *t);
void *helper_join(struct me *me, pthread_t t);
/* Locks and semaphores, taken in one of several ways. */
void mutex_take(struct me *me, pthread_mutex_t *m);
void mutex_drop(struct me *me, pthread_mutex_t *m);
void cond_sleep(struct me *me, pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock);
void sem_take(struct me *me, sem_t *s);
void sem_give(struct me *me, sem_t *s);
void cond_make(pthread_cond_t *c, struct rng *r, clockid_t *clock);
/* All bytes, whatever the call's sizes. */
void write_all(struct me *me, int fd, const void *buf, size_t n);
size_t read_all(struct me *me, int fd, void *buf, size_t n);

/* program.c */
/* wanted, without: only these steps, none of these kinds; NULL: all.  max_rounds 0: no cap. */
void program_make(struct program *p, uint64_t seed, const bool *wanted, const char *without,
		  unsigned max_rounds);
uint64_t program_run(struct program *p);
void program_show(const struct program *p, FILE *out);

/* identity.c: what belongs to a thread and must stay the same all its life */
bool identity_is_fresh(void);
void identity_begin(struct me *me);
void identity_check(struct me *me);

#endif
