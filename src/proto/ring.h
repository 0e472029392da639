/* Protocol 2 of 4: the run queue of a slot, a bounded ring with one producer and many consumers.
 *
 * Owns: the transitions of ghi_ring.head and .tail.  Called by: runq.c.  Must not know: what a task
 * is.  Compiled twice, see base/atomic.h; explored by tests/model_runq.c.
 *
 * Only the holder of the slot puts (at the tail).  The holder and thieves take (at the head), so
 * the order is first in, first out for everybody.  Both counters only grow; they wrap at 2^32, and
 * tail - head is the length.
 *
 *   holder puts                                  anybody takes n
 *   (Q1) h = head, acquire                       (T1) h = head, acquire
 *   (Q2) full when tail - h == size              (T2) t = tail, acquire: pairs with Q4
 *   (Q3) buf[tail] = task                        (T3) copies buf[h .. h+n)
 *   (Q4) tail + 1, release                       (T4) head: h -> h+n by compare-and-swap, release
 *
 * Why no task is lost or taken twice: T4 succeeds only when nobody else moved the head since T1.
 * Why T3 never reads an entry that is being overwritten and then keeps it: Q3 overwrites an entry
 * only after Q1 has seen the head past it, and then T4 of that reader fails.  T4 is a release and
 * Q1 an acquire, so the copies of T3 come before the overwriting store.
 */
#ifndef GHI_PROTO_RING_H
#define GHI_PROTO_RING_H

#include "src/base/atomic.h"

#ifndef GHI_RING_SIZE
#define GHI_RING_SIZE 256u /* a power of two; the explorer uses 2 and 4 */
#endif

struct ghi_ring {
	uint32_t head; /* written by all takers; on a line of its own */
	char pad0[60];
	uint32_t tail; /* written by the holder of the slot only */
	char pad1[60];
	void *buf[GHI_RING_SIZE];
};

/* By the holder.  False: the ring is full. */
static inline bool ghi_ring_put(struct ghi_ring *r, void *task)
{
	uint32_t h = load_acquire(&r->head); /* (Q1) pairs with T4 */
	uint32_t t = load_relaxed(&r->tail); /* ours alone */

	if (t - h >= GHI_RING_SIZE)
		return false;
	store_relaxed(&r->buf[t % GHI_RING_SIZE], task);
	store_release(&r->tail, t + 1); /* (Q4) pairs with T2 */
	return true;
}

/* By the holder.  NULL: empty. */
static inline void *ghi_ring_get(struct ghi_ring *r)
{
	uint32_t h = load_acquire(&r->head);
	for (;;) {
		uint32_t t = load_relaxed(&r->tail); /* ours alone */
		if (t == h)
			return NULL;
		void *task = load_relaxed(&r->buf[h % GHI_RING_SIZE]);
		if (cas_acq_rel(&r->head, &h, h + 1)) /* (T4) against thieves */
			return task;
	}
}

/* By the holder of another slot's ring `to`, which must be empty: takes half of `from`, rounded up.
 * Returns one task to run at once; the rest is put into `to`.  NULL: nothing to steal. */
static inline void *ghi_ring_steal(struct ghi_ring *to, struct ghi_ring *from)
{
	uint32_t h = load_acquire(&from->head); /* (T1) */
	for (;;) {
		uint32_t t = load_acquire(&from->tail); /* (T2) pairs with Q4 */
		uint32_t n = t - h;
		if ((int32_t)n <= 0)
			return NULL;
		n -= n / 2;
		if (n > GHI_RING_SIZE / 2 + 1) { /* head moved between T1 and T2 */
			h = load_acquire(&from->head);
			continue;
		}
		uint32_t base = load_relaxed(&to->tail); /* ours alone */
		void *first = load_relaxed(&from->buf[h % GHI_RING_SIZE]);
		for (uint32_t i = 1; i < n; i++)
			store_relaxed(&to->buf[(base + i - 1) % GHI_RING_SIZE],
				      load_relaxed(&from->buf[(h + i) % GHI_RING_SIZE])); /* (T3) */
		if (cas_acq_rel(&from->head, &h, h + n)) { /* (T4) pairs with Q1 */
			if (n > 1)
				store_release(&to->tail, base + n - 1); /* (Q4) of our own ring */
			return first;
		}
	}
}

/* A hint for anybody: exact for the holder when it says empty after its own put. */
static inline uint32_t ghi_ring_length(const struct ghi_ring *r)
{
	uint32_t h = load_acquire(&r->head);
	uint32_t t = load_acquire(&r->tail);
	return (int32_t)(t - h) > 0 ? t - h : 0;
}

#endif
