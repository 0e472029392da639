/* Process-shared mutex, condition, semaphore and barrier, and a robust mutex whose owner dies, in
 * memory shared with a forked child; several threads on both sides. */
#include "check.h"
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define THREADS 4
#define ROUNDS	300

static struct shared {
	pthread_mutex_t mutex, robust;
	pthread_cond_t cond;
	sem_t to_child, to_parent;
	pthread_barrier_t barrier;
	long counter;
	int inside, flag;
} * s;

static void *count(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&s->mutex);
		QUIET(s->inside++ == 0);
		s->counter++;
		if (i % 50 == 0)
			sched_yield();
		s->inside--;
		pthread_mutex_unlock(&s->mutex);
	}
	return NULL;
}

static void count_in_threads(void)
{
	pthread_t t[THREADS];
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(count, NULL);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
}

static void child(void)
{
	count_in_threads();
	for (int i = 0; i < ROUNDS; i++) {
		sem_wait(&s->to_child);
		sem_post(&s->to_parent);
	}
	pthread_mutex_lock(&s->mutex);
	s->flag = 1;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->mutex);
	pthread_barrier_wait(&s->barrier);
	pthread_mutex_lock(&s->robust);
	_exit(check_failures ? 1 : 23); /* dies as the owner of the robust mutex */
}

int main(void)
{
	pthread_mutexattr_t mattr;
	pthread_condattr_t cattr;
	pthread_barrierattr_t battr;
	int status, echoes = 0;

	become_threaded();
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(s != MAP_FAILED);
	pthread_mutexattr_init(&mattr);
	CHECK_RC(0, pthread_mutexattr_setpshared(&mattr, PTHREAD_PROCESS_SHARED));
	CHECK_RC(0, pthread_mutex_init(&s->mutex, &mattr));
	CHECK_RC(0, pthread_mutexattr_setrobust(&mattr, PTHREAD_MUTEX_ROBUST));
	CHECK_RC(0, pthread_mutex_init(&s->robust, &mattr));
	pthread_condattr_init(&cattr);
	CHECK_RC(0, pthread_condattr_setpshared(&cattr, PTHREAD_PROCESS_SHARED));
	CHECK_RC(0, pthread_cond_init(&s->cond, &cattr));
	pthread_barrierattr_init(&battr);
	CHECK_RC(0, pthread_barrierattr_setpshared(&battr, PTHREAD_PROCESS_SHARED));
	CHECK_RC(0, pthread_barrier_init(&s->barrier, &battr, 2));
	CHECK(sem_init(&s->to_child, 1, 0) == 0 && sem_init(&s->to_parent, 1, 0) == 0);

	pid_t pid = fork();
	if (pid == 0)
		child();
	count_in_threads();
	for (int i = 0; i < ROUNDS; i++) {
		sem_post(&s->to_child);
		sem_wait(&s->to_parent);
		echoes++;
	}
	CHECK(echoes == ROUNDS);
	pthread_mutex_lock(&s->mutex);
	while (!s->flag)
		pthread_cond_wait(&s->cond, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
	int rc = pthread_barrier_wait(&s->barrier);
	CHECK(rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 23);
	CHECK(s->counter == 2 * THREADS * ROUNDS);
	CHECK_RC(EOWNERDEAD, pthread_mutex_lock(&s->robust));
	CHECK_RC(0, pthread_mutex_consistent(&s->robust));
	CHECK_RC(0, pthread_mutex_unlock(&s->robust));
	CHECK_RC(0, pthread_mutex_lock(&s->robust));
	CHECK_RC(0, pthread_mutex_unlock(&s->robust));
	return check_done();
}
