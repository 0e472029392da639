/* gettid: unique among living threads, stable across blocking calls, main's equals getpid, and the
 * system call agrees with the function.  What else the kernel keeps per thread and tells. */
#include "check.h"
#include <linux/futex.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define N 200
static sem_t ready, go;
static pid_t tids[N];
static void *heads[N];

static void *thread(void *arg)
{
	pid_t tid = gettid();
	tids[(intptr_t)arg] = tid;
	sem_post(&ready);
	sem_wait(&go);
	QUIET(gettid() == tid);
	sleep_ms(1);
	QUIET(gettid() == tid);
	QUIET(syscall(SYS_gettid) == tid);
	/* Each thread has its own list of robust mutexes, empty here. */
	struct robust_list_head *head = NULL;
	size_t len = 0;
	QUIET(syscall(SYS_get_robust_list, 0, &head, &len) == 0);
	QUIET(head && len == sizeof(*head) && head->list.next == &head->list);
	QUIET(syscall(SYS_set_robust_list, head, len) == 0);
	QUIET(syscall(SYS_set_robust_list, head, len - 1) == -1 && errno == EINVAL);
	heads[(intptr_t)arg] = head;
	int *told = NULL;
	if (prctl(PR_GET_TID_ADDRESS, &told) == 0 && told)
		QUIET(syscall(SYS_set_tid_address, told) == tid);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	int unique = 1;
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	CHECK(gettid() == getpid());
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(thread, (void *)i);
	for (int i = 0; i < N; i++)
		sem_wait(&ready);
	for (int i = 0; i < N; i++) {
		unique &= tids[i] > 0 && tids[i] != getpid();
		for (int j = 0; j < i; j++)
			unique &= tids[i] != tids[j];
	}
	CHECK(unique);
	for (int i = 0; i < N; i++)
		sem_post(&go);
	for (int i = 0; i < N; i++)
		join(t[i]);
	for (int i = 0; i < N; i++)
		for (int j = 0; j < i; j++)
			unique &= heads[i] != heads[j];
	CHECK(unique);
	CHECK(gettid() == getpid());
	CHECK(syscall(SYS_gettid) == getpid());
	return check_done();
}
