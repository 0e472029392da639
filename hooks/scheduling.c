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

/* Sets are never freed, since threads inherit them by address; equal ones are one, and a program
 * uses a handful. */
static struct known_set {
	struct known_set *next;
	struct ghi_affinity set;
} * known_sets; /* pushed by compare-and-swap */

static struct ghi_affinity *intern(const unsigned char *cpus, size_t bytes)
{
	struct known_set *k, *seen = load_acquire(&known_sets);
	for (k = seen; k; k = k->next)
		if (k->set.bytes == bytes && !memcmp(k->set.cpus, cpus, bytes))
			return &k->set;
	if (!(k = calloc(1, sizeof(*k))))
		return NULL;
	k->set.bytes = bytes;
	memcpy(k->set.cpus, cpus, bytes);
	do
		k->next = seen;
	while (!cas_release(&known_sets, &seen, k)); /* perhaps twice: no harm */
	return &k->set;
}

/* What the kernel makes of a set (it drops what does not exist), tried on the caller's own kernel
 * thread.  The caller is bound to it afterwards. */
static long try_set(size_t n, const void *cpus, struct ghi_affinity **ret)
{
	unsigned char now[sizeof((*ret)->cpus)];
	long r = ghi_sys_program(SYS_sched_setaffinity, 0, n, cpus);
	if (r < 0)
		return r;
	r = ghi_sys(SYS_sched_getaffinity, 0, sizeof(now), now);
	if (r > 0 && !(*ret = intern(now, (size_t)r)))
		r = -ENOMEM;
	return r < 0 ? r : 0;
}

static long set_affinity(struct ghi_gthread *self, struct ghi_gthread *g, size_t n,
			 const void *cpus)
{
	struct ghi_affinity *a = NULL;
	unsigned char old[sizeof(a->cpus)];

	ghi_nosig_enter();
	long had = ghi_sys(SYS_sched_getaffinity, 0, sizeof(old), old);
	long r = try_set(n, cpus, &a);
	if (g == self && a)
		r = ghi_sched_bind(g, a);
	else if (had > 0)
		ghi_sys(SYS_sched_setaffinity, 0, had, old);
	ghi_nosig_leave();
	if (a && g != self)
		ghi_sched_bind_other(g, a);
	return r;
}

/* The kernel says what is wrong with the arguments, and how long the answer is. */
static long get_affinity(struct ghi_gthread *g, size_t n, void *cpus)
{
	const struct ghi_affinity *a = load_acquire(&g->affinity);
	long r =
	    ghi_sys_program(SYS_sched_getaffinity, sys_getpid(), n > INT_MAX ? INT_MAX : n, cpus);
	if (r < 0)
		return r;
	if (!a)
		a = ghi_sched_everywhere();
	memset(cpus, 0, n);
	memcpy(cpus, a->cpus, (size_t)r < a->bytes ? (size_t)r : a->bytes);
	return r;
}

void ghi_scheduling_to_attr(struct ghi_gthread *g, pthread_attr_t *attr)
{
	unsigned char cpus[sizeof(g->affinity->cpus)];
	long r = get_affinity(g, sizeof(cpus), cpus);
	if (r > 0)
		pthread_attr_setaffinity_np(attr, (size_t)r, (cpu_set_t *)cpus);
	if (g->prio.has & GHI_PRIO_POLICY) {
		struct sched_param p = {.sched_priority = g->prio.priority};
		pthread_attr_setschedpolicy(attr, g->prio.policy);
		pthread_attr_setschedparam(attr, &p);
	}
	if (g->flags & GHI_G_SCHED)
		pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
}

EXPORT int pthread_setaffinity_np(pthread_t t, size_t n, const cpu_set_t *s)
{
	struct ghi_gthread *self = ghi_hook_self(), *g = ghi_hook_gthread_of(t);
	if (!g || !self)
		return REAL(pthread_setaffinity_np)(t, n, s);
	if (load_acquire(&g->life) != GHI_LIFE_ALIVE)
		return ESRCH;
	return (int)-set_affinity(self, g, n, s);
}

EXPORT int pthread_getaffinity_np(pthread_t t, size_t n, cpu_set_t *s)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_getaffinity_np)(t, n, s);
	if (load_acquire(&g->life) != GHI_LIFE_ALIVE)
		return ESRCH;
	long r = get_affinity(g, n, s);
	return r < 0 ? (int)-r : 0;
}

int ghi_affinity_explicit(struct ghi_gthread *g, const cpu_set_t *cpus)
{
	return (int)-set_affinity(ghi_self(), g, sizeof(*cpus), cpus);
}

/* By number: the length on success. */
long ghi_scheduling_affinity(struct ghi_gthread *self, bool set, pid_t pid, size_t n, void *cpus)
{
	struct ghi_gthread *g = ghi_priority_target(self, pid);
	if (!g)
		return ghi_sys_program(set ? SYS_sched_setaffinity : SYS_sched_getaffinity, pid, n,
				       cpus);
	return set ? set_affinity(self, g, n, cpus) : get_affinity(g, n, cpus);
}

EXPORT int sched_setaffinity(pid_t pid, size_t n, const cpu_set_t *s)
{
	HOOK_ENTER(self, REAL(sched_setaffinity)(pid, n, s));
	return (int)ghi_ret(ghi_scheduling_affinity(self, true, pid, n, (void *)s));
}

EXPORT int sched_getaffinity(pid_t pid, size_t n, cpu_set_t *s)
{
	HOOK_ENTER(self, REAL(sched_getaffinity)(pid, n, s));
	long r = ghi_scheduling_affinity(self, false, pid, n > INT_MAX ? INT_MAX : n, s);
	if (r < 0)
		return (int)ghi_ret(r);
	memset((char *)s + r, 0, n - (size_t)r);
	return 0;
}
