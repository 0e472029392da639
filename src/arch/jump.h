/* Redirecting a function at its entry: what the processor's instructions say about it.
 *
 * Owns: the contract; each CPU has its jump.c.  Called by: detour.c.  Must not know: which
 * functions, or how their page is made writable.
 */
#ifndef GHI_ARCH_JUMP_H
#define GHI_ARCH_JUMP_H

#include <stdbool.h>
#include <stddef.h>

enum { GHI_JUMP_MAX = 16 };

/* Bytes at the entry that stay where they are: a landing mark for indirect branches. */
unsigned ghi_jump_keep(const unsigned char *code, size_t size);
/* The jump to `to` as it stands at `at`; its length. */
unsigned ghi_jump_encode(unsigned char ret[GHI_JUMP_MAX], const void *at, const void *to);
/* NULL when the n bytes behind the first `keep` may be overwritten: they begin instructions such as
 * compilers open a function with, and nothing in the function seems to jump between them.  Else the
 * reason. */
const char *ghi_jump_check(const unsigned char *code, size_t size, unsigned keep, unsigned n);
/* Does the function mention this system call's number and a way into the kernel? */
bool ghi_jump_wraps(const unsigned char *code, size_t size, int nr);
/* Does the function save registers that a caller in C would not expect it to keep?  Then it has a
 * calling convention of its own. */
bool ghi_jump_own_convention(const unsigned char *code, size_t size);

#endif
