/* Asks a sandbox, while the program can still run on libc's threads, whether it permits what the
 * runtime does later; see needs.h.
 *
 * Owns: the list of calls without which nothing works.  Called by: runtime.c.  Must not know: what
 * they are for.  A filter that kills cannot be asked.  Calls that have another way are not on the
 * list.
 */
#include <signal.h>
#include <stddef.h>

#include "src/base/sys.h"
#include "src/needs.h"
#include "src/poller.h"
#include "src/signal.h"

/* Refused by a filter, or unknown; whatever else it says is about the arguments. */
static bool refused(long r)
{
	return r == -ENOSYS || r == -EPERM || r == -EACCES;
}

const char *ghi_needs(void)
{
	uint32_t word = 0;
	uint64_t set, action[4];
	siginfo_t info = {.si_code = SI_QUEUE};
	int pid = sys_getpid(), tid = sys_gettid();

	if (refused(sys_sigprocmask(SIG_BLOCK, NULL, &set)))
		return "rt_sigprocmask";
	if (refused(ghi_sys(SYS_rt_sigaction, GHI_SIG_KICK, NULL, &action, 8)))
		return "rt_sigaction";
	if (refused(sys_futex_wake(&word, 1)))
		return "futex";
	if (refused(ghi_sys(SYS_tgkill, pid, tid, 0)))
		return "tgkill";
	if (refused(ghi_sys(SYS_rt_tgsigqueueinfo, pid, tid, 0, &info)))
		return "rt_tgsigqueueinfo";
	return ghi_poller_needs();
}
