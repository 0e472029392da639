/* Waiting for asynchronous input and output, which libc does with threads of its own.
 *
 * libc waits on a word of its own: the kernel thread is held.  lio_listio(LIO_WAIT) cannot be made
 * again after a kick, so it is put together from its form that does not wait and aio_suspend.
 */
#include <aio.h>

#include "hooks/hook.h"
#include "src/wait.h"

EXPORT int aio_suspend(const struct aiocb *const list[], int n, const struct timespec *t)
{
	HOOK_ENTER(self, REAL(aio_suspend)(list, n, t));
	uint64_t deadline = t ? ghi_deadline_in(ghi_ts_to_ns(t)) : GHI_NEVER;
	struct timespec left = t ? *t : (struct timespec){0};

	ghi_cancel_point(self);
	self->sig_ran = 0;
	for (;;) {
		int r = BLOCKING(self, REAL(aio_suspend)(list, n, t ? &left : NULL));
		if (r == 0 || errno != EINTR)
			return r;
		ghi_cancel_point(self);
		if (self->sig_ran)
			return (int)ghi_ret(-EINTR);
		uint64_t now = ghi_now();
		left = ghi_ns_to_ts(deadline > now ? deadline - now : 0);
	}
}

/* What aio_error() reads, which lives in another library before glibc 2.34. */
static int error_of(const struct aiocb *one)
{
	return __atomic_load_n(&one->__error_code, __ATOMIC_ACQUIRE);
}

EXPORT int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *e)
{
	HOOK_ENTER(self, REAL(lio_listio)(mode, list, n, e));
	if (mode != LIO_WAIT)
		return REAL(lio_listio)(mode, list, n, e);
	struct sigevent none = {.sigev_notify = SIGEV_NONE};
	int r = REAL(lio_listio)(LIO_NOWAIT, list, n, &none), failed = r < 0 ? errno : 0;
	if (r < 0 && failed != EIO && failed != EAGAIN)
		return r;
	for (int i = 0; i < n; i++) {
		const struct aiocb *one = list[i];
		if (!one || one->aio_lio_opcode == LIO_NOP)
			continue;
		while (error_of(one) == EINPROGRESS)
			if (aio_suspend(&one, 1, NULL) < 0)
				return -1; /* EINTR: a handler ran */
		if (error_of(one) != 0)
			failed = failed ? failed : EIO;
	}
	return (int)ghi_ret(-failed);
}
