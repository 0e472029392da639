/* Addresses where the program has no memory, or none that it may write: the calls that the kernel
 * answers with EFAULT (or with another error that comes first) do so, in a thread too.  Each case
 * has a process of its own; "./bad_address N" runs one of them. */
#include "check.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>

static char *const none[] = {NULL};
static void *bad, *ro; /* nothing there; only to be read */
static int fds[2], sv[2], ep, file, sem, word;
static struct timespec zero, five = {5, 0};
static struct timeval at_once;
static char room[256];
static sigset_t usr1;

static void handler(int sig)
{
}

static void *interrupts(void *arg)
{
	pthread_t t = *(pthread_t *)arg;
	for (int i = 0; i < 100; i++) {
		usleep(10000);
		pthread_kill(t, SIGUSR2);
	}
	return NULL;
}

/* A handler runs in the caller in a moment. */
static int soon(void)
{
	static pthread_t self;
	struct sigaction sa = {.sa_handler = handler};
	self = pthread_self();
	sigaction(SIGUSR2, &sa, NULL);
	spawn(interrupts, &self);
	return 0;
}

static int child(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(3);
	return 0;
}

static struct epoll_event event;
static struct msghdr bad_iov;
static struct mmsghdr one_hdr;
static struct sembuf op_zero = {0, 0, 0}, op_less = {0, -1, 0};

#define CLOCKS(X)                                                                                  \
	X(nanosleep(bad, NULL))                                                                    \
	X(nanosleep(NULL, NULL))                                                                   \
	X(nanosleep(&zero, bad))                                                                   \
	X((soon(), nanosleep(&five, bad)))                                                         \
	X((soon(), nanosleep(&five, ro)))                                                          \
	X(clock_nanosleep(CLOCK_MONOTONIC, 0, bad, NULL))                                          \
	X(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, bad, NULL))                               \
	X((soon(), clock_nanosleep(CLOCK_MONOTONIC, 0, &five, bad)))                               \
	X(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, bad, NULL))                                 \
	X((soon(), clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &five, bad)))                      \
	X(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, bad, NULL))                                  \
	X(clock_nanosleep(-6, 0, bad, NULL))                                                       \
	X(clock_nanosleep(77, 0, bad, NULL))                                                       \
	X(clock_gettime(CLOCK_THREAD_CPUTIME_ID, bad))                                             \
	X(clock_gettime(CLOCK_THREAD_CPUTIME_ID, ro))                                              \
	X(clock_getres(CLOCK_THREAD_CPUTIME_ID, bad))                                              \
	X(thrd_sleep(bad, NULL))                                                                   \
	X(getrusage(RUSAGE_THREAD, bad))                                                           \
	X(getrusage(RUSAGE_THREAD, ro))                                                            \
	X(syscall(SYS_nanosleep, bad, NULL))                                                       \
	X(syscall(SYS_clock_nanosleep, 1, 0, bad, NULL))                                           \
	X(syscall(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, bad))

#define POLLS(X)                                                                                   \
	X(syscall(SYS_ppoll, NULL, 0, bad, NULL, 8))                                               \
	X(syscall(SYS_ppoll, NULL, 0, &zero, bad, 8))                                              \
	X(syscall(SYS_select, 0, NULL, NULL, NULL, bad))                                           \
	X(syscall(SYS_pselect6, 0, NULL, NULL, NULL, bad, NULL))                                   \
	X(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, bad))                                  \
	X(syscall(SYS_pselect6, 1, bad, NULL, NULL, &zero, NULL))                                  \
	X(syscall(SYS_epoll_pwait2, ep, &event, 1, bad, NULL, 8))                                  \
	X(syscall(SYS_epoll_pwait, ep, &event, 1, 0, bad, 8))                                      \
	X(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_MOD, sv[0], bad))                                   \
	X(poll(bad, 1, 0))                                                                         \
	X(poll(bad, 1, 5))                                                                         \
	X(poll(bad, 0, 0))                                                                         \
	X(poll(ro, 1, 0))                                                                          \
	X(poll(bad, 1000000000, 0))                                                                \
	X(ppoll(bad, 1, &zero, NULL))                                                              \
	X(ppoll(NULL, 0, &zero, bad))                                                              \
	X(select(1, bad, NULL, NULL, &at_once))                                                    \
	X(select(1, NULL, bad, NULL, &at_once))                                                    \
	X(select(1, ro, NULL, NULL, &at_once))                                                     \
	X(select(-1, bad, NULL, NULL, &at_once))                                                   \
	X(pselect(0, NULL, NULL, NULL, &zero, bad))                                                \
	X(epoll_wait(ep, bad, 1, 0))                                                               \
	X(epoll_wait(ep, bad, 1, 1000))                                                            \
	X(epoll_wait(ep, ro, 1, 0))                                                                \
	X(epoll_wait(ep, bad, 0, 0))                                                               \
	X(epoll_wait(ep, bad, 1 << 30, 0))                                                         \
	X(epoll_pwait(ep, bad, 1, 0, NULL))                                                        \
	X(epoll_pwait(ep, &event, 1, 0, bad))                                                      \
	X(epoll_pwait2(ep, &event, 1, bad, NULL))                                                  \
	X(epoll_pwait2(ep, bad, 1, &zero, NULL))                                                   \
	X(epoll_ctl(ep, EPOLL_CTL_ADD, sv[1], bad))                                                \
	X(epoll_ctl(ep, EPOLL_CTL_DEL, sv[1], bad))                                                \
	X(epoll_ctl(ep, EPOLL_CTL_MOD, sv[0], bad))                                                \
	X(syscall(SYS_poll, bad, 1, 0))                                                            \
	X(syscall(SYS_epoll_wait, ep, bad, 1, 0))

#define FILES(X)                                                                                   \
	X(ioctl(sv[0], FIONBIO, bad))                                                              \
	X(syscall(SYS_readv, sv[0], bad, 1))                                                       \
	X(syscall(SYS_preadv, file, bad, 1, 0, 0))                                                 \
	X(syscall(SYS_semtimedop, sem, &op_less, 1, bad))                                          \
	X(syscall(SYS_pipe2, bad, 0))                                                              \
	X(syscall(SYS_openat, AT_FDCWD, bad, O_RDONLY))                                            \
	X(syscall(SYS_fcntl, file, F_SETLKW, bad))                                                 \
	X(read(fds[0], bad, 1))                                                                    \
	X(write(fds[1], bad, 1))                                                                   \
	X(read(sv[0], bad, 1))                                                                     \
	X(write(sv[0], bad, 1))                                                                    \
	X(read(file, bad, 1))                                                                      \
	X(write(file, bad, 1))                                                                     \
	X(pread(file, bad, 1, 0))                                                                  \
	X(pwrite(file, bad, 1, 0))                                                                 \
	X(readv(sv[0], bad, 1))                                                                    \
	X(readv(sv[0], bad, 2))                                                                    \
	X(writev(sv[0], bad, 1))                                                                   \
	X(writev(sv[0], bad, 3))                                                                   \
	X(readv(fds[0], bad, 1))                                                                   \
	X(writev(fds[1], bad, 1))                                                                  \
	X(readv(file, bad, 1))                                                                     \
	X(writev(file, bad, 1))                                                                    \
	X(preadv(file, bad, 1, 0))                                                                 \
	X(pwritev(file, bad, 1, 0))                                                                \
	X(preadv2(file, bad, 1, 0, 0))                                                             \
	X(fcntl(file, F_SETLKW, bad))                                                              \
	X(fcntl(file, F_SETLK, bad))                                                               \
	X(fcntl(file, F_GETLK, bad))                                                               \
	X(open(bad, O_RDONLY))                                                                     \
	X(sendfile(sv[0], file, bad, 1))                                                           \
	X(splice(file, bad, fds[1], NULL, 1, 0))                                                   \
	X(copy_file_range(file, bad, file, NULL, 1, 0))                                            \
	X(vmsplice(fds[1], bad, 1, 0))                                                             \
	X(pipe(bad))                                                                               \
	X(pipe2(bad, O_CLOEXEC))                                                                   \
	X(socketpair(AF_UNIX, SOCK_STREAM, 0, bad))                                                \
	X(semop(sem, bad, 1))                                                                      \
	X(semtimedop(sem, &op_zero, 1, bad))                                                       \
	X(semtimedop(sem, &op_less, 1, bad))                                                       \
	X(msgsnd(sem, bad, 1, IPC_NOWAIT))                                                         \
	X(execv(bad, none))                                                                        \
	X(execve("/bin/true", bad, NULL))

#define SOCKETS(X)                                                                                 \
	X(syscall(SYS_recvmmsg, sv[0], &one_hdr, 1, 0, bad))                                       \
	X(syscall(SYS_recvmsg, sv[0], bad, 0))                                                     \
	X(syscall(SYS_sendmsg, sv[0], bad, 0))                                                     \
	X(syscall(SYS_accept4, sv[0], bad, bad, 0))                                                \
	X(syscall(SYS_connect, sv[0], bad, 16))                                                    \
	X(syscall(SYS_setsockopt, sv[0], SOL_SOCKET, SO_RCVTIMEO, bad, 16))                        \
	X(recv(sv[0], bad, 1, 0))                                                                  \
	X(send(sv[0], bad, 1, 0))                                                                  \
	X(recvfrom(sv[0], room, 4, 0, bad, bad))                                                   \
	X(recvfrom(sv[0], room, 4, 0, (void *)room, bad))                                          \
	X(sendto(sv[0], "x", 1, 0, bad, 16))                                                       \
	X(recvmsg(sv[0], bad, 0))                                                                  \
	X(recvmsg(sv[0], ro, 0))                                                                   \
	X(sendmsg(sv[0], bad, 0))                                                                  \
	X(recvmsg(sv[0], &bad_iov, 0))                                                             \
	X(recvmsg(sv[0], &bad_iov, MSG_WAITALL))                                                   \
	X(sendmsg(sv[0], &bad_iov, 0))                                                             \
	X(recvmmsg(sv[0], bad, 1, 0, NULL))                                                        \
	X(recvmmsg(sv[0], &one_hdr, 1, 0, bad))                                                    \
	X(sendmmsg(sv[0], bad, 1, 0))                                                              \
	X(accept(sv[0], bad, bad))                                                                 \
	X(connect(sv[0], bad, 16))                                                                 \
	X(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, bad, 16))                                     \
	X(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, NULL, 16))

#define SIGNALS(X)                                                                                 \
	X(syscall(SYS_rt_sigtimedwait, bad, NULL, &zero, 8))                                       \
	X(syscall(SYS_rt_sigtimedwait, &usr1, NULL, bad, 8))                                       \
	X(syscall(SYS_rt_sigsuspend, bad, 8))                                                      \
	X(syscall(SYS_rt_sigaction, SIGUSR1, bad, NULL, 8))                                        \
	X(syscall(SYS_rt_sigaction, SIGUSR1, NULL, bad, 8))                                        \
	X(syscall(SYS_sigaltstack, bad, NULL))                                                     \
	X(syscall(SYS_sigaltstack, NULL, bad))                                                     \
	X(syscall(SYS_rt_sigpending, bad, 8))                                                      \
	X(syscall(SYS_signalfd4, -1, bad, 8, 0))                                                   \
	X(sigpending(bad))                                                                         \
	X(sigaltstack(bad, NULL))                                                                  \
	X(sigaltstack(NULL, bad))                                                                  \
	X(sigtimedwait(bad, NULL, &zero))                                                          \
	X(sigtimedwait(&usr1, NULL, bad))                                                          \
	X(sigwaitinfo(bad, NULL))                                                                  \
	X(sigsuspend(bad))                                                                         \
	X(signalfd(-1, bad, 0))                                                                    \
	X(sigprocmask(SIG_BLOCK, NULL, bad))                                                       \
	X(pthread_sigmask(SIG_BLOCK, NULL, bad))                                                   \
	X(syscall(SYS_rt_sigprocmask, SIG_BLOCK, bad, NULL, 8))                                    \
	X(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, bad, 8))                                    \
	X(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, bad))                                    \
	X(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGUSR1, bad))

#define PROCESSES(X)                                                                               \
	X(setgroups(1, bad))                                                                       \
	X(getgroups(64, bad))                                                                      \
	X(syscall(SYS_setgroups, 1, bad))                                                          \
	X(syscall(SYS_wait4, -1, bad, 0, NULL))                                                    \
	X(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, bad, NULL))                                     \
	X(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, bad))                                     \
	X(syscall(SYS_sched_setaffinity, 0, 8, bad))                                               \
	X(syscall(SYS_sched_getaffinity, 0, 8, bad))                                               \
	X(syscall(SYS_sched_setparam, 0, bad))                                                     \
	X(syscall(SYS_getrusage, RUSAGE_THREAD, bad))                                              \
	X(syscall(SYS_timer_create, CLOCK_MONOTONIC, bad, &word))                                  \
	X(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, bad))                                   \
	X(syscall(SYS_getcpu, bad, NULL))                                                          \
	X(syscall(SYS_capget, bad, bad))                                                           \
	X(syscall(SYS_execve, bad, NULL, NULL))                                                    \
	X(syscall(SYS_futex_waitv, bad, 1, 0, NULL, 0))                                            \
	X(setrlimit(RLIMIT_NOFILE, bad))                                                           \
	X((child(), waitpid(-1, bad, 0)))                                                          \
	X((child(), wait4(-1, NULL, 0, bad)))                                                      \
	X((child(), waitid(P_ALL, 0, bad, WEXITED)))                                               \
	X((child(), waitid(P_ALL, 0, bad, WEXITED | WNOHANG)))                                     \
	X(sched_setscheduler(0, 0, bad))                                                           \
	X(sched_setparam(0, bad))                                                                  \
	X(sched_getparam(0, bad))                                                                  \
	X(sched_getparam(0, ro))                                                                   \
	X(sched_setaffinity(0, 8, bad))                                                            \
	X(sched_getaffinity(0, 8, bad))                                                            \
	X(sched_getaffinity(0, 128, ro))                                                           \
	X(sched_rr_get_interval(0, bad))                                                           \
	X(syscall(SYS_sched_setattr, 0, bad, 0))                                                   \
	X(syscall(SYS_sched_getattr, 0, bad, 48, 0))                                               \
	X(pthread_getaffinity_np(pthread_self(), 8, bad))                                          \
	X(pthread_setaffinity_np(pthread_self(), 8, bad))                                          \
	X(syscall(SYS_futex, bad, FUTEX_WAKE_PRIVATE, 1))                                          \
	X(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, bad))                                   \
	X(syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PRIVATE, 1, 1, bad, 0))                      \
	X(syscall(SYS_waitid, P_ALL, 0, bad, WEXITED, NULL))                                       \
	X(syscall(SYS_get_robust_list, 0, bad, bad))                                               \
	X(syscall(SYS_clone3, bad, 88))                                                            \
	X(prctl_(bad))                                                                             \
	X(pthread_setname_np(pthread_self(), ro))

static int prctl_(void *p)
{
	extern int prctl(int, ...);
	return prctl(15 /* PR_SET_NAME */, p) * 10 + prctl(16 /* PR_GET_NAME */, p);
}

#define ALL(X)	   CLOCKS(X) POLLS(X) FILES(X) SOCKETS(X) SIGNALS(X) PROCESSES(X)
#define NAME(call) #call,
#define RUN(call)                                                                                  \
	if (i++ == which) {                                                                        \
		errno = 0;                                                                         \
		r = (long)(call);                                                                  \
		e = errno;                                                                         \
	}

static const char *const names[] = {ALL(NAME)};
static int which;

static void *run(void *arg)
{
	int i = 0, e = 0;
	long r = 0;
	ALL(RUN)
	printf("%s = %ld%s%s\n", names[which], r, r < 0 ? " " : "", r < 0 ? strerror(e) : "");
	fflush(stdout);
	return NULL;
}

static void one(void)
{
	struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	MUST(pipe(fds) == 0 && write(fds[1], "abcdef", 6) == 6);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0 && write(sv[1], "abcdef", 6) == 6);
	MUST((ep = epoll_create1(0)) >= 0);
	event.events = EPOLLIN;
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &event) == 0);
	MUST((file = memfd_create("file", 0)) >= 0 && ftruncate(file, 5000) == 0);
	bad_iov = (struct msghdr){.msg_iov = bad, .msg_iovlen = 1};
	alarm(10);
	join(spawn(run, NULL));
}

int main(int argc, char **argv)
{
	int n = sizeof(names) / sizeof(names[0]), status;

	bad = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ro = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	if (argc > 1) {
		which = atoi(argv[1]);
		one();
		return 0;
	}
	MUST((sem = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	for (which = 0; which < n; which++) {
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			one();
			_exit(0);
		}
		MUST(waitpid(pid, &status, 0) == pid);
		if (status)
			printf("%s ends with %#x\n", names[which], status);
	}
	semctl(sem, 0, IPC_RMID);
	return check_done();
}
