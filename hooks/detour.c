/* The redirected functions and libc's private locks; see detour.h and docs/detours.md. */
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>

#include "hooks/bare.h"
#include "hooks/detour.h"
#include "src/detour.h"
#include "src/lot.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/sync/word.h"

/* ---- libc's private locks ------------------------------------------------------------------- */

/* glibc's lll lock: 0 free, 1 held, 2 held and somebody may wait.  Who is called here has found it
 * held.  A gthread waits in the lot, everybody else in the kernel, on the same word; an unlock of 2
 * wakes one from the lot, or if there is none there, one from the kernel.  Whoever was woken takes
 * the lock as 2, so each unlock after that looks again and both queues get their turn. */
static void wait_in_kernel(uint32_t *word)
{
	while (xchg_acq_rel(word, 2u) != 0)
		sys_futex_wait(word, 2, NULL);
}

static bool still_contended(void *word)
{
	return load_relaxed((uint32_t *)word) == 2;
}

/* Not in a bracket of the runtime, on a worker's own context, or between the prepare handlers of a
 * fork and the fork, which holds all of malloc's locks.  A light gthread is inside libc on a block
 * that is not its own (light.c). */
static bool may_switch(void)
{
	const struct ghi_gthread *self = ghi_self();
	return self && !ghi_tls.nosig && !ghi_tls.forking && !(self->flags & GHI_G_LIGHT);
}

static void lock_wait_private(uint32_t *word)
{
	/* Malloc under a lock of ours could park with it. */
	ghi_assert(!ghi_locks_held());
	if (!may_switch()) {
		wait_in_kernel(word);
		return;
	}
	for (int i = 0; i < ghi_lock_spin; i++) {
		uint32_t free = 0;
		if (load_relaxed(word) == 0 && cas_acquire(word, &free, 1u))
			return;
		cpu_relax();
	}
	uint64_t since = 0;
	while (xchg_acq_rel(word, 2u) != 0) {
		ghi_overtaken_note(word, &since);
		struct ghi_lot_wait w = {.key = word,
					 .validate = still_contended,
					 .arg = word,
					 .deadline = GHI_NEVER,
					 .why = GHI_PARK_LIBC,
					 .uninterruptible = true};
		ghi_lot_wait(&w);
	}
}

static void lock_wake_private(uint32_t *word)
{
	ghi_assert(!ghi_locks_held());
	/* A fork's child gives libc's locks back before the first atfork handler tells the runtime:
	 * the lot is still the parent's, and nobody waits.  Not so the child of a vfork. */
	if (ghi_runtime_running() && (ghi_tls.lent || ghi_runtime_pid() == sys_getpid()) &&
	    ghi_lot_wake(word, 1, 0, NULL, NULL)) {
		/* As after the unlock of a mutex (src/sync/word.h). */
		if (__builtin_expect(ghi_word_overtaken(word), 0) && may_switch())
			ghi_yield();
		return;
	}
	sys_futex_wake(word, 1);
}

/* ---- the list ------------------------------------------------------------------------------- */

static struct ghi_detour detours[] = {
#define DETOUR(sym, number) {.name = #sym, .nr = number},
#include "hooks/detours.def"
#undef DETOUR
    {.name = "__lll_lock_wait_private", .nr = SYS_futex, .to = (void *)lock_wait_private},
    {.name = "__lll_lock_wake_private", .nr = SYS_futex, .to = (void *)lock_wake_private},
};
enum { N = sizeof(detours) / sizeof(detours[0]), LOCKS = N - 2 };

static bool planned;
static struct ghi_real libc; /* real.* as it was */

/* Our functions by our own handle: the dynamic linker would give us an interposer's. */
static void find_hooks(void)
{
	Dl_info me;
	void *own =
	    dladdr((void *)find_hooks, &me) ? dlopen(me.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;
	if (!own) /* part of a program, which dlopen() knows by no name */
		own = dlopen(NULL, RTLD_LAZY);
	for (int i = 0; i < LOCKS; i++) {
		Dl_info found;
		void *f = own ? dlsym(own, detours[i].name) : NULL;
		detours[i].to =
		    f && dladdr(f, &found) && found.dli_fbase == me.dli_fbase ? f : NULL;
	}
	if (own)
		dlclose(own); /* neither of them is ever unloaded */
}

static void plan(void)
{
	void *object = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	find_hooks();
	for (int i = 0; i < N; i++) {
		struct ghi_detour *d = &detours[i];
		const void *entry = ghi_real_find(d->name);
		size_t size = ghi_detour_size(object, d->name, entry);
		ghi_detour_plan(d, entry, size);
		/* glibc's locks once were assembly that kept nearly all registers. */
		if (!d->why && i >= LOCKS && ghi_jump_own_convention(entry, size))
			d->why = "it has a calling convention of its own";
		if (!d->why && !d->to)
			d->why = "this library has no such hook";
	}
	/* The two belong together: a wake-up must find who waits. */
	for (int i = 0; i < 2; i++)
		if (!detours[LOCKS + i].why && detours[LOCKS + 1 - i].why)
			detours[LOCKS + i].why = "its counterpart cannot be redirected";
	if (object)
		dlclose(object);
	planned = true;
}

/* Threads that libc made for itself (aio, SIGEV_THREAD) may be anywhere in its text. */
static bool alone(void)
{
	struct stat st;
	return ghi_sys(SYS_stat, "/proc/self/task", &st) < 0 || st.st_nlink <= 3;
}

static const char *write_all(void)
{
	if (!alone())
		return "other threads run already";
	if (!planned)
		plan();
	int r = ghi_config.detours == 2 ? -EACCES : ghi_detours_write(detours, N);
	return r ? "the system does not let libc's text be changed" : NULL;
}

void ghi_detours_on(void)
{
	static bool tried;
	const char *why;
	int on = 0;

	ghi_light_prepare();
	if (tried || !ghi_config.detours)
		return; /* a fork's child has its parent's */
	tried = true;
	libc = real;
	if ((why = write_all())) {
		ghi_debug(1, "calls that libc makes itself hold a kernel thread: %s", why);
		return;
	}
#define DETOUR(name, nr)                                                                           \
	if (detours[on++].on)                                                                      \
		real.name = ghi_bare.name;
#include "hooks/detours.def"
#undef DETOUR
	on = 0;
	for (int i = 0; i < N; i++) {
		on += detours[i].on;
		if (!detours[i].on)
			ghi_debug(1, "libc's %s is not redirected: %s", detours[i].name,
				  detours[i].why);
	}
	ghi_debug(1, "%d functions of libc are redirected to hooks", on);
}

void ghi_detours_off(void)
{
	if (ghi_detours_undo(detours, N) == 0 && planned)
		real = libc;
}
