/* Calls on files and between processes that wait for another thread: however many wait, the one
 * that ends their wait still runs.  With a name: only that one; a second argument: how many. */
#include "check.h"
#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char path[64], queue_name[64];
static int id, count = 20, held;
static mqd_t queue;
struct message {
	long type;
	char text[8];
};

static void finished(void)
{
	__atomic_add_fetch(&held, 1, __ATOMIC_SEQ_CST);
}

static int open_it(void)
{
	int fd = open(path, O_RDWR);
	MUST(fd >= 0);
	return fd;
}

static void *wait_flock(void *arg)
{
	int fd = open_it();
	QUIET(flock(fd, LOCK_EX) == 0);
	finished();
	QUIET(flock(fd, LOCK_UN) == 0);
	close(fd);
	return NULL;
}

static void *wait_ofd(void *arg)
{
	int fd = open_it();
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	QUIET(fcntl(fd, F_OFD_SETLKW, &l) == 0);
	finished();
	l.l_type = F_UNLCK;
	QUIET(fcntl(fd, F_OFD_SETLK, &l) == 0);
	close(fd);
	return NULL;
}

static void *wait_fifo(void *arg)
{
	int fd = open(path, O_RDONLY);
	QUIET(fd >= 0);
	finished();
	close(fd);
	return NULL;
}

static void *wait_msgrcv(void *arg)
{
	struct message m;
	QUIET(msgrcv(id, &m, sizeof(m.text), 1, 0) == 4 && !memcmp(m.text, "ping", 4));
	finished();
	return NULL;
}

static void *wait_semop(void *arg)
{
	struct sembuf op = {0, -1, 0};
	QUIET(semop(id, &op, 1) == 0);
	finished();
	return NULL;
}

static void *wait_mq(void *arg)
{
	char text[8];
	unsigned prio = 0;
	QUIET(mq_receive(queue, text, sizeof(text), &prio) == 4 && prio == 3);
	finished();
	return NULL;
}

static int is(const char *name, const char *only)
{
	int yes = !only || !strcmp(name, only);
	if (yes)
		printf("-- %s\n", name);
	fflush(stdout);
	held = 0;
	return yes;
}

/* Everybody is on the way into the call; most of them wait in it. */
static void start(pthread_t *t, void *(*fn)(void *))
{
	for (int i = 0; i < count; i++)
		t[i] = spawn(fn, NULL);
	sleep_ms(50);
}

static void end(pthread_t *t)
{
	for (int i = 0; i < count; i++)
		join(t[i]);
	CHECK(held == count);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	count = argc > 2 ? atoi(argv[2]) : count;
	pthread_t *t = calloc((size_t)count, sizeof(*t));

	snprintf(path, sizeof(path), "/tmp/ghi-wait-%d", getpid());
	snprintf(queue_name, sizeof(queue_name), "/ghi-wait-%d", getpid());
	close(open(path, O_CREAT | O_RDWR, 0600));

	if (is("flock", only)) {
		int fd = open_it();
		MUST(flock(fd, LOCK_EX) == 0);
		start(t, wait_flock);
		CHECK(held == 0 && flock(fd, LOCK_UN) == 0);
		end(t);
		close(fd);
	}
	if (is("open file description locks", only)) {
		int fd = open_it();
		struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		MUST(fcntl(fd, F_OFD_SETLK, &l) == 0);
		start(t, wait_ofd);
		l.l_type = F_UNLCK;
		CHECK(held == 0 && fcntl(fd, F_OFD_SETLK, &l) == 0);
		end(t);
		close(fd);
	}
	if (is("fifo", only)) {
		unlink(path);
		MUST(mkfifo(path, 0600) == 0);
		start(t, wait_fifo);
		CHECK(held == 0);
		int fd = open(path, O_WRONLY);
		CHECK(fd >= 0);
		end(t);
		close(fd);
		unlink(path);
	}
	if (is("msgrcv", only)) {
		struct message m = {1, "ping"};
		MUST((id = msgget(IPC_PRIVATE, 0600)) >= 0);
		start(t, wait_msgrcv);
		CHECK(held == 0);
		for (int i = 0; i < count; i++)
			QUIET(msgsnd(id, &m, 4, 0) == 0);
		end(t);
		CHECK_ERRNO(ENOMSG, msgrcv(id, &m, 8, 1, IPC_NOWAIT));
		CHECK_ERRNO(E2BIG, (msgsnd(id, &m, 4, 0), msgrcv(id, &m, 1, 1, 0)));
		CHECK_ERRNO(EINVAL, msgsnd(id, &m, (size_t)-1, 0));
		msgctl(id, IPC_RMID, NULL);
		CHECK_ERRNO(EINVAL, msgrcv(id, &m, 8, 1, 0));
	}
	if (is("semop", only)) {
		MUST((id = semget(IPC_PRIVATE, 1, 0600)) >= 0);
		start(t, wait_semop);
		struct sembuf op = {0, 1, 0}, wrong = {7, 1, 0}, now = {0, -1, IPC_NOWAIT};
		CHECK(held == 0);
		for (int i = 0; i < count; i++)
			QUIET(semop(id, &op, 1) == 0);
		end(t);
		struct timespec tick = {0, 20000000}, odd = {0, -1};
		struct sembuf down = {0, -1, 0};
		CHECK_ERRNO(EAGAIN, semtimedop(id, &down, 1, &tick));
		CHECK_ERRNO(EAGAIN, semop(id, &now, 1));
		CHECK_ERRNO(EINVAL, semtimedop(id, &down, 1, &odd));
		CHECK_ERRNO(EFBIG, semop(id, &wrong, 1));
		CHECK_ERRNO(EINVAL, semop(id, &op, 0));
		CHECK_ERRNO(EFAULT, semop(id, NULL, 1));
		semctl(id, 0, IPC_RMID);
	}
	if (is("mq", only)) {
		struct mq_attr a = {.mq_maxmsg = 2, .mq_msgsize = 8};
		char text[8];
		queue = mq_open(queue_name, O_CREAT | O_RDWR, 0600, &a);
		MUST(queue >= 0);
		start(t, wait_mq);
		CHECK(held == 0);
		for (int i = 0; i < count; i++)
			QUIET(mq_send(queue, "ping", 4, 3) == 0);
		end(t);
		struct timespec at = deadline_ms(CLOCK_REALTIME, 30), odd = {0, 1000000000};
		CHECK_ERRNO(ETIMEDOUT, mq_timedreceive(queue, text, 8, NULL, &at));
		CHECK_ERRNO(EINVAL, mq_timedreceive(queue, text, 8, NULL, &odd));
		CHECK_ERRNO(EMSGSIZE, mq_receive(queue, text, 1, NULL));
		CHECK_ERRNO(EMSGSIZE, mq_send(queue, text, 9, 0));
		CHECK_ERRNO(EBADF, mq_receive(-1, text, 8, NULL));
		CHECK(mq_send(queue, "a", 1, 0) == 0 && mq_send(queue, "b", 1, 9) == 0);
		at = deadline_ms(CLOCK_REALTIME, 30);
		CHECK_ERRNO(ETIMEDOUT, mq_timedsend(queue, "c", 1, 0, &at));
		CHECK(mq_timedreceive(queue, text, 8, NULL, &at) == 1 && text[0] == 'b');
		CHECK(mq_receive(queue, text, 8, NULL) == 1 && text[0] == 'a');
		a.mq_flags = O_NONBLOCK;
		CHECK(mq_setattr(queue, &a, NULL) == 0);
		CHECK_ERRNO(EAGAIN, mq_receive(queue, text, 8, NULL));
		CHECK(mq_close(queue) == 0);
		CHECK_ERRNO(EBADF, mq_send(queue, "a", 1, 0));
		mq_unlink(queue_name);
	}
	if (is("aio", only)) {
		char text[8] = "";
		int p[2];
		MUST(pipe(p) == 0);
		struct aiocb cb = {.aio_fildes = p[0],
				   .aio_buf = text,
				   .aio_nbytes = 4,
				   .aio_lio_opcode = LIO_READ},
			     *list[2] = {&cb, NULL};
		struct timespec tick = {0, 20000000};
		CHECK(aio_read(&cb) == 0 && aio_error(&cb) == EINPROGRESS);
		CHECK_ERRNO(EAGAIN, aio_suspend((void *)list, 2, &tick));
		CHECK(write(p[1], "data", 4) == 4);
		CHECK(aio_suspend((void *)list, 2, NULL) == 0);
		CHECK(aio_return(&cb) == 4 && !memcmp(text, "data", 4));
		CHECK(write(p[1], "more", 4) == 4);
		CHECK(lio_listio(LIO_WAIT, list, 2, NULL) == 0);
		CHECK(aio_return(&cb) == 4 && !memcmp(text, "more", 4));
		cb.aio_fildes = 999;
		CHECK_ERRNO(EIO, lio_listio(LIO_WAIT, list, 2, NULL));
		CHECK(aio_error(&cb) == EBADF);
	}
	unlink(path);
	return check_done();
}
