/* Calls that wait for a disk: which of them io_uring is worth, and may have.
 *
 * Owns: nothing.  Called by: file.c.  Must not know: how the ring works (src/disk.h).
 *
 * The caller's kernel thread makes the call itself as long as there are enough of them: that takes
 * no wake-up, and is the fastest there is (docs/performance.md).  When three quarters of those that
 * there may be are in such calls, the next ones go through the ring, so that others find a kernel
 * thread when they want to run.  With GREENHOOK_URING=2 all go there that may.
 *
 * What is cached is read at once all the same.  And the ring is not asked where it would not do the
 * same:
 *   - at the file's own position, which the kernel locks for read(2) and not for the ring;
 *   - where a file's size is limited, for SIGXFSZ would go to the kernel's thread;
 *   - by a gthread with a kernel thread of its own: whatever is different about that one;
 *   - on what is no file, block device or directory (a signal may end a wait there);
 *   - whatever opens or looks up a name, which may wait for ever, and not for a disk.
 */
#ifndef GHI_NATIVE_DISK_H
#define GHI_NATIVE_DISK_H

#include <stddef.h>
#include <stdint.h>

/* SYS_pread64 or SYS_pwrite64; a result or -errno, as ghi_native_syscall. */
long ghi_native_at(long nr, int fd, char *buf, size_t n, int64_t at);
long ghi_native_fsync(int fd);

#endif
