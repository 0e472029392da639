/* Corners that C libraries once had wrong: ends of threads, conditions whose memory goes away at
 * once, robust locks of detached threads, threads without memory, semaphores closed several times,
 * list locks of stdio. */
#include "check.h"
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

static sem_t a, b;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int cleaned, turn;

static void cleans(void *arg)
{
	cleaned = *(int *)arg;
}

/* A request that is pending when the wait begins, when it is under way, and while it is disabled.
 */
static void *waits_on_sem(void *arg)
{
	int v = 1;
	pthread_cleanup_push(cleans, &v);
	sem_post(&a);
	while (sem_wait(&b) == 0)
		v++;
	pthread_cleanup_pop(0);
	return NULL;
}

static void *waits_later(void *arg)
{
	int old;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	sem_post(&a);
	QUIET(sem_wait(&b) == 0);
	pthread_setcancelstate(old, NULL);
	sem_post(&b);
	sem_wait(&b); /* a post and a request: the request counts */
	return NULL;
}

static void *ignores_in_cond(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_mutex_lock(&m);
	sem_post(&a);
	while (!turn)
		pthread_cond_wait(&c, &m);
	pthread_mutex_unlock(&m);
	return arg;
}

static void cancellation(void)
{
	int v;
	sem_init(&a, 0, 0);
	sem_init(&b, 0, 0);
	for (int ms = 0; ms < 20; ms += 10) {
		cleaned = 0;
		pthread_t t = spawn(waits_on_sem, NULL);
		sem_wait(&a);
		sem_post(&b);
		while (sem_getvalue(&b, &v) == 0 && v)
			sched_yield();
		sleep_ms(ms);
		pthread_cancel(t);
		CHECK(join(t) == PTHREAD_CANCELED && cleaned >= 1);
	}
	pthread_t t = spawn(waits_later, NULL);
	sem_wait(&a);
	pthread_cancel(t);
	sem_post(&b);
	CHECK(join(t) == PTHREAD_CANCELED);
	sem_getvalue(&b, &v);
	CHECK(v == 1);
	t = spawn(ignores_in_cond, &v);
	sem_wait(&a);
	pthread_cancel(t);
	sleep_ms(10);
	pthread_mutex_lock(&m);
	turn = 1;
	pthread_mutex_unlock(&m);
	pthread_cond_signal(&c);
	CHECK(join(t) == &v);
}

/* Destructors at the end: in rounds, with keys made anew, and with a request pending. */
static pthread_key_t key;
static int rounds;
static void again(void *v)
{
	if (++rounds < 3)
		pthread_setspecific(key, v);
}

static void *exits_cancelled(void *arg)
{
	QUIET(pthread_setspecific(key, arg) == 0);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_exit(arg);
}

static void ends(void)
{
	int v;
	QUIET(pthread_key_create(&key, again) == 0);
	CHECK(join(spawn(exits_cancelled, &v)) == &v && rounds == 3);
	QUIET(pthread_key_delete(key) == 0);
}

/* The condition's memory is reused as soon as destroy returns. */
struct smash {
	pthread_cond_t c;
	pthread_mutex_t *m;
	int *left;
};

static void *smashed(void *arg)
{
	struct smash *s = arg;
	pthread_mutex_t *mutex = s->m;
	int *left = s->left;
	pthread_mutex_lock(mutex);
	--*left;
	sem_post(&a);
	pthread_cond_wait(&s->c, mutex); /* `s` is gone from here on */
	pthread_mutex_unlock(mutex);
	return NULL;
}

static void smasher(void)
{
	enum { N = 8 };
	for (int round = 0; round < 50; round++) {
		pthread_t t[N];
		int left = N;
		struct smash *s = mmap(NULL, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		MUST(s != MAP_FAILED);
		pthread_cond_init(&s->c, NULL);
		s->m = &m;
		s->left = &left;
		for (int i = 0; i < N; i++)
			t[i] = spawn(smashed, s);
		for (int i = 0; i < N; i++)
			sem_wait(&a);
		pthread_mutex_lock(&m);
		QUIET(left == 0);
		pthread_cond_broadcast(&s->c);
		QUIET(pthread_cond_destroy(&s->c) == 0);
		memset(s, 0xaa, sizeof(*s));
		munmap(s, 4096);
		pthread_mutex_unlock(&m);
		for (int i = 0; i < N; i++)
			join(t[i]);
	}
	CHECK("conditions destroyed after a broadcast");
}

/* A detached thread that dies with robust locks. */
static pthread_mutex_t robust[2];
static void *dies(void *arg)
{
	pthread_detach(pthread_self());
	for (int i = 0; i < 2; i++)
		pthread_mutex_lock(&robust[i]);
	sem_post(&a);
	return NULL;
}

static void robusts(void)
{
	pthread_mutexattr_t ma;
	struct timespec at = deadline_ms(CLOCK_REALTIME, 5000);
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust[0], &ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&robust[1], &ma);
	spawn(dies, NULL);
	sem_wait(&a);
	for (int i = 0; i < 2; i++) {
		CHECK_RC(EOWNERDEAD, pthread_mutex_timedlock(&robust[i], &at));
		CHECK_RC(0, pthread_mutex_unlock(&robust[i]));
		CHECK_RC(ENOTRECOVERABLE, pthread_mutex_lock(&robust[i]));
	}
}

/* No memory for another thread; there is again when the limit is gone. */
static int without_memory(void)
{
	struct rlimit old, none;
	pthread_attr_t at;
	pthread_t t;
	int r, n = 0;
	getrlimit(RLIMIT_AS, &old);
	none = old;
	none.rlim_cur = 1 << 20;
	if (setrlimit(RLIMIT_AS, &none))
		return 1;
	pthread_attr_init(&at);
	pthread_attr_setstacksize(&at, 64 << 20);
	while ((r = pthread_create(&t, &at, check_nothing, NULL)) == 0 && n++ < 100)
		;
	setrlimit(RLIMIT_AS, &old);
	if (r != EAGAIN)
		return 2;
	if (pthread_create(&t, NULL, check_nothing, NULL) || pthread_join(t, NULL))
		return 3;
	return 0;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int inits;
static void slow_init(void)
{
	if (inits++ == 0) {
		sem_post(&a);
		sleep(100); /* ends by a request: somebody else has to do it */
	}
}

static void *inits_once(void *arg)
{
	pthread_once(&once, slow_init);
	return NULL;
}

static void onces(void)
{
	pthread_t t[4];
	t[0] = spawn(inits_once, NULL);
	sem_wait(&a);
	for (int i = 1; i < 4; i++)
		t[i] = spawn(inits_once, NULL);
	sleep_ms(5);
	pthread_cancel(t[0]);
	CHECK(join(t[0]) == PTHREAD_CANCELED);
	for (int i = 1; i < 4; i++)
		join(t[i]);
	CHECK(inits == 2);
}

static void *tries_all(void *arg)
{
	pthread_rwlock_t *rw = arg;
	CHECK_RC(EBUSY, pthread_rwlock_trywrlock(rw));
	CHECK_RC(EBUSY, pthread_rwlock_tryrdlock(rw));
	return NULL;
}

static void rwlocks(void)
{
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	CHECK_RC(0, pthread_rwlock_wrlock(&rw));
	join(spawn(tries_all, &rw));
	CHECK_RC(0, pthread_rwlock_unlock(&rw));
	CHECK_RC(0, pthread_rwlock_rdlock(&rw));
	CHECK_RC(0, pthread_rwlock_tryrdlock(&rw));
	CHECK_RC(EBUSY, pthread_rwlock_trywrlock(&rw));
	CHECK_RC(0, pthread_rwlock_unlock(&rw));
	CHECK_RC(0, pthread_rwlock_unlock(&rw));
	CHECK_RC(0, pthread_rwlock_destroy(&rw));
}

/* A FILE that its own holder closes while others print and flush everything. */
static int stop;
static void *flushes(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		fflush(NULL);
		sched_yield();
	}
	return NULL;
}

static void files(void)
{
	pthread_t t = spawn(flushes, NULL);
	for (int i = 0; i < 300; i++) {
		FILE *f = fopen("/dev/null", "w");
		MUST(f);
		flockfile(f);
		QUIET(ftrylockfile(f) == 0);
		funlockfile(f);
		QUIET(fprintf(f, "%d", i) > 0);
		funlockfile(f);
		QUIET(fclose(f) == 0);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(t);
	CHECK("files opened and closed while all are flushed");
}

/* A handler that changes the mask it returns to. */
static void masks(int sig, siginfo_t *si, void *uc)
{
	sigaddset(&((ucontext_t *)uc)->uc_sigmask, SIGUSR2);
}

static void *returns_masked(void *arg)
{
	sigset_t set;
	raise(SIGUSR1);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	CHECK(sigismember(&set, SIGUSR2) == 1 && sigismember(&set, SIGUSR1) == 0);
	/* Signals of the C library cannot be blocked, and are not shown. */
	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	CHECK(sigismember(&set, 32) == 0 && sigismember(&set, 33) == 0 &&
	      sigismember(&set, SIGRTMIN) == 1 && sigismember(&set, SIGKILL) == 0);
	CHECK_ERRNO(EINVAL, sigaddset(&set, 32) == -1 && errno == EINVAL ? -1 : 0);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = masks, .sa_flags = SA_SIGINFO};
	become_threaded();
	cancellation();
	ends();
	smasher();
	robusts();
	onces();
	rwlocks();
	files();
	sigaction(SIGUSR1, &sa, NULL);
	join(spawn(returns_masked, NULL));
	CHECK(without_memory() == 0);
	return check_done();
}
