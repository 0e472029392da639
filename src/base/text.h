/* Small files, as the kernel has them in /proc and /sys.
 *
 * Owns: nothing.  Called by: whoever asks the kernel for what no system call tells.  Must not know:
 * what the text means.
 */
#ifndef GHI_BASE_TEXT_H
#define GHI_BASE_TEXT_H

#include <stddef.h>

/* The beginning of the file, zero-terminated.  Its length, or -errno and "". */
long ghi_text_read(const char *path, char *ret, size_t size);

#endif
