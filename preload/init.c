/* Start-up of the preloaded library: options, libc's addresses, the fork handler.
 *
 * Owns: the constructor.  Must not: start threads or open descriptors; until the program creates a
 * thread, loading is all it pays.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "hooks/detour.h"
#include "hooks/hook.h"
#include "src/blocked.h"
#include "src/control.h"
#include "src/poller.h"
#include "src/runtime.h"
#include "src/sanitizer.h"

extern char **environ;

/* Children of the program do not inherit the preload: our entry leaves the list. */
static void leave_environment(void)
{
	for (char **e = environ; e && *e; e++) {
		if (strncmp(*e, "LD_PRELOAD=", 11))
			continue;
		char *out = *e + 11, *in = out;
		while (*in) {
			size_t n = strcspn(in, " :");
			char *base = memrchr(in, '/', n);
			base = base ? base + 1 : in;
			if (strncmp(base, "libgreenhook", 12)) {
				if (out != *e + 11)
					*out++ = ':';
				memmove(out, in, n);
				out += n;
			}
			in += n;
			in += strspn(in, " :");
		}
		*out = 0;
		if (out == *e + 11)
			unsetenv("LD_PRELOAD");
		return;
	}
}

/* In a process that runs green, when it ends by exit() or a return from main. */
__attribute__((destructor)) static void greenhook_end(void)
{
	if (sys_getpid() != ghi_runtime_pid())
		return;
	ghi_control_end();
	if (ghi_blocked_on)
		ghi_blocked_report_at_exit();
}

/* The program is linked with libgreenhook.a, and this library was preloaded: all calls reach that
 * copy, which comes first, and this one does nothing. */
static bool another_copy(void)
{
	Dl_info program, first, here;
	void *start = dlsym(RTLD_DEFAULT, "__libc_start_main");
	return start && dladdr(start, &first) && dladdr((void *)another_copy, &here) &&
	       dladdr((void *)getauxval(AT_PHDR), &program) &&
	       first.dli_fbase == program.dli_fbase && first.dli_fbase != here.dli_fbase;
}

__attribute__((constructor(101))) static void greenhook_init(void)
{
	ghi_config_load(environ);
	if (another_copy()) {
		ghi_config.enabled = 0;
		return;
	}
#ifdef GREENHOOK_FAULTS
	ghi_fault_load(environ);
#endif
	ghi_real_load();
	ghi_sanitizer_init();
	ghi_runtime_atfork = ghi_process_atfork;
	if (!ghi_config.enabled)
		return;
	ghi_runtime_on_start = ghi_detours_on;
	ghi_runtime_on_inert = ghi_detours_off;
	ghi_process_atfork();
	if (!ghi_config.inherit)
		leave_environment();
}

#ifdef GREENHOOK_FAULTS
__attribute__((destructor(101))) static void greenhook_done(void)
{
	if (ghi_runtime_running() || ghi_runtime_inert())
		ghi_fault_count_descriptors(ghi_poller_owns, ghi_runtime_inert());
}
#endif
