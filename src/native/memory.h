/* Memory of the native API's objects: the program's allocator or libc's.
 *
 * Owns: nothing.  Called by: src/native/, with nothing locked: an allocator may park.  Must not
 * know: what the memory is for.
 */
#ifndef GHI_NATIVE_MEMORY_H
#define GHI_NATIVE_MEMORY_H

#include <stddef.h>

/* NULL and ENOMEM in errno when there is none. */
void *ghi_malloc(size_t bytes);
void *ghi_zalloc(size_t bytes);
void *ghi_realloc(void *old, size_t bytes);
void ghi_free(void *memory);

#endif
