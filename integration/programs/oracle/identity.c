/* What belongs to a thread: thread-local variables, errno, pthread_self, gettid, its signal mask.
 *
 * Owns: the thread-local variables.  Called by: program.c, before and between steps.
 */
#include "oracle.h"
#include <locale.h>

static __thread uint64_t tls_zero;
static __thread uint64_t tls_set = 0x5eed5eed5eed5eedull;
static __thread unsigned char tls_block[200];
static __thread pthread_t tls_self;
static __thread pid_t tls_tid;
static __thread sigset_t tls_mask;

static pthread_key_t key;
static pthread_once_t key_made = PTHREAD_ONCE_INIT;
static void key_make(void)
{
	if (pthread_key_create(&key, NULL) != 0)
		abort();
}

bool identity_is_fresh(void)
{
	pthread_once(&key_made, key_make);
	bool fresh = tls_zero == 0 && tls_set == 0x5eed5eed5eed5eedull && !pthread_getspecific(key);
	for (unsigned i = 0; i < sizeof tls_block; i++)
		fresh &= tls_block[i] == 0;
	return fresh;
}

void identity_begin(struct me *me)
{
	FACT(me, me->thread == 0 || identity_is_fresh()); /* main lives through many programs */
	tls_zero = me->program->seed * 64 + me->thread;
	tls_set = ~tls_zero;
	memset(tls_block, (int)me->thread + 1, sizeof tls_block);
	pthread_once(&key_made, key_make);
	FACT(me, pthread_setspecific(key, &tls_zero) == 0);
	tls_self = pthread_self();
	tls_tid = gettid();
	pthread_sigmask(SIG_SETMASK, NULL, &tls_mask);
}

static int deep(unsigned n)
{
	volatile char fill[256];
	memset((char *)fill, (int)n, sizeof fill);
	return n == 0 ? 0 : deep(n - 1) + (fill[255] == (char)n);
}

void identity_check(struct me *me)
{
	sigset_t mask;
	FACT(me, tls_zero == me->program->seed * 64 + me->thread && tls_set == ~tls_zero);
	FACT(me, tls_block[me->thread * 7] == me->thread + 1);
	FACT(me, pthread_getspecific(key) == &tls_zero);
	FACT(me, pthread_equal(tls_self, pthread_self()));
	FACT(me, tls_tid == gettid());
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	FACT(me, memcmp(&mask, &tls_mask, 8) == 0);
	/* Calls that succeed leave errno alone. */
	errno = 1000 + (int)me->thread;
	sched_yield();
	struct timespec ts = {.tv_nsec = 1};
	if (nanosleep(&ts, NULL) == 0)
		FACT(me, errno == 1000 + (int)me->thread);
	else
		FACT(me, errno == EINTR && me->program->disturbed);
	switch (below(&me->noise, 5)) {
	case 0:
		FACT(me, deep(20) == 20);
		break;
	case 1: {
		char text[64];
		snprintf(text, sizeof text, "%u.25", me->thread);
		FACT(me, strtod(text, NULL) == me->thread + 0.25);
		break;
	}
	case 2: {
		int old;
		FACT(me, pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old) == 0);
		FACT(me, old == PTHREAD_CANCEL_ENABLE);
		FACT(me, pthread_setcancelstate(old, &old) == 0);
		FACT(me, old == PTHREAD_CANCEL_DISABLE);
		break;
	}
	case 3: {
		char name[16], back[16];
		snprintf(name, sizeof name, "o-%u", me->thread);
		FACT(me, pthread_setname_np(pthread_self(), name) == 0);
		sched_yield();
		FACT(me, pthread_getname_np(pthread_self(), back, sizeof back) == 0);
		FACT(me, strcmp(name, back) == 0);
		break;
	}
	default:
		break;
	}
}
