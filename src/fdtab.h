/* What we know about each descriptor number, and who waits on it.
 *
 * Owns: a growable two-level table of entries, their waiters, generations.  Called by: wait.c
 * (wait), poller.c (fire), hooks (note what the program does to a number).  Must not know: libc,
 * hooks.
 *
 * Readiness is a counter per direction, not a flag: an event adds one and wakes waiters.  A caller
 * reads the counter, tries its system call, and may park only if the counter has not moved since:
 *
 *   caller                                      poller
 *   (F1) s = seq[dir], acquire                  (N1) event: under the lock, seq[dir]+1
 *   (F2) system call says EAGAIN                (N2) takes waiters out and notifies them
 *   (F3) under the lock: seq[dir] != s: again
 *   (F4) joins the waiters, parks
 *
 * Data that comes after F2 makes an edge after F2, so N1 is after F1: F3 sees it or N2 finds F4.
 * `drained` is the counter value of the last F1 whose call found the descriptor empty: while it
 * equals seq, another try would find nothing, and one system call per request is saved.
 *
 * What is noted about a number may be wrong: the program may have closed and reused it by system
 * calls of its own.  A registration that went with the old file would let a waiter sleep for ever,
 * so one that is older than a sweep is registered again (ghi_fd_sweep; docs/netpoller.md).
 */
#ifndef GHI_FDTAB_H
#define GHI_FDTAB_H

#include "src/gthread.h"

enum { GHI_RD = 0, GHI_WR = 1 };
enum ghi_fd_kind {
	GHI_FD_UNKNOWN,
	GHI_FD_SOCKET,
	GHI_FD_TCP,	    /* a short read means empty (an urgent mark shows as EPOLLPRI) */
	GHI_FD_UNIX_STREAM, /* a short read may also end at a message's credentials */
	GHI_FD_POLLED,	    /* pipe, FIFO */
	GHI_FD_CHAR,	    /* terminals and other devices */
	GHI_FD_ANON,	    /* eventfd, timerfd, signalfd, inotify: whole records only */
	GHI_FD_FILE,	    /* epoll refuses it: always ready, may block in the kernel */
};

struct ghi_fd_waiter {
	struct ghi_list link; /* next NULL: not in a list */
	struct ghi_gthread *g;
	uint8_t dirs;	 /* bits 1 << GHI_RD, 1 << GHI_WR */
	bool all;	 /* poll-like: woken with the others, consumes nothing */
	uint32_t joined; /* the sweep before it; GHI_FD_SWEPT: its registration was seen to */
};

struct ghi_fd {
	ghi_lock_t lock;
	uint32_t generation; /* changes whenever the number may mean another file */
	uint32_t seq[2];
	uint32_t drained; /* reads; valid when armed and equal to seq[GHI_RD] */
	uint8_t kind;	  /* enum ghi_fd_kind; a guess that corrects itself */
	bool armed;
	uint8_t armed_dirs;   /* both at first, those that are waited for after a sweep */
	bool hup;	      /* RDHUP, HUP, ERR or PRI was seen: that edge will not come again */
	bool shared;	      /* another descriptor of the same file may exist */
	uint8_t accepting;    /* who may accept: GHI_FD_ACCEPT_* */
	bool listens;	      /* accept may wait here */
	bool no_nowait;	      /* RWF_NOWAIT is not understood here */
	uint32_t flags_epoch; /* `nonblock` is valid when it equals ghi_fd_flags_epoch */
	bool nonblock;
	bool listed;	    /* on the list of the next sweep */
	uint32_t own_epoch; /* ghi_fd_share_epoch when this process made the file */
	int number;
	struct ghi_fd *sweep_next;
	struct ghi_list waiters;
	uint64_t timeout[2]; /* SO_RCVTIMEO, SO_SNDTIMEO in ns; 0: none */
};

enum { GHI_FD_SWEPT = UINT32_MAX };
#define GHI_FD_SWEEP_PERIOD (100 * GHI_MS)

/* Between poll and accept there is one gthread per listener; CROWDED: another one was turned away
 * meanwhile and waits to be woken when it is done. */
enum { GHI_FD_ACCEPT_FREE, GHI_FD_ACCEPT_HELD, GHI_FD_ACCEPT_CROWDED };

extern uint32_t ghi_fd_flags_epoch;
extern uint32_t ghi_fd_share_epoch; /* grows when other processes may have got our files */

static inline bool ghi_fd_is_socket(const struct ghi_fd *e)
{
	return e->kind >= GHI_FD_SOCKET && e->kind <= GHI_FD_UNIX_STREAM;
}

/* Only this process knows the open file, by this number or by duplicates that we saw made. */
static inline bool ghi_fd_private(const struct ghi_fd *e)
{
	return e->own_epoch == load_relaxed(&ghi_fd_share_epoch);
}

enum { GHI_FD_CHUNK = 1024, GHI_FD_CHUNKS = 4096 };
extern struct ghi_fd *ghi_fd_table[GHI_FD_CHUNKS]; /* published by compare-and-swap, never freed */

/* The entry if it was ever made, for gthreads. */
static inline struct ghi_fd *ghi_fd_at(int fd)
{
	if (fd < 0 || fd >= GHI_FD_CHUNK * GHI_FD_CHUNKS)
		return NULL;
	struct ghi_fd *chunk =
	    load_acquire(&ghi_fd_table[fd / GHI_FD_CHUNK]); /* pairs with the swap */
	return chunk ? &chunk[fd % GHI_FD_CHUNK] : NULL;
}

/* The entry, NULL when fd is negative, absurd, or there is no memory. */
struct ghi_fd *ghi_fd_get(int fd);
/* The same for whoever calls: NULL in a child that shares our memory. */
struct ghi_fd *ghi_fd_peek(int fd);
/* An event from the poller. */
void ghi_fd_fire(int fd, uint32_t generation, uint32_t events, struct ghi_gthread **ret_ready);
/* Everybody who waits tries again. */
void ghi_fd_wake_all(void);
/* The number is about to be closed or overwritten: ends its registration, wakes waiters. */
void ghi_fd_forget(int fd);
void ghi_fd_forget_range(unsigned lo, unsigned hi);
/* The number has just been made: what an unseen close left behind is dropped. */
void ghi_fd_fresh(int fd, enum ghi_fd_kind kind);
/* O_NONBLOCK of some description was changed by the program. */
static inline void ghi_fd_flags_changed(void)
{
	fetch_add_acq_rel(&ghi_fd_flags_epoch, 1u);
}
/* The highest number the program is known to have used. */
int ghi_fd_highest(void);
void ghi_fd_used(int fd);
/* Another descriptor of the same open file may exist from now on. */
void ghi_fd_mark_shared(int fd);
void ghi_fd_after_fork(void);
/* In the parent too: from now on another process may hold every file. */
void ghi_fd_mark_all_shared(void);

/* Under the entry's lock: a waiter joins.  True: tell ghi_fd_sweep_started() after the unlock. */
bool ghi_fd_join(struct ghi_fd *e, int fd, struct ghi_fd_waiter *w);
void ghi_fd_sweep_started(void);
/* When the next sweep is due, GHI_NEVER: nobody waits for one. */
uint64_t ghi_fd_sweep_next(void);
/* Looks at the registrations of waits that began before the sweep before this one. */
void ghi_fd_sweep(uint64_t now);

/* The right to accept: true, or the caller waits like one that found nothing. */
bool ghi_fd_accept_enter(struct ghi_fd *e);
void ghi_fd_accept_leave(struct ghi_fd *e);

/* Under the entry's lock: takes a waiter out of the list for good. */
void ghi_fd_unlink(struct ghi_fd *e, struct ghi_fd_waiter *w);
/* Passes readiness on to one more waiter of `dir`: the caller took one item, there may be more. */
void ghi_fd_pass_on(struct ghi_fd *e, int dir);

#endif
