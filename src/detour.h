/* Entry detours: the first bytes of a function of libc become a jump to ours.
 *
 * Owns: planning one (is it safe?), writing and taking back a set of them.  Called by:
 * hooks/detour.c, `greenhook doctor` (planning only).  Must not know: what the functions do.
 *
 * A plan only reads.  Writing happens while the process has one thread, so nobody is between the
 * bytes that change; the page is writable and executable for that moment, and where the system
 * forbids that nothing at all is changed.
 */
#ifndef GHI_DETOUR_H
#define GHI_DETOUR_H

#include "src/arch/jump.h"

struct ghi_detour {
	const char *name;
	int nr;		 /* system call that the function wraps; -1: several, or none itself */
	const void *to;	 /* where calls go instead */
	const char *why; /* NULL: can be redirected, or is; else why not */
	char *at;	 /* first byte that changes */
	unsigned n;	 /* how many */
	bool on;
	unsigned char was[GHI_JUMP_MAX], jump[GHI_JUMP_MAX];
};

/* Fills in all but name, nr and to.  `entry` NULL: this libc has no such function. */
void ghi_detour_plan(struct ghi_detour *d, const void *entry, size_t size);
/* The size of the symbol of that name and address in the object behind a dlopen handle; 0: there is
 * none. */
size_t ghi_detour_size(void *object, const char *name, const void *entry);
/* Writes those without a `why`.  0 or -errno; then none is on. */
int ghi_detours_write(struct ghi_detour *d, unsigned n);
/* Takes them back. */
int ghi_detours_undo(struct ghi_detour *d, unsigned n);

#endif
