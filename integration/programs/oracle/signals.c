/* Steps about signals: handlers that run on the thread they are sent to, whatever it waits in;
 * threads that wait for signals; masks and what is pending.  Each step has a real-time signal of
 * its own.
 */
#include "oracle.h"
#include <poll.h>

static __thread volatile sig_atomic_t handled;
static __thread pthread_t handled_on;

static void on_kick(int sig)
{
	(void)sig;
	handled++;
	handled_on = pthread_self();
}

static sigset_t only(int sig)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

/* kicks: role 0 is in some call and counts what its handler saw; the others signal it. */
struct kicks {
	pthread_t target;
	sem_t known, go, acked;
	int pipe[2];
	unsigned how;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned done;
	bool restart;
};

static void kicks_setup(struct step *s, struct rng *r)
{
	struct kicks *k = s->state;
	k->how = below(r, 8);
	k->restart = below(r, 2);
	sem_init(&k->known, 0, 0);
	sem_init(&k->go, 0, 0);
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->cond, NULL);
	if (pipe(k->pipe) != 0)
		abort();
	struct sigaction sa = {.sa_handler = on_kick, .sa_flags = k->restart ? SA_RESTART : 0};
	sigaction(s->signo, &sa, NULL);
}

/* Real-time signals queue: each one sent is handled once, on the target. */
static void kicks_target(struct me *me, struct kicks *k)
{
	sigset_t set = only(me->step->signo), wait;
	unsigned want = (me->step->n - 1) * me->step->rounds;
	char byte;
	struct timespec nap = {.tv_nsec = 300000};
	handled = 0;
	k->target = pthread_self();
	me->interrupted = true;
	pthread_sigmask(SIG_BLOCK, NULL, &wait);
	sigdelset(&wait, me->step->signo);
	if (k->how)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	for (unsigned i = 1; i < me->step->n; i++)
		sem_post(&k->known);
	switch (k->how) {
	case 0: /* blocked but for the wait itself */
		while ((unsigned)handled < want)
			FACT(me, WAITS(me, sigsuspend(&wait)) == -1 && errno == EINTR);
		break;
	case 1:
		for (unsigned i = 1; i < me->step->n; i++)
			FACT(me, AGAIN(me, sem_wait(&k->go)) == 0);
		break;
	case 2:
		for (unsigned i = 1; i < me->step->n; i++)
			FACT(me, AGAIN(me, read(k->pipe[0], &byte, 1)) == 1);
		break;
	case 3: {
		struct pollfd f = {.fd = k->pipe[0], .events = POLLIN};
		for (unsigned i = 1; i < me->step->n; i++) {
			FACT(me, AGAIN(me, poll(&f, 1, -1)) == 1);
			FACT(me, AGAIN(me, read(k->pipe[0], &byte, 1)) == 1);
		}
		break;
	}
	case 4: /* never interrupted */
		mutex_take(me, &k->lock);
		while (k->done < me->step->n - 1)
			cond_sleep(me, &k->cond, &k->lock, CLOCK_REALTIME);
		mutex_drop(me, &k->lock);
		break;
	case 5:
		while ((unsigned)handled < want)
			if (WAITS(me, nanosleep(&nap, NULL)) != 0)
				FACT(me, errno == EINTR);
		break;
	case 6:
		while ((unsigned)handled < want)
			sched_yield();
		break;
	default:
		while ((unsigned)handled < want)
			for (volatile int i = 0; i < 1000; i++)
				;
		break;
	}
	/* All were sent before the last of what was waited for: none may be missing. */
	FACT(me, (unsigned)handled == want);
	FACT(me, pthread_equal(handled_on, pthread_self()));
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	note(me, (unsigned)handled);
}

static void kicks_play(struct me *me)
{
	struct kicks *k = me->step->state;
	if (me->role == 0) {
		kicks_target(me, k);
		return;
	}
	sem_take(me, &k->known);
	for (unsigned i = 0; i < me->step->rounds; i++) {
		if (below(&me->noise, 2))
			FACT(me, pthread_kill(k->target, me->step->signo) == 0);
		else
			FACT(me, pthread_sigqueue(k->target, me->step->signo,
						  (union sigval){.sival_int = 1}) == 0);
		pause_a_bit(me);
	}
	if (k->how == 1)
		sem_give(me, &k->go);
	if (k->how == 2 || k->how == 3)
		FACT(me, write(k->pipe[1], "x", 1) == 1);
	mutex_take(me, &k->lock);
	k->done++;
	pthread_cond_signal(&k->cond);
	mutex_drop(me, &k->lock);
}

static void kicks_finish(struct me *me)
{
	struct kicks *k = me->step->state;
	sigset_t pending;
	sigpending(&pending);
	FACT(me, !sigismember(&pending, me->step->signo));
	close(k->pipe[0]), close(k->pipe[1]);
	FACT(me, sem_destroy(&k->known) == 0 && sem_destroy(&k->go) == 0);
	FACT(me, pthread_mutex_destroy(&k->lock) == 0 && pthread_cond_destroy(&k->cond) == 0);
}

const struct kind kind_kicks = {
    "kicks", 2, 5, WANTS_SIGNAL, sizeof(struct kicks), kicks_setup, kicks_play, kicks_finish};

/* sigwaits: role 0 waits for numbered signals, from one sender each in order, or from the process.
 */
struct sigwaits {
	pthread_t target;
	sem_t known, acked;
	bool process;
};

static void sigwaits_setup(struct step *s, struct rng *r)
{
	struct sigwaits *w = s->state;
	w->process = below(r, 3) == 0;
	sem_init(&w->known, 0, 0);
	sem_init(&w->acked, 0, 0);
}

static void sigwaits_play(struct me *me)
{
	struct sigwaits *w = me->step->state;
	sigset_t set = only(me->step->signo);
	unsigned rounds = 1 + me->step->rounds % 6, next[MAX_THREADS] = {0};
	if (me->role) {
		sem_take(me, &w->known);
		for (unsigned i = 0; i < rounds; i++) {
			union sigval v = {.sival_int = (int)(me->role * 100 + i)};
			if (w->process)
				FACT(me, sigqueue(getpid(), me->step->signo, v) == 0);
			else
				FACT(me, pthread_sigqueue(w->target, me->step->signo, v) == 0);
			pause_a_bit(me);
		}
		return;
	}
	w->target = pthread_self();
	for (unsigned i = 1; i < me->step->n; i++)
		sem_post(&w->known);
	for (unsigned i = 0; i < rounds * (me->step->n - 1); i++) {
		siginfo_t info = {0};
		struct timespec far = {.tv_sec = FAR_SECONDS};
		if (below(&me->noise, 2))
			FACT(me, AGAIN(me, sigwaitinfo(&set, &info)) == me->step->signo);
		else
			FACT(me, AGAIN(me, sigtimedwait(&set, &info, &far)) == me->step->signo);
		unsigned from = (unsigned)info.si_value.sival_int / 100 % MAX_THREADS;
		/* One sender's come in order. */
		FACT(me, (unsigned)info.si_value.sival_int == from * 100 + next[from]);
		FACT(me, info.si_code == SI_QUEUE && info.si_pid == getpid());
		next[from]++;
	}
	for (unsigned i = 1; i < me->step->n; i++)
		note(me, next[i]);
	struct timespec none = {0};
	FACT(me, sigtimedwait(&set, NULL, &none) == -1 && errno == EAGAIN);
}

static void sigwaits_finish(struct me *me)
{
	struct sigwaits *w = me->step->state;
	FACT(me, sem_destroy(&w->known) == 0 && sem_destroy(&w->acked) == 0);
}

const struct kind kind_sigwaits = {
    "sigwaits",	    2, 4, WANTS_SIGNAL, sizeof(struct sigwaits), sigwaits_setup, sigwaits_play,
    sigwaits_finish};

/* masks: what is blocked stays pending, is handled when unblocked, and is inherited as a mask only.
 */
static void *masks_child(struct me *me, void *arg)
{
	sigset_t mask, pending;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	sigpending(&pending);
	FACT(me, sigismember(&mask, me->step->signo));
	FACT(me, !sigismember(&pending, me->step->signo));
	return arg;
}

static void masks_setup(struct step *s, struct rng *r)
{
	(void)r;
	struct sigaction sa = {.sa_handler = on_kick};
	sigaction(s->signo, &sa, NULL);
}

static void masks_play(struct me *me)
{
	sigset_t set = only(me->step->signo), old, pending;
	struct helper h;
	pthread_t t;
	handled = 0;
	for (unsigned i = 0; i < 1 + me->step->rounds % 4; i++) {
		FACT(me, pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
		FACT(me, pthread_kill(pthread_self(), me->step->signo) == 0);
		sched_yield();
		FACT(me, handled == (int)i);
		sigpending(&pending);
		FACT(me, sigismember(&pending, me->step->signo));
		FACT(me, helper_start(me, &h, NULL, 80, masks_child, NULL, &t) == 0);
		helper_join(me, t);
		FACT(me, pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
		FACT(me, handled == (int)i + 1); /* before it returned */
		FACT(me, pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
	}
	note(me, (unsigned)handled);
}

const struct kind kind_masks = {"masks", 1, 3, WANTS_SIGNAL, 0, masks_setup, masks_play, NULL};
