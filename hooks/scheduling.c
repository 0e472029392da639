/* Which processors a thread may use.  (Policy and priority: priority.c.)
 *
 * Owns: the hooks on affinity, and sched_yield.  Called by: the program.  Must not
 * know: run queues; the runtime's scheduler has no priorities.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/hook.h"
#include "hooks/priority.h"

EXPORT int sched_yield(void)
{
	HOOK_ENTER(self, REAL(sched_yield)());
	(void)self;
	ghi_yield();
	return 0;
}

/* Sets are never freed: threads inherit them by address, and a program uses a handful. */
static long set_affinity(struct ghi_gthread *g, size_t n, const void *cpus)
{
	struct ghi_affinity *a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->bytes = n < sizeof(a->cpus) ? n : sizeof(a->cpus);
	memcpy(a->cpus, cpus, a->bytes);
	if (g == ghi_self()) {
		long r = ghi_sched_bind(g, a);
		if (r < 0)
			free(a);
		return r;
	}
	/* Another gthread's: takes effect when it is next switched to. */
	ghi_nosig_enter();
	long r = ghi_sched_may_bind(a);
	ghi_nosig_leave();
	if (r == 0)
		store_release(&g->affinity, a);
	else
		free(a);
	return r;
}

static long get_affinity(struct ghi_gthread *g, size_t n, void *cpus)
{
	struct ghi_affinity *a = load_acquire(&g->affinity);
	memset(cpus, 0, n);
	if (!a)
		return ghi_sched_everywhere(n, cpus);
	memcpy(cpus, a->cpus, n < a->bytes ? n : a->bytes);
	return (long)(n < a->bytes ? n : a->bytes);
}

EXPORT int pthread_setaffinity_np(pthread_t t, size_t n, const cpu_set_t *s)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	return g ? (int)-set_affinity(g, n, s) : REAL(pthread_setaffinity_np)(t, n, s);
}

EXPORT int pthread_getaffinity_np(pthread_t t, size_t n, cpu_set_t *s)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_getaffinity_np)(t, n, s);
	long r = get_affinity(g, n, s);
	return r < 0 ? (int)-r : 0;
}

int ghi_affinity_explicit(struct ghi_gthread *g, const cpu_set_t *cpus)
{
	return (int)-set_affinity(g, sizeof(*cpus), cpus);
}

/* The running gthread by 0 or by its own id; everybody else is the kernel's to judge. */
EXPORT int sched_setaffinity(pid_t pid, size_t n, const cpu_set_t *s)
{
	HOOK_ENTER(self, REAL(sched_setaffinity)(pid, n, s));
	if (pid == 0 || pid == self->tid)
		return (int)ghi_ret(set_affinity(self, n, s));
	return REAL(sched_setaffinity)(pid, n, s);
}

EXPORT int sched_getaffinity(pid_t pid, size_t n, cpu_set_t *s)
{
	HOOK_ENTER(self, REAL(sched_getaffinity)(pid, n, s));
	if (pid != 0 && pid != self->tid)
		return REAL(sched_getaffinity)(pid, n, s);
	long r = get_affinity(self, n, s);
	return r < 0 ? (int)ghi_ret(r) : 0;
}
