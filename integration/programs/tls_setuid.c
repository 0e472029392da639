/* The set*id family from a thread while others spin, wait and sleep: glibc interrupts every kernel
 * thread and waits for its answer, the classic hang of user-level threads. */
#include "check.h"
#include <grp.h>
#include <semaphore.h>

static sem_t never;
static int stop;

static void *busy(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		;
	return NULL;
}

static void *yields(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		sched_yield();
		usleep(100);
	}
	return NULL;
}

static void *waits(void *arg)
{
	sem_wait(&never);
	return NULL;
}

static void *set_ids(void *arg)
{
	gid_t groups[64];
	uid_t r, e, s;
	int n = getgroups(64, groups);
	for (int i = 0; i < 20; i++) {
		QUIET(setuid(getuid()) == 0);
		QUIET(setgid(getgid()) == 0);
		QUIET(seteuid(geteuid()) == 0 && setegid(getegid()) == 0);
		QUIET(setreuid(-1, geteuid()) == 0 && setregid(-1, getegid()) == 0);
		QUIET(setresuid(-1, -1, -1) == 0 && setresgid(-1, -1, -1) == 0);
		/* Needs a privilege; both answers are fine, coming back is the point. */
		QUIET(setgroups(n, groups) == 0 || errno == EPERM);
		if (arg)
			sched_yield();
	}
	QUIET(getresuid(&r, &e, &s) == 0 && r == getuid() && e == geteuid());
	return NULL;
}

int main(void)
{
	pthread_t t[20], setters[2];
	sem_init(&never, 0, 0);
	for (int i = 0; i < 20; i++)
		t[i] = spawn(i == 0 ? busy : i < 4 ? yields : waits, NULL);
	join(spawn(set_ids, NULL));
	CHECK("from a thread");
	set_ids(NULL);
	CHECK("from main");
	for (int i = 0; i < 2; i++)
		setters[i] = spawn(set_ids, t);
	for (int i = 0; i < 2; i++)
		join(setters[i]);
	CHECK("from two threads at once");
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 20; i++)
		sem_post(&never);
	for (int i = 0; i < 20; i++)
		join(t[i]);
	return check_done();
}
