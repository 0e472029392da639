/* Copying what is no object of C's: stacks with all that lies between the variables on them.
 *
 * Not memcpy, which in a program with a sanitizer is the sanitizer's: it would report the bytes
 * between.
 */
#ifndef GHI_BASE_COPY_H
#define GHI_BASE_COPY_H

#include <stddef.h>

static inline void ghi_copy_raw(void *to, const void *from, size_t bytes)
{
#if defined(__x86_64__)
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
#else
	volatile char *out = to;
	for (const volatile char *in = from; bytes; bytes--)
		*out++ = *in++;
#endif
}

#endif
