/* Channels inside: what chan.c and select.c share.  docs/channels.md is the protocol,
 * proto/chan_core.h its transitions.
 *
 * Owns: struct gh_chan, struct ghi_party.  Included by: src/native/chan.c, select.c.  Must not
 * know: descriptors.
 */
#ifndef GHI_NATIVE_CHAN_H
#define GHI_NATIVE_CHAN_H

#include <string.h>

#include <greenhook/chan.h>
#include "src/base/copy.h"
#include "src/lot.h"
#include "src/native/renew.h"
#include "src/native/until.h"
#include "src/park.h"
#include "src/sanitizer.h"
#include "src/wait.h"

/* Who waits, on the stack of its call. */
struct ghi_party {
	uint32_t claimed;
	struct ghi_gthread *g; /* NULL: a kernel thread, which sleeps on `word` */
	uint32_t word;	       /* park_word.h */
	int fd;		       /* of a kernel thread in poll(): an eventfd; else -1 */
};

/* (P4) for kernel threads. */
void ghi_party_wake_kernel(struct ghi_party *p);

static inline void ghi_party_wake(struct ghi_party *p, struct ghi_gthread **ret_ready)
{
	if (p->g)
		ghi_park_notify(p->g, GHI_WOKEN_LOT, ret_ready);
	else
		ghi_party_wake_kernel(p);
}

#define GHI_CHAN_WAKE(party, arg)  ghi_party_wake(party, arg)
#define GHI_CHAN_COPY(to, from, n) ghi_chan_copy(to, from, n)
static inline void ghi_chan_copy(void *to, const void *from, size_t n)
{
	if (n == 8)
		memcpy(to, from, 8);
	else if (__builtin_expect(__tsan_acquire != NULL,
				  0)) /* whose memcpy knows nothing of our lock */
		ghi_copy_raw(to, from, n);
	else if (n) /* elements without bytes may have no address */
		memcpy(to, from, n);
}
#include "src/proto/chan_core.h"

#define GHI_CHAN_MAGIC 0x6e616863u

struct gh_chan {
	uint32_t magic, refs;
	ghi_lock_t lock;
	uint32_t
	    generation; /* of forks; another one: those in its queues are not in this process */
	struct ghi_chan_core core;
};

void ghi_chan_lock_rare(gh_chan *c);

static inline bool ghi_chan_good(const gh_chan *c)
{
	return c && load_relaxed(&c->magic) == GHI_CHAN_MAGIC;
}

/* Signals deferred. */
static inline void ghi_chan_lock(gh_chan *c)
{
	if (__builtin_expect(load_acquire(&c->generation) != load_relaxed(&ghi_native_generation),
			     0))
		ghi_chan_lock_rare(c);
	else
		ghi_lock(&c->lock);
}

/* A ring with place for more elements, nothing locked; 0 or -ENOMEM. */
int ghi_chan_grow(gh_chan *c);

/* (S2) 0, or -EINTR (handlers are due: leave the bracket, try again), -ECANCELED.  Signals
 * deferred. */
int ghi_party_arm(struct ghi_party *p, enum ghi_reason why, const void *object);
void ghi_party_disarm(struct ghi_party *p);
/* (S5) enum ghi_wakeup; GHI_WOKEN_LOT is a peer. */
uint32_t ghi_party_park(struct ghi_party *p, uint64_t deadline);

/* splitmix64: a different number each time, for whoever. */
uint64_t ghi_chan_random(void);

#endif
