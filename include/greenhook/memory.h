/* greenhook/memory.h: where the library's objects lie. */
#ifndef GREENHOOK_MEMORY_H
#define GREENHOOK_MEMORY_H

#include <greenhook/base.h>

/* Functions to use instead of malloc(3), realloc(3) and free(3), for gh_set_allocator().  user:
 * that of the structure.  alloc gives memory for any type, or NULL; resize moves what is in old
 * (NULL: nothing) and gives NULL, with old as it was, when there is no memory; release never gets
 * NULL. Any thread calls them, several at once, and with nothing locked.  They may wait.  They do
 * not call functions of this library that allocate. */
typedef struct gh_allocator {
	size_t size; /* sizeof(gh_allocator), always: the structure may grow */
	void *(*alloc)(void *user, size_t bytes);
	void *(*resize)(void *user, void *old, size_t bytes);
	void (*release)(void *user, void *memory);
	void *user;
} gh_allocator;

GH_BEGIN_DECLS

/* Says where the library's objects are to lie.
 *
 * allocator: is copied; all its functions are there.  For what the functions of this library
 * allocate: groups, futures, channels and their elements, errors, modules, and what a call needs
 * for its own length.  Not for stacks and tasks, which are mappings, nor for what libc allocates
 * for its own functions on the way (getaddrinfo, posix_spawn, dlopen, stdio).
 *
 * Only before the first of these objects is made, at the start of main for instance; until then it
 * may be set again.
 *
 * Returns: 0, or
 *   -EINVAL  allocator is NULL, a function is missing, or its size cannot be right
 *   -EBUSY  something was allocated already
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_set_allocator(const gh_allocator *allocator);

GH_END_DECLS

#endif
