/* Every static initialiser, and all-zero memory, is ready for use by many threads at once and has
 * the kind it names. */
#include "check.h"

static pthread_mutex_t normal = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t errorcheck = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_mutex_t adaptive = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t zero;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t prefer = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_rwlock_t zero_rwlock;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counts[8];

static void *use_all(void *arg)
{
	pthread_mutex_t *mutexes[] = {&normal, &recursive, &errorcheck, &adaptive, &zero};
	pthread_rwlock_t *rwlocks[] = {&rwlock, &prefer, &zero_rwlock};
	for (int i = 0; i < 200; i++) {
		for (int m = 0; m < 5; m++) {
			QUIET(pthread_mutex_lock(mutexes[m]) == 0);
			counts[m]++;
			QUIET(pthread_mutex_unlock(mutexes[m]) == 0);
		}
		for (int r = 0; r < 3; r++) {
			QUIET(pthread_rwlock_rdlock(rwlocks[r]) == 0);
			QUIET(pthread_rwlock_unlock(rwlocks[r]) == 0);
			QUIET(pthread_rwlock_wrlock(rwlocks[r]) == 0);
			counts[5 + r]++;
			QUIET(pthread_rwlock_unlock(rwlocks[r]) == 0);
		}
		QUIET(pthread_cond_broadcast(&cond) == 0);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[16];
	for (int i = 0; i < 16; i++)
		t[i] = spawn(use_all, NULL);
	for (int i = 0; i < 16; i++)
		join(t[i]);
	for (int i = 0; i < 8; i++)
		QUIET(counts[i] == 16 * 200);
	CHECK_RC(0, pthread_mutex_lock(&recursive));
	CHECK_RC(0, pthread_mutex_lock(&recursive));
	CHECK_RC(0, pthread_mutex_unlock(&recursive));
	CHECK_RC(0, pthread_mutex_unlock(&recursive));
	CHECK_RC(0, pthread_mutex_lock(&errorcheck));
	CHECK_RC(EDEADLK, pthread_mutex_lock(&errorcheck));
	CHECK_RC(0, pthread_mutex_unlock(&errorcheck));
	CHECK_RC(EPERM, pthread_mutex_unlock(&errorcheck));
	return check_done();
}
