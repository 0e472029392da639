/* Functions that a loaded library exports, found without the loader's help.
 *
 * Owns: reading PT_DYNAMIC.  Called by: hooks/real.c.  Must not know: which library it is.  dlopen
 * and dlsym allocate, and the program's allocator may call a hook (jemalloc reads the clock), which
 * needs the address that is just being looked up: so this allocates nothing and calls nothing but
 * dl_iterate_phdr.
 */
#ifndef GHI_DYNSYM_H
#define GHI_DYNSYM_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

struct ghi_dynsym {
	char *base;
	const Elf64_Sym *symbols; /* NULL: not open */
	const char *strings;
	const uint32_t *hash;	 /* DT_GNU_HASH */
	const uint16_t *version; /* NULL: it has none */
};

/* The library loaded under this file name ("libc.so.6"); false: it is not, or has no such tables.
 */
bool ghi_dynsym_open(struct ghi_dynsym *d, const char *file);
/* The default version of a function, as dlsym would answer; NULL: none. */
void *ghi_dynsym_find(const struct ghi_dynsym *d, const char *name);

#endif
