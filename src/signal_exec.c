/* Queued signals and the kernel: what is pending for the caller stays pending for the program that
 * it executes, and what was pending for main before there were gthreads stays main's.
 *
 * Owns: moving a gthread's queue into the kernel and back.  Called by: hooks/exec.c, signal.c.
 * Must not know: why.
 */
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
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
	ghi_sig_limbo_to_kernel(~0ull);
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

/* What is pending for this kernel thread alone; the kernel tells it apart from what is pending for
 * the process only here. */
static uint64_t pending_for_thread(void)
{
	char text[4096];
	uint64_t both = 0;

	if (ghi_sys(SYS_rt_sigpending, &both, 8) < 0 || !both)
		return 0;
	if (ghi_text_read("/proc/thread-self/status", text, sizeof(text)) < 0)
		return 0;
	const char *line = strstr(text, "SigPnd:");
	return line ? strtoull(line + strlen("SigPnd:"), NULL, 16) & both : 0;
}

/* Other gthreads will run on this kernel thread, and would find it there. */
void ghi_sig_from_kernel_at_start(struct ghi_gthread *main_thread)
{
	const struct timespec now = {0, 0};
	uint64_t set;
	siginfo_t info;

	while ((set = pending_for_thread() & main_thread->sigmask & ~GHI_SIG_OURS)) {
		/* The kernel hands out what is for the thread before what is for the process. */
		long sig = ghi_sys(SYS_rt_sigtimedwait, &set, &info, &now, 8);
		struct ghi_siginfo_node *n =
		    sig > 0 ? ghi_sig_node_new((int)sig, &info, false) : NULL;
		if (!n)
			return;
		ghi_sig_enqueue(main_thread, n);
	}
}
