/* Asks a sandbox, while the program can still run on libc's threads, whether it permits what the
 * runtime does later; see needs.h.
 *
 * Owns: the list of calls without which nothing works.  Called by: runtime.c.  Must not know: what
 * they are for.  And looks for what knows kernel threads better than libc does.  A filter that
 * kills cannot be asked.  Calls that have another way are not on the list.
 */
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

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

/* The note that Go's linker leaves in whatever it makes or is linked into. */
static int has_go_note(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		const char *at = (const char *)info->dlpi_addr + p->p_vaddr; // NOLINT
		size_t left = p->p_type == PT_NOTE ? p->p_memsz : 0;
		while (left >= sizeof(ElfW(Nhdr))) {
			const ElfW(Nhdr) *n = (const void *)at;
			size_t whole =
			    sizeof(*n) + ((n->n_namesz + 3u) & ~3u) + ((n->n_descsz + 3u) & ~3u);
			if (whole > left)
				break;
			if (n->n_namesz == 4 && n->n_type == 4 && !memcmp(n + 1, "Go\0", 4))
				return 1;
			at += whole;
			left -= whole;
		}
	}
	return 0;
}

bool ghi_needs_kernel_threads(void)
{
	return dl_iterate_phdr(has_go_note, NULL);
}
