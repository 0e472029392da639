/* A process that is stopped and continued from outside while its threads wait: System V semaphores
 * end with EINTR although no handler ran (signal(7)), the others go on. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/wait.h>

enum { WAITS = 7 };
static int sem, queue, fds[2], locked, *entered;
static const char *const names[WAITS] = {"semop", "semtimedop", "msgrcv",   "read",
					 "flock", "poll",	"nanosleep"};

struct message {
	long type;
	char text[8];
};

static void *waits(void *arg)
{
	int i = (int)(intptr_t)arg, r = -1;
	struct sembuf less = {0, -1, 0};
	struct timespec limit = {20, 0}, some = {0, 700000000};
	struct pollfd p = {-1, POLLIN, 0};
	struct message message;
	char c;

	__atomic_add_fetch(entered, 1, __ATOMIC_SEQ_CST);
	errno = 0;
	switch (i) {
	case 0:
		r = semop(sem, &less, 1);
		break;
	case 1:
		r = semtimedop(sem, &less, 1, &limit);
		break;
	case 2:
		r = (int)msgrcv(queue, &message, sizeof(message.text), 0, 0);
		break;
	case 3:
		r = (int)read(fds[0], &c, 1);
		break;
	case 4:
		r = flock(locked, LOCK_EX);
		flock(locked, LOCK_UN);
		break;
	case 5:
		r = poll(&p, 1, 700);
		break;
	case 6:
		r = nanosleep(&some, NULL);
		break;
	}
	return (void *)(intptr_t)(r < 0 ? -errno : r);
}

static void child(const char *path)
{
	pthread_t t[WAITS];
	locked = open(path, O_RDWR); /* the parent has the lock */
	close(fds[1]);
	alarm(20);
	for (int i = 0; i < WAITS; i++)
		t[i] = spawn(waits, (void *)(intptr_t)i);
	for (int i = 0; i < WAITS; i++) {
		int r = (int)(intptr_t)join(t[i]);
		printf("%s: %d %s\n", names[i], r, r < 0 ? strerror(-r) : "");
		fflush(stdout);
	}
	_exit(3);
}

int main(void)
{
	char path[] = "/tmp/sig_stopped.XXXXXX";
	int status, file = mkstemp(path);

	entered = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(file >= 0 && flock(file, LOCK_EX) == 0 && pipe(fds) == 0);
	MUST((sem = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	MUST((queue = msgget(IPC_PRIVATE, 0600)) >= 0);
	pid_t pid = fork();
	if (pid == 0)
		child(path);
	while (__atomic_load_n(entered, __ATOMIC_SEQ_CST) < WAITS)
		usleep(1000);
	usleep(150000); /* nothing tells that the last of them waits in the kernel */
	MUST(kill(pid, SIGSTOP) == 0);
	MUST(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	MUST(kill(pid, SIGCONT) == 0);
	MUST(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	usleep(50000);
	MUST(write(fds[1], "x", 1) == 1);
	MUST(msgsnd(queue, &(struct message){1, "hello"}, 5, 0) == 0);
	MUST(flock(file, LOCK_UN) == 0);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	semctl(sem, 0, IPC_RMID);
	msgctl(queue, IPC_RMID, NULL);
	unlink(path);
	return check_done();
}
