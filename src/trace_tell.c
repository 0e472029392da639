/* The thread that copies a trace to the one who asked; see trace.h and docs/trace.md.
 *
 * It is made for the trace and ends with it.  Nobody waits for it: a peer that does not read keeps
 * it in the kernel, and what is overwritten meanwhile is counted as lost.
 */
#include <poll.h>
#include <string.h>

#include "src/answer.h"
#include "src/control.h"
#include "src/helper.h"
#include "src/poller.h"
#include "src/runtime.h"
#include "src/signal.h"
#include "src/tls.h"
#include "src/trace.h"

enum { AT_ONCE = 256, KNOWN_NAMES = 1 << 12, LONGEST_MS = 3600 * 1000, BEAT_MS = 500 };

static struct {
	uint32_t going;	      /* there is one */
	int peer;	      /* -1: none */
	uint64_t until, beat; /* when it ends; when something must be said again */
	unsigned rings;
	struct ghi_answer answer;
	uint64_t next[GHI_MAX_SLOTS + 1]; /* the first record of each ring that was not copied */
	uint64_t named[KNOWN_NAMES];	  /* ids whose names were told lately, by their low bits */
	struct ghi_trace_record batch[AT_ONCE];
} trace = {.peer = -1};

static void put_name(uint64_t id, const struct ghi_gthread *g)
{
	struct ghi_answer *a = &trace.answer;
	uint64_t *known = &trace.named[id % KNOWN_NAMES];
	char name[sizeof(g->name) + 1] = "";

	if (!g || !id || *known == id)
		return;
	int32_t tid = g->tid;
	memcpy(name, g->name, sizeof(g->name));
	if (load_acquire(&g->id) != id) /* its memory is another's by now */
		return;
	*known = id;
	ghi_answer_put(a, "n\t%lu\t%d\t", id, tid);
	ghi_answer_field(a, name, sizeof(g->name));
	ghi_answer_put(a, "\n");
}

static void put_reasons(void)
{
	for (unsigned r = 1; r < GHI_PARK_NREASONS; r++) {
		bool fd = r == GHI_PARK_READ || r == GHI_PARK_WRITE || r == GHI_PARK_ACCEPT ||
			  r == GHI_PARK_CONNECT;
		ghi_answer_put(&trace.answer, "q\t%u\t", r);
		ghi_answer_field(&trace.answer, ghi_reason_names[r], 64);
		ghi_answer_put(&trace.answer, "\t%s\n", fd ? "fd" : "object");
	}
}

/* Who runs where; a computing one may not switch as long as the trace lasts. */
static void put_workers(void)
{
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next) {
		const struct ghi_gthread *g = load_acquire(&w->current);
		int tid = load_relaxed(&w->tid), slot = -1;
		if (tid <= 0 || !g || g->flags & GHI_G_NATIVE)
			continue;
		uint64_t id = g->id;
		for (unsigned i = 0; i < ghi_nslots; i++)
			if ((load_acquire(&ghi_slots[i].owner) & ~(uintptr_t)GHI_SLOT_PHASE) ==
			    (uintptr_t)w)
				slot = (int)i;
		put_name(id, g);
		if (load_acquire(&w->current) == g)
			ghi_answer_put(&trace.answer, "w\t%d\t%d\t%lu\n", tid, slot, id);
	}
}

static void put_batch(unsigned ring, uint64_t lost, unsigned n)
{
	if (!n && !lost)
		return;
	for (unsigned i = 0; i < n; i++)
		put_name(trace.batch[i].kind == GHI_TRACE_HANDOFF ? trace.batch[i].from
								  : trace.batch[i].to,
			 trace.batch[i].g);
	ghi_answer_put(&trace.answer, "r\t%u\t%lu\t%u\n", ring, lost, n);
	ghi_answer_bytes(&trace.answer, (const char *)trace.batch, n * sizeof(*trace.batch));
}

/* How many there were. */
static uint64_t copy_ring(unsigned ring)
{
	uint64_t head = ghi_trace_head(ring), from = trace.next[ring], at = from, lost = 0;
	unsigned n = 0;

	if (head - at > ghi_trace_capacity()) {
		lost = head - at - ghi_trace_capacity();
		at += lost;
	}
	for (; at != head && !trace.answer.failed; at++) {
		if (ghi_trace_read(ring, at, &trace.batch[n]))
			n++;
		else
			lost++;
		if (n == AT_ONCE) {
			put_batch(ring, lost, n);
			n = 0;
			lost = 0;
		}
	}
	put_batch(ring, lost, n);
	trace.next[ring] = head;
	return head - from;
}

/* The most that one ring had. */
static uint64_t copy_all(void)
{
	uint64_t most = 0, now = ghi_now();

	for (unsigned i = 0; i < trace.rings; i++) {
		uint64_t n = copy_ring(i);
		most = n > most ? n : most;
	}
	if (most || now >= trace.beat) {
		ghi_answer_put(&trace.answer, "t\t%lu\n", now);
		ghi_answer_flush(&trace.answer);
		trace.beat = now + BEAT_MS * GHI_MS;
	}
	return most;
}

static bool peer_is_gone(int ms)
{
	struct pollfd p = {trace.peer, 0, 0};
	struct timespec ts = ghi_ns_to_ts((uint64_t)ms * GHI_MS);
	long n = ghi_sys(SYS_ppoll, &p, 1, &ts, NULL, 8);
	return n > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void *trace_main(void *arg)
{
	struct ghi_answer *a = &trace.answer;
	uint64_t mask = ~GHI_SIG_OURS;

	ghi_helper_begins();
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	ghi_sys(SYS_prctl, 15 /* PR_SET_NAME */, "greenhook-trc");
	for (unsigned i = 0; i < trace.rings; i++)
		trace.next[i] = ghi_trace_head(i);
	memset(trace.named, 0, sizeof(trace.named));
	ghi_answer_put(a, "greenhook\t4\t" GREENHOOK_VERSION "\t%d\t%u\t%lu\n", sys_getpid(),
		       ghi_nslots, ghi_now());
	put_reasons();
	fetch_or_acq_rel(&ghi_cputime_exact, (uint32_t)GHI_SWITCH_TRACED);
	put_workers();
	ghi_answer_flush(a);
	trace.beat = 0;
	for (uint64_t most = 0, now; !a->failed && (now = ghi_now()) < trace.until;) {
		/* A ring that is an eighth full each time will soon be more. */
		uint64_t left = (trace.until - now) / GHI_MS + 1;
		uint64_t pause = most > ghi_trace_capacity() / 8 ? 1 : 10;
		if (peer_is_gone((int)(left < pause ? left : pause)))
			break;
		most = copy_all();
	}
	fetch_and_acq_rel(&ghi_cputime_exact, ~(uint32_t)GHI_SWITCH_TRACED);
	copy_all();
	put_workers();
	ghi_answer_put(a, "end\t%lu\n", ghi_now());
	ghi_answer_flush(a);
	ghi_trace_rings_empty();
	ghi_control_hang_up(trace.peer);
	store_release(&trace.peer, -1);
	store_release(&trace.going, 0u);
	ghi_helper_ends();
	return arg;
}

bool ghi_trace_begin(struct ghi_answer *a, unsigned long ms)
{
	if (!ms || ms > LONGEST_MS) {
		ghi_answer_put(a, "no\ta trace lasts from 1 to %d milliseconds\n", LONGEST_MS);
		return false;
	}
	if (xchg_acq_rel(&trace.going, 1u)) {
		ghi_answer_put(a, "no\tit is being traced already, one trace at a time\n");
		return false;
	}
	trace.rings = ghi_nslots + 1;
	trace.until = ghi_deadline_in(ms * GHI_MS);
	trace.answer.fd = trace.peer = a->fd;
	trace.answer.failed = false;
	trace.answer.len = 0;
	trace.answer.until = trace.until + 10 * GHI_SEC;
	bool made = false;
	if (ghi_trace_rings()) {
		ghi_tls_fork_not_now();
		made = ghi_helper_start(trace_main) == 0;
		ghi_tls_fork_again();
	}
	if (made)
		return true;
	trace.peer = -1;
	store_release(&trace.going, 0u);
	ghi_answer_put(a, "no\tit has no memory, or no right to another kernel thread\n");
	return false;
}

void ghi_trace_after_fork(void)
{
	if (trace.peer >= 0)
		ghi_poller_drop(trace.peer);
	trace.peer = -1;
	trace.going = 0;
	ghi_cputime_exact &= ~(uint32_t)GHI_SWITCH_TRACED;
	ghi_trace_rings_forget();
}
