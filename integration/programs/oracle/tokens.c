/* Steps about tokens: semaphores as permits and as ping-pong, once, raw futexes, and a mailbox that
 * carries malloc'ed blocks to whoever frees them.
 */
#include "oracle.h"
#include <linux/futex.h>
#include <sys/syscall.h>

/* permits: never more inside than there are tokens. */
struct permits {
	sem_t tokens;
	unsigned most, inside, entered;
};

static void permits_setup(struct step *s, struct rng *r)
{
	struct permits *p = s->state;
	p->most = 1 + below(r, 3);
	sem_init(&p->tokens, below(r, 8) == 0, p->most);
}

static void permits_play(struct me *me)
{
	struct permits *p = me->step->state;
	for (unsigned i = 0; i < me->step->rounds; i++) {
		sem_take(me, &p->tokens);
		FACT(me, __atomic_add_fetch(&p->inside, 1, __ATOMIC_SEQ_CST) <= p->most);
		pause_a_bit(me);
		__atomic_sub_fetch(&p->inside, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&p->entered, 1, __ATOMIC_RELAXED);
		sem_give(me, &p->tokens);
	}
}

static void permits_finish(struct me *me)
{
	struct permits *p = me->step->state;
	int left;
	FACT(me, sem_getvalue(&p->tokens, &left) == 0 && left == (int)p->most);
	FACT(me, p->entered == me->step->n * me->step->rounds);
	note(me, p->entered);
	FACT(me, sem_destroy(&p->tokens) == 0);
}

const struct kind kind_permits = {
    "permits", 2, 10, 0, sizeof(struct permits), permits_setup, permits_play, permits_finish};

/* pingpong: two threads, two semaphores, one order. */
struct pingpong {
	sem_t turn[2];
	uint64_t log;
};

static void pingpong_setup(struct step *s, struct rng *r)
{
	(void)r;
	struct pingpong *p = s->state;
	sem_init(&p->turn[0], 0, 1);
	sem_init(&p->turn[1], 0, 0);
}

static void pingpong_play(struct me *me)
{
	struct pingpong *p = me->step->state;
	for (unsigned i = 0; i < me->step->rounds * 2; i++) {
		sem_take(me, &p->turn[me->role]);
		p->log = mix(p->log * 2 + me->role);
		sem_give(me, &p->turn[!me->role]);
	}
}

static void pingpong_finish(struct me *me)
{
	struct pingpong *p = me->step->state;
	note(me, p->log);
	FACT(me, sem_destroy(&p->turn[0]) == 0 && sem_destroy(&p->turn[1]) == 0);
}

const struct kind kind_pingpong = {
    "pingpong", 2, 2, 0, sizeof(struct pingpong), pingpong_setup, pingpong_play, pingpong_finish};

/* once: the first one initialises, slowly; all see it done. */
struct once {
	pthread_once_t once;
	unsigned calls, value;
};
static struct once *once_now;
static pthread_mutex_t once_owner = PTHREAD_MUTEX_INITIALIZER;
static unsigned once_users;
static pthread_cond_t once_free = PTHREAD_COND_INITIALIZER;

static void once_call(void)
{
	struct timespec ts = {.tv_nsec = 20000};
	struct once *o = once_now;
	o->calls++;
	nanosleep(&ts, NULL);
	o->value = 42;
}

static void once_play(struct me *me)
{
	struct once *o = me->step->state;
	/* The routine has no argument: steps take turns with the variable that stands for it. */
	mutex_take(me, &once_owner);
	while (once_users && once_now != o)
		cond_sleep(me, &once_free, &once_owner, CLOCK_REALTIME);
	once_now = o;
	once_users++;
	mutex_drop(me, &once_owner);
	FACT(me, WAITS(me, pthread_once(&o->once, once_call)) == 0);
	note(me, o->value);
	FACT(me, o->calls == 1 && o->value == 42);
	mutex_take(me, &once_owner);
	if (--once_users == 0)
		pthread_cond_broadcast(&once_free);
	mutex_drop(me, &once_owner);
}

const struct kind kind_once = {"once", 2, 12, 0, sizeof(struct once), NULL, once_play, NULL};

/* futex: a lock and a hand-over made of the system call, as language runtimes have it. */
struct futex {
	uint32_t lock, turn;
	uint64_t value;
};

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *limit)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, limit, NULL, 0);
}

static void futex_play(struct me *me)
{
	struct futex *f = me->step->state;
	uint32_t n = me->step->n;
	for (unsigned i = 0; i < me->step->rounds; i++) {
		uint32_t seen = 0;
		if (!__atomic_compare_exchange_n(&f->lock, &seen, 1, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_SEQ_CST)) {
			while (__atomic_exchange_n(&f->lock, 2, __ATOMIC_SEQ_CST) != 0) {
				struct timespec near = {.tv_nsec = 1000 * below(&me->noise, 300)};
				long r = WAITS(me, futex(&f->lock, FUTEX_WAIT, 2,
							 below(&me->noise, 3) ? NULL : &near));
				FACT(me, r == 0 || errno == EAGAIN || errno == ETIMEDOUT ||
					     (errno == EINTR && me->program->disturbed));
			}
		}
		uint64_t value = f->value;
		pause_a_bit(me);
		f->value = value + 1;
		if (__atomic_exchange_n(&f->lock, 0, __ATOMIC_SEQ_CST) == 2)
			FACT(me, futex(&f->lock, FUTEX_WAKE, 1, NULL) >= 0);
		/* In turn. */
		for (uint32_t t;
		     (t = __atomic_load_n(&f->turn, __ATOMIC_SEQ_CST)) != i * n + me->role;) {
			long r = WAITS(me, futex(&f->turn, FUTEX_WAIT, t, NULL));
			FACT(me, r == 0 || errno == EAGAIN ||
				     (errno == EINTR && me->program->disturbed));
		}
		__atomic_add_fetch(&f->turn, 1, __ATOMIC_SEQ_CST);
		FACT(me, futex(&f->turn, FUTEX_WAKE, INT32_MAX, NULL) >= 0);
	}
}

static void futex_finish(struct me *me)
{
	struct futex *f = me->step->state;
	FACT(me, f->value == (uint64_t)me->step->n * me->step->rounds && f->lock == 0);
	note(me, f->value);
}

const struct kind kind_futex = {"futex", 2,	     6,		  0, sizeof(struct futex),
				NULL,	 futex_play, futex_finish};

/* mailbox: role 0 allocates and goes on at once, role 1 reads and frees much later or sooner. */
struct mailbox {
	sem_t full;
	unsigned char *box[64];
	size_t size[64];
};

static void mailbox_setup(struct step *s, struct rng *r)
{
	(void)r;
	sem_init(&((struct mailbox *)s->state)->full, 0, 0);
}

static void mailbox_play(struct me *me)
{
	struct mailbox *m = me->step->state;
	unsigned n = me->step->rounds * 2;
	for (unsigned i = 0; i < n; i++) {
		if (me->role == 0) {
			m->size[i] = 1 + below(&me->rng, below(&me->rng, 12) ? 600 : 200000);
			m->box[i] = malloc(m->size[i]);
			memset(m->box[i], (int)(i + m->size[i]), m->size[i]);
			sem_give(me, &m->full);
		} else {
			sem_take(me, &m->full);
			unsigned char want = (unsigned char)(i + m->size[i]);
			FACT(me, m->box[i][0] == want && m->box[i][m->size[i] - 1] == want);
			note(me, m->size[i]);
			if (below(&me->noise, 2)) {
				m->box[i] = realloc(m->box[i], m->size[i] + 100);
				FACT(me, m->box[i][m->size[i] - 1] == want);
			}
			free(m->box[i]);
		}
	}
}

static void mailbox_finish(struct me *me)
{
	FACT(me, sem_destroy(&((struct mailbox *)me->step->state)->full) == 0);
}

const struct kind kind_mailbox = {
    "mailbox", 2, 2, 0, sizeof(struct mailbox), mailbox_setup, mailbox_play, mailbox_finish};
