/* A mutex in freed memory: one thread locks the mutex after another, then destroys it and unmaps
 * its page at once. The unlocker must not touch it any more (the classic destruction race). */
#include "check.h"
#include <semaphore.h>
#include <sys/mman.h>

struct object {
	pthread_mutex_t mutex;
	sem_t sem;
	pthread_cond_t cond;
	int done;
};

static void *finish(void *arg)
{
	struct object *o = arg;
	pthread_mutex_lock(&o->mutex);
	o->done = 1;
	pthread_mutex_unlock(&o->mutex); /* the object may be gone before this returns */
	return NULL;
}

static void *finish_cond(void *arg)
{
	struct object *o = arg;
	pthread_mutex_lock(&o->mutex);
	o->done = 1;
	pthread_cond_signal(&o->cond);
	pthread_mutex_unlock(&o->mutex);
	return NULL;
}

static void *finish_sem(void *arg)
{
	struct object *o = arg;
	sem_post(&o->sem);
	return NULL;
}

static struct object *make(void)
{
	struct object *o =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(o != MAP_FAILED);
	pthread_mutex_init(&o->mutex, NULL);
	pthread_cond_init(&o->cond, NULL);
	sem_init(&o->sem, 0, 0);
	return o;
}

int main(void)
{
	for (int i = 0; i < 1000; i++) {
		struct object *o = make();
		pthread_t t = spawn(finish, o);
		for (int done = 0; !done;) {
			pthread_mutex_lock(&o->mutex);
			done = o->done;
			pthread_mutex_unlock(&o->mutex);
			if (!done)
				sched_yield();
		}
		QUIET(pthread_mutex_destroy(&o->mutex) == 0);
		munmap(o, 4096);
		join(t);
	}
	for (int i = 0; i < 1000; i++) {
		struct object *o = make();
		pthread_t t = spawn(finish_cond, o);
		pthread_mutex_lock(&o->mutex);
		while (!o->done)
			pthread_cond_wait(&o->cond, &o->mutex);
		pthread_mutex_unlock(&o->mutex);
		QUIET(pthread_cond_destroy(&o->cond) == 0);
		QUIET(pthread_mutex_destroy(&o->mutex) == 0);
		munmap(o, 4096);
		join(t);
	}
	for (int i = 0; i < 1000; i++) {
		struct object *o = make();
		pthread_t t = spawn(finish_sem, o);
		QUIET(sem_wait(&o->sem) == 0);
		sem_destroy(&o->sem);
		munmap(o, 4096);
		join(t);
	}
	return check_done();
}
