/* mmap and guard pages for gthreads; see stack.h. */
#include <stdlib.h>
#include <sys/mman.h>

#include "src/base/atomic.h"
#include "src/base/report.h"
#include "src/base/sys.h"
#include "src/base/text.h"
#include "src/base/valgrind.h"
#include "src/gthread.h"
#include "src/stack.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { GUARD_AUTO, GUARD_MADVISE, GUARD_MPROTECT, GUARD_NONE };

/* Of a slab: address space that may never be used. */
enum { SLAB_MAX = 64, SLAB_BYTES = 4 << 20 };

static uint32_t mode; /* GUARD_*; settles at the first mapping, racing settlers agree */
static uint64_t vmas_left = UINT64_MAX;

static uint64_t read_max_map_count(void)
{
	char text[32];
	if (ghi_text_read("/proc/sys/vm/max_map_count", text, sizeof(text)) < 0)
		return 65530;
	return strtoull(text, NULL, 10);
}

static bool guard_by_mprotect(char *map, size_t guard)
{
	if (load_relaxed(&vmas_left) == UINT64_MAX)
		store_relaxed(&vmas_left, read_max_map_count() / 4 * 3);
	if (load_relaxed(&vmas_left) < 2) {
		ghi_say(
		    "stacks are created without guard pages from now on: raise vm.max_map_count");
		store_relaxed(&mode, (uint32_t)GUARD_NONE);
		return true;
	}
	fetch_add_relaxed(&vmas_left, (uint64_t)-2);
	return ghi_sys(SYS_mprotect, map, guard, PROT_NONE) == 0;
}

static char *map_pages(size_t size)
{
	long r = ghi_sys(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r < 0 && r > -4096)
		return NULL;
	/* A huge page under a stack would cost 2 MiB of memory each. */
	ghi_sys(SYS_madvise, r, size, MADV_NOHUGEPAGE);
	return (char *)r;
}

/* The next one of the slab, NULL: it is used up, and *ret_want are to be mapped. */
static char *carve(struct ghi_stack_slab *slab, size_t size, size_t *ret_want)
{
	char *map = NULL;

	ghi_lock(&slab->lock);
	if (slab->left) {
		map = slab->next;
		slab->next += size;
		slab->left--;
	}
	*ret_want = slab->made < SLAB_MAX ? slab->made : SLAB_MAX;
	slab->made++;
	ghi_unlock(&slab->lock);
	return map;
}

/* False: somebody else was faster. */
static bool leave(struct ghi_stack_slab *slab, char *next, size_t left)
{
	ghi_lock(&slab->lock);
	bool empty = !slab->left;
	if (empty) {
		slab->next = next;
		slab->left = left;
	}
	ghi_unlock(&slab->lock);
	return empty;
}

static char *from_slab(struct ghi_stack_slab *slab, size_t size)
{
	size_t want = 1;
	char *map = slab ? carve(slab, size, &want) : NULL;

	if (map)
		return map;
	if (want > SLAB_BYTES / size)
		want = SLAB_BYTES / size;
	if (want > 1 && (map = map_pages(want * size))) {
		if (!leave(slab, map + size, want - 1))
			ghi_sys(SYS_munmap, map + size, (want - 1) * size);
		return map;
	}
	return map_pages(size);
}

static bool guard_lowest(char *map, size_t guard)
{
	if (load_relaxed(&mode) == GUARD_AUTO) {
		/* valgrind takes mappings that touch for one, and a new thread's stack for all of
		 * that, unless it sees something between. */
		uint32_t first = ghi_valgrind_running() ? GUARD_MPROTECT : GUARD_MADVISE;
		store_relaxed(&mode, ghi_config.guard ? (uint32_t)ghi_config.guard : first);
	}
	if (load_relaxed(&mode) == GUARD_MADVISE) {
		if (ghi_sys(SYS_madvise, map, guard, MADV_GUARD_INSTALL) == 0)
			return true;
		store_relaxed(&mode, (uint32_t)GUARD_MPROTECT); /* before Linux 6.13 */
	}
	return load_relaxed(&mode) != GUARD_MPROTECT || guard_by_mprotect(map, guard);
}

char *ghi_stack_map(struct ghi_stack_slab *slab, size_t size, size_t guard)
{
	char *map = from_slab(slab, size);

	if (map && guard && !guard_lowest(map, guard)) {
		ghi_sys(SYS_munmap, map, size);
		return NULL;
	}
	return map;
}

void ghi_stack_trim(char *lo, char *hi)
{
	if (hi > lo)
		ghi_sys(SYS_madvise, lo, hi - lo, MADV_DONTNEED);
}
