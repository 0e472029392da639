/* The program's allocator; see include/greenhook/memory.h.
 *
 * Owns: the table of functions, which never changes once something was allocated.  Called by:
 * src/native/.  Must not know: objects.
 */
#include <errno.h>
#include <greenhook/memory.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic.h"
#include "src/base/sys.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/native/native.h"

static void *libc_alloc(void *user, size_t bytes)
{
	return malloc(bytes);
}

static void *libc_resize(void *user, void *old, size_t bytes)
{
	return realloc(old, bytes);
}

static void libc_release(void *user, void *memory)
{
	free(memory);
}

static gh_allocator now = {sizeof(now), libc_alloc, libc_resize, libc_release, NULL};

/* OPEN -> CHANGING -> OPEN by whoever sets it, OPEN -> USED by whoever allocates first. */
enum { OPEN, CHANGING, USED };
static uint32_t state;

static void use(void)
{
	uint32_t was = OPEN;
	while (!cas_acq_rel(&state, &was, (uint32_t)USED) && was != USED) {
		was = OPEN;
		ghi_sys(SYS_sched_yield);
	}
}

static void in_use(void)
{
	if (__builtin_expect(load_acquire(&state) != USED, 0))
		use();
}

int gh_set_allocator(const gh_allocator *a)
{
	uint32_t was = OPEN;

	if (!a || a->size != sizeof(*a) || !a->alloc || !a->resize || !a->release)
		return GHI_MISUSE(-EINVAL, "the allocator is NULL or not whole");
	while (!cas_acq_rel(&state, &was, (uint32_t)CHANGING)) {
		if (was == USED)
			return -EBUSY;
		was = OPEN;
		ghi_sys(SYS_sched_yield);
	}
	now = *a;
	store_release(&state, (uint32_t)OPEN);
	return 0;
}

/* Whoever was about to set it is not in the child. */
void ghi_native_memory_after_fork(void)
{
	if (state == CHANGING)
		state = OPEN;
}

static void *given(void *memory)
{
	if (__builtin_expect(!memory, 0))
		errno = ENOMEM;
	return memory;
}

void *ghi_malloc(size_t bytes)
{
	in_use();
	return given(now.alloc(now.user, bytes));
}

void *ghi_zalloc(size_t bytes)
{
	void *memory = ghi_malloc(bytes);
	return memory ? memset(memory, 0, bytes) : NULL;
}

void *ghi_realloc(void *old, size_t bytes)
{
	in_use();
	return given(now.resize(now.user, old, bytes));
}

void ghi_free(void *memory)
{
	if (memory)
		now.release(now.user, memory);
}
