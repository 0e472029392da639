/* Making kernel threads, and ending them; see sched.h.
 *
 * Owns: the list of all workers, their number, and the shelf of those without a kernel thread.
 * Called by: worker.c, own.c, runtime.c.  Must not know: who sleeps, which slots are idle.
 *
 * A worker's native context is a gthread of its own (TCB, TLS, stack from the same recipe), so that
 * the kernel thread has a valid thread pointer whatever it does.  Workers are made with clone()
 * directly: glibc never learns of them, so fork() in a child does not reclaim their stacks.  When a
 * kernel thread ends, struct, native stack and TCB lie on the shelf for the next one; the kernel
 * clears `tid` when the old one has left the stack.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <sched.h>

#include "src/own.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/tls.h"

enum { NATIVE_STACK = 128 << 10 };

static struct {
	ghi_lock_t lock;
	struct ghi_worker *first; /* without a kernel thread, or about to be */
} shelf;

struct ghi_worker *ghi_worker_newest; /* newest first; pushed only */
static uint32_t nworkers;
static uint32_t built; /* with a kernel thread or without */

struct ghi_worker *ghi_worker_all(void)
{
	return load_acquire(&ghi_worker_newest);
}

unsigned ghi_worker_count(void)
{
	return load_relaxed(&nworkers);
}

void ghi_worker_discount(void)
{
	fetch_add_relaxed(&nworkers, (uint32_t)-1);
}

static void native_entry(void *arg)
{
	struct ghi_gthread *native = arg;
	struct ghi_worker *w = native->worker;

	ghi_sched_arrived(native);
	ghi_worker_loop(w);
}

/* First code of a cloned kernel thread: already on its native stack and TCB. */
static void clone_entry(void *arg)
{
	struct ghi_worker *w = arg;

	ghi_tls_enter(w->native->res); /* light gthreads run libc's code on this block */
	/* The monitor, which is not bound, made all but those that are owned. */
	w->affinity = w->own ? &ghi_sched_unsure : NULL;
	w->cpu_mark = 0;
	/* Broadcasts must reach it at any time; everything else waits until it runs a gthread. */
	w->kmask = GHI_WORKER_IDLE_MASK;
	sys_sigprocmask(SIG_SETMASK, &w->kmask, NULL);
	ghi_sys(SYS_prctl, PR_SET_NAME, "greenhook");
	ghi_signal_worker_init(w);
	ghi_worker_loop(w);
}

static struct ghi_worker *worker_new(void)
{
	static const struct ghi_gthread_attr attr = {
	    .stack_size = NATIVE_STACK, .guard_size = 4096, .detached = true, .native = true};
	long r = ghi_sys(SYS_mmap, NULL, sizeof(struct ghi_worker), 3, 0x22, -1, 0);
	if (r < 0 && r > -4096)
		return NULL;
	struct ghi_worker *w = (struct ghi_worker *)r;
	w->native = ghi_gthread_new(&attr, NULL, NULL, native_entry);
	if (!w->native) {
		ghi_sys(SYS_munmap, w, sizeof(*w));
		return NULL;
	}
	w->native->worker = w;
	w->block = (void *)(w->native->tp + (uintptr_t)ghi_libc.self_off);
	w->current = w->native;
	/* Signals are deferred on a native context for good: its bracket never ends. */
	fetch_add_relaxed(&built, 1u);
	return w;
}

/* One whose kernel thread has ended, or never began.  *ret_empty: there is none, not even one that
 * is about to end. */
static struct ghi_worker *shelved(bool *ret_empty)
{
	struct ghi_worker *found = NULL;
	ghi_lock(&shelf.lock);
	*ret_empty = !shelf.first;
	for (struct ghi_worker **p = &shelf.first; *p; p = &(*p)->sleep_next)
		if (load_acquire(&(*p)->tid) == 0) { /* pairs with the kernel's last store */
			found = *p;
			*p = found->sleep_next;
			break;
		}
	ghi_unlock(&shelf.lock);
	return found;
}

void ghi_worker_shelve(struct ghi_worker *w)
{
	ghi_lock(&shelf.lock);
	w->sleep_next = shelf.first;
	shelf.first = w;
	ghi_unlock(&shelf.lock);
}

void ghi_worker_end(struct ghi_worker *w)
{
	ghi_worker_shelve(w);
	ghi_sys(SYS_exit, 0);
	__builtin_unreachable();
}

struct ghi_worker *ghi_worker_spare(void)
{
	bool empty;
	struct ghi_worker *w = shelved(&empty);
	return w || !empty ? w : worker_new();
}

/* worker_new() waits for a lock of the loader, whose holder may be a gthread that is parked (in the
 * loader, for a lock of malloc's) or has no worker: if the monitor waited there, nobody would run
 * it again.  So those that it may need are made here, by a gthread that makes another one and waits
 * for that lock anyway: one for each gthread, which may all be held up, and one in the poller. */
void ghi_worker_stock(unsigned long gthreads)
{
	while (__builtin_expect(load_relaxed(&built) <= gthreads, 0) &&
	       load_relaxed(&built) < ghi_config.max_workers) {
		struct ghi_worker *w = worker_new();
		if (!w)
			return; /* no memory: the monitor will try */
		ghi_nosig_enter();
		ghi_worker_shelve(w);
		ghi_nosig_leave();
	}
}

static void enlist(struct ghi_worker *w)
{
	if (w->enlisted)
		return;
	w->enlisted = true;
	struct ghi_worker *seen = load_relaxed(&ghi_worker_newest);
	do
		w->all_next = seen;
	while (!cas_release(&ghi_worker_newest, &seen, w));
}

int ghi_worker_clone(struct ghi_worker *w)
{
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		    CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	void *sp = (void *)((uintptr_t)w->native->stack_hi & ~15ul);
	uint64_t all = ~0ull, old;

	/* Handlers must not run before the worker knows itself. */
	sys_sigprocmask(SIG_SETMASK, &all, &old);
	w->kmask = ~0ull;
	enlist(w);
	fetch_add_relaxed(&nworkers, 1u);
	long r = GHI_FAULT(GHI_FAULT_OWN, SYS_clone,
			   ghi_ctx_clone(flags, sp, w->native->tp, clone_entry, w, &w->tid));
	sys_sigprocmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		fetch_add_relaxed(&nworkers, (uint32_t)-1);
	return r < 0 ? (int)r : 0;
}

bool ghi_worker_start_own(struct ghi_gthread *g)
{
	bool empty;
	ghi_nosig_enter();
	struct ghi_worker *w = shelved(&empty);
	if (!w && !(w = worker_new())) { /* a gthread may wait for the loader */
		ghi_nosig_leave();
		return false;
	}
	w->wake = 0;
	w->own = g;
	g->own = w;
	store_relaxed(&g->hog, 1u);
	bool made = ghi_worker_clone(w) == 0;
	if (made) {
		ghi_worker_discount();
	} else {
		g->own = NULL;
		w->own = NULL;
		store_relaxed(&g->hog, 0u);
		ghi_worker_shelve(w);
	}
	ghi_nosig_leave();
	return made;
}

void ghi_worker_end_own(struct ghi_worker *w)
{
	w->leaving = false;
	ghi_worker_end(w);
}

/* What clone_entry() does for the others.  The initial worker's native context may run for the
 * first time long after a light gthread ran on its block.  While the process has one thread. */
static __attribute__((noinline)) void enter_block(struct ghi_gthread *native)
{
	uint64_t all = ~0ull, old;
	uintptr_t mine = ghi_tp_get();

	sys_sigprocmask(SIG_SETMASK, &all, &old);
	ghi_tp_set(native->tp);
	ghi_tls_enter(native->res);
	ghi_tp_set(mine);
	sys_sigprocmask(SIG_SETMASK, &old, NULL);
}

int ghi_worker_start_first(struct ghi_gthread *main_thread)
{
	struct ghi_worker *w = worker_new();
	if (!w)
		return -ENOMEM;
	enter_block(w->native);
	w->tid = sys_gettid();
	w->kmask = main_thread->sigmask;
	w->current = main_thread;
	w->slot = &ghi_slots[0];
	w->slot->running = main_thread;
	main_thread->worker = w;
	w->initial = true;
	enlist(w);
	nworkers = 1;
	ghi_signal_worker_init(w);
	ghi_slot_give(&ghi_slots[0].owner, (uintptr_t)w);
	ghi_slot_leave(&ghi_slots[0].owner, (uintptr_t)w);
	for (unsigned i = 1; i < ghi_nslots; i++)
		ghi_worker_idle_slot(&ghi_slots[i]);
	return 0;
}

/* In a fork's child. */
void ghi_worker_forget_all(void)
{
	shelf.lock = 0;
	shelf.first = NULL;
	ghi_worker_newest = NULL;
	nworkers = built = 0;
}
