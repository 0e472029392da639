/* Signals: the program's handlers run on the right gthread.
 *
 * Owns: the program's signal actions as it sees them, queued signals, which gthread gets what.
 * Called by: hooks/signal.c, monitor.c (dispatch), gthread.h (deferred handlers).  Must not know:
 * which libc call changed what.
 *
 * Masks are real: a gthread's mask is the kernel mask of whatever kernel thread runs it (sched.c
 * compares and sets it).  For every signal with a handler the kernel calls on_signal() instead:
 *
 *   - it interrupted the very gthread that should get it, outside the runtime: the handler runs
 *     there and then, with the kernel's own frame, mask and altstack rules;
 *   - otherwise the signal is queued and the monitor dispatches it: to main when main does not
 * block it (the kernel's own preference), else to any gthread that does not.  A parked target is
 * woken and runs the handler on its own stack when its hook leaves the runtime; a running one at
 * the end of its runtime bracket or by a kick of its kernel thread.
 *
 * The monitor itself accepts exactly the signals that at least one gthread does not block, so a
 * signal is never stuck behind busy workers that block it, and one that all block stays pending in
 * the kernel, where sigwait() finds it.
 *
 * Queueing and unblocking: the signaller queues, (U2) full fence, reads the mask; the target stores
 * its mask, (U1) full fence, reads its queue.  One of them sees the other.
 *
 * Signaller and sleeper (no wake-up lost):    sleeper (wait.c)
 *   (G1) queue; sig_pending = 1                 (H1) arm
 *   (G2) membarrier: a full fence on every CPU  (H2) compiler barrier
 *   (G3) notify                                 (H3) sig_pending? then do not park
 */
#ifndef GHI_SIGNAL_H
#define GHI_SIGNAL_H

#include <signal.h>

#include "src/gthread.h"

struct ghi_worker;

enum {
	GHI_SIG_CAST = 32,
	GHI_SIG_KICK = 33,
	GHI_NSIG = 65,
	GHI_SIG_RAN = 1,
	GHI_SIG_RAN_NORESTART = 2
};

/* Takes over the actions that exist.  Once, when the runtime starts; again after a fork. */
void ghi_signal_start(struct ghi_gthread *main_thread);
/* Per kernel thread: alternate stack for faults. */
void ghi_signal_worker_init(struct ghi_worker *w);
/* sigaction(2) as the program sees it; an errno or 0. */
int ghi_signal_action(int sig, const struct sigaction *act, struct sigaction *old);
/* Sets the mask of the running gthread. */
void ghi_signal_set_mask(struct ghi_gthread *self, uint64_t mask);
/* The mask was changed behind our back (longjmp): only the books follow. */
void ghi_signal_note_mask(struct ghi_gthread *self, uint64_t mask);
/* Counts gthreads per mask: created, gone. */
void ghi_signal_count(uint64_t mask, int delta);
/* Queues sig for one gthread, as pthread_kill does; 0, or EAGAIN when the queue is full. */
int ghi_signal_send(struct ghi_gthread *target, int sig, const siginfo_t *info);
/* G1-G3 for anything that must interrupt a gthread. */
void ghi_signal_interrupt(struct ghi_gthread *target, enum ghi_wakeup why);
/* Signals that some signalfd reads: a blocked one stays with the kernel, for any reader. */
extern uint64_t ghi_signal_fd_mask;
/* A handler of the program is due on self. */
bool ghi_signal_due(struct ghi_gthread *self);
/* By the monitor: routes what on_signal() queued. */
void ghi_signal_dispatch(void);
/* What is queued for the running gthread. */
uint64_t ghi_signal_queued(struct ghi_gthread *self);
/* It ends: what is queued for it goes with it. */
void ghi_signal_drop_queued(struct ghi_gthread *self);
/* The mask with which the monitor accepts what is open somewhere. */
uint64_t ghi_signal_monitor_mask(void);
#define GHI_SIG_OURS (1ull << (GHI_SIG_CAST - 1) | 1ull << (GHI_SIG_KICK - 1))
/* Takes one signal of `want` that was queued for the running gthread; its number, or 0. */
int ghi_signal_take(struct ghi_gthread *self, uint64_t want, siginfo_t *ret_info);
/* Runs fn(arg) on every kernel thread of the process, the caller included (set*id). */
void ghi_signal_broadcast(void (*fn)(void *), void *arg);
/* The runtime runs; it has run in this process or the one it was forked from, so the kernel knows
 * our handlers and sigaction() must go through the table. */
extern bool ghi_signal_active, ghi_signal_taken_over;

#endif
