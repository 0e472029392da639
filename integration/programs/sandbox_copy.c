/* A sandbox that kills for process_vm_readv and process_vm_writev, which the program does not call:
 * what it gives to calls, and what they answer, lies in memory that is no stack of its own. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>

static struct timespec soon = {0, 1000}, left;
static struct timeval at_once;
static sigset_t set, old, was;
static struct sigaction act, old_act;
static struct rusage used;
static siginfo_t info;

static void sandbox(void)
{
	struct sock_filter f[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_writev, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) == 0);
}

static void handler(int sig)
{
}

int main(void)
{
	become_threaded();
	sandbox();
	CHECK(nanosleep(&soon, &left) == 0);
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &soon, &left) == 0);
	CHECK(select(0, NULL, NULL, NULL, &at_once) == 0);
	sigaddset(&set, SIGUSR1);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &was) == 0);
	CHECK(!sigismember(&old, SIGUSR1) && !sigismember(&old, SIGUSR2));
	CHECK(sigismember(&was, SIGUSR1) && !sigismember(&was, SIGUSR2));
	act.sa_handler = handler;
	CHECK(sigaction(SIGUSR2, &act, NULL) == 0);
	CHECK(sigaction(SIGUSR2, NULL, &old_act) == 0 && old_act.sa_handler == handler);
	CHECK(raise(SIGUSR1) == 0);
	CHECK(sigtimedwait(&set, &info, &soon) == SIGUSR1 && info.si_signo == SIGUSR1);
	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &left) == 0 && left.tv_nsec >= 0);
	CHECK(getrusage(RUSAGE_THREAD, &used) == 0 && used.ru_utime.tv_sec >= 0);
	return check_done();
}
