/* Kicks of a kernel thread, and functions run on each of them; see signal.h. */
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "src/base/text.h"
#include "src/cancel.h"
#include "src/monitor.h"
#include "src/real.h"
#include "src/sched.h"
#include "src/signal_int.h"
#include "src/signal_timer.h"

static struct {
	ghi_lock_t lock;
	void (*fn)(void *);
	void *arg;
	uint32_t left;
	int tid; /* who is asked by tgkill(), as the other call is refused; 0: nobody */
} cast;

/* libc's own handler for this signal, which it installs at the first pthread_cancel: it ends a
 * thread of libc's that is to be cancelled at once. */
static void (*libc_cancel)(int, siginfo_t *, void *);

/* With SA_RESTART: a blocked call of the program must not notice. */
void ghi_sig_on_cast(int sig, siginfo_t *info, void *uc)
{
	ghi_tls.frames++;
	if (info->si_code == SI_TIMER)
		ghi_sigtimer_expired(info);
	if ((info->si_code == SI_QUEUE && info->si_ptr == &cast) ||
	    (info->si_code == SI_TKILL && load_acquire(&cast.left) &&
	     load_relaxed(&cast.tid) == sys_gettid())) {
		load_acquire (&cast.fn)(cast.arg);
		fetch_add_acq_rel(&cast.left, (uint32_t)-1);
		sys_futex_wake(&cast.left, 1);
	} else if (info->si_code == SI_TKILL && libc_cancel) {
		/* It may not come back, and cleanup handlers run with the thread's own mask. */
		uint64_t mask;
		memcpy(&mask, &((ucontext_t *)uc)->uc_sigmask, sizeof(mask));
		mask |= BIT(sig);
		sys_sigprocmask(SIG_SETMASK, &mask, NULL);
		libc_cancel(sig, info, uc);
	}
}

/* What was there, when it is not ours, is libc's. */
void ghi_sig_cast_install(void)
{
	struct ghi_kernel_action old = {0},
				 ours = {ghi_sig_on_cast, SA_SIGINFO | SA_RESTART | RESTORER,
					 ghi_ctx_sigreturn, ~0ull};
	ghi_sys(SYS_rt_sigaction, GHI_SIG_CAST, &ours, &old, 8);
	if (old.handler && old.handler != ghi_sig_on_cast)
		libc_cancel = old.handler;
}

/* Without it: a handler of the program is due, which decides what becomes of the call. */
void ghi_sig_on_kick(int sig, siginfo_t *info, void *context)
{
	struct ghi_gthread *self = ghi_self();
	ucontext_t *uc = context;

	ghi_tls.frames++;
	if (!self || (self->flags & GHI_G_NATIVE) || ghi_tls.nosig || self->sig.looping ||
	    !load_relaxed(&self->sig_pending))
		return;
	/* Handlers run on this frame; each may park and come back on another worker.  Another kick
	 * waits in the kernel, or is seen by this loop. */
	self->sig.looping = true;
	do {
		ghi_signal_run_pending();
		sys_sigprocmask(SIG_SETMASK, &ghi_sig_everything, NULL);
		self = ghi_self();
		if (!self)
			return; /* a fork's child */
	} while (ghi_signal_due(self));
	self->sig.looping = false;
	memcpy(&uc->uc_sigmask, &self->sigmask, sizeof(self->sigmask));
	ghi_sig_worker_altstack(self->worker, &uc->uc_stack);
	ghi_cancel_leave_window(uc);
}

static void lock_cast(void)
{
	while (!cas_acquire(&cast.lock, &(ghi_lock_t){0}, 1u))
		ghi_sys(SYS_sched_yield);
}

/* ---- broadcasts ----------------------------------------------------------------------------- */

static int pid_max = 4194304; /* no tid is as high; as read while there was a /proc */

/* Who was asked in this broadcast; under cast.lock. */
static int done[4096];
static int ndone;

static bool was_asked(int tid)
{
	for (int i = 0; i < ndone; i++)
		if (done[i] == tid)
			return true;
	return false;
}

/* A thread of the kernel's own in this process (iou-wrk-, iou-sqp-): it blocks every signal for
 * good, and what it does for somebody it does with that one's credentials. */
static bool is_kernel_s(int tid)
{
	enum { PF_IO_WORKER = 0x10, PF_USER_WORKER = 0x4000 };
	char path[40], text[256];
	void *robust = &robust;
	size_t size;

	ghi_format(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	ghi_text_read(path, text, sizeof(text));
	/* "tid (name) S ppid pgrp session tty tpgid flags": the name may hold brackets and blanks.
	 */
	char *at = strrchr(text, ')');
	for (int field = 2; at && field < 9; field++)
		at = strchr(at + 1, ' ');
	if (at)
		return strtoul(at + 1, NULL, 10) & (PF_IO_WORKER | PF_USER_WORKER);
	/* Without /proc: each of libc's threads has a robust list.  One that the program made by
	 * clone may have none; libc does not ask those either. */
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (load_acquire(&w->tid) == tid)
			return false;
	return ghi_sys(SYS_get_robust_list, tid, &robust, &size) == 0 && !robust;
}

/* Has one kernel thread run the function and waits for it.  False: it had been asked. */
static bool ask(int pid, int tid)
{
	siginfo_t si = {.si_signo = GHI_SIG_CAST, .si_code = SI_QUEUE};
	struct timespec limit = {.tv_sec = 1};

	if (tid <= 0 || was_asked(tid) || is_kernel_s(tid) ||
	    ndone == (int)(sizeof(done) / sizeof(*done)))
		return false;
	si.si_ptr = &cast;
	store_release(&cast.left, 1u);
	done[ndone++] = tid;
	if (ghi_sys(SYS_rt_tgsigqueueinfo, pid, tid, GHI_SIG_CAST, &si) < 0) {
		store_relaxed(&cast.tid, tid); /* the kill orders it */
		if (ghi_sys(SYS_tgkill, pid, tid, GHI_SIG_CAST) < 0)
			store_relaxed(&cast.left, 0u); /* it ended */
	}
	while (load_acquire(&cast.left))
		if (sys_futex_wait(&cast.left, 1, &limit) == -ETIMEDOUT &&
		    (ghi_sys(SYS_tgkill, pid, tid, 0) < 0 || is_kernel_s(tid)))
			break;
	store_relaxed(&cast.tid, 0);
	return true;
}

/* Everybody in /proc/self/task who was not asked.  1: somebody was new; 0: nobody; or -errno. */
static int ask_listed(int pid)
{
	struct {
		uint64_t ino;
		int64_t off;
		unsigned short len;
		unsigned char type;
		char name[];
	} * d;
	char buf[4096] __attribute__((aligned(8)));
	bool any = false;
	long n, fd = ghi_sys(SYS_openat, AT_FDCWD, "/proc/self/task",
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (fd < 0)
		return (int)fd;
	while ((n = ghi_sys(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n; at += d->len) {
			d = (void *)(buf + at);
			int tid = 0;
			for (char *c = d->name; *c >= '0' && *c <= '9'; c++)
				tid = tid * 10 + *c - '0';
			any |= ask(pid, tid);
		}
	ghi_sys(SYS_close, fd);
	return n < 0 ? (int)n : any;
}

/* The same after a chroot without /proc, or with no descriptor free: ours are known; libc's own
 * threads and those made by clone are found by trying each number, which takes
 * up to a second where kernel.pid_max is four million.
 * One that were left out would keep the credentials that the program gave up. */
static bool ask_found(int pid)
{
	bool any = ask(pid, ghi_monitor_tid());

	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		any |= ask(pid, load_acquire(&w->tid));
	if (any)
		return true;
	for (int tid = 1; tid < pid_max; tid++)
		if (ghi_sys(SYS_tgkill, pid, tid, 0) == 0)
			any |= ask(pid, tid);
	return any;
}

void ghi_signal_broadcast(void (*fn)(void *), void *arg)
{
	int pid = sys_getpid(), r;

	ghi_nosig_enter();
	lock_cast();
	cast.arg = arg;
	store_release(&cast.fn, fn);
	ndone = 0;
	fn(arg);
	done[ndone++] = sys_gettid();
	do /* until a look finds nobody new: threads may make threads */
		r = ask_listed(pid);
	while (r > 0 || (r < 0 && ask_found(pid)));
	store_release(&cast.lock, 0u);
	ghi_nosig_leave();
}

/* A broadcast that came between libc's sigaction and ours would wait for ever. */
int ghi_signal_cancel_libc(int (*cancel)(pthread_t), pthread_t t)
{
	bool self = pthread_equal(t, pthread_self());
	int old = PTHREAD_CANCEL_ENABLE;
	void *none;

	if (!ghi_signal_active)
		return cancel(t);
	/* Makes libc open libgcc_s now: not under the lock, which a constructor that changes ids
	 * wants while it holds the loader's. */
	backtrace(&none, 1);
	if (self) /* it acts after the lock was given back */
		ghi_real_pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	ghi_nosig_enter();
	lock_cast();
	int r = cancel(t);
	ghi_sig_cast_install();
	store_release(&cast.lock, 0u);
	ghi_nosig_leave();
	if (self)
		ghi_real_pthread_setcancelstate(old, NULL);
	return r;
}

void ghi_sig_cast_start(void)
{
	char text[16];
	ghi_text_read("/proc/sys/kernel/pid_max", text, sizeof(text));
	unsigned long n = strtoul(text, NULL, 10);
	if (n > 1 && n <= INT_MAX)
		pid_max = (int)n;
}

void ghi_sig_cast_reset(void)
{
	cast.lock = 0;
}
