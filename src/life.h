/* The beginning and the end of a gthread's life on its own stack.
 *
 * Owns: its first and last code, what it inherits.  Called by: hooks/thread.c, src/native/.  Must
 * not know: who joins.
 */
#ifndef GHI_LIFE_H
#define GHI_LIFE_H

#include "src/gthread.h"

/* First code of a gthread that ghi_gthread_new() made. */
void ghi_life_entry(void *gthread);
/* The same of ghi_gthread_new_light().  It leaves libc's books of the worker's thread block alone:
 * nothing unwinds to here. */
void ghi_life_entry_light(void *gthread);
/* Affinity, name and the like of its creator; creator NULL: a kernel thread. */
void ghi_life_inherit(struct ghi_gthread *g, struct ghi_gthread *creator);
/* The creator's signal mask. */
uint64_t ghi_life_mask(struct ghi_gthread *creator);
/* It counts as alive and becomes runnable; before, it takes no signals. */
void ghi_life_begin(struct ghi_gthread *g, uint64_t mask);
/* The running gthread ends: destructors, then the switch that does not return. */
_Noreturn void ghi_life_end(struct ghi_gthread *self);

/* A pthread_create by the runtime on behalf of somebody else (ghi_tls.making): what is to be done
 * with the gthread before it begins.  attr: tells that creation from others, which the sanitizer
 * that is asked may make first. */
struct ghi_making {
	const void *attr;
	int (*prepare)(struct ghi_making *, struct ghi_gthread *); /* 0 or -errno */
};

#endif
