/* Queued signals and exec: what is pending for the caller stays pending for the new program.
 *
 * Owns: moving a gthread's queue into the kernel and back.  Called by: hooks/exec.c.  Must not
 * know: why.
 */
#include "src/signal_int.h"

unsigned ghi_signal_to_kernel(struct ghi_gthread *self)
{
	int pid = sys_getpid(), tid = sys_gettid();
	struct ghi_siginfo_node *n;
	unsigned own = 0;

	while ((n = ghi_sig_pick(self, self->sigmask))) {
		if (n->shared)
			ghi_sys(SYS_rt_sigqueueinfo, pid, n->sig, &n->info);
		else if (ghi_sys(SYS_rt_tgsigqueueinfo, pid, tid, n->sig, &n->info) == 0)
			own++;
		ghi_sig_node_free(self, n);
	}
	while ((n = ghi_sig_limbo_take(~0ull))) {
		ghi_sys(SYS_rt_sigqueueinfo, pid, n->sig, &n->info);
		ghi_sig_node_free(NULL, n);
	}
	return own;
}

/* The kernel hands out what is for the thread before what is for the process, which may stay. */
void ghi_signal_from_kernel(struct ghi_gthread *self, unsigned count)
{
	struct timespec zero = {0};
	uint64_t blocked = self->sigmask & ~GHI_SIG_OURS;
	siginfo_t info;

	while (count--) {
		long sig = ghi_sys(SYS_rt_sigtimedwait, &blocked, &info, &zero, 8);
		if (sig <= 0)
			return;
		struct ghi_siginfo_node *n = ghi_sig_node_new((int)sig, &info, false);
		if (n)
			ghi_sig_enqueue(self, n);
	}
}
