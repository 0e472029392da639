/* What a call holds while handlers of the program may run: a place in the gate, the right to
 * accept, a descriptor of its own.
 *
 * Owns: that it is given back however the call is left: by return, by unwinding, by a handler's
 * longjmp (jump.c).  Called by: hooks that wait in the kernel with something in hand.  Must not
 * know: what is waited for.
 */
#ifndef GHI_HOOK_HELD_H
#define GHI_HOOK_HELD_H

#include "hooks/hook.h"
#include "src/fdtab.h"

/* In the frame of the call. */
struct ghi_held {
	void (*give_back)(void *what); /* NULL: nothing is held */
	void *what;		       /* no address in a frame */
	bool listed;		       /* a longjmp gives it back too */
};
#define GHI_HELD(name) struct ghi_held name __attribute__((cleanup(ghi_held_leave))) = {0}

/* From what was taken on, in the same bracket. */
void ghi_hold(struct ghi_held *h, void (*give_back)(void *what), void *what);
/* Gives it back, unless a longjmp did. */
void ghi_held_leave(struct ghi_held *h);
/* It is gone by itself.  False: nothing was held any more. */
bool ghi_held_drop(struct ghi_held *h);
/* The thread leaves all its calls; those that it comes back to hold nothing. */
void ghi_held_jump(void);

/* The right to accept (fdtab.h); false: another gthread has it. */
bool ghi_hold_listener(struct ghi_held *h, struct ghi_fd *e);

#endif
