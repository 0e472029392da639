/* What a thread is called and where it lives: names, its stack as others see it, prctl.
 *
 * Owns: the hooks on names and on pthread_getattr_np.  Called by: the program.  Must not know: how
 * threads are made (thread.c), what they may run on (scheduling.c).
 */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>

#include "hooks/hook.h"

EXPORT int pthread_getattr_np(pthread_t t, pthread_attr_t *a)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g && (uintptr_t)t == ghi_tp_get() && ghi_tls.home)
		g = ghi_tls.home; /* a fork's child that has not made a thread yet */
	if (!g || (g->flags & GHI_G_MAIN && g->map == NULL))
		return REAL(pthread_getattr_np)(t, a);
	int r = pthread_attr_init(a);
	if (r)
		return r;
	uint32_t join = load_relaxed(&g->join);
	pthread_attr_setdetachstate(a, join == GHI_DETACHED ? PTHREAD_CREATE_DETACHED
							    : PTHREAD_CREATE_JOINABLE);
	pthread_attr_setguardsize(a, g->guard);
	/* As in NPTL the TLS and the thread block count as part of the stack. */
	char *top = g->flags & GHI_G_USTACK ? g->stack_hi : g->map + g->map_size;
	pthread_attr_setstack(a, g->stack_lo, (size_t)(top - g->stack_lo));
	cpu_set_t cpus;
	struct sched_param param;
	int policy;
	if (pthread_getaffinity_np(t, sizeof(cpus), &cpus) == 0)
		pthread_attr_setaffinity_np(a, sizeof(cpus), &cpus);
	if (pthread_getschedparam(t, &policy, &param) == 0) {
		pthread_attr_setschedpolicy(a, policy);
		pthread_attr_setschedparam(a, &param);
	}
	return 0;
}

EXPORT int pthread_setname_np(pthread_t t, const char *name)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	size_t n = strlen(name);

	if (!g)
		return REAL(pthread_setname_np)(t, name);
	if (n > 15)
		return ERANGE;
	memcpy(g->name, name, n + 1);
	if ((g->flags & GHI_G_MAIN) && !g->map) { /* what ps shows for the process */
		char path[64];
		ghi_format(path, sizeof(path), "/proc/self/task/%d/comm", sys_getpid());
		long fd = ghi_sys(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
		if (fd >= 0) {
			ghi_sys(SYS_write, fd, name, n);
			ghi_sys(SYS_close, fd);
		}
	}
	return 0;
}

EXPORT int pthread_getname_np(pthread_t t, char *name, size_t len)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_getname_np)(t, name, len);
	if (len < sizeof(g->name))
		return ERANGE;
	memcpy(name, g->name, sizeof(g->name));
	return 0;
}

EXPORT int prctl(int op, ...)
{
	va_list ap;
	va_start(ap, op);
	unsigned long a = va_arg(ap, unsigned long), b = va_arg(ap, unsigned long);
	unsigned long c = va_arg(ap, unsigned long), d = va_arg(ap, unsigned long);
	va_end(ap);
	struct ghi_gthread *self = ghi_self();
	if (self && op == PR_SET_NAME) {
		char name[16] = "";
		strncpy(name, (const char *)a, 15);
		return pthread_setname_np((pthread_t)self->tp, name);
	}
	if (self && op == PR_GET_NAME) {
		memcpy((char *)a, self->name, 16);
		return 0;
	}
	return REAL(prctl)(op, a, b, c, d);
}
