/* Slots, workers and what to run next.
 *
 * Owns: struct ghi_slot, struct ghi_worker, the search order, the life of kernel threads.  sched.c:
 * switching and the search order.  worker.c: kernel threads, sleep and wake.  worker_make.c: making
 * and ending them.
 * Called by: park.c (leave, ready), monitor.c (hand-off), runtime.c (start).  Must not know: hooks,
 * descriptors, locks of the program.
 *
 * A gthread that leaves its stack switches straight to the next one; what must happen after the
 * stack is left (publish it as parked, queue it again, free it) is a commit function that runs on
 * the other side of the switch.  Scheduler code therefore runs on whatever TLS is current.
 */
#ifndef GHI_SCHED_H
#define GHI_SCHED_H

#include "src/gthread.h"
#include "src/proto/ring.h"
#include "src/proto/slot_word.h"
#include "src/queues.h"
#include "src/stats.h"

enum { GHI_MAX_SLOTS = 256 };

typedef void (*ghi_commit_fn)(struct ghi_gthread *left, struct ghi_worker *w);

/* The right to run gthreads. */
struct ghi_slot {
	uintptr_t owner; /* slot_word.h */
	char pad0[56];
	/* Holder only. */
	uint32_t tick;	    /* switches; read by the monitor (plain) */
	uint32_t next_poll; /* tick of the next look at timers and events */
	uint32_t next_turn; /* tick at which those beside the ring are asked whose turn it is */
	uint32_t pin_first; /* a bit for each class: those pinned here have its next turn */
	struct ghi_gthread *running; /* read by the monitor as a hint */
	unsigned index;
	uint32_t rng;
	struct ghi_slot_stats stats; /* read by whoever asks */
	/* Monitor only. */
	uint32_t seen_tick;
	uintptr_t seen_owner;
	uint64_t seen_cpu_ns, seen_cpu_last;
	uint64_t seen_at;
	char pad1[56] __attribute__((aligned(64)));
	struct ghi_ring ring;
	struct ghi_timers *timers;
	struct ghi_slot *idle_next; /* under the idle lock */
	struct ghi_turns turns;	    /* holder only */
	uint64_t below_at;	    /* the same: ageing by time of those below normal */
	uint64_t looked_at;	    /* the same: ns, when events were looked at last */
	uint64_t turn_at;	    /* the same: ns, when anybody had a turn last (handover.h) */
	uint32_t handed;	    /* the same: switches since then by which nobody had one */
	uint32_t taken; /* the same: offers in the ring that were taken elsewhere, about */
	uint32_t below_last[GHI_TURN_LOW + 1];
	struct ghi_queue pinned[GHI_TURNS];
} __attribute__((aligned(64)));

/* A kernel thread. */
struct ghi_worker {
	struct ghi_slot *slot; /* NULL: it must not touch any run queue */
	struct ghi_gthread *current;
	struct ghi_gthread *native; /* its own context: search, sleep, slotless commits */
	struct ghi_tls *block;	  /* in the native context's thread block, which light ones share */
	ghi_commit_fn commit;	  /* to run on the other side of the switch in progress */
	struct ghi_gthread *left; /* argument of commit */
	struct ghi_affinity *affinity; /* what the kernel thread is bound to */
	uint64_t cpu_mark;	       /* cputime.h */
	uint64_t kmask;		       /* signal mask of the kernel thread, once it is in force */
	bool searching;		       /* it is counted in the idle word */
	bool in_sched;		       /* its slot is in phase SCHED */
	struct ghi_gthread
	    *assigned;		 /* to run without a slot; set by the monitor before the wake */
	bool initial;		 /* on the process's first kernel thread */
	bool enlisted;		 /* it is on the list of all */
	bool leaving;		 /* own.c: the gthread that owned it has ended */
	struct ghi_gthread *own; /* own.c: the only gthread that it runs */
	int tid; /* 0: no kernel thread (cleared by the kernel when it has left the stack) */
	int stat_tid, stat_fd; /* monitor only: whose /proc/self/task/TID/stat is open (0: none) */
	uint32_t wake;	       /* futex: 1 when somebody woke it */
	uint32_t yields;       /* of gthreads that ran here */
	bool polling;	       /* under the idle lock: it sleeps in epoll_wait */
	bool asleep;	       /* under the idle lock: it is on the list of sleepers */
	struct ghi_worker *sleep_next;
	struct ghi_worker *all_next; /* never freed */
};

/* A gthread that computed until the monitor took the slot goes, for its next GHI_HOG_PARKS turns,
 * into the queue that is served last: those that do little between two waits do not stand behind
 * it. */
enum { GHI_HOG_PARKS = 8 };

extern struct ghi_slot *ghi_slots;
extern unsigned ghi_nslots;
extern uint32_t ghi_yields_mask; /* after how many yields, a power of two - 1, the kernel's follows */
extern uint32_t ghi_idle_word; /* idle_word.h */

/* A CPU set of the program, shared by threads that inherited it; never freed. */
struct ghi_affinity {
	size_t bytes;
	unsigned char cpus[128];
};
void ghi_sched_init(void);
/* Binds the running gthread, and whatever kernel thread runs it from now on. */
long ghi_sched_bind(struct ghi_gthread *self, struct ghi_affinity *a);
/* The same for another gthread; in force on return. */
void ghi_sched_bind_other(struct ghi_gthread *g, struct ghi_affinity *a);
/* What gthreads run on that asked for nothing. */
const struct ghi_affinity *ghi_sched_everywhere(void);

/* Switches away from the running gthread; `commit` runs when its stack is left.  May return at once
 * when it was notified before the switch (park only).  Signals deferred by the caller. */
void ghi_sched_leave(struct ghi_gthread *self, ghi_commit_fn commit);
/* First thing on a new gthread: the other side of the switch that started it. */
void ghi_sched_arrived(struct ghi_gthread *self);
/* The same for good, when it has ended: who joins it is the next to run, if he may. */
_Noreturn void ghi_sched_end(struct ghi_gthread *self, ghi_commit_fn commit);
/* Makes a gthread runnable; the caller owns the duty (park_word.h, W3 or P5).  From anywhere. */
void ghi_ready(struct ghi_gthread *g);
/* The same for one that has never run. */
void ghi_ready_first(struct ghi_gthread *g);
/* The same for a chain linked by ->next. */
void ghi_ready_batch(struct ghi_gthread *first);
/* Lets others run; the gthread goes to the end of the queue. */
void ghi_yield(void);

/* Around a call that may block the kernel thread: others may take the slot meanwhile. */
void ghi_blocking_begin(struct ghi_gthread *self);
void ghi_blocking_end(struct ghi_gthread *self);

/* worker_make.c */
int ghi_worker_start_first(struct ghi_gthread *main_thread);
struct ghi_worker *ghi_worker_all(void);
extern struct ghi_worker *ghi_worker_newest; /* for debuggers */
/* Those that run whatever is runnable: not the owned ones. */
unsigned ghi_worker_count(void);
void ghi_worker_discount(void);
/* One without a kernel thread, used before or new; NULL: no memory, or only kernel threads that are
 * about to end. */
struct ghi_worker *ghi_worker_spare(void);
/* Sees to it that one can be had without the loader's locks, however many of that many gthreads are
 * held up in the kernel.  Before one more begins; may wait for these locks. */
void ghi_worker_stock(unsigned long gthreads);
/* Gives it a kernel thread, or puts it away again.  0 or -errno. */
int ghi_worker_clone(struct ghi_worker *w);
void ghi_worker_shelve(struct ghi_worker *w);
/* The caller's kernel thread ends. */
_Noreturn void ghi_worker_end(struct ghi_worker *w);
void ghi_worker_forget_all(void);
/* What a worker that sleeps blocks. */
#define GHI_WORKER_IDLE_MASK (~GHI_SIG_OURS)

/* worker.c */
unsigned ghi_worker_asleep(void);
/* Wakes or makes a worker when the idle word allows it; after work was queued. */
void ghi_worker_notify(void);
/* A slot in phase TAKEN, in the caller's hand, goes to a worker (true) or stays (false). */
bool ghi_worker_hand_slot(struct ghi_slot *s, bool may_create);
void ghi_worker_idle_slot(struct ghi_slot *s);
/* Somebody pinned to the slot waits, and it looks idle: a worker gets it.  False: there is none to
 * be had; without may_create the monitor has been told. */
bool ghi_worker_staff(struct ghi_slot *s, bool may_create);
/* The same for all slots. */
void ghi_worker_staff_pinned(bool may_create);
/* Runs a gthread on a sleeping or new worker that gets no slot; false: there is none to be had. */
bool ghi_worker_run(struct ghi_gthread *g);
/* After a successful claim in the idle word. */
struct ghi_slot *ghi_worker_take_idle_slot(void);
/* For the monitor: a descriptor of the worker's /proc/self/task/TID/stat, or -errno; and whether
 * what was read from it was right.  It stays open, so that a number of the program's is taken for a
 * moment only once in the worker's life. */
int ghi_worker_stat(struct ghi_worker *w);
/* A result of pread() on it that says nothing of the worker. */
bool ghi_worker_stat_foreign(long n);
void ghi_worker_stat_done(struct ghi_worker *w, bool right);
bool ghi_worker_owns_fd(int fd);
void ghi_worker_stat_after_fork(void);
void ghi_worker_loop(struct ghi_worker *w);
void ghi_worker_after_fork(void);
/* A kernel thread cloned from the caller's, for this gthread alone; false: there is none to be had.
 */
bool ghi_worker_start_own(struct ghi_gthread *g);
/* The kernel thread of an owned worker ends. */
_Noreturn void ghi_worker_end_own(struct ghi_worker *w);
/* The caller's worker is its own from now on; its slot goes to others. */
void ghi_worker_keep(struct ghi_gthread *self);
/* sched.c, for worker.c, own.c and handover.c */
/* By the holder: events and timers, without sleeping; readies what they woke. */
void ghi_sched_look_around(struct ghi_slot *s);
/* Switches away from a running gthread that is pushed when its stack is left. */
void ghi_sched_move(struct ghi_gthread *self);
extern struct ghi_affinity ghi_sched_unsure; /* of a worker: the next switch binds anew */
struct ghi_gthread *ghi_sched_search(struct ghi_worker *w);
bool ghi_sched_any_work(void);
/* The next holder looks at events and at the inbox first: switches are too rare to count them.  By
 * the holder, or whoever has taken the slot. */
static inline void ghi_sched_look_soon(struct ghi_slot *s)
{
	s->next_poll = s->next_turn = s->tick;
	ghi_turns_next(&s->turns, s->tick, GHI_TURN_INBOX);
}
/* One that waits for a slot that the caller holds, not counting the inbox; NULL: none. */
struct ghi_gthread *ghi_sched_take_waiting(struct ghi_slot *s);
/* Somebody else would run on this slot now. */
bool ghi_sched_others_wait(const struct ghi_slot *s);
void ghi_sched_resume(struct ghi_worker *w, struct ghi_gthread *next);

#endif
