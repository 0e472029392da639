/* What has a name and is shared by processes: semaphores, shared memory, mappings of files. */
#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char name[64];
static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught++;
}

static int child(int (*fn)(void *), void *arg)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(fn(arg));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int posts(void *arg)
{
	sem_t *s = sem_open(name, 0);
	return s != SEM_FAILED && sem_post(s) == 0 && sem_close(s) == 0 ? 0 : 1;
}

static void *takes(void *arg)
{
	for (int i = 0; i < 50; i++)
		QUIET(sem_wait(arg) == 0);
	return NULL;
}

static void *gives(void *arg)
{
	for (int i = 0; i < 50; i++)
		QUIET(sem_post(arg) == 0);
	return NULL;
}

static void *waits(void *arg)
{
	sem_wait(arg);
	return NULL;
}

static void *kicks(void *arg)
{
	sleep_ms(30);
	QUIET(pthread_kill(*(pthread_t *)arg, SIGUSR1) == 0);
	return NULL;
}

static void semaphores(void)
{
	int v;
	struct timespec soon = deadline_ms(CLOCK_REALTIME, 20), bad = {0, 1000000000};
	CHECK(sem_open(name, 0) == SEM_FAILED && errno == ENOENT);
	CHECK(sem_open(name, O_CREAT, 0600, (unsigned)SEM_VALUE_MAX + 1) == SEM_FAILED &&
	      errno == EINVAL);
	sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, 2);
	MUST(s != SEM_FAILED);
	CHECK(sem_open(name, O_CREAT | O_EXCL, 0600, 1) == SEM_FAILED && errno == EEXIST);
	CHECK(sem_open(name, 0) == s && sem_open(name, O_CREAT, 0600, 9) == s);
	CHECK(sem_getvalue(s, &v) == 0 && v == 2);
	CHECK(sem_close(s) == 0 && sem_close(s) == 0);
	CHECK(sem_wait(s) == 0 && sem_trywait(s) == 0);
	CHECK_ERRNO(EAGAIN, sem_trywait(s));
	CHECK_ERRNO(ETIMEDOUT, sem_timedwait(s, &soon));
	CHECK_ERRNO(EINVAL, sem_timedwait(s, &bad));
	CHECK(child(posts, NULL) == 0 && sem_wait(s) == 0);
	pthread_t t[8];
	for (int i = 0; i < 8; i++)
		t[i] = spawn(i % 2 ? takes : gives, s);
	for (int i = 0; i < 8; i++)
		join(t[i]);
	CHECK(sem_getvalue(s, &v) == 0 && v == 0);
	pthread_t w = spawn(waits, s);
	sleep_ms(20);
	pthread_cancel(w);
	CHECK(join(w) == PTHREAD_CANCELED);
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGUSR1, &sa, NULL);
	pthread_t self = pthread_self(), k = spawn(kicks, &self);
	CHECK_ERRNO(EINTR, sem_wait(s));
	join(k);
	CHECK(sem_unlink(name) == 0);
	CHECK_ERRNO(ENOENT, sem_unlink(name));
	sem_t *other = sem_open(name, O_CREAT, 0600, 1); /* the name is free, the old one lives */
	CHECK(other != s && sem_getvalue(s, &v) == 0 && v == 0 && sem_post(s) == 0);
	CHECK(sem_close(s) == 0 && sem_close(other) == 0 && sem_unlink(name) == 0);
}

static void *semaphores_there(void *arg)
{
	semaphores();
	return arg;
}

struct shared {
	pthread_mutex_t m;
	pthread_cond_t c;
	pthread_barrier_t b;
	pthread_rwlock_t rw;
	int turn, sum;
};

static int plays(void *arg)
{
	int fd = shm_open(name, O_RDWR, 0);
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s == MAP_FAILED)
		return 1;
	pthread_mutex_lock(&s->m);
	for (int i = 0; i < 50; i++) {
		while (s->turn != 1)
			pthread_cond_wait(&s->c, &s->m);
		s->turn = 0;
		s->sum++;
		pthread_cond_broadcast(&s->c);
	}
	pthread_mutex_unlock(&s->m);
	pthread_barrier_wait(&s->b);
	pthread_rwlock_wrlock(&s->rw);
	s->sum += 1000;
	pthread_rwlock_unlock(&s->rw);
	return munmap(s, sizeof(*s));
}

static void memory(void)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_barrierattr_t ba;
	pthread_rwlockattr_t ra;
	struct stat st;
	int status;
	CHECK_ERRNO(ENOENT, shm_open(name, O_RDWR, 0));
	int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
	CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) && fstat(fd, &st) == 0 &&
	      st.st_size == 0);
	CHECK_ERRNO(EEXIST, shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600));
	MUST(ftruncate(fd, sizeof(struct shared)) == 0);
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(s != MAP_FAILED);
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_barrierattr_init(&ba);
	pthread_barrierattr_setpshared(&ba, PTHREAD_PROCESS_SHARED);
	pthread_rwlockattr_init(&ra);
	pthread_rwlockattr_setpshared(&ra, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->m, &ma);
	pthread_cond_init(&s->c, &ca);
	pthread_barrier_init(&s->b, &ba, 2);
	pthread_rwlock_init(&s->rw, &ra);
	pid_t pid = fork();
	if (pid == 0)
		_exit(plays(NULL));
	pthread_mutex_lock(&s->m);
	for (int i = 0; i < 50; i++) {
		while (s->turn != 0)
			pthread_cond_wait(&s->c, &s->m);
		s->turn = 1;
		s->sum++;
		pthread_cond_broadcast(&s->c);
	}
	pthread_mutex_unlock(&s->m);
	pthread_barrier_wait(&s->b);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0 && s->sum == 1100);
	CHECK(shm_unlink(name) == 0);
	CHECK_ERRNO(ENOENT, shm_unlink(name));
	CHECK(s->sum == 1100 && msync(s, sizeof(*s), MS_SYNC) == 0 && munmap(s, sizeof(*s)) == 0);
	CHECK_ERRNO(EINVAL, mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0));
	CHECK_ERRNO(EINVAL, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 1));
	CHECK_ERRNO(EBADF, mmap(NULL, 4096, PROT_READ, MAP_SHARED, 1000, 0));
	CHECK(close(fd) == 0);
}

static jmp_buf back;
static void on_bus(int sig, siginfo_t *si, void *uc)
{
	caught = sig * 100 + si->si_code;
	longjmp(back, 1);
}

static void *beyond_the_end(void *arg)
{
	char path[] = "/tmp/named-XXXXXX";
	int fd = mkstemp(path);
	struct sigaction sa = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER};
	MUST(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 4096) == 0);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	p[4095] = 'x';
	caught = 0;
	if (!setjmp(back))
		p[4096] = 'y';
	CHECK(caught == SIGBUS * 100 + BUS_ADRERR);
	CHECK(mprotect(p, 4096, PROT_READ) == 0);
	if (!setjmp(back))
		p[0] = 'z';
	CHECK(caught == SIGSEGV * 100 + SEGV_ACCERR);
	CHECK(munmap(p, 8192) == 0);
	if (!setjmp(back))
		p[0] = 'z';
	CHECK(caught == SIGSEGV * 100 + SEGV_MAPERR);
	CHECK(mlock(&fd, 4) == 0 && munlock(&fd, 4) == 0 && fsync(fd) == 0 && fdatasync(fd) == 0);
	CHECK_ERRNO(EBADF, fsync(-1));
	close(fd);
	return NULL;
}

int main(void)
{
	snprintf(name, sizeof(name), "/greenhook-named-%d", (int)getpid());
	become_threaded();
	semaphores();
	join(spawn(semaphores_there, NULL));
	memory();
	join(spawn(beyond_the_end, NULL));
	beyond_the_end(NULL);
	return check_done();
}
