/* What the files of signals share: see signal.h for the model.
 *
 * Owns: nothing.  signal.c: the program's actions, start, fork.  signal_queue.c: queued signals.
 * signal_run.c: running handlers.  signal_route.c: which gthread gets what.  signal_limbo.c: what
 * nobody may handle yet, and order.  signal_mask.c: masks.
 * signal_wait.c: sigwait.  signal_cast.c: kicks and broadcasts.  Included by these only.
 */
#ifndef GHI_SIGNAL_INT_H
#define GHI_SIGNAL_INT_H

#include "src/signal.h"

#define BIT(sig) (1ull << ((sig)-1))
#define FAULTS	 GHI_SIG_FAULTS
/* What nobody blocks: SIGKILL and SIGSTOP, and the two of the runtime. */
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP) | GHI_SIG_OURS)
/* Blocked while we handle one: a broadcast must get through all the same. */
static const uint64_t ghi_sig_everything = ~BIT(GHI_SIG_CAST);

/* What rt_sigaction takes. */
struct ghi_kernel_action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};
#define RESTORER 0x04000000

enum { GHI_TO_THREAD, GHI_TO_PROCESS };
enum { FIRST_QUEUED = 34 }; /* SIGRTMIN: from here on several of a number wait */

struct ghi_sigtimer;

struct ghi_siginfo_node {
	struct ghi_siginfo_node *next;
	uint32_t index, next_free; /* place in the pool */
	int sig;
	bool shared;		    /* sent to the process, not to one thread */
	uint64_t born;		    /* ghi_sig_flushes when it was made */
	uint64_t seq;		    /* its place among those sent to the process (signal_limbo.c) */
	struct ghi_sigtimer *timer; /* which sent it, or NULL */
	uint32_t timer_use;	    /* the timer is still the same one */
	struct ghi_gthread *target; /* while undecided: the thread it was sent to, or NULL */
	siginfo_t info;
};

/* The next number as the kernel chooses: faults, then the lowest. */
static inline int ghi_sig_first(uint64_t set)
{
	return __builtin_ctzll(set & FAULTS ? set & FAULTS : set) + 1;
}

static inline bool ghi_sig_accepts(const struct ghi_gthread *g, int sig)
{
	return !(load_relaxed(&g->sigmask) & BIT(sig)) || (load_relaxed(&g->sig.waits) & BIT(sig));
}

/* signal.c */
bool ghi_sig_is_handler(const struct sigaction *a);
/* Would it be dropped?  SIG_IGN, or SIG_DFL and ignored by default. */
bool ghi_sig_is_ignored(int sig, const struct sigaction *a);
struct sigaction ghi_sig_action_of(int sig);
/* The action as it is to be run now; SA_RESETHAND takes effect. */
void ghi_sig_copy_action(int sig, struct sigaction *ret);
/* Each time a signal became ignored: what was queued before is void. */
extern uint64_t ghi_sig_flushes;
bool ghi_sig_is_void(const struct ghi_siginfo_node *n);
/* What waits of a number is void from now on. */
void ghi_sig_flush(int sig);
/* The alternate stack of a worker, where the kernel puts the frames of some handlers. */
void ghi_sig_worker_altstack(const struct ghi_worker *w, stack_t *ret);

/* signal_queue.c: without locks, for handlers too; a list is its gthread's alone. */
struct ghi_siginfo_node *ghi_sig_node_new(int sig, const siginfo_t *info, bool shared);
void ghi_sig_node_free(struct ghi_gthread *g, struct ghi_siginfo_node *n);
/* The same, and what it said. */
void ghi_sig_node_take(struct ghi_gthread *g, struct ghi_siginfo_node *n, siginfo_t *ret_info);
void ghi_sig_push(struct ghi_siginfo_node **stack, struct ghi_siginfo_node *n);
bool ghi_sig_enqueue(struct ghi_gthread *g, struct ghi_siginfo_node *n);
struct ghi_siginfo_node *ghi_sig_take_all(struct ghi_siginfo_node **stack);
/* A standard signal to the process: false when one waits already. */
bool ghi_sig_claim_shared(int sig);
void ghi_sig_unclaim_shared(int sig);
void ghi_sig_append(struct ghi_siglist *l, struct ghi_siginfo_node *n);
/* By its place (O2). */
void ghi_sig_insert(struct ghi_siglist *l, struct ghi_siginfo_node *n);
/* Its place is behind all that there are. */
void ghi_sig_node_is_last(struct ghi_siginfo_node *n);
/* Too many wait; never for what the kernel sends all the same. */
bool ghi_sig_no_room(int sig, const siginfo_t *info);
/* One is about to wait in the kernel; false: too many wait. */
bool ghi_sig_goes_to_kernel(int sig, const siginfo_t *info);
struct ghi_siginfo_node *ghi_sig_remove(struct ghi_siglist *l, int sig);
/* By the gthread itself, signals deferred: its lists are complete; which numbers wait. */
uint64_t ghi_sig_collect(struct ghi_gthread *self);
/* What was sent to the process and is not its to handle goes to somebody else. */
void ghi_sig_pass_on(struct ghi_gthread *self);
struct ghi_siginfo_node *ghi_sig_pick(struct ghi_gthread *self, uint64_t want);
void ghi_sig_drop_batch(struct ghi_gthread *self);
void ghi_sig_queue_reset(void);

/* signal_run.c */
void ghi_sig_deliver(int sig, siginfo_t *info, void *uc);

/* signal_route.c */
void ghi_sig_on_signal(int sig, siginfo_t *info, void *uc);
/* Decided again: its gthread ends or blocks it. */
void ghi_sig_reroute(struct ghi_siginfo_node *n);
/* The same, and on return whoever looks finds it pending. */
void ghi_sig_place_now(struct ghi_siginfo_node *n);
void ghi_sig_route_reset(void);

/* -1: no room. */
int ghi_sig_send_timer(struct ghi_gthread *g, const siginfo_t *info, struct ghi_sigtimer *t,
		       uint32_t use);

/* signal_limbo.c: what all gthreads block, as if pending in the kernel. */
uint64_t ghi_sig_limbo_bits(void);
/* At its place. */
void ghi_sig_limbo_put(struct ghi_siginfo_node *n);
/* As the last of its number, behind what the kernel has. */
void ghi_sig_limbo_send(struct ghi_siginfo_node *n);
/* Moves one of `want` to the queue of g, which is the caller. */
bool ghi_sig_limbo_to(struct ghi_gthread *g, uint64_t want);
/* Moves one of a number to the queue of g; false: g does not accept it, or there is none. */
bool ghi_sig_limbo_give(struct ghi_gthread *g, int sig);
/* After the caller stopped to accept something: nobody is about to give it more (Y2). */
void ghi_sig_limbo_settle(void);
/* Takes one out for good, or NULL. */
struct ghi_siginfo_node *ghi_sig_limbo_take(uint64_t want);
/* Those of a number that are void, ghi_sig_is_void, wait no longer. */
void ghi_sig_limbo_drop_void(int sig);
/* Those of the set are pending in the kernel from now on. */
void ghi_sig_limbo_to_kernel(uint64_t set);
void ghi_sig_limbo_reset(void);

/* signal_timer.c: a timer's signal is accepted (info) or dropped (NULL). */
void ghi_sig_timer_taken(struct ghi_sigtimer *t, siginfo_t *info);
bool ghi_sig_timer_gone(const struct ghi_siginfo_node *n);
void ghi_sig_timer_reset(void);

/* signal_cast.c */
void ghi_sig_on_cast(int sig, siginfo_t *info, void *uc);
void ghi_sig_on_kick(int sig, siginfo_t *info, void *uc);
void ghi_sig_cast_install(void);
void ghi_sig_cast_start(void);
void ghi_sig_cast_reset(void);

/* signal_mask.c */
void ghi_sig_mask_reset(void);
/* A handler begins or ends: the running gthread's mask, not counted. */
void ghi_sig_mask_book(struct ghi_gthread *self, uint64_t mask);
/* A handler returns into another one's code, whose own mask is not counted either: what came for
 * the process and is blocked there stays in this gthread's queue, in order. */
void ghi_sig_note_outer(struct ghi_gthread *self, uint64_t mask);

/* signal_exec.c */
void ghi_sig_from_kernel_at_start(struct ghi_gthread *main_thread);

/* signal_wait.c */
extern uint32_t ghi_sig_waiting; /* gthreads in sigwait() */
void ghi_sig_wait_reset(void);

#endif
