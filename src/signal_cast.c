/* Kicks of a kernel thread, and functions run on each of them; see signal.h. */
#include <fcntl.h>
#include <string.h>
#include <ucontext.h>

#include "src/cancel.h"
#include "src/sched.h"
#include "src/signal_int.h"
#include "src/signal_timer.h"

static struct {
	ghi_lock_t lock;
	void (*fn)(void *);
	void *arg;
	uint32_t round, left;
} cast;

/* With SA_RESTART: a blocked call of the program must not notice. */
void ghi_sig_on_cast(int sig, siginfo_t *info, void *uc)
{
	if (info->si_code == SI_TIMER)
		ghi_sigtimer_expired(info);
	if (info->si_code == SI_QUEUE && info->si_ptr == &cast) {
		load_acquire (&cast.fn)(cast.arg);
		fetch_add_acq_rel(&cast.left, (uint32_t)-1);
		sys_futex_wake(&cast.left, 1);
	}
}

/* Without it: a handler of the program is due, which decides what becomes of the call. */
void ghi_sig_on_kick(int sig, siginfo_t *info, void *context)
{
	struct ghi_gthread *self = ghi_self();
	ucontext_t *uc = context;
	uint64_t all = ~BIT(GHI_SIG_CAST);

	if (!self || (self->flags & GHI_G_NATIVE) || ghi_tls.nosig || self->sig.looping ||
	    !load_relaxed(&self->sig_pending))
		return;
	/* Handlers run on this frame; each may park and come back on another worker.  Another kick
	 * waits in the kernel, or is seen by this loop. */
	self->sig.looping = true;
	do {
		ghi_signal_run_pending();
		sys_sigprocmask(SIG_SETMASK, &all, NULL);
		self = ghi_self();
		if (!self)
			return; /* a fork's child */
	} while (ghi_signal_due(self));
	self->sig.looping = false;
	memcpy(&uc->uc_sigmask, &self->sigmask, sizeof(self->sigmask));
	ghi_sig_worker_altstack(self->worker, &uc->uc_stack);
	ghi_cancel_leave_window(uc);
}

void ghi_signal_broadcast(void (*fn)(void *), void *arg)
{
	struct {
		uint64_t ino;
		int64_t off;
		unsigned short len;
		unsigned char type;
		char name[];
	} * d;
	char buf[4096] __attribute__((aligned(8)));
	static int done[4096];
	int ndone = 0, me = sys_gettid(), pid = sys_getpid();
	bool again = true;

	ghi_nosig_enter();
	while (!cas_acquire(&cast.lock, &(ghi_lock_t){0}, 1u))
		ghi_sys(SYS_sched_yield);
	store_release(&cast.fn, fn);
	cast.arg = arg;
	fn(arg);
	done[ndone++] = me;
	while (again) { /* until a look at the list finds nobody new: threads may make threads */
		again = false;
		long fd = ghi_sys(SYS_openat, AT_FDCWD, "/proc/self/task",
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		if (fd < 0)
			break;
		for (long n; (n = ghi_sys(SYS_getdents64, fd, buf, sizeof(buf))) > 0;)
			for (long at = 0; at < n; at += d->len) {
				d = (void *)(buf + at);
				int tid = 0, known = 0;
				for (char *c = d->name; *c >= '0' && *c <= '9'; c++)
					tid = tid * 10 + *c - '0';
				for (int i = 0; i < ndone; i++)
					known |= done[i] == tid;
				if (!tid || known || ndone == 4096)
					continue;
				siginfo_t si = {.si_signo = GHI_SIG_CAST, .si_code = SI_QUEUE};
				si.si_ptr = &cast;
				store_release(&cast.left, 1u);
				again = true;
				done[ndone++] = tid;
				if (ghi_sys(SYS_rt_tgsigqueueinfo, pid, tid, GHI_SIG_CAST, &si) < 0)
					continue; /* it ended */
				struct timespec limit = {.tv_sec = 1};
				while (load_acquire(&cast.left))
					if (sys_futex_wait(&cast.left, 1, &limit) == -ETIMEDOUT &&
					    ghi_sys(SYS_tgkill, pid, tid, 0) < 0)
						break;
			}
		ghi_sys(SYS_close, fd);
	}
	store_release(&cast.lock, 0u);
	ghi_nosig_leave();
}

void ghi_sig_cast_reset(void)
{
	cast.lock = 0;
}
