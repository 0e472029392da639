/* The ids of threads where the kernel takes those of processes: process groups, sessions, limits,
 * sigqueue. The thread's own id, another one's, that of one that ended. */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static int tid, stop, came;

static void *lives(void *arg)
{
	__atomic_store_n(&tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		usleep(1000);
	return NULL;
}

static void handler(int sig)
{
	__atomic_add_fetch(&came, 1, __ATOMIC_SEQ_CST);
}

static void known(int id)
{
	struct rlimit mine, its;

	CHECK(getpgid(id) == getpgrp());
	CHECK(getsid(id) == getsid(0));
	CHECK(syscall(SYS_getpgid, id) == getpgrp());
	CHECK(syscall(SYS_getsid, id) == getsid(0));
	CHECK_ERRNO(EINVAL, setpgid(id, 0));
	CHECK_ERRNO(EINVAL, syscall(SYS_setpgid, id, 0));
	CHECK(getrlimit(RLIMIT_NOFILE, &mine) == 0);
	CHECK(prlimit(id, RLIMIT_NOFILE, NULL, &its) == 0 && its.rlim_cur == mine.rlim_cur);
	CHECK(prlimit(id, RLIMIT_NOFILE, &its, NULL) == 0);
	CHECK(syscall(SYS_prlimit64, id, RLIMIT_NOFILE, NULL, &its) == 0);
	CHECK(getpriority(PRIO_PROCESS, (id_t)id) == getpriority(PRIO_PROCESS, 0));
	CHECK_ERRNO(ESRCH, getpriority(PRIO_PGRP, (id_t)id));
	CHECK(sched_getscheduler(id) == SCHED_OTHER);
	CHECK(kill(id, 0) == 0);
	CHECK_ERRNO(ESRCH, killpg(id, 0));
	CHECK(sigqueue(id, 0, (union sigval){0}) == 0);
	int before = came;
	CHECK(sigqueue(id, SIGUSR1, (union sigval){0}) == 0);
	while (__atomic_load_n(&came, __ATOMIC_SEQ_CST) == before)
		usleep(1000);
}

static void *asks(void *arg)
{
	known((int)syscall(SYS_gettid));
	return NULL;
}

static void unknown(int id)
{
	CHECK_ERRNO(ESRCH, getpgid(id));
	CHECK_ERRNO(ESRCH, getsid(id));
	CHECK_ERRNO(ESRCH, setpgid(id, 0));
	CHECK_ERRNO(ESRCH, prlimit(id, RLIMIT_NOFILE, NULL, NULL));
	CHECK_ERRNO(ESRCH, getpriority(PRIO_PROCESS, (id_t)id));
	CHECK_ERRNO(ESRCH, sigqueue(id, 0, (union sigval){0}));
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(getpgid(0) == getpgrp() && getpgid(getpid()) == getpgrp());
	CHECK(getsid(0) == getsid(getpid()));
	CHECK_ERRNO(ESRCH, getpgid(-5));
	CHECK_ERRNO(EINVAL, setpgid(0, -5));
	pthread_t t = spawn(lives, NULL);
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		usleep(1000);
	known(tid);
	join(spawn(asks, NULL));
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(t);
	while (syscall(SYS_tgkill, getpid(), tid, 0) == 0)
		usleep(1000);
	unknown(tid);
	return check_done();
}
