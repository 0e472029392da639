/* Cancellation requests.
 *
 * Owns: the cancellation word of a gthread, which is libc's own in its thread block, with libc's
 * bits: libc sets and clears state and type, also inside its functions, and its own cancellation
 * points (those that no hook replaces, waits on shared objects) look at the same request.  Called
 * by: hooks (request, act), wait.c (is one due?), signal.c (act or leave a window).
 *
 * The request wakes a parked gthread; the hook it wakes in acts, on the target's own stack and TCB,
 * by libc's pthread_exit(PTHREAD_CANCELED), so that cleanup handlers and destructors run as
 * natively.  A task of the native API has a word of its own and is not unwound: its waits end with
 * ECANCELED.  A gthread that waits in the kernel gets a kick; how none is lost between the check
 * and the system call is in docs/wakeup.md, "A wait in the kernel".
 */
#ifndef GHI_CANCEL_H
#define GHI_CANCEL_H

#include "src/gthread.h"
#include "src/tls.h"

/* nptl/descr.h, the same since 2003; selftest.c proves the first two. */
enum {
	GHI_CANCEL_DISABLED = 1,
	GHI_CANCEL_ASYNC = 2,
	GHI_CANCEL_REQUESTED = 8,
	GHI_CANCEL_EXITING = 16,
	GHI_CANCEL_ENDED = 32,
	GHI_CANCEL_ANY =
	    GHI_CANCEL_DISABLED | GHI_CANCEL_REQUESTED | GHI_CANCEL_EXITING | GHI_CANCEL_ENDED
};

static inline uint32_t *ghi_cancel_word(const struct ghi_gthread *g)
{
	return g->cancel_word;
}

/* libc's own, in a thread block. */
static inline uint32_t *ghi_cancel_libc_word(uintptr_t tp)
{
	return (uint32_t *)(tp + (uintptr_t)ghi_libc.cancelhandling);
}

/* Due now: requested, enabled, not exiting already. */
static inline bool ghi_cancel_requested(const struct ghi_gthread *g)
{
	return (load_relaxed(ghi_cancel_word(g)) & GHI_CANCEL_ANY) == GHI_CANCEL_REQUESTED;
}

/* Due at any instruction of the program's code, or of libc's while it waits. */
static inline bool ghi_cancel_async(const struct ghi_gthread *g)
{
	return (load_relaxed(ghi_cancel_word(g)) & (GHI_CANCEL_ANY | GHI_CANCEL_ASYNC)) ==
	       (GHI_CANCEL_REQUESTED | GHI_CANCEL_ASYNC);
}

void ghi_cancel_request(struct ghi_gthread *target);
/* The same in two halves, for several: mark all (false: nothing to do for this one),
 * ghi_sig_fence_everywhere(), notify all; then the caller readies *ret_ready.  Signals deferred. */
bool ghi_cancel_mark(struct ghi_gthread *target);
void ghi_cancel_notify(struct ghi_gthread *target, struct ghi_gthread **ret_ready);
/* A cancellation point: does not return when a request is due on a pthread.  A task of the native
 * API goes on, as if a handler had run that ends the call; ghi_ret() turns its EINTR into
 * ECANCELED. Signals not deferred. */
void ghi_cancel_point(struct ghi_gthread *self);
/* A task's own state, as pthread_setcancelstate(): was it disabled? */
bool ghi_cancel_disable(struct ghi_gthread *self, bool disable);

/* A system call that is a cancellation point: -EINTR instead of the call when a request is due on
 * self, and whenever the kernel says so.  (C1)-(C3) in docs/wakeup.md. */
long ghi_cancel_syscall(const uint32_t *word, long nr, const long args[6]);
/* (C4) At the end of signal handlers, with the interrupted context: the call is not made. */
void ghi_cancel_leave_window(void *uc);

#endif
