/* What sanitizers are told; see sanitizer.h.
 *
 * LeakSanitizer takes for used what the stacks, registers and thread blocks of the kernel's threads
 * name.  It does not find a gthread that is parked, and one that runs may be on the stack of
 * another kernel thread than it began on.  So right before the search, which is the last but one
 * thing in a process's life (exit() calls the latest handlers first, and ours is registered right
 * behind its own), the words of all gthreads that can be addresses are copied to memory which it is
 * told to search.  A copy, and not the stacks: it would read each of these for itself, with all the
 * mappings of the process in between, and what lies below the stack pointer would hide real leaks.
 */
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>

#include "src/base/sys.h"
#include "src/gthread.h"
#include "src/real.h"
#include "src/runtime.h"
#include "src/sanitizer.h"
#include "src/sched.h"
#include "src/stack.h"
#include "src/tls.h"
#include "src/unwind.h"

/* Where the library itself was built with one. */
#define GHI_UNWATCHED __attribute__((no_sanitize("address"), noinline))

enum { CHUNK = 4 << 20, WORDS = CHUNK / sizeof(uintptr_t) };

static struct {
	uintptr_t *chunk;
	size_t used; /* words */
} copy;

static void keep(uintptr_t word)
{
	if (word < GHI_PAGE || word >> 47)
		return;
	if (!copy.chunk || copy.used == WORDS) {
		long r = ghi_sys(SYS_mmap, NULL, CHUNK, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (r < 0 && r > -4096)
			return;
		copy.chunk = (uintptr_t *)r;
		copy.used = 0;
		__lsan_register_root_region(copy.chunk, CHUNK);
	}
	copy.chunk[copy.used++] = word;
}

/* The frames that AddressSanitizer put elsewhere, to notice their use after return: who uses one
 * has its address on the stack. */
GHI_UNWATCHED static void keep_frame(void *fakes, uintptr_t word)
{
	static uintptr_t last_lo, last_hi;
	void *lo, *hi;

	if (word - last_lo < last_hi - last_lo ||
	    !__asan_addr_is_in_fake_stack(fakes, (void *)word, &lo, &hi))
		return;
	last_lo = (uintptr_t)lo;
	last_hi = (uintptr_t)hi;
	for (uintptr_t at = last_lo; at + sizeof(uintptr_t) <= last_hi; at += sizeof(uintptr_t))
		keep(*(volatile uintptr_t *)at);
}

GHI_UNWATCHED static void keep_range(const char *lo, const char *hi, void *fakes)
{
	const volatile uintptr_t *at = (void *)(((uintptr_t)lo + 7) & ~7ul);
	for (; (const char *)(at + 1) <= hi; at++) {
		uintptr_t word = *at;
		if (word < GHI_PAGE || word >> 47)
			continue;
		keep(word);
		if (fakes)
			keep_frame(fakes, word);
	}
}

/* A stack of the program's own may go away meanwhile. */
static void keep_foreign(const char *lo, const char *hi, void *fakes)
{
	uintptr_t words[512];
	for (size_t n; lo < hi; lo += n) {
		n = (size_t)(hi - lo) < sizeof(words) ? (size_t)(hi - lo) : sizeof(words);
		if (ghi_unwind_read((uintptr_t)lo, (char *)words, n) < n)
			return;
		keep_range((char *)words, (char *)words + n, fakes);
	}
}

/* Where its stack pointer is, is not known: whatever was touched. */
static void keep_touched(char *lo, char *hi, void *fakes)
{
	unsigned char there[64];
	lo = (char *)((uintptr_t)lo & ~(GHI_PAGE - 1));
	for (; lo < hi; lo += sizeof(there) * GHI_PAGE) {
		size_t left = (size_t)(hi - lo + GHI_PAGE - 1) / GHI_PAGE;
		size_t n = left < sizeof(there) ? left : sizeof(there);
		if (ghi_sys(SYS_mincore, lo, n * GHI_PAGE, there))
			continue;
		for (size_t i = 0; i < n; i++) {
			char *page = lo + i * GHI_PAGE;
			if (there[i] & 1)
				keep_range(page, page + GHI_PAGE < hi ? page + GHI_PAGE : hi,
					   fakes);
		}
	}
}

/* As its own code would find it: by its thread block. */
static void *fakes_of(struct ghi_gthread *g)
{
	uint64_t all = ~0ull, old;
	uintptr_t mine = ghi_tp_get();

	if (!__asan_get_current_fake_stack || g->flags & GHI_G_SHARED)
		return NULL;
	sys_sigprocmask(SIG_SETMASK, &all, &old);
	ghi_tp_set(g->tp);
	void *fakes = __asan_get_current_fake_stack();
	ghi_tp_set(mine);
	sys_sigprocmask(SIG_SETMASK, &old, NULL);
	return fakes;
}

static bool runs(const struct ghi_gthread *g)
{
	struct ghi_worker *w = load_relaxed(&g->worker);
	return w && load_relaxed(&w->current) == g;
}

static void keep_gthread(struct ghi_gthread *g, const struct ghi_gthread *self, char *here)
{
	if (g->flags & GHI_G_NATIVE) {
		; /* its frames are ours */
	} else if (g == self) {
		keep_range(here, g->stack_hi, fakes_of(g));
	} else if (runs(g)) {
		keep_touched(g->stack_lo, g->stack_hi, fakes_of(g));
	} else {
		char *sp = load_relaxed(&g->sp);
		if (sp >= g->stack_lo && sp < g->stack_hi)
			(g->flags & GHI_G_USTACK ? keep_foreign : keep_range)(sp, g->stack_hi,
									      fakes_of(g));
	}
	if (g->flags & GHI_G_USTACK)
		keep_range(g->map, g->map + g->map_size, NULL);
	else if (!(g->flags & GHI_G_MAIN))
		keep_range(g->stack_hi, g->map + g->map_size, NULL);
}

/* Before LeakSanitizer looks. */
static void keep_all(void)
{
	struct ghi_gthread *self = ghi_self();
	char *here;

	__builtin_unwind_init();
	__asm__ volatile("movq %%rsp, %0" : "=r"(here));
	if (!ghi_runtime_running())
		return;
	for (struct ghi_gthread *g = ghi_gthread_all(); g; g = g->all_next) {
		uint32_t life = load_acquire(&g->life);
		if (life == GHI_LIFE_ALIVE || life == GHI_LIFE_EXITING)
			keep_gthread(g, self, here);
	}
	if (ghi_runtime_main() && !ghi_runtime_main()->map)
		keep_gthread(ghi_runtime_main(), self, here);
}

static void (*end)(void);

static void look_and_end(void)
{
	keep_all();
	end();
}

void (*ghi_sanitizer_before_end(void (*loader_end)(void)))(void)
{
	if (!__lsan_register_root_region || !loader_end)
		return loader_end;
	end = loader_end;
	return look_and_end;
}

bool ghi_sanitizer_present;

void ghi_sanitizer_init(void)
{
	ghi_sanitizer_present =
	    __asan_init || __lsan_register_root_region || __tsan_init || __msan_init;
}

ghi_create_fn ghi_sanitizer_create(void)
{
	ghi_create_fn theirs = NULL;
	if (ghi_sanitizer_present)
		theirs = (ghi_create_fn)dlsym(RTLD_DEFAULT, "pthread_create");
	return theirs ? theirs : ghi_real_pthread_create;
}

void ghi_sanitizer_unwound(char *stack_lo)
{
	char *here = __builtin_frame_address(0);
	if (__asan_unpoison_memory_region && here > stack_lo)
		__asan_unpoison_memory_region(stack_lo, (size_t)(here - stack_lo));
}

/* ---- the signal mask of the first thread -------------------------------------------------------
 */

static uint64_t program_mask;
static bool noted;

void ghi_sanitizer_set_mask(uint64_t mask)
{
	program_mask = mask;
	noted = true;
}

void ghi_sanitizer_note_mask(void)
{
	uint64_t now;
	if (!ghi_sanitizer_present || ghi_tls.lent || sys_gettid() != sys_getpid())
		return;
	sys_sigprocmask(SIG_BLOCK, NULL, &now);
	ghi_sanitizer_set_mask(now);
}

uint64_t ghi_sanitizer_mask(uint64_t now)
{
	/* They leave some of these open; no program blocks all the others for long. */
	const uint64_t open =
	    1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1) | 1ull << (SIGSYS - 1) | 7ull << 31;
	return noted && (now | open) == ~0ull ? program_mask : now;
}
