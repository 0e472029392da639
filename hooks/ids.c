/* Calls that take the id of a process, and from the kernel that of any of its threads.
 *
 * Owns: the hooks on process groups, sessions and limits.  Called by: the program; kill.c and raw.c
 * ask.  Must not know: what is done with the id.
 */
#include <sys/resource.h>

#include "hooks/hook.h"

pid_t ghi_process_of_thread(pid_t id)
{
	return ghi_gthread_of_tid(id) ? sys_getpid() : id;
}

EXPORT pid_t getpgid(pid_t id)
{
	return (pid_t)ghi_ret(ghi_sys_program(SYS_getpgid, ghi_process_of_thread(id)));
}

EXPORT pid_t getsid(pid_t id)
{
	return (pid_t)ghi_ret(ghi_sys_program(SYS_getsid, ghi_process_of_thread(id)));
}

/* Only a process moves, not one of its threads. */
EXPORT int setpgid(pid_t id, pid_t group)
{
	if (ghi_process_of_thread(id) != id)
		return (int)ghi_ret(-EINVAL);
	return (int)ghi_ret(ghi_sys_program(SYS_setpgid, id, group));
}

EXPORT int prlimit(pid_t id, __rlimit_resource_t what, const struct rlimit *to, struct rlimit *old)
{
	return (int)ghi_ret(
	    ghi_sys_program(SYS_prlimit64, ghi_process_of_thread(id), what, to, old));
}

EXPORT int prlimit64(pid_t id, __rlimit_resource_t what, const struct rlimit64 *to,
		     struct rlimit64 *old)
{
	return (int)ghi_ret(
	    ghi_sys_program(SYS_prlimit64, ghi_process_of_thread(id), what, to, old));
}
