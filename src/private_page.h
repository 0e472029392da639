/* Whether a word lies in memory that no other process sees.
 *
 * Owns: one descriptor, of /proc/self/pagemap.  Called by: hooks/futex.c, process.c there, fork.
 * Must not know: who waits for what.
 *
 * A futex without FUTEX_PRIVATE_FLAG may be another process's as well, and then only the kernel can
 * wake who waits for it.  But libstdc++ makes all its waits so (std::future, std::atomic::wait,
 * semaphores, latches), on ordinary memory, where the flag would make no difference.  The kernel
 * itself tells the two apart by the page: an anonymous page belongs to its process alone.  So do
 * we.
 */
#ifndef GHI_PRIVATE_PAGE_H
#define GHI_PRIVATE_PAGE_H

#include <stdbool.h>

/* False also when it cannot be told, and for a bad address. */
bool ghi_page_private(const void *word);
/* The kernel is about to wake by itself (CLONE_CHILD_CLEARTID): from now on nothing is private. */
void ghi_page_kernel_wakes(void);
void ghi_page_after_fork(void);

#endif
