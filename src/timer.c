/* A 4-ary heap of deadlines per slot; see timer.h.  Keys lie beside the pointers, so sifting does
 * not touch the timers' stacks. */
#include <sys/mman.h>

#include "src/park.h"
#include "src/poller.h"
#include "src/sched.h"
#include "src/timer.h"

struct entry {
	uint64_t when;
	struct ghi_timer *t;
};

struct ghi_timers {
	ghi_lock_t lock;
	uint32_t n, cap;
	uint64_t next; /* = heap[0].when; stored under the lock, read without it */
	struct entry *heap;
} __attribute__((aligned(64)));

static void *pages(size_t bytes)
{
	long r = ghi_sys(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	return r < 0 && r > -4096 ? NULL : (void *)r;
}

struct ghi_timers *ghi_timers_new(void)
{
	struct ghi_timers *h = pages(4096);
	if (h) {
		h->next = GHI_NEVER;
		h->heap = (struct entry *)(h + 1);
		h->cap = (4096 - sizeof(*h)) / sizeof(struct entry);
	}
	return h;
}

static void place(struct ghi_timers *h, uint32_t i, struct entry e)
{
	h->heap[i] = e;
	e.t->index = (int32_t)i;
}

static void sift_up(struct ghi_timers *h, uint32_t i, struct entry e)
{
	while (i > 0 && h->heap[(i - 1) / 4].when > e.when) {
		place(h, i, h->heap[(i - 1) / 4]);
		i = (i - 1) / 4;
	}
	place(h, i, e);
}

static void sift_down(struct ghi_timers *h, uint32_t i, struct entry e)
{
	for (;;) {
		uint32_t first = i * 4 + 1, min = first;
		if (first >= h->n)
			break;
		for (uint32_t c = first + 1; c < first + 4 && c < h->n; c++)
			if (h->heap[c].when < h->heap[min].when)
				min = c;
		if (h->heap[min].when >= e.when)
			break;
		place(h, i, h->heap[min]);
		i = min;
	}
	place(h, i, e);
}

static void publish_next(struct ghi_timers *h)
{
	store_relaxed(&h->next, h->n ? h->heap[0].when : GHI_NEVER);
}

static void remove_at(struct ghi_timers *h, uint32_t i)
{
	h->heap[i].t->index = -1;
	struct entry last = h->heap[--h->n];
	if (i == h->n)
		return;
	if (i > 0 && h->heap[(i - 1) / 4].when > last.when)
		sift_up(h, i, last);
	else
		sift_down(h, i, last);
}

static void grow(struct ghi_timers *h)
{
	struct entry *bigger = pages((size_t)h->cap * 2 * sizeof(*bigger));
	if (!bigger)
		ghi_panic(__FILE__, __LINE__, "no memory for %u timers", h->cap * 2);
	for (uint32_t i = 0; i < h->n; i++)
		bigger[i] = h->heap[i];
	if (h->heap != (struct entry *)(h + 1))
		ghi_sys(SYS_munmap, h->heap, (size_t)h->cap * sizeof(*h->heap));
	h->heap = bigger;
	h->cap *= 2;
}

static void start(struct ghi_timers *h, struct ghi_timer *t, uint64_t deadline)
{
	t->when = deadline;
	t->heap = h;
	ghi_lock(&h->lock);
	if (h->n == h->cap)
		grow(h);
	sift_up(h, h->n++, (struct entry){deadline, t});
	publish_next(h);
	ghi_unlock(&h->lock);
	ghi_poller_timer_added(deadline);
}

void ghi_timer_start(struct ghi_timer *t, struct ghi_gthread *self, uint64_t deadline)
{
	struct ghi_slot *s = self->worker->slot;
	t->g = self;
	start(s ? s->timers : ghi_slots[(unsigned)self->tid % ghi_nslots].timers, t, deadline);
}

void ghi_alarm_set(struct ghi_alarm *a, uint64_t deadline, void (*fire)(struct ghi_alarm *))
{
	a->timer.g = NULL;
	a->fire = fire;
	start(ghi_slots[((uintptr_t)a >> 8) % ghi_nslots].timers, &a->timer, deadline);
}

void ghi_alarm_cancel(struct ghi_alarm *a)
{
	if (a->timer.heap)
		ghi_timer_cancel(&a->timer);
}

void ghi_alarm_end(struct ghi_alarm *a)
{
	struct ghi_timers *h = a->timer.heap; /* always the same one */
	ghi_alarm_cancel(a);
	for (uint32_t firing = h != NULL; firing;) {
		ghi_lock(&h->lock);
		firing = a->firing;
		ghi_unlock(&h->lock);
		if (firing) /* on another kernel thread, for a few instructions */
			ghi_sys(SYS_sched_yield);
	}
}

void ghi_timer_cancel(struct ghi_timer *t)
{
	struct ghi_timers *h = t->heap;
	ghi_lock(&h->lock);
	if (t->index >= 0) {
		remove_at(h, (uint32_t)t->index);
		publish_next(h);
	}
	ghi_unlock(&h->lock);
}

uint64_t ghi_timers_next(const struct ghi_timers *h)
{
	return load_relaxed(&h->next);
}

void ghi_timers_run(struct ghi_timers *h, uint64_t now)
{
	struct ghi_gthread *ready = NULL;

	if (load_relaxed(&h->next) > now)
		return;
	ghi_lock(&h->lock);
	while (h->n && h->heap[0].when <= now) {
		struct ghi_timer *t = h->heap[0].t;
		struct ghi_gthread *g = t->g;
		remove_at(h, 0);
		if (__builtin_expect(!g, 0)) {
			struct ghi_alarm *a = ghi_container(t, struct ghi_alarm, timer);
			a->firing++;
			ghi_unlock(&h->lock);
			a->fire(a);
			ghi_lock(&h->lock);
			a->firing--;
		} else {
			ghi_park_notify(g, GHI_WOKEN_TIMEOUT, &ready);
		}
	}
	publish_next(h);
	ghi_unlock(&h->lock);
	ghi_ready_batch(ready);
}

void ghi_timers_after_fork(struct ghi_timers *h)
{
	h->lock = 0;
	h->n = 0;
	h->next = GHI_NEVER;
}
