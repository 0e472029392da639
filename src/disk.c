/* The disk thread and those who wait for it; see disk.h. */
#include <errno.h>
#include <string.h>

#include "src/base/config.h"
#include "src/base/report.h"
#include "src/cancel.h"
#include "src/disk.h"
#include "src/helper.h"
#include "src/monitor.h"
#include "src/park.h"
#include "src/proto/bell.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/uring.h"

/* In the ring at once.  The rest of its room is for what cancels them, and for the bell. */
enum { LIMIT = GHI_URING_COMPLETE - 16, LIMIT_UNDO = GHI_URING_COMPLETE - 2, MAX_FAILURES = 20 };
#define MAX_BYTES     0x7ffff000u /* of one call, as the kernel has it */
#define TAG_BELL      1u	  /* no request lies there */
#define RETRY	      GHI_SEC
#define FUTEX_PRIVATE 0x82 /* FUTEX2_SIZE_U32 | FUTEX2_PRIVATE */

struct request {
	struct ghi_bell_node node; /* first */
	struct ghi_gthread *g;
	struct request *undoes; /* whom this one cancels; NULL: it is a call */
	struct ghi_uring_entry what;
	long res;
	bool done; /* under disk.lock */
};

enum state { NONE, WANTED, MADE, OPEN, BROKEN, REFUSED };

static struct {
	struct ghi_bell bell;
	ghi_lock_t lock; /* `done` of all requests */
	uint32_t state;	 /* WANTED by anybody, MADE by the monitor, the rest by the thread */
	uint64_t retry;	 /* not wanted before */
	/* The thread's own. */
	struct ghi_uring ring;
	struct queue {
		struct ghi_bell_node *first, **last; /* last: only while there is a first */
	} calls, undos;				     /* not in the ring yet */
	unsigned in_ring;
	bool listens; /* the ring has a wait for the bell */
	bool deaf;    /* and cannot have one */
} disk;

/* ---- those who wait ---------------------------------------------------------------------------
 */

_Static_assert(offsetof(struct request, node) == 0, "casts");

static void push(struct request *q)
{
	if (ghi_bell_push(&disk.bell, &q->node))
		sys_futex_wake(&disk.bell.word, 1);
}

/* (D2), (D3) */
static void wait_for(struct ghi_gthread *self, struct request *call)
{
	struct request undo = {.g = self, .undoes = call, .what = {.op = GHI_URING_CANCEL}};
	struct ghi_gthread *none = NULL;
	bool undone = false;

	undo.what.addr = (uintptr_t)call;
	for (;;) {
		ghi_lock(&disk.lock);
		if (call->done && (!undone || undo.done))
			break;
		ghi_park_arm(self, GHI_PARK_DISK, (void *)(intptr_t)call->what.fd);
		ghi_unlock(&disk.lock);
		__asm__ volatile("" ::: "memory"); /* (H2) of signal.h */
		/* A canceller that found nobody armed: then this notify may win, once more round.
		 */
		if (!undone && load_relaxed(&self->sig_pending) && ghi_cancel_requested(self))
			ghi_park_notify(self, GHI_WOKEN_CANCEL, &none);
		ghi_park(self);
		if (!undone && ghi_cancel_requested(self)) {
			undone = true;
			push(&undo);
		}
	}
	ghi_unlock(&disk.lock);
}

bool ghi_disk_ready(void)
{
	uint32_t state = load_acquire(&disk.state);
	if (state == NONE && load_relaxed(&disk.retry) <= ghi_now() &&
	    cas_acq_rel(&disk.state, &state, (uint32_t)WANTED))
		ghi_monitor_poke();
	return state == OPEN;
}

bool ghi_disk_call(struct ghi_gthread *self, enum ghi_disk_op op, int fd, void *buf, size_t n,
		   int64_t at, long *ret)
{
	static const uint8_t ops[] = {GHI_URING_READ, GHI_URING_WRITE, GHI_URING_FSYNC};
	struct request q = {.g = self, .what = {.op = ops[op], .fd = fd}};

	if (op != GHI_DISK_FSYNC) {
		q.what.addr = (uintptr_t)buf;
		q.what.len = n < MAX_BYTES ? (uint32_t)n : MAX_BYTES;
		q.what.off = (uint64_t)at;
	}
	ghi_nosig_enter();
	push(&q); /* (D1) */
	wait_for(self, &q);
	ghi_nosig_leave();
	*ret = q.res;
	switch (q.res) {
	case -ECANCELED:
	case -EINTR: /* in the middle of it, and nothing had been done */
		*ret = -ECANCELED;
		return ghi_cancel_requested(ghi_self());
	case -EAGAIN:
	case -EINVAL: /* the ring's own opinion, or the file's */
	case -EOPNOTSUPP:
	case -ENOSYS:
	case -EFBIG: /* the signal is the caller's */
		return false;
	default:
		return true;
	}
}

/* ---- the thread -------------------------------------------------------------------------------
 */

/* (S2), under the lock. */
static void finish(struct request *q, long res, struct ghi_gthread **ready)
{
	q->res = res;
	q->done = true;
	ghi_park_notify(q->g, GHI_WOKEN_FD, ready);
}

static void append(struct queue *to, struct request *q)
{
	q->node.next = NULL;
	*(to->first ? to->last : &to->first) = &q->node;
	to->last = &q->node.next;
}

static struct request *take(struct queue *from)
{
	struct ghi_bell_node *n = from->first;
	if (n)
		from->first = n->next;
	return (struct request *)n;
}

/* True: it was not in the ring yet, and is nowhere now. */
static bool unqueue(struct queue *q, struct request *which)
{
	for (struct ghi_bell_node **n = &q->first; *n; n = &(*n)->next)
		if (*n == &which->node) {
			*n = which->node.next;
			if (q->last == &which->node.next)
				q->last = n;
			return true;
		}
	return false;
}

/* (S1) What came, in the order it came. */
static void take_new(void)
{
	struct ghi_bell_node *in_turn = NULL, *next;
	struct ghi_gthread *ready = NULL;

	for (struct ghi_bell_node *n = ghi_bell_take(&disk.bell); n; n = next) {
		next = n->next;
		n->next = in_turn;
		in_turn = n;
	}
	for (; in_turn; in_turn = next) {
		struct request *q = (struct request *)in_turn;
		next = in_turn->next;
		if (!q->undoes) {
			append(&disk.calls, q);
		} else if (!unqueue(&disk.calls, q->undoes)) {
			append(&disk.undos, q);
		} else {
			ghi_lock(&disk.lock);
			finish(q->undoes, -ECANCELED, &ready);
			finish(q, 0, &ready);
			ghi_unlock(&disk.lock);
		}
	}
	ghi_ready_batch(ready);
}

static bool submit_from(struct queue *from, unsigned limit)
{
	while (from->first && disk.in_ring < limit) {
		struct ghi_uring_entry *e = ghi_uring_entry(&disk.ring);
		if (!e)
			return false;
		struct request *q = take(from);
		*e = q->what;
		e->user_data = (uintptr_t)q;
		disk.in_ring++;
	}
	return true;
}

/* False: there is more to submit, and room for it after the next call of the kernel's. */
static bool submit(uint32_t bell)
{
	if (!disk.listens) {
		struct ghi_uring_entry *e = ghi_uring_entry(&disk.ring);
		if (!e)
			return false;
		e->op = GHI_URING_FUTEX_WAIT; /* (B3) */
		e->fd = FUTEX_PRIVATE;
		e->addr = (uintptr_t)&disk.bell.word;
		e->off = bell;
		e->addr3 = FUTEX_BITSET_MATCH_ANY;
		e->user_data = TAG_BELL;
		disk.listens = true;
	}
	return submit_from(&disk.undos, LIMIT_UNDO) && submit_from(&disk.calls, LIMIT);
}

static void take_results(void)
{
	struct ghi_uring_result r;
	struct ghi_gthread *ready = NULL;

	ghi_lock(&disk.lock);
	while (ghi_uring_next(&disk.ring, &r)) {
		if (r.user_data == TAG_BELL) {
			disk.listens = false;
			if (r.res < 0 && r.res != -EAGAIN)
				disk.deaf = true;
		} else {
			disk.in_ring--;
			finish((struct request *)(uintptr_t)r.user_data, r.res, &ready);
		}
	}
	ghi_unlock(&disk.lock);
	ghi_ready_batch(ready); /* (S3) */
}

static void decline(struct queue *from)
{
	struct ghi_gthread *ready = NULL;
	struct request *q;

	ghi_lock(&disk.lock);
	while ((q = take(from)))
		finish(q, -EAGAIN, &ready);
	ghi_unlock(&disk.lock);
	ghi_ready_batch(ready);
}

/* The kernel takes nothing any more: a filter, most likely.  What is under way ends by itself, and
 * its results appear whenever this thread makes some call.  Whoever came too late is answered. */
static void serve_no_more(void)
{
	struct ghi_uring_entry *e;
	struct timespec soon = {.tv_nsec = 1000000};

	store_release(&disk.state, (uint32_t)BROKEN);
	ghi_debug(1, "the system refuses io_uring from now on: files hold kernel threads");
	while ((e = ghi_uring_take_back(&disk.ring)))
		if (e->user_data != TAG_BELL) {
			disk.in_ring--;
			append(&disk.calls, (struct request *)(uintptr_t)e->user_data);
		}
	for (;;) {
		uint32_t bell = ghi_bell_read(&disk.bell);
		take_new();
		decline(&disk.undos);
		decline(&disk.calls);
		take_results();
		sys_futex_wait(&disk.bell.word, bell, disk.in_ring ? &soon : NULL);
	}
}

static void serve(void)
{
	struct timespec soon = {.tv_nsec = 1000000};
	unsigned failures = 0;

	while (failures < MAX_FAILURES && !disk.deaf) {
		uint32_t bell = ghi_bell_read(&disk.bell); /* (B1) */
		take_new();				   /* (B2) */
		bool all = submit(bell);
		int r = ghi_uring_enter(&disk.ring, all);
		take_results();
		if (r == 0 || r == -EINTR) {
			failures = 0;
		} else if (r == -EAGAIN || r == -EBUSY || r == -ENOMEM) { /* of memory, for now */
			failures++;
			ghi_sys(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &soon, NULL);
		} else {
			failures = MAX_FAILURES;
		}
	}
}

/* A filter that looks at what the ring would do instead is not asked by it. */
static bool filtered(void)
{
	return ghi_sys(SYS_prctl, 21 /* PR_GET_SECCOMP */) != 0;
}

static void *disk_main(void *arg)
{
	uint64_t mask = ~GHI_SIG_OURS;

	ghi_helper_begins();
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	ghi_sys(SYS_prctl, 15 /* PR_SET_NAME */, "greenhook-disk");
	ghi_helper_be_prompt();
	disk.in_ring = 0;
	disk.listens = disk.deaf = false;
	int r = filtered() ? -EPERM : ghi_uring_open(&disk.ring);
	if (r == 0) {
		store_release(&disk.state, (uint32_t)OPEN);
		ghi_debug(1, "files may go through io_uring");
		serve();
		serve_no_more();
	}
	ghi_debug(1, "no io_uring (error %d): files hold kernel threads", -r);
	store_relaxed(&disk.retry, ghi_now() + RETRY);
	ghi_helper_ends();
	/* Want of memory or threads may pass. */
	store_release(&disk.state,
		      (uint32_t)(r == -ENOMEM || r == -EAGAIN || r == -EMFILE || r == -ENFILE
				     ? NONE
				     : REFUSED));
	return arg;
}

void ghi_disk_look(uint64_t now)
{
	if (__builtin_expect(load_acquire(&disk.state) != WANTED, 1))
		return;
	store_relaxed(&disk.state, (uint32_t)MADE);
	if (ghi_helper_start(disk_main)) {
		store_relaxed(&disk.retry, now + RETRY);
		store_release(&disk.state, (uint32_t)NONE);
	}
}

/* The ring's memory is not in the child. */
void ghi_disk_after_fork(void)
{
	bool refused = disk.state == REFUSED || disk.state == BROKEN;
	memset(&disk, 0, sizeof(disk));
	disk.state = refused ? REFUSED : NONE;
}
