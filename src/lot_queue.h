/* The queues of the parking lot: who waits for which key.
 *
 * Owns: the links of waiters and buckets, all under the lock of the bucket.  Called by: lot.c. Must
 * not know: parking, how a key was hashed.
 *
 * Keys that hash alike share a bucket.  It lists the first waiter of each key, and the others hang
 * on that one: whoever looks for a key passes by other keys, but not by the thousands that may wait
 * for one of them.
 */
#ifndef GHI_LOT_QUEUE_H
#define GHI_LOT_QUEUE_H

#include "src/base/list.h"
#include "src/base/lock.h"

struct ghi_gthread;

struct ghi_lot_bucket {
	ghi_lock_t lock;
	struct ghi_list firsts;
};

struct ghi_lot_waiter {
	struct ghi_list first; /* in the bucket; next NULL: it is not the first of its key */
	struct ghi_list queue; /* those of its key, in order; next NULL: not queued.  Both under the
				* bucket lock of `key` */
	const void *key;       /* changes under both bucket locks when moved */
	struct ghi_gthread *g; /* NULL: a kernel thread, which sleeps on `word` */
	uintptr_t block;       /* of that kernel thread */
	uint32_t word;	       /* park_word.h, used as a futex */
	uint32_t bits;
	void *token;
	bool granted; /* under the bucket lock, before it is notified */
	bool away; /* runs a handler of the program, nested waits included; under the bucket lock */
	bool seen; /* ghi_lot_after_fork */
	struct ghi_lot_waiter *outer; /* the gthread's next one that is away */
};

static inline struct ghi_lot_waiter *ghi_lot_first(const struct ghi_lot_bucket *b, const void *key)
{
	for (struct ghi_list *l = b->firsts.next; l && l != &b->firsts; l = l->next)
		if (ghi_container(l, struct ghi_lot_waiter, first)->key == key)
			return ghi_container(l, struct ghi_lot_waiter, first);
	return NULL;
}

/* The one behind w; behind the last one comes the first. */
static inline struct ghi_lot_waiter *ghi_lot_after(const struct ghi_lot_waiter *w)
{
	return ghi_container(w->queue.next, struct ghi_lot_waiter, queue);
}

static inline struct ghi_lot_waiter *ghi_lot_before(const struct ghi_lot_waiter *w)
{
	return ghi_container(w->queue.prev, struct ghi_lot_waiter, queue);
}

/* All waiters of a key, each of which may be taken out by the body. */
#define GHI_LOT_FOR_EACH(w, b, key)                                                                \
	for (struct ghi_lot_waiter *w = ghi_lot_first(b, key),                                     \
				   *last_ = w ? ghi_lot_before(w) : NULL,                          \
				   *next_ = w ? ghi_lot_after(w) : NULL;                           \
	     w; w = w == last_ ? NULL : next_, next_ = w ? ghi_lot_after(w) : NULL)

static inline bool ghi_lot_queued(const struct ghi_lot_waiter *w)
{
	return w->queue.next != NULL;
}

static inline void ghi_lot_enqueue(struct ghi_lot_bucket *b, struct ghi_lot_waiter *w)
{
	struct ghi_lot_waiter *first = ghi_lot_first(b, w->key);
	if (first) {
		ghi_list_append(&first->queue, &w->queue);
	} else {
		ghi_list_init(&w->queue);
		ghi_list_append(&b->firsts, &w->first);
	}
}

static inline void ghi_lot_dequeue(struct ghi_lot_waiter *w)
{
	if (w->first.next) {
		if (ghi_lot_after(w) != w) /* its key keeps its place among the others */
			ghi_list_append(&w->first, &ghi_lot_after(w)->first);
		ghi_list_remove(&w->first);
	}
	ghi_list_remove(&w->queue);
}

#endif
