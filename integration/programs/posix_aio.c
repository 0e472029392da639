/* aio_* and lio_listio from gthreads: order, errors, suspension, cancellation, notification. */
#include "check.h"
#include <aio.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>

enum { N = 16, SIZE = 1000 };
static int fd;
static sem_t told;

static void on_done(union sigval v)
{
	QUIET(v.sival_int == 11);
	sem_post(&told);
}

static int finished(struct aiocb *cb)
{
	const struct aiocb *list[1] = {cb};
	while (aio_error(cb) == EINPROGRESS)
		QUIET(aio_suspend(list, 1, NULL) == 0 || errno == EINTR);
	return aio_error(cb);
}

static void *writes_and_reads(void *arg)
{
	int me = (int)(intptr_t)arg;
	char out[SIZE], in[SIZE];
	struct aiocb w = {
	    .aio_fildes = fd, .aio_buf = out, .aio_nbytes = SIZE, .aio_offset = (off_t)me * SIZE};
	struct aiocb r = w;
	r.aio_buf = in;
	memset(out, 'a' + me, SIZE);
	QUIET(aio_write(&w) == 0 && finished(&w) == 0 && aio_return(&w) == SIZE);
	QUIET(aio_read(&r) == 0 && finished(&r) == 0 && aio_return(&r) == SIZE);
	QUIET(!memcmp(in, out, SIZE));
	QUIET(aio_fsync(O_SYNC, &w) == 0 && finished(&w) == 0 && aio_return(&w) == 0);
	return NULL;
}

static void errors(void)
{
	char c;
	struct aiocb cb = {.aio_fildes = -1, .aio_buf = &c, .aio_nbytes = 1};
	const struct aiocb *none[2] = {NULL, NULL};
	struct timespec soon = {0, 20000000};
	CHECK(aio_read(&cb) == 0 && finished(&cb) == EBADF && aio_return(&cb) == -1);
	cb.aio_fildes = fd;
	cb.aio_reqprio = -1;
	CHECK_ERRNO(EINVAL, aio_write(&cb));
	cb.aio_reqprio = 0;
	CHECK_ERRNO(EINVAL, aio_fsync(12345, &cb));
	CHECK_ERRNO(EINVAL, lio_listio(77, (struct aiocb **)none, 2, NULL));
	CHECK(lio_listio(LIO_WAIT, (struct aiocb **)none, 2, NULL) == 0);
	CHECK(aio_cancel(fd, NULL) == AIO_ALLDONE);
	CHECK_ERRNO(EBADF, aio_cancel(1000, NULL));
	/* A pipe nobody writes to: the request stays under way. */
	int p[2];
	MUST(pipe(p) == 0);
	struct aiocb waits = {.aio_fildes = p[0], .aio_buf = &c, .aio_nbytes = 1};
	const struct aiocb *list[1] = {&waits};
	CHECK(aio_read(&waits) == 0);
	CHECK_ERRNO(EAGAIN, aio_suspend(list, 1, &soon));
	CHECK(aio_error(&waits) == EINPROGRESS);
	struct aiocb behind = waits;
	char d;
	behind.aio_buf = &d;
	CHECK(aio_read(&behind) == 0);
	sleep_ms(20);
	CHECK(aio_cancel(p[0], &behind) == AIO_CANCELED && aio_error(&behind) == ECANCELED);
	CHECK(write(p[1], "x", 1) == 1 && finished(&waits) == 0 && aio_return(&waits) == 1 &&
	      c == 'x');
}

static void lists(void)
{
	struct aiocb cb[N], *list[N];
	char buf[N];
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_done};
	ev.sigev_value.sival_int = 11;
	for (int i = 0; i < N; i++) {
		cb[i] = (struct aiocb){.aio_fildes = fd,
				       .aio_buf = buf + i,
				       .aio_nbytes = 1,
				       .aio_offset = (off_t)i * SIZE,
				       .aio_lio_opcode = LIO_READ};
		list[i] = i == 3 ? NULL : &cb[i];
	}
	CHECK(lio_listio(LIO_WAIT, list, N, NULL) == 0);
	for (int i = 0; i < N; i++)
		QUIET(i == 3 || (aio_return(&cb[i]) == 1 && buf[i] == 'a' + i));
	CHECK(lio_listio(LIO_NOWAIT, list, N, &ev) == 0 && sem_wait(&told) == 0);
	for (int i = 0; i < N; i++)
		QUIET(i == 3 || (aio_error(&cb[i]) == 0 && aio_return(&cb[i]) == 1));
	cb[5].aio_fildes = -1;
	CHECK_ERRNO(EIO, lio_listio(LIO_WAIT, list, N, NULL));
	CHECK(aio_error(&cb[5]) == EBADF && aio_error(&cb[6]) == 0);
	cb[0].aio_sigevent = ev;
	CHECK(aio_read(&cb[0]) == 0 && sem_wait(&told) == 0 && aio_return(&cb[0]) == 1);
}

static void *by_signal(void *arg)
{
	sigset_t set;
	siginfo_t si;
	char c;
	struct aiocb cb = {.aio_fildes = fd, .aio_buf = &c, .aio_nbytes = 1};
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	cb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
	cb.aio_sigevent.sigev_signo = SIGRTMIN;
	cb.aio_sigevent.sigev_value.sival_int = 12;
	CHECK(aio_read(&cb) == 0);
	CHECK(sigwaitinfo(&set, &si) == SIGRTMIN && si.si_code == SI_ASYNCIO &&
	      si.si_value.sival_int == 12 && aio_error(&cb) == 0);
	return NULL;
}

int main(void)
{
	char name[] = "/tmp/aio-XXXXXX";
	pthread_t t[N];
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sem_init(&told, 0, 0);
	MUST((fd = mkstemp(name)) >= 0 && unlink(name) == 0);
	for (int i = 0; i < N; i++)
		t[i] = spawn(writes_and_reads, (void *)(intptr_t)i);
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK("each reads what it wrote");
	join(spawn(by_signal, NULL));
	by_signal(NULL);
	errors();
	lists(); /* last: the thread that libc notifies on has no signal blocked */
	return check_done();
}
