/* Timers of timer_create(2) that notify one thread; see signal.h.
 *
 * The kernel knows no gthread, so such a timer's signal goes to the monitor (GHI_SIG_CAST, by
 * SIGEV_THREAD_ID), and from there to the gthread's queue or to whoever starts a thread for it.  As
 * the kernel has it, at most one signal of a timer waits; what expires meanwhile is its overrun.
 *
 * A record is never unmapped, and a number that grows with each use tells a late signal of a
 * deleted timer from its successor's.  The signal handler only counts and pushes the record on
 * `fired`; the monitor does the rest.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "src/monitor.h"
#include "src/signal_int.h"
#include "src/signal_timer.h"

enum { PER_CHUNK = 128, CHUNKS = 1024 };

static struct {
	ghi_lock_t lock; /* making, deleting, and the monitor; not the handler */
	struct ghi_sigtimer *chunk[CHUNKS];
	uint32_t n;
	struct ghi_sigtimer *free;
	struct ghi_sigtimer *fired; /* Treiber stack */
} timers;

static struct ghi_sigtimer *at(uint32_t i)
{
	struct ghi_sigtimer *c =
	    i / PER_CHUNK < CHUNKS ? load_acquire(&timers.chunk[i / PER_CHUNK]) : NULL;
	return c ? &c[i % PER_CHUNK] : NULL;
}

/* Under the lock. */
static struct ghi_sigtimer *get(void)
{
	struct ghi_sigtimer *t = timers.free;
	if (t) {
		timers.free = t->next;
		return t;
	}
	uint32_t i = timers.n;
	if (i / PER_CHUNK >= CHUNKS)
		return NULL;
	if (!timers.chunk[i / PER_CHUNK]) {
		long r = ghi_sys(SYS_mmap, NULL, PER_CHUNK * sizeof(*t), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (r < 0 && r > -4096)
			return NULL;
		store_release(&timers.chunk[i / PER_CHUNK], (struct ghi_sigtimer *)r);
	}
	timers.n++;
	t = at(i);
	t->index = i;
	return t;
}

int ghi_sigtimer_new(clockid_t clock, const struct ghi_sigtimer *like, struct ghi_sigtimer **ret)
{
	struct {
		union sigval value;
		int signo, notify, tid, pad[11];
	} ev = {.signo = GHI_SIG_CAST, .notify = SIGEV_THREAD_ID, .tid = ghi_monitor_tid()};
	int id;

	ghi_nosig_enter();
	ghi_lock(&timers.lock);
	struct ghi_sigtimer *t = get();
	long r = t ? 0 : -EAGAIN;
	if (t) {
		uint32_t index = t->index, use = t->use + 1;
		struct ghi_sigtimer *pending = t->fired_next;
		uint32_t listed = t->listed;
		*t = *like;
		t->index = index;
		t->fired_next = pending; /* it may be on its way still */
		t->listed = listed;
		store_release(&t->use, use);
		ev.value.sival_ptr = (void *)((uintptr_t)use << 32 | index);
		r = ghi_sys(SYS_timer_create, clock, &ev, &id);
		t->id = id;
		t->live = r >= 0;
		if (r < 0) {
			t->next = timers.free;
			timers.free = t;
		}
	}
	ghi_unlock(&timers.lock);
	ghi_nosig_leave();
	*ret = t;
	return r < 0 ? (int)r : id;
}

struct ghi_sigtimer *ghi_sigtimer_of(int id)
{
	for (uint32_t i = 0; i < load_relaxed(&timers.n); i++) {
		struct ghi_sigtimer *t = at(i);
		if (t && t->live && t->id == id)
			return t;
	}
	return NULL;
}

int ghi_sigtimer_delete(struct ghi_sigtimer *t)
{
	ghi_nosig_enter();
	ghi_lock(&timers.lock);
	long r = t->live ? ghi_sys(SYS_timer_delete, t->id) : -EINVAL;
	if (r == 0) {
		t->live = false;
		fetch_add_acq_rel(&t->use, 1u);
		fetch_add_acq_rel(&ghi_sig_flushes, (uint64_t)1); /* what waits is void */
		t->next = timers.free;
		timers.free = t;
	}
	ghi_unlock(&timers.lock);
	ghi_nosig_leave();
	return (int)r;
}

/* In the monitor's signal handler. */
void ghi_sigtimer_expired(const siginfo_t *info)
{
	uintptr_t v = (uintptr_t)info->si_ptr;
	struct ghi_sigtimer *t = at((uint32_t)v);

	if (!t || load_acquire(&t->use) != v >> 32)
		return; /* deleted */
	fetch_add_relaxed(&t->fired, 1u + (uint32_t)info->si_overrun);
	if (xchg_acq_rel(&t->listed, 1u) == 0) {
		struct ghi_sigtimer *seen = load_relaxed(&timers.fired);
		do
			t->fired_next = seen;
		while (!cas_release(&timers.fired, &seen, t));
	}
	ghi_monitor_poke();
}

/* The program may delete the timer and make another of the record, at any time but under the lock:
 * *ret is one and the same timer.  True: its signal is to be sent. */
static bool due(struct ghi_sigtimer *t, struct ghi_sigtimer *ret)
{
	bool send = false;

	ghi_lock(&timers.lock);
	uint32_t n = xchg_acq_rel(&t->fired, 0u);
	if (n && t->live && !t->g) {
		t->notify(t, n);
	} else if (n && t->live && load_acquire(&t->g->life) == GHI_LIFE_ALIVE &&
		   t->g->id == t->g_id) {
		send = xchg_acq_rel(&t->queued, 1u) == 0;
		fetch_add_acq_rel(&t->overrun, n - send);
	}
	*ret = *t;
	ghi_unlock(&timers.lock);
	return send;
}

/* By the monitor. */
void ghi_sigtimer_run(void)
{
	struct ghi_sigtimer *t, *next, now;

	if (!load_relaxed(&timers.fired))
		return;
	for (t = xchg_acq_rel(&timers.fired, (struct ghi_sigtimer *)NULL); t; t = next) {
		next = t->fired_next;
		store_release(&t->listed, 0u);
		if (!due(t, &now))
			continue;
		siginfo_t info = {.si_signo = now.signo, .si_code = SI_TIMER};
		info.si_timerid = now.id;
		info.si_value = now.value;
		if (ghi_sig_send_timer(now.g, &info, t, now.use) < 0)
			store_release(&t->queued, 0u);
	}
}

void ghi_sig_timer_taken(struct ghi_sigtimer *t, siginfo_t *info)
{
	uint32_t over = xchg_acq_rel(&t->overrun, 0u);
	store_release(&t->queued, 0u);
	t->last_overrun = over > 0x7fffffff ? 0x7fffffff : (int)over;
	if (info)
		info->si_overrun = t->last_overrun;
}

bool ghi_sig_timer_gone(const struct ghi_siginfo_node *n)
{
	return n->timer && load_acquire(&n->timer->use) != n->timer_use;
}

/* A fork's child has none. */
void ghi_sig_timer_reset(void)
{
	timers.lock = 0;
	timers.fired = timers.free = NULL;
	for (uint32_t i = 0; i < timers.n; i++) {
		struct ghi_sigtimer *t = at(i);
		if (!t)
			continue;
		t->index = i; /* its page may be older than timers.n */
		t->live = false;
		t->use++;
		t->fired = t->listed = t->queued = t->overrun = 0;
		t->next = timers.free;
		timers.free = t;
	}
}

bool ghi_sigtimer_ever(void)
{
	return load_relaxed(&timers.n) > 0;
}
