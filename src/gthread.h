/* The green thread: its fields, its thread-local word, how one is made and recycled.
 *
 * Owns: struct ghi_gthread, the pool of recycled ones, the list of all.  Called by: sched.c,
 * runtime.c, hooks/thread.c.  Must not know: run queues, hooks.
 *
 * Memory of a gthread, one mapping (DESIGN: TCB, TLS and first frames share pages):
 *
 *   low  [guard][stack ......... grows down][static TLS][struct pthread][struct ghi_gthread][res]
 * high ^ tls base  ^ tcb = FS base = pthread_t
 *
 * A light one has no thread block:  low  [guard][stack ... grows down][struct ghi_gthread]  high
 *
 * The mapping is never unmapped while the process lives: glibc keeps a list of TCBs that we enlist
 * it in once, and late wakers may look at its wake word.  It is recycled through the pool.
 */
#ifndef GHI_GTHREAD_H
#define GHI_GTHREAD_H

#include <sched.h>

#include <stdint.h>

#include "src/arch/ctx.h"
#include "src/base/atomic.h"
#include "src/base/clock.h"
#include "src/base/list.h"
#include "src/base/lock.h"
#include "src/base/report.h"
#include "src/proto/park_word.h"

struct ghi_worker;

/* Why a gthread is parked.  One table, never reused; shown by dumps. */
enum ghi_reason {
	GHI_PARK_NONE,
	GHI_PARK_MUTEX,
	GHI_PARK_COND,
	GHI_PARK_RWLOCK,
	GHI_PARK_SEM,
	GHI_PARK_BARRIER,
	GHI_PARK_ONCE,
	GHI_PARK_FUTEX,
	GHI_PARK_JOIN,
	GHI_PARK_READ,
	GHI_PARK_WRITE,
	GHI_PARK_ACCEPT,
	GHI_PARK_CONNECT,
	GHI_PARK_POLL,
	GHI_PARK_SLEEP,
	GHI_PARK_CHILD,
	GHI_PARK_FOREVER,
	GHI_PARK_SIGNAL,
	GHI_PARK_LIBC,
	GHI_PARK_EVENT,
	GHI_PARK_CHANNEL,
	GHI_PARK_SELECT,
	GHI_PARK_DISK,
	GHI_PARK_NREASONS,
};
extern const char *const ghi_reason_names[GHI_PARK_NREASONS];
/* A time that is at most about 10 ms old while anybody runs: reading it costs a load, which is all
 * that a park may pay for being asked how long it lasted. */
extern uint64_t ghi_clock_coarse;

static inline void ghi_clock_note(uint64_t now)
{
	if (now - load_relaxed(&ghi_clock_coarse) > GHI_MS) /* its line is shared by all */
		store_relaxed(&ghi_clock_coarse, now);
}

/* What ended a park: the reason in the wake word. */
enum ghi_wakeup {
	GHI_WOKEN_LOT = 1,
	GHI_WOKEN_FD,
	GHI_WOKEN_TIMEOUT,
	GHI_WOKEN_SIGNAL,
	GHI_WOKEN_CANCEL,
	GHI_WOKEN_CLOSED,
};

enum ghi_life { GHI_LIFE_FREE, GHI_LIFE_ALIVE, GHI_LIFE_EXITING, GHI_LIFE_DEAD };

/* The join word: who will free a gthread that ended. */
enum { GHI_JOINABLE, GHI_DETACHED, GHI_ENDED, GHI_JOINED };

#define GHI_G_MAIN   1u	 /* the initial thread: original stack and TCB, never recycled */
#define GHI_G_NATIVE 2u	 /* a worker's own context, where it searches and sleeps */
#define GHI_G_USTACK 4u	 /* the program gave the stack */
#define GHI_G_FORKED 8u	 /* pooled: its owner was lost in a fork */
#define GHI_G_LIGHT  32u /* no thread block of its own: it runs on its worker's */
#define GHI_G_SHARED (GHI_G_NATIVE | GHI_G_LIGHT) /* those that share a worker's block */
#define GHI_G_SCHED  16u			  /* made with scheduling parameters of its own */

/* Scheduling parameters that a gthread set for itself (hooks/priority.c): answers, not effects. */
struct ghi_prio {
	uint8_t has; /* GHI_PRIO_*; what it does not have is as in the process */
	uint8_t policy, priority;
	bool reset; /* a forked child starts with the ordinary ones */
	int8_t nice;
	uint16_t io;
};
enum { GHI_PRIO_POLICY = 1, GHI_PRIO_NICE = 2, GHI_PRIO_IO = 4 };

/* Signals of one gthread; see signal_queue.c, signal_run.c. */
struct ghi_siglist {
	struct ghi_siginfo_node *first, *last; /* in the order they came */
	uint64_t bits;			       /* which numbers are in it */
};
struct ghi_gthread_signals {
	struct ghi_siginfo_node *incoming; /* Treiber stack, pushed by anybody */
	uint64_t std;	/* standard signals sent to this very thread that wait; by anybody */
	uint64_t waits; /* what it waits for in sigwait(); stored by itself, read by senders */
	/* The rest: the gthread itself, signals deferred. */
	struct ghi_siglist own[2];	/* taken from incoming: sent to it, sent to the process */
	struct ghi_siginfo_node *batch; /* on their way through the kernel */
	struct ghi_siginfo_node *late;	/* of the process: when all of batch have their frames */
	uint64_t in_place;		/* numbers in batch */
	bool bottom;			/* the next of batch lies below all others ... */
	bool at_bottom;			/* ... and is about to run */
	bool looping;	  /* in the loop of ghi_signal_run_pending, outside of handlers */
	uint64_t counted; /* the mask it is counted with (signal_mask.c) */
	uint64_t saved;	  /* the mask that the next handler returns to ... */
	bool restore;	  /* ... during sigsuspend and the like */
	uint64_t flushed; /* ghi_sig_flushes when own was last looked through */
};

enum { GHI_YIELD_ASKED = 1, GHI_YIELD_LIGHT = 2 /* always, in a light one */ };

/* What a task of the native API (src/native/) does at its end, which the runtime calls without
 * knowing more of it. */
struct gh_task;
struct ghi_task_ops {
	void (*leaves)(struct gh_task *);	      /* by itself: cleanup, last code of it */
	void (*left)(struct gh_task *, void *result); /* its stack is left */
	void (*ended)(struct gh_task *, bool told);   /* and its gthread is used again */
	/* A fault, in a handler: where it goes on, or NULL: as without us. */
	void (*(*faulted)(struct gh_task *))(void);
};

struct ghi_gthread {
	/* One cache line that every switch touches: by the worker that runs it, or the owner of its
	 * stack. */
	void *sp;     /* saved context while suspended (ctx.h) */
	uintptr_t tp; /* FS base: address of its TCB; a light one's: of where it ran last */
	struct ghi_worker *worker; /* rewritten at each resume; read by the gthread itself only */
	uint32_t wake;		   /* park_word.h */
	uint32_t flags;		   /* GHI_G_*; constant after creation */
	uint64_t sigmask;	   /* kernel signal mask it runs with */
	struct ghi_affinity *affinity; /* CPUs the program asked for; NULL: any */
	uint32_t nosig;		       /* GHI_G_SHARED: ghi_tls.nosig while it does not run */
	uint32_t switches; /* how often its stack was left: inspect.c reads the stack between two */
	/* Bits GHI_YIELD_*: set by the monitor, read by hooks: plain loads and stores.  Not 0: the
	 * hook has something to look at. */
	uint32_t yield_please;
	int32_t tid; /* what gettid() answers; unique, above pid_max */

	/* One more that whoever makes it ready touches, and every park. */
	struct ghi_gthread *next; /* link of the one queue it is in: inbox, ready batch, pool */
	struct ghi_gthread *prev; /* in a queue of queues.h */
	union {
		uint64_t apart; /* not 0: it does not go into a ring (queues.h) */
		struct {
			/* Set by the monitor when it computed too long, counted down by each park;
			 * never 0 while `own` is set. */
			uint32_t hog;
			int8_t level; /* GHI_LEVEL_MIN ...; of a task, set by anybody */
			uint16_t pin; /* the slot that alone runs it, + 1; 0: any; set by itself */
		};
	};
	struct ghi_gthread
	    *hands_to; /* handover.h: who runs when it leaves; NULL: whose turn it is */
	uint32_t
	    sig_pending; /* 1: something to do at the next runtime exit; paired by membarrier */
	/* For dumps: plain stores by the gthread when it parks. */
	uint32_t reason;
	const void *waits_for;
	uint64_t parked_at; /* ghi_clock_coarse */

	uint64_t deadline;	/* GHI_NEVER: none */
	uint64_t ready_at;	/* stats.h; 0: not stamped */
	struct ghi_worker *own; /* own.c: the kernel thread that runs it and nobody else */
	uint32_t life;		/* enum ghi_life */
	uint32_t start_word;	/* proto/start_word.h */

	/* Signals and cancellation aimed at it; see signal.h, cancel.c. */
	uint32_t *cancel_word; /* GHI_CANCEL_*: libc's in its TCB, or that of its task */
	uint32_t sig_ran;      /* GHI_SIG_RAN*: which handlers ran since a hook cleared it */
	struct ghi_gthread_signals sig;

	/* Life cycle. */
	uint32_t join;	  /* GHI_JOINABLE ...: compare-and-swapped by joiner, detacher and exit */
	uintptr_t joiner; /* who waits in pthread_join, at most one; itself: detached; as in NPTL */
	void *(*start)(void *);
	void *arg;
	void *result;	  /* PTHREAD_CANCELED until start() returns or pthread_exit says another */
	void *handler_sp; /* the innermost handler's frame, unless a jump left it; NULL: none */
	struct gh_task *task;  /* NULL: a pthread */
	const void *joined_at; /* where one who joins it waits (lot.h); set before it runs */
	const struct ghi_task_ops *task_ops;
	uint64_t id;

	/* Memory. */
	char *map;		      /* lowest byte of the mapping, guard included */
	size_t map_size;	      /* constant for the life of the mapping, as is the next */
	struct ghi_pool *pool;	      /* where it is kept for the next one; NULL: nowhere */
	size_t guard;		      /* bytes */
	char *stack_lo;		      /* lowest usable byte of the stack in use */
	char *stack_hi;		      /* one past the highest */
	struct ghi_gthread *all_next; /* every mapping ever made */
	void *altstack_sp;	      /* sigaltstack as the program sees it; NULL: none */
	size_t altstack_size;
	int altstack_flags;   /* SS_AUTODISARM or 0 */
	uint64_t timer_slack; /* ns, for prctl to answer; 0: the process's */
	uint64_t cpu_ns;      /* cputime.h */
	uint64_t fork_mask;   /* signal mask to return to after a fork */
	const void *futex;    /* hooks/futex.c: what it waited for last, and since when ... */
	uint64_t futex_since; /* ... nobody was asked to make way */
	char name[16];
	uint32_t unseen; /* blocking calls that the monitor had to take its slot for */
	uint16_t spins;	 /* warn.h: spin locks that it holds */
	bool marked : 1, warned_spin : 1, warned_stack : 1; /* warn.h */
	struct ghi_prio prio; /* what it believes its scheduling parameters are */
	void *away;	      /* lot.c: its waits that handlers run in */
	void *res;	      /* its struct __res_state, behind libc's __resp */
};

/* What code on a gthread finds through its own TLS.  Initial-exec: one instruction, no call. */
struct ghi_tls {
	struct ghi_gthread *self;   /* NULL: a kernel thread that is no worker, or dormant */
	uint32_t nosig;		    /* > 0: inside the runtime, signal handlers are deferred */
	int32_t tid;		    /* lock owner id of this thread; 0: not asked yet */
	struct ghi_gthread *home;   /* its own struct even while dormant after a fork */
	uint32_t lent;		    /* a child that shares our memory may be using this block */
	uint32_t frames;	    /* signals that came, the runtime's own included */
	struct ghi_gthread *lender; /* `self` meanwhile */
	bool forking;		    /* between a fork's prepare handlers and its end */
	struct ghi_kwait *kwait;    /* kwait.h: a task on a kernel thread; NULL: no task */
	uint64_t
	    held_back; /* of a kernel thread that is no worker: blocked until the bracket ends */
	struct ghi_making *making; /* life.h */
};
extern __thread struct ghi_tls ghi_tls __attribute__((tls_model("initial-exec")));

/* The running gthread, or NULL.  Volatile asm: a compiler must not keep the thread-local address
 * across a switch, where another kernel thread continues. */
static inline struct ghi_gthread *ghi_self(void)
{
	struct ghi_gthread *g;
#if defined(__x86_64__)
	__asm__ volatile("movq ghi_tls@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(g));
#else
	g = *(struct ghi_gthread *volatile *)&ghi_tls.self;
#endif
	return g;
}

/* vfork and posix_spawn: the child runs on our memory and on the caller's thread block, but it is
 * another process.  Between the two calls the hooks see no gthread and keep no books, in the child
 * and in the caller, whose kernel thread waits meanwhile. */
void ghi_lend_begin(void);
void ghi_lend_end(void);

/* Inside these brackets no handler of the program runs on this thread; handlers wait for the end.
 */
static inline void ghi_nosig_enter(void)
{
	ghi_tls.nosig++;
	__asm__ volatile("" ::: "memory");
}

void ghi_signal_run_pending(void); /* signal_run.c */
void ghi_signal_let_go(void);	   /* signal_route.c: of what is held back */

static inline void ghi_nosig_leave(void)
{
	__asm__ volatile("" ::: "memory");
	if (--ghi_tls.nosig == 0) {
		struct ghi_gthread *g = ghi_self();
		if (__builtin_expect(g ? load_relaxed(&g->sig_pending) : ghi_tls.held_back != 0, 0))
			ghi_signal_run_pending();
	}
}

/* A lock counts as a bracket, and in the upper half of the counter as a lock: nothing may call
 * malloc then, whose own lock may park. */
#define GHI_NOSIG_LOCK 0x10001u

static inline void ghi_lock(ghi_lock_t *l)
{
	ghi_tls.nosig += GHI_NOSIG_LOCK;
	ghi_lock_raw(l);
}

/* Does not look at deferred signals: the caller's outer bracket does. */
static inline void ghi_unlock(ghi_lock_t *l)
{
	ghi_unlock_raw(l);
	ghi_tls.nosig -= GHI_NOSIG_LOCK;
}

static inline bool ghi_locks_held(void)
{
	return ghi_tls.nosig >= 0x10000u;
}

struct ghi_gthread_attr {
	size_t stack_size; /* bytes, 0: default */
	size_t guard_size;
	char *stack_addr; /* lowest byte of a stack the program owns, or NULL */
	bool detached;
	bool native;	     /* a worker's own context */
	bool explicit_sched; /* policy and priority are not inherited */
	int policy, priority;
	bool bind;
	cpu_set_t cpus;
};

/* A gthread ready to be given to ghi_ready(); NULL: out of memory.  May call malloc; parks never.
 */
struct ghi_gthread *ghi_gthread_new(const struct ghi_gthread_attr *attr, void *(*start)(void *),
				    void *arg, void (*entry)(void *));
/* The same without a thread block (docs/design.md, "Light gthreads").  bytes: of address space,
 * guard and struct included; 0: the default. */
struct ghi_gthread *ghi_gthread_new_light(size_t bytes, void *(*start)(void *), void *arg,
					  void (*entry)(void *));
/* Back to the pool.  Its stack is left and nobody refers to it any more. */
void ghi_gthread_recycle(struct ghi_gthread *g);
/* The gthread behind a pthread_t, or NULL for kernel threads. */
struct ghi_gthread *ghi_gthread_of(uintptr_t pthread);
/* The same by what gettid() answers it; not the main thread. */
struct ghi_gthread *ghi_gthread_of_tid(int32_t tid);
/* And the main thread, while the runtime runs. */
struct ghi_gthread *ghi_gthread_by_tid(int32_t tid);
/* Every mapping ever made, newest first, linked by all_next. */
struct ghi_gthread *ghi_gthread_all(void);
extern struct ghi_gthread *ghi_gthread_newest; /* for debuggers */
size_t ghi_gthread_default_stack(void);
int32_t ghi_gthread_new_tid(void);
void ghi_gthread_seed_tids(int pid);
void ghi_gthread_after_fork(struct ghi_gthread *survivor);
/* The only thread of a child has the kernel's parameters; gives it what the note says. */
void ghi_gthread_prio_after_fork(struct ghi_gthread *survivor);

#endif
