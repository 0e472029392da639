/* Which calls block kernel threads: kept when somebody wants to know (GREENHOOK_REPORT).
 *
 * Owns: the episodes, what is counted about each place, the text of the report.  blocked.c: what
 * the monitor sees.  blocked_report.c: who called, counting, the text.  Called by: monitor.c
 * (begin, look), control.c and preload/init.c (the report).  Must not know: how the monitor
 * decides.
 *
 * An episode is one stay of a worker in the kernel that cost it its slot.
 *
 *   FREE --begin, by the monitor: copies what the kernel tells about the thread, and its stack-->
 * OPEN OPEN --look, by the monitor: the thread's CPU clock moved--> DONE OPEN --keep(false), by the
 * monitor: the worker was faster and kept its slot--> FREE DONE --collect, by whoever reports:
 * unwound and counted--> FREE
 *
 * All under blocked.lock, for the length of a copy.  The monitor never unwinds, as that takes the
 * loader's lock, which may belong to a thread that waits for the monitor.  While no episode is
 * free, stays are only counted.
 */
#ifndef GHI_BLOCKED_H
#define GHI_BLOCKED_H

#include "src/sched.h"

enum { GHI_BLOCKED_STACK = 4096, GHI_BLOCKED_EPISODES = 64 };

struct ghi_episode {
	enum { GHI_EPISODE_FREE, GHI_EPISODE_OPEN, GHI_EPISODE_DONE } state;
	bool known;  /* the call was marked as one that may block */
	bool handed; /* another worker has the slot */
	int tid;
	int nr; /* system call; GHI_NO_CALL: a page fault, GHI_UNSEEN_CALL: it was too short */
	uint64_t cpu;	    /* ns, of the thread when it was found */
	uint64_t since, ns; /* when it began to stand still; how long it did, when done */
	uintptr_t pc, sp;
	size_t bytes;
	char stack[GHI_BLOCKED_STACK] __attribute__((aligned(8)));
};
enum { GHI_NO_CALL = -1, GHI_UNSEEN_CALL = -2 };

/* 0 when nobody wants to know. */
extern bool ghi_blocked_on;

/* When the runtime starts, before the second gthread: from now on it is kept, and the control
 * thread runs. */
void ghi_blocked_start(void);
void ghi_blocked_after_fork(void);

/* By the monitor: the worker stands still since then, with so much CPU time used.  An index for
 * keep, or -1. */
int ghi_blocked_begin(struct ghi_worker *w, bool known, uint64_t since, uint64_t cpu);
/* Where the thread e->tid stands in the kernel, and its stack: fills nr, pc, sp, bytes, stack. */
void ghi_blocked_where(struct ghi_episode *e);
/* What became of it; stays: it lost its slot. */
void ghi_blocked_keep(int index, bool stays, bool handed);
/* Ends the episodes of threads that run again; true while some are open. */
bool ghi_blocked_look(uint64_t now);
/* So many that the one who reports should collect some. */
bool ghi_blocked_crowded(void);

/* One finished episode (or, with open, a copy of the open one at *at, which advances); false: no
 * more.  *at begins with 0. */
bool ghi_blocked_take(struct ghi_episode *ret, bool open, int *at);
/* Those that found no episode free. */
uint64_t ghi_blocked_dropped(void);

/* blocked_report.c */
void ghi_blocked_report_start(void);
/* Counts what is done. */
void ghi_blocked_collect(void);
/* Writes the report; the number of bytes, at most size. */
size_t ghi_blocked_report(char *buf, size_t size);
enum { GHI_REPORT_BYTES = 256 << 10 };
/* The same to where GREENHOOK_REPORT says; at exit. */
void ghi_blocked_report_at_exit(void);

#endif
