/* What a thread is called and what it may be asked: names, its stack as others see it, prctl.
 *
 * Owns: the hooks on names, on pthread_getattr_np and prctl.  Called by: the program.  Must not
 * know: how threads are made (thread.c), what they may run on (scheduling.c), what the kernel keeps
 * per thread (own_state.c).
 */
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>

#include "hooks/hook.h"
#include "hooks/offload.h"

EXPORT int pthread_getattr_np(pthread_t t, pthread_attr_t *a)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g && (uintptr_t)t == ghi_tp_get() && ghi_tls.home)
		g = ghi_tls.home; /* a fork's child that has not made a thread yet */
	if (!g || (g->flags & GHI_G_MAIN && g->map == NULL)) {
		int r = REAL(pthread_getattr_np)(t, a);
		if (r == 0 && g)
			ghi_scheduling_to_attr(g, a); /* not those of the kernel's first thread */
		return r;
	}
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
	ghi_scheduling_to_attr(g, a);
	return 0;
}

/* ---- names ---------------------------------------------------------------------------------- */

/* libc finds the name under /proc, where a thread that ended is no more. */
static bool ended(const struct ghi_gthread *g)
{
	uint32_t life = load_acquire(&g->life);
	return life == GHI_LIFE_DEAD || life == GHI_LIFE_FREE;
}

static void set_name(struct ghi_gthread *g, const char *name, size_t n)
{
	memset(g->name, 0, sizeof(g->name));
	memcpy(g->name, name, n);
	if (g->tid == sys_getpid()) { /* what ps shows for the process */
		char path[64];
		ghi_format(path, sizeof(path), "/proc/self/task/%d/comm", sys_getpid());
		long fd = ghi_sys_program(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
		if (fd >= 0) {
			ghi_sys_program(SYS_write, fd, name, n);
			ghi_sys_program(SYS_close, fd);
		}
	}
}

EXPORT int pthread_setname_np(pthread_t t, const char *name)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	size_t n = strlen(name);

	if (!g)
		return REAL(pthread_setname_np)(t, name);
	if (n >= sizeof(g->name))
		return ERANGE;
	if (ended(g))
		return ENOENT;
	set_name(g, name, n);
	return 0;
}

EXPORT int pthread_getname_np(pthread_t t, char *name, size_t len)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_getname_np)(t, name, len);
	if (len < sizeof(g->name))
		return ERANGE;
	if (ended(g))
		return ENOENT;
	memcpy(name, g->name, sizeof(g->name));
	return 0;
}

/* ---- prctl ---------------------------------------------------------------------------------- */

/* The signal at the parent's death belongs to the kernel thread that asked: the process's first,
 * which lasts. */
struct on_first {
	long op, arg, result;
};

static void on_first(void *arg)
{
	struct on_first *f = arg;
	if (sys_gettid() == sys_getpid())
		f->result = ghi_sys_program(SYS_prctl, f->op, f->arg, 0, 0, 0);
}

/* At most 15 characters; the memory may end behind the last. */
static int read_name(char name[16], const char *from)
{
	memset(name, 0, 16);
	if (ghi_copy_in(name, from, 15) == 0)
		return 0;
	for (int i = 0; i < 15; i++) {
		if (ghi_copy_in(&name[i], from + i, 1) < 0)
			return -EFAULT;
		if (!name[i])
			break;
	}
	return 0;
}

EXPORT int prctl(int op, ...)
{
	char name[16];
	va_list ap;
	va_start(ap, op);
	unsigned long a = va_arg(ap, unsigned long), b = va_arg(ap, unsigned long);
	unsigned long c = va_arg(ap, unsigned long), d = va_arg(ap, unsigned long);
	va_end(ap);
	struct ghi_gthread *self = ghi_hook_self();
	if (!self)
		return REAL(prctl)(op, a, b, c, d);
	switch (op) {
	case PR_SET_NAME:
		if (read_name(name, (const char *)a) < 0)
			return (int)ghi_ret(-EFAULT);
		set_name(self, name, strlen(name));
		return 0;
	case PR_GET_NAME:
		return (int)ghi_ret(ghi_copy_out((void *)a, self->name, sizeof(self->name)));
	case PR_SET_TIMERSLACK:
		self->timer_slack = (long)a > 0 ? a : 0;
		return 0;
	case PR_GET_TIMERSLACK:
		if (self->timer_slack)
			return (int)self->timer_slack;
		break;
	case PR_SET_PDEATHSIG:
	case PR_GET_PDEATHSIG: {
		struct on_first f = {op, (long)a, 0};
		ghi_signal_broadcast(on_first, &f);
		return (int)ghi_ret(f.result);
	}
	}
	long r = ghi_own_before(self, SYS_prctl, op, (long)a);
	if (r < 0)
		return (int)ghi_ret(r);
	return REAL(prctl)(op, a, b, c, d);
}
