/* Symbols that a loaded library has only in the symbol table of its file.
 *
 * Owns: a file mapped for a moment.  Called by: tls.c, before any thread exists.  Must not know:
 * what the symbols mean.  Before glibc 2.34 the descriptors of struct pthread are local symbols of
 * libpthread.so.0, kept in its file for libthread_db; later ones are exported and dlsym finds them.
 */
#ifndef GHI_SYMTAB_H
#define GHI_SYMTAB_H

#include <stddef.h>

struct ghi_symtab {
	char *file; /* NULL: not open */
	size_t bytes;
	char *base; /* where the library is loaded */
};

/* Opens the file of the loaded library whose path contains `name`.  0 or -errno. */
int ghi_symtab_open(struct ghi_symtab *t, const char *name);
/* Address of a symbol that is defined there, local ones included; NULL: none, or not open. */
void *ghi_symtab_find(const struct ghi_symtab *t, const char *name);
void ghi_symtab_close(struct ghi_symtab *t);

#endif
