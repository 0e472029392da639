/* Who ran where and when: records for `greenhook trace`; docs/trace.md is the protocol.
 *
 * Owns: the rings, one per slot and one for whoever has none, and one trace at a time.  trace.c:
 * writing.  trace_tell.c: the thread that copies them to who asked.  Called by: sched.c, life.c,
 * fdtab.c, monitor.c (write), control.c (ask).  Must not know: how it is shown.
 *
 * While nobody traces all this is behind GHI_SWITCH_TRACED, in a word that is looked at anyway.
 */
#ifndef GHI_TRACE_H
#define GHI_TRACE_H

#include "src/cputime.h"
#include "src/sched.h"

enum ghi_trace_kind {
	GHI_TRACE_SWITCH = 1, /* why: GHI_PARK_* of who leaves, or one of those below */
	GHI_TRACE_READY,      /* from: who did it, 0: the runtime */
	GHI_TRACE_SPAWN,
	GHI_TRACE_EVENT,   /* of the poller: object is the descriptor, why the epoll events */
	GHI_TRACE_HANDOFF, /* of the slot that `from` ran on; why: 1 it was blocked, 0 it computed
			    */
};
enum { GHI_TRACE_YIELDS = 1000, GHI_TRACE_ENDS };

struct ghi_trace_record {
	uint64_t seq; /* its number + 1, 0 while it is written */
	uint64_t at;
	uint32_t kind, why;
	uint64_t from, to; /* ids, 0: no gthread of the program's */
	uint64_t object;
	const struct ghi_gthread *g; /* whose id is `to`; HANDOFF: `from` */
	int32_t tid;		     /* of the kernel thread */
	int32_t unused;
};

static inline bool ghi_trace_on(void)
{
	return __builtin_expect(load_relaxed(&ghi_cputime_exact) & GHI_SWITCH_TRACED, 0);
}

/* By a worker, in phase SCHED when it has a slot. */
void ghi_trace_switch(struct ghi_worker *w, struct ghi_gthread *from, struct ghi_gthread *to);
/* From anywhere in the runtime. */
void ghi_trace_ready(struct ghi_gthread *g);
void ghi_trace_spawn(struct ghi_gthread *g);
void ghi_trace_event(int fd, uint32_t events);
/* By the monitor, which has just taken the slot. */
void ghi_trace_handoff(struct ghi_slot *s, struct ghi_worker *from, bool blocked, uint64_t at);

/* For trace_tell.c */
/* Maps the rings; false: no memory. */
bool ghi_trace_rings(void);
void ghi_trace_rings_empty(void);
void ghi_trace_rings_forget(void);
uint64_t ghi_trace_head(unsigned ring);
unsigned ghi_trace_capacity(void);
/* U2 to U5; false: it is overwritten, or about to be. */
bool ghi_trace_read(unsigned ring, uint64_t n, struct ghi_trace_record *ret);

struct ghi_answer;
/* "trace MS": on the control thread.  True: fd belongs to the trace from now on. */
bool ghi_trace_begin(struct ghi_answer *a, unsigned long ms);
void ghi_trace_after_fork(void);

#endif
