/* Signals: the program's handlers run on the right gthread.
 *
 * Owns: the program's signal actions as it sees them, queued signals, which gthread gets what.
 * Called by: hooks/signal.c, monitor.c (dispatch), gthread.h (deferred handlers).  Must not know:
 * which libc call changed what.
 *
 * Masks are real: a gthread's mask is the kernel mask of whatever kernel thread runs it (sched.c
 * compares and sets it).  For every signal with a handler the kernel calls ghi_sig_on_signal()
 * instead:
 *
 *   - it interrupted the very gthread that should get it, outside the runtime: the handler runs
 *     there and then, in the kernel's frame;
 *   - inside the runtime, on the gthread that should get it: it is queued for it and runs at the
 *     end of the bracket;
 *   - otherwise the monitor places it: with main when main does not block it (the kernel's own
 *     preference), else with any gthread that does not.  A parked target is woken and runs the
 *     handler on its own stack when its hook leaves the runtime; a running one at the end of its
 *     runtime bracket or by a kick of its kernel thread.
 *
 * What is sent to one gthread never reaches the kernel until it is due: it waits in that gthread's
 * queue.  What is sent to the process while all block it stays pending in the kernel, except
 * real-time signals with a handler that a gthread sends: for their order (signal_limbo.c) they wait
 * here.  The monitor itself accepts exactly the signals that at least one gthread does not block,
 * so a signal is never stuck behind busy workers that block it.
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

/* While the process has one thread. */
void ghi_signal_before_threads(void);
/* Takes over the actions that exist.  Once, when the runtime starts; again after a fork. */
void ghi_signal_start(struct ghi_gthread *main_thread);
/* In a fork's child (self NULL: of a kernel thread): the caller is alone, without pending signals,
 * under the kernel's own rules. */
void ghi_signal_fork_child(struct ghi_gthread *self);
/* Per kernel thread: alternate stack for faults. */
void ghi_signal_worker_init(struct ghi_worker *w);
/* Counts the gthread's mask; gives away what is queued for it. */
void ghi_signal_thread_begins(struct ghi_gthread *g);
void ghi_signal_thread_ends(struct ghi_gthread *self);

/* sigaction(2) as the program sees it; an errno or 0. */
int ghi_signal_action(int sig, const struct sigaction *act, struct sigaction *old);

/* Signals that have handlers of the program. */
uint64_t ghi_signal_handlers(void);
/* Those that the kernel has and we were not told of: set by a system call that no hook sees. */
uint64_t ghi_signal_handlers_behind(void);
bool ghi_signal_is_default(int sig);

/* A set as a mask, without what nobody can block. */
uint64_t ghi_signal_mask_of(const sigset_t *s);
/* Sets the mask of the running gthread. */
void ghi_signal_set_mask(struct ghi_gthread *self, uint64_t mask);
/* For the length of a wait, as sigsuspend(2): the first handler that runs returns to the old mask.
 */
void ghi_signal_mask_for_wait(struct ghi_gthread *self, uint64_t mask);
void ghi_signal_mask_after_wait(struct ghi_gthread *self);
/* The mask was changed behind our back (longjmp): only the books follow. */
void ghi_signal_note_mask(struct ghi_gthread *self, uint64_t mask);
/* Counts gthreads per mask: created, gone. */
void ghi_signal_count(uint64_t mask, int delta);
/* The mask with which the monitor accepts what is open somewhere. */
uint64_t ghi_signal_monitor_mask(void);

/* The kernel sent it to this kernel thread for what the gthread did, but the gthread blocks it: it
 * waits with the gthread. */
void ghi_signal_claim(struct ghi_gthread *self, int sig);
/* Queues sig for one gthread, as pthread_kill does; an errno, EAGAIN when too many wait. */
int ghi_signal_send(struct ghi_gthread *target, int sig, const siginfo_t *info);
/* kill(2) to this process: 1 when it is done, and if its handler is due on the caller, it runs
 * before the return; 0: the kernel's; -EAGAIN: too many wait. */
int ghi_signal_send_process(struct ghi_gthread *self, int sig, const siginfo_t *info);
/* G1-G3 for anything that must interrupt a gthread. */
void ghi_signal_interrupt(struct ghi_gthread *target, enum ghi_wakeup why);
/* G3 alone, for several under one fence; the caller readies *ret_ready.  Signals deferred. */
void ghi_signal_notify(struct ghi_gthread *target, enum ghi_wakeup why,
		       struct ghi_gthread **ret_ready);
/* A full fence on every CPU that runs this process. */
void ghi_sig_fence_everywhere(void);
/* Signals that some signalfd reads: a blocked one stays with the kernel, for any reader. */
extern uint64_t ghi_signal_fd_mask;
void ghi_signal_for_fd(uint64_t set);
/* By a kernel thread that is not ours: it may accept signals. */
void ghi_signal_stranger(void);
/* A handler of the program is due on self.  Signals deferred. */
bool ghi_signal_due(struct ghi_gthread *self);
/* By the monitor: places what could not be decided on arrival. */
void ghi_signal_dispatch(void);
/* What waits for the running gthread, except in the kernel. */
uint64_t ghi_signal_queued(struct ghi_gthread *self);
/* It ends: what is queued for it goes with it. */
void ghi_signal_drop_queued(struct ghi_gthread *self);

/* Parks until a signal of `want` is pending, and takes it: its number, or -EAGAIN, -EINTR,
 * -ECANCELED. */
int ghi_signal_wait(struct ghi_gthread *self, uint64_t want, siginfo_t *ret_info,
		    uint64_t deadline);
/* By the poller: signals may be pending in the kernel for those who wait. */
void ghi_signal_waiters_look(void);

/* What the processor raises: cannot wait. */
#define GHI_SIG_FAULTS                                                                             \
	(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGFPE - 1) |                     \
	 1ull << (SIGILL - 1) | 1ull << (SIGTRAP - 1) | 1ull << (SIGSYS - 1))
#define GHI_SIG_OURS (1ull << (GHI_SIG_CAST - 1) | 1ull << (GHI_SIG_KICK - 1))
/* Around exec, signals deferred: what waits here waits in the kernel, which hands it to the new
 * program; how many were for the caller alone, for the way back when the exec failed. */
unsigned ghi_signal_to_kernel(struct ghi_gthread *self);
void ghi_signal_from_kernel(struct ghi_gthread *self, unsigned count);
/* Runs fn(arg) on every kernel thread of the process, the caller included (set*id). */
void ghi_signal_broadcast(void (*fn)(void *), void *arg);
/* libc's pthread_cancel of a thread that libc made, and its result. */
int ghi_signal_cancel_libc(int (*cancel)(pthread_t), pthread_t t);
/* The runtime runs; the kernel knows our handlers, and sigaction() goes through the table. */
extern bool ghi_signal_active, ghi_signal_taken_over;

#endif
