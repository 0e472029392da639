/* Two threads send SIGUSR1 and SIGUSR2 without end while main and another thread call what must not
 * notice: initialisations, semaphores, locks, keys, once, attributes, fork, create and join.
 * Nothing may fail, least of all with EINTR, except what is documented to. */
#include "check.h"
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static volatile sig_atomic_t one, two;
static int stop;
static sem_t never;

static void on_one(int sig)
{
	one++;
}

static void on_two(int sig)
{
	two++;
	errno = 4711; /* the runtime must keep the interrupted code's */
}

struct bomber {
	int sig;
	pthread_t whom;
};

static void *sends(void *arg)
{
	struct bomber *b = arg;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		QUIET(pthread_kill(b->whom, b->sig) == 0);
		QUIET(kill(getpid(), b->sig) == 0);
		sched_yield();
	}
	return NULL;
}

static void *adds(void *arg)
{
	++*(int *)arg;
	return arg;
}

static pthread_key_t key;
static int destroyed;
static void destroys(void *v)
{
	destroyed++;
}

static void *sets_key(void *arg)
{
	QUIET(pthread_setspecific(key, arg) == 0);
	return NULL;
}

static pthread_once_t once;
static int onces;
static void counts(void)
{
	onces++;
}

static void one_round(void)
{
	pthread_mutex_t m;
	pthread_cond_t c;
	pthread_rwlock_t rw;
	pthread_spinlock_t sp;
	pthread_barrier_t b;
	pthread_attr_t a;
	pthread_mutexattr_t ma;
	sem_t s;
	pthread_t t;
	struct timespec past = {1, 0}, soon;
	int n = 0, v;

	QUIET(pthread_mutexattr_init(&ma) == 0);
	QUIET(pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_ERRORCHECK) == 0);
	QUIET(pthread_mutex_init(&m, &ma) == 0 && pthread_mutex_lock(&m) == 0);
	QUIET(pthread_mutex_lock(&m) == EDEADLK && pthread_mutex_trylock(&m) == EBUSY);
	QUIET(pthread_cond_init(&c, NULL) == 0);
	QUIET(pthread_cond_timedwait(&c, &m, &past) == ETIMEDOUT);
	soon = deadline_ms(CLOCK_REALTIME, 1);
	v = pthread_cond_timedwait(&c, &m, &soon);
	QUIET(v == ETIMEDOUT || v == 0); /* it may wake up for nothing, but never EINTR */
	QUIET(pthread_cond_signal(&c) == 0 && pthread_cond_broadcast(&c) == 0);
	QUIET(pthread_mutex_unlock(&m) == 0 && pthread_mutex_unlock(&m) == EPERM);
	QUIET(pthread_cond_destroy(&c) == 0 && pthread_mutex_destroy(&m) == 0);
	QUIET(pthread_rwlock_init(&rw, NULL) == 0 && pthread_rwlock_rdlock(&rw) == 0);
	QUIET(pthread_rwlock_tryrdlock(&rw) == 0 && pthread_rwlock_trywrlock(&rw) == EBUSY);
	QUIET(pthread_rwlock_timedwrlock(&rw, &past) == ETIMEDOUT ||
	      pthread_rwlock_timedwrlock(&rw, &past) == EDEADLK);
	QUIET(pthread_rwlock_unlock(&rw) == 0 && pthread_rwlock_unlock(&rw) == 0);
	QUIET(pthread_rwlock_wrlock(&rw) == 0 && pthread_rwlock_unlock(&rw) == 0);
	QUIET(pthread_rwlock_destroy(&rw) == 0);
	QUIET(pthread_spin_init(&sp, 0) == 0 && pthread_spin_lock(&sp) == 0);
	QUIET(pthread_spin_trylock(&sp) == EBUSY && pthread_spin_unlock(&sp) == 0);
	QUIET(pthread_barrier_init(&b, NULL, 1) == 0);
	QUIET(pthread_barrier_wait(&b) == PTHREAD_BARRIER_SERIAL_THREAD);
	QUIET(pthread_barrier_destroy(&b) == 0);
	QUIET(sem_init(&s, 0, 0) == 0 && sem_post(&s) == 0);
	QUIET(sem_wait(&s) == 0 && sem_trywait(&s) == -1 && errno == EAGAIN);
	QUIET(sem_getvalue(&s, &v) == 0 && v == 0 && sem_destroy(&s) == 0);
	QUIET(pthread_attr_init(&a) == 0 && pthread_attr_setstacksize(&a, 256 << 10) == 0);
	QUIET(pthread_create(&t, &a, adds, &n) == 0 && pthread_join(t, NULL) == 0 && n == 1);
	QUIET(pthread_attr_destroy(&a) == 0);
	QUIET(pthread_key_create(&key, destroys) == 0);
	destroyed = 0;
	join(spawn(sets_key, &n));
	QUIET(destroyed == 1 && pthread_key_delete(key) == 0);
	once = PTHREAD_ONCE_INIT;
	onces = 0;
	QUIET(pthread_once(&once, counts) == 0 && pthread_once(&once, counts) == 0 && onces == 1);
	QUIET(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &v) == 0);
	QUIET(pthread_setcancelstate(v, NULL) == 0);
	QUIET(pthread_equal(pthread_self(), pthread_self()));
}

static void one_fork(void)
{
	int status;
	pid_t pid = fork(), got;
	if (pid == 0) {
		int n = 0;
		pthread_t t;
		if (pthread_create(&t, NULL, adds, &n) || pthread_join(t, NULL) || n != 1)
			_exit(1);
		_exit(0);
	}
	QUIET(pid > 0);
	while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	QUIET(got == pid && status == 0);
}

static void *rounds(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		sem_t s;
		int n = 0;
		QUIET(sem_init(&s, 0, 1) == 0 && sem_wait(&s) == 0 && sem_destroy(&s) == 0);
		QUIET(join(spawn(adds, &n)) == &n && n == 1);
	}
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_one, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_handler = on_two;
	sigaction(SIGUSR2, &sa, NULL);
	sem_init(&never, 0, 0);
	pthread_t other = spawn(rounds, NULL);
	struct bomber b[2] = {{SIGUSR1, pthread_self()}, {SIGUSR2, other}};
	pthread_t t[2] = {spawn(sends, &b[0]), spawn(sends, &b[1])};
	int64_t until = now_ns(CLOCK_MONOTONIC) + 1000000000;
	int n = 0, forks = 0;
	while (now_ns(CLOCK_MONOTONIC) < until || n < 20) {
		one_round();
		if (n++ % 8 == 0) {
			one_fork();
			forks++;
		}
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++)
		join(t[i]);
	join(other);
	CHECK(n >= 20 && forks > 2 && one > 0 && two > 0);
	return check_done();
}
