/* Creating, pooling and finding gthreads; see gthread.h. */
#include <pthread.h>
#include <resolv.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#include "src/base/valgrind.h"
#include "src/cancel.h"
#include "src/gthread.h"
#include "src/proto/start_word.h"
#include "src/runtime.h"
#include "src/stack.h"
#include "src/tls.h"

__thread struct ghi_tls ghi_tls;
uint64_t ghi_clock_coarse __attribute__((aligned(64)));

_Static_assert(offsetof(struct ghi_gthread, next) == 64, "a line that every switch touches");
_Static_assert(offsetof(struct ghi_gthread, deadline) <= 128, "and one that every park touches");

const char *const ghi_reason_names[GHI_PARK_NREASONS] = {
    [GHI_PARK_NONE] = "running",	[GHI_PARK_MUTEX] = "mutex",
    [GHI_PARK_COND] = "condition",	[GHI_PARK_RWLOCK] = "rwlock",
    [GHI_PARK_SEM] = "semaphore",	[GHI_PARK_BARRIER] = "barrier",
    [GHI_PARK_ONCE] = "once",		[GHI_PARK_FUTEX] = "futex",
    [GHI_PARK_JOIN] = "join",		[GHI_PARK_READ] = "read",
    [GHI_PARK_WRITE] = "write",		[GHI_PARK_ACCEPT] = "accept",
    [GHI_PARK_CONNECT] = "connect",	[GHI_PARK_POLL] = "poll",
    [GHI_PARK_SLEEP] = "sleep",		[GHI_PARK_FOREVER] = "forever",
    [GHI_PARK_SIGNAL] = "signal",	[GHI_PARK_CHILD] = "child",
    [GHI_PARK_LIBC] = "a lock of libc", [GHI_PARK_EVENT] = "event",
    [GHI_PARK_CHANNEL] = "channel",	[GHI_PARK_SELECT] = "select",
    [GHI_PARK_DISK] = "disk",
};

/* Ids above every kernel tid (PID_MAX_LIMIT is 2^22) and below glibc's lock flag bits (2^30). */
#define TID_FIRST 0x400001u
#define TID_COUNT (0x3fff0000u - TID_FIRST)
static uint32_t next_tid;
static uint64_t next_id = 2; /* main is 1 */

struct ghi_gthread *ghi_gthread_newest; /* pushed by compare-and-swap, never popped */

/* One pool per size of mapping; programs use one or two sizes. */
static struct ghi_pool {
	ghi_lock_t lock;
	size_t map_size, guard;
	bool light;
	struct ghi_gthread *free;
	size_t count;
	struct ghi_stack_slab slab; /* for new ones */
} pools[32];
enum { NPOOLS = sizeof(pools) / sizeof(pools[0]), TRIM_ABOVE = 1024 };

/* Shared locks tell their owners by these ids: those of two processes should not meet.  Pids that
 * are close to each other start far apart. */
void ghi_gthread_seed_tids(int pid)
{
	store_relaxed(&next_tid, (uint32_t)((uint32_t)pid * 2654435761u % TID_COUNT));
}

int32_t ghi_gthread_new_tid(void)
{
	return (int32_t)(TID_FIRST + fetch_add_relaxed(&next_tid, 1u) % TID_COUNT);
}

struct ghi_gthread *ghi_gthread_all(void)
{
	return load_acquire(&ghi_gthread_newest); /* pairs with the swap in enlist() */
}

size_t ghi_gthread_default_stack(void)
{
	struct rlimit rl;
	if (ghi_config.stack)
		return ghi_config.stack;
	if (ghi_sys(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &rl) < 0 || rl.rlim_cur == RLIM_INFINITY)
		return 8ul << 20;
	return rl.rlim_cur < 65536 ? 65536 : rl.rlim_cur;
}

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* The pool for a mapping size; NULL when the program uses more sizes than there are pools. */
static struct ghi_pool *pool_of(size_t map_size, size_t guard, bool light)
{
	for (int i = 0; i < NPOOLS; i++) {
		struct ghi_pool *p = &pools[i];
		size_t size = load_acquire(&p->map_size); /* pairs with the release below */
		if (!size) {
			ghi_lock(&p->lock);
			if (!p->map_size) {
				p->guard = guard;
				p->light = light;
				store_release(&p->map_size, map_size);
			}
			ghi_unlock(&p->lock);
			size = p->map_size;
		}
		if (size == map_size && p->guard == guard && p->light == light)
			return p;
	}
	return NULL;
}

static struct ghi_gthread *pool_get(struct ghi_pool *p)
{
	if (!p)
		return NULL;
	ghi_lock(&p->lock);
	struct ghi_gthread *g = p->free;
	if (g) {
		p->free = g->next;
		p->count--;
	}
	ghi_unlock(&p->lock);
	return g;
}

/* What lies above the struct pthread. */
static size_t tail_bytes(void)
{
	return round_up(sizeof(struct ghi_gthread) + sizeof(struct __res_state), 64);
}

static void list(struct ghi_gthread *g)
{
	struct ghi_gthread *seen = load_relaxed(&ghi_gthread_newest);
	do
		g->all_next = seen;
	while (!cas_release(&ghi_gthread_newest, &seen, g)); /* pairs with ghi_gthread_all */
}

static struct ghi_gthread *map_new(size_t map_size, size_t guard, struct ghi_pool *pool)
{
	char *map = ghi_stack_map(pool ? &pool->slab : NULL, map_size, guard);
	if (!map)
		return NULL;
	size_t align = ghi_libc.tls_align < 64 ? 64 : ghi_libc.tls_align;
	uintptr_t tcb =
	    (uintptr_t)(map + map_size - tail_bytes() - ghi_libc.tcb_size) & ~(align - 1);
	struct ghi_gthread *g = (void *)round_up(tcb + ghi_libc.tcb_size, 64);
	g->map = map;
	g->map_size = map_size;
	g->pool = pool;
	g->guard = guard;
	g->tp = tcb;
	g->res = (void *)(g + 1);
	g->tid = ghi_gthread_new_tid();
	if (ghi_tls_build(tcb, g->tid) < 0) {
		ghi_sys(SYS_munmap, map, map_size);
		return NULL;
	}
	ghi_valgrind_stack(map + guard, (char *)tcb - (ghi_libc.tls_size - ghi_libc.tcb_size));
	list(g);
	return g;
}

/* What a new one and a used one begin with; the stack is known. */
static void begin(struct ghi_gthread *g, void *(*start)(void *), void *arg, void (*entry)(void *))
{
	g->wake = GHI_WAKE_IDLE;
	g->yield_please = g->flags & GHI_G_LIGHT ? GHI_YIELD_LIGHT : 0;
	g->apart = 0;
	g->own = NULL;
	ghi_start_forget(&g->start_word);
	g->hands_to = NULL;
	g->sig_pending = 0;
	/* No signal is for it before it begins, nor for a worker's own context ever. */
	store_relaxed(&g->sigmask, ~0ull);
	memset(&g->sig, 0, sizeof(g->sig));
	g->reason = GHI_PARK_NONE;
	g->parked_at = ghi_clock_coarse;
	g->deadline = GHI_NEVER;
	g->waits_for = NULL;
	g->joiner = 0;
	g->sig_ran = 0;
	g->start = start;
	g->arg = arg;
	g->result = PTHREAD_CANCELED; /* libc acts on requests by itself, too */
	g->affinity = NULL;
	g->cpu_ns = g->timer_slack = 0;
	g->prio = (struct ghi_prio){0};
	g->away = NULL;
	g->futex = NULL;
	g->task = NULL;
	g->joined_at = &g->join;
	g->altstack_sp = NULL;
	g->altstack_size = 0;
	g->altstack_flags = 0;
	g->unseen = 0;
	g->worker = NULL;
	g->id = g->flags & GHI_G_NATIVE ? 0 : fetch_add_relaxed(&next_id, (uint64_t)1);
	g->nosig = 1; /* dropped by its entry function */
	g->handler_sp = NULL;
	g->sp = ghi_ctx_make(g->stack_hi, entry, g);
}

struct ghi_gthread *ghi_gthread_new(const struct ghi_gthread_attr *attr, void *(*start)(void *),
				    void *arg, void (*entry)(void *))
{
	size_t stack = attr->stack_addr	  ? 0
		       : attr->stack_size ? attr->stack_size
					  : ghi_gthread_default_stack();
	size_t guard = attr->stack_addr ? 0 : round_up(attr->guard_size, GHI_PAGE);
	if (ghi_config.guard == 3)
		guard = 0;
	/* Like glibc, the guard comes on top of the size asked for and the TLS out of it; but never
	 * less than a usable stack: programs ask for 16 KiB and rely on that much. */
	size_t overhead = ghi_libc.tls_size + tail_bytes();
	size_t map_size;
	if (attr->stack_addr) {
		map_size = round_up(overhead, GHI_PAGE);
	} else {
		if (stack < 16384)
			stack = 16384;
		if (stack > (1ul << 46))
			return NULL;
		map_size = round_up(stack, GHI_PAGE) + guard;
		if (map_size < guard + overhead + 16384)
			map_size = round_up(guard + overhead + 16384, GHI_PAGE);
	}

	struct ghi_pool *pool = pool_of(map_size, guard, false);
	struct ghi_gthread *g = pool_get(pool);
	if (g) {
		g->tid = ghi_gthread_new_tid();
		ghi_tls_refresh(g->tp, g->tid, g->flags & GHI_G_FORKED);
		memset(g->res, 0, sizeof(struct __res_state));
	} else if (!(g = map_new(map_size, guard, pool))) {
		return NULL;
	}

	g->flags = attr->native ? GHI_G_NATIVE : attr->stack_addr ? GHI_G_USTACK : 0;
	uintptr_t tls_base = g->tp - (ghi_libc.tls_size - ghi_libc.tcb_size);
	g->stack_lo = attr->stack_addr ? attr->stack_addr : g->map + guard;
	g->stack_hi = attr->stack_addr ? attr->stack_addr + attr->stack_size : (char *)tls_base;
	begin(g, start, arg, entry);
	g->join = attr->detached ? GHI_DETACHED : GHI_JOINABLE;
	g->cancel_word = ghi_cancel_libc_word(g->tp);

	/* Its own thread-local view of us, in its own static TLS. */
	struct ghi_tls *its = (void *)(g->tp + (uintptr_t)ghi_libc.self_off);
	its->self = its->home = g;
	its->nosig = 1; /* dropped by its entry function */
	its->tid = g->tid;
	store_release(&g->life, (uint32_t)GHI_LIFE_ALIVE); /* pairs with listings */
	return g;
}

struct ghi_gthread *ghi_gthread_new_light(size_t bytes, void *(*start)(void *), void *arg,
					  void (*entry)(void *))
{
	enum { DEFAULT = 64 << 10 };
	size_t guard = ghi_config.guard == 3 ? 0 : GHI_PAGE;
	size_t map_size = bytes ? round_up(bytes, GHI_PAGE) : DEFAULT;
	if (map_size < DEFAULT / 4)
		map_size = DEFAULT / 4;
	struct ghi_pool *pool = pool_of(map_size, guard, true);
	struct ghi_gthread *g = pool_get(pool);
	if (!g) {
		char *map = ghi_stack_map(pool ? &pool->slab : NULL, map_size, guard);
		if (!map)
			return NULL;
		g = (void *)((uintptr_t)(map + map_size - sizeof(*g)) & ~(uintptr_t)63);
		g->map = map;
		g->map_size = map_size;
		g->pool = pool;
		g->guard = guard;
		ghi_valgrind_stack(map + guard, g);
		list(g);
	}
	g->flags = GHI_G_LIGHT;
	g->tid = ghi_gthread_new_tid();
	g->stack_lo = g->map + guard;
	g->stack_hi = (char *)g;
	begin(g, start, arg, entry);
	g->join = GHI_DETACHED;
	store_release(&g->life, (uint32_t)GHI_LIFE_ALIVE); /* pairs with listings */
	return g;
}

void ghi_gthread_recycle(struct ghi_gthread *g)
{
	struct ghi_pool *p = g->pool;

	store_release(&g->life, (uint32_t)GHI_LIFE_FREE);
	if (!p)
		return; /* more than 32 sizes of stack: this mapping is not used again */
	ghi_lock(&p->lock);
	bool many = p->count > TRIM_ABOVE;
	ghi_unlock(&p->lock);
	/* Keep what one shallow call chain touches; a deep stack in a large pool goes back. */
	if (many && !(g->flags & GHI_G_USTACK) && g->stack_hi - g->stack_lo > 65536)
		ghi_stack_trim(g->stack_lo,
			       (char *)(((uintptr_t)g->stack_hi & ~(GHI_PAGE - 1)) - 4 * GHI_PAGE));
	ghi_lock(&p->lock);
	g->next = p->free;
	p->free = g;
	p->count++;
	ghi_unlock(&p->lock);
}

struct ghi_gthread *ghi_gthread_of(uintptr_t pthread)
{
	return ((struct ghi_tls *)(pthread + (uintptr_t)ghi_libc.self_off))->home;
}

struct ghi_gthread *ghi_gthread_by_tid(int32_t tid)
{
	struct ghi_gthread *m = ghi_runtime_main();
	return !m || m->tid == tid ? m : ghi_gthread_of_tid(tid);
}

struct ghi_gthread *ghi_gthread_of_tid(int32_t tid)
{
	if (tid < (int32_t)TID_FIRST)
		return NULL;
	for (struct ghi_gthread *g = ghi_gthread_all(); g; g = g->all_next)
		if (g->tid == tid && load_acquire(&g->life) == GHI_LIFE_ALIVE)
			return g;
	return NULL;
}

/* In a fork's child: every other gthread is gone; their memory stays enlisted and pooled.
 *
 * The kernel copies page after page while the parent's other threads run, so what lies on different
 * pages is of different times: a free list may name a mapping that is alive on its own page.  The
 * lists are therefore made again, of all mappings; nobody else can be on any of them. */
void ghi_gthread_after_fork(struct ghi_gthread *survivor)
{
	for (int i = 0; i < NPOOLS; i++) {
		pools[i].lock = 0;
		pools[i].free = NULL;
		pools[i].count = 0;
		pools[i].slab.lock = 0;
		pools[i].slab.left = 0; /* somebody may have been at it */
	}
	if (survivor)
		survivor->away = NULL; /* the lot is empty: lot.c finds its waits ended */
	/* libc's fork() leaves only the caller on its lists; the pooled blocks go back on them, for
	 * a dlopen() that comes when they are in use again.  All of them or none: after a clone()
	 * alone they are still there. */
	bool known = false, listed = false;
	for (struct ghi_gthread *g = ghi_gthread_newest; g; g = g->all_next) {
		/* !map: its page is older than the list's head.  The same block: the native context
		 * that a light one forked on; its block is the child's main thread's now. */
		if (g != survivor)
			store_relaxed(&g->task, NULL); /* or a shutdown would wake it */
		if (g == survivor || !g->map || (survivor && g->tp == survivor->tp))
			continue;
		if (g->flags & GHI_G_LIGHT) {
			ghi_gthread_recycle(g);
			continue;
		}
		listed = known ? listed : ghi_tls_listed(g->tp);
		known = true;
		if (!listed)
			ghi_tls_enlist(g->tp);
		ghi_tls_wipe(g->tp);
		g->flags |= GHI_G_FORKED;
		ghi_gthread_recycle(g);
	}
}

void ghi_gthread_prio_after_fork(struct ghi_gthread *survivor)
{
	struct ghi_prio p = survivor->prio;
	int priority = p.priority; /* struct sched_param */
	bool drop = p.reset && (p.policy == SCHED_FIFO || p.policy == SCHED_RR);

	survivor->prio = (struct ghi_prio){0};
	if (p.has & GHI_PRIO_NICE)
		ghi_sys(SYS_setpriority, PRIO_PROCESS, 0, p.reset && p.nice < 0 ? 0 : p.nice);
	if (p.has & GHI_PRIO_POLICY && !drop)
		ghi_sys(SYS_sched_setscheduler, 0, p.policy, &priority);
	if (p.has & GHI_PRIO_IO)
		ghi_sys(SYS_ioprio_set, 1, 0, p.io);
}
