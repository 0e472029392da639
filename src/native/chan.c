/* Channels; see include/greenhook/chan.h, docs/channels.md.
 *
 * Owns: their life, send and receive, how a party sleeps.  Called by: programs, select.c.  Must not
 * know: descriptors, tasks.
 */
#include <errno.h>

#include "src/native/chan.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/sanitizer.h"

/* ---- life -------------------------------------------------------------------------------------
 */

/* Under ThreadSanitizer every locking is rare: what a party did before comes before what the others
 * do after theirs. */
static uint32_t generation_now(void)
{
	return load_relaxed(&ghi_native_generation) ^ (__tsan_acquire ? 1u << 31 : 0);
}

gh_chan *gh_chan_new(size_t size, size_t capacity)
{
	bool unbounded = capacity == GH_CHAN_UNBOUNDED;
	size_t bytes = 0;

	/* One element is somewhere at least, if only in the sender's memory. */
	if (size > PTRDIFF_MAX || (!unbounded && (__builtin_mul_overflow(size, capacity, &bytes) ||
						  bytes > PTRDIFF_MAX || capacity > PTRDIFF_MAX))) {
		errno = -GHI_MISUSE(-EINVAL, "elements of %lu bytes, %lu of them",
				    (unsigned long)size, (unsigned long)capacity);
		return NULL;
	}
	gh_chan *c = ghi_zalloc(sizeof(*c));
	char *ring = bytes ? ghi_malloc(bytes) : NULL;
	if (!c || (bytes && !ring)) {
		ghi_free(c);
		ghi_free(ring);
		errno = ENOMEM;
		return NULL;
	}
	*c = (gh_chan){
	    .magic = GHI_CHAN_MAGIC,
	    .refs = 1,
	    .generation = generation_now(),
	    .core = {
		.size = size, .limit = capacity, .room = unbounded ? 0 : capacity, .ring = ring}};
	return c;
}

gh_chan *gh_chan_ref(gh_chan *c)
{
	if (ghi_chan_good(c))
		fetch_add_relaxed(&c->refs, 1u);
	else
		(void)GHI_BAD(c, "channel");
	return c;
}

void gh_chan_unref(gh_chan *c)
{
	if (c && !ghi_chan_good(c))
		(void)GHI_BAD(c, "channel");
	if (!ghi_chan_good(c) || fetch_add_acq_rel(&c->refs, 0u - 1) != 1)
		return;
	/* Who served the last receiver may not have unlocked yet. */
	ghi_nosig_enter();
	ghi_chan_lock(c);
	store_relaxed(&c->magic, 0u);
	ghi_unlock(&c->lock);
	ghi_nosig_leave();
	ghi_free(c->core.ring);
	ghi_free(c);
}

static ghi_lock_t renewing;

/* Only the caller of fork() is in the child: nobody waits, nobody holds the lock, and if somebody
 * was about to change it, no element is whole that was not counted. */
void ghi_chan_lock_rare(gh_chan *c)
{
	uint32_t now = generation_now();

	ghi_lock(&renewing);
	if (load_relaxed(&c->generation) != now) {
		c->lock = 0;
		ghi_list_init(&c->core.senders);
		ghi_list_init(&c->core.receivers);
		store_release(&c->generation, now);
	}
	ghi_unlock(&renewing);
	ghi_lock(&c->lock);
	ghi_sanitizer_before(c);
	ghi_sanitizer_after(c);
}

void ghi_native_chan_after_fork(void)
{
	renewing = 0; /* another thread of a child that forks may have had it */
}

/* ---- how a party sleeps ------------------------------------------------------------------------
 */

int ghi_party_arm(struct ghi_party *p, enum ghi_reason why, const void *object)
{
	*p = (struct ghi_party){.g = ghi_self(), .fd = -1};
	if (p->g)
		return ghi_wait_arm(p->g, why, object);
	ghi_wake_arm(&p->word);
	return 0;
}

void ghi_party_disarm(struct ghi_party *p)
{
	if (p->g)
		ghi_park_disarm(p->g);
}

uint32_t ghi_party_park(struct ghi_party *p, uint64_t deadline)
{
	if (p->g)
		return ghi_wait_park_until(p->g, deadline);
	return ghi_lot_sleep_kernel(&p->word, deadline, true, false);
}

void ghi_party_wake_kernel(struct ghi_party *p)
{
	static const uint64_t one = 1;
	int fd = p->fd; /* the notify is the last touch; the futex is an address only */
	if (ghi_wake_notify(&p->word, GHI_WOKEN_LOT) == GHI_NOTIFY_LOST)
		return;
	if (fd >= 0)
		ghi_sys(SYS_write, fd, &one, sizeof(one));
	else
		sys_futex_wake(&p->word, 1);
}

uint64_t ghi_chan_random(void)
{
	static uint64_t state;
	uint64_t x = fetch_add_relaxed(&state, 0x9e3779b97f4a7c15ull) + (uintptr_t)&x;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* ---- send and receive --------------------------------------------------------------------------
 */

int ghi_chan_grow(gh_chan *c)
{
	/* A guess; whoever finds that it is too small by now tries again. */
	size_t room = load_relaxed(&c->core.room), bytes;
	size_t more = room ? room * 2 : 16;

	if (__builtin_mul_overflow(more, c->core.size, &bytes) || bytes > PTRDIFF_MAX)
		return -ENOMEM;
	char *ring = ghi_malloc(bytes ? bytes : 1), *old = ring;
	if (!ring)
		return -ENOMEM;
	ghi_nosig_enter();
	ghi_chan_lock(c);
	struct ghi_chan_core *k = &c->core;
	if (k->room == room && k->count == room) {
		size_t first = k->room - k->head;
		if (room) {
			memcpy(ring, k->ring + k->head * k->size, first * k->size);
			memcpy(ring + first * k->size, k->ring, k->head * k->size);
		}
		old = k->ring;
		k->ring = ring;
		k->head = 0;
		store_relaxed(&k->room, more);
	}
	ghi_unlock(&c->lock);
	ghi_nosig_leave();
	ghi_free(old);
	return 0;
}

/* The ring of an unbounded channel that has grown large and is empty; the caller frees it. */
static char *shrink(struct ghi_chan_core *k)
{
	enum { KEEP = 1 << 16 }; /* bytes */
	if (k->limit != GH_CHAN_UNBOUNDED || k->count || k->room * k->size <= KEEP)
		return NULL;
	char *ring = k->ring;
	k->ring = NULL;
	k->head = 0;
	store_relaxed(&k->room, 0);
	return ring;
}

struct op {
	gh_chan *c;
	void *slot;
	bool sends;
};

/* (S1); or (S3), (S4) with a node, which is queued when it says GHI_CHAN_WAIT. */
static enum ghi_chan_did meet(const struct op *op, struct ghi_chan_node *n)
{
	struct ghi_gthread *ready = NULL;
	struct ghi_chan_core *k = &op->c->core;
	char *unused = NULL;

	ghi_nosig_enter();
	ghi_chan_lock(op->c);
	enum ghi_chan_did did =
	    op->sends ? ghi_chan_send(k, op->slot, &ready) : ghi_chan_recv(k, op->slot, &ready);
	if (did == GHI_CHAN_WAIT && n)
		ghi_chan_join(k, n, op->sends);
	if (!op->sends && did == GHI_CHAN_DONE)
		unused = shrink(k);
	ghi_unlock(&op->c->lock);
	if (ready)
		ghi_ready_batch(ready);
	ghi_nosig_leave();
	if (__builtin_expect(unused != NULL, 0))
		ghi_free(unused);
	return did;
}

/* Once: 0 done, -EPIPE, -ETIMEDOUT, -ECANCELED, or -EAGAIN: again. */
static int wait(const struct op *op, uint64_t deadline)
{
	struct ghi_party p;
	struct ghi_chan_node n = {.party = &p, .slot = op->slot};
	int r;

	ghi_nosig_enter();
	if ((r = ghi_party_arm(&p, GHI_PARK_CHANNEL, op->c))) {
		ghi_nosig_leave();
		return r == -EINTR ? -EAGAIN : r;
	}
	enum ghi_chan_did did = meet(op, &n);
	if (did != GHI_CHAN_WAIT) {
		ghi_party_disarm(&p);
		ghi_nosig_leave();
		return did == GHI_CHAN_DONE ? 0 : did == GHI_CHAN_CLOSED ? -EPIPE : -EAGAIN;
	}
	uint32_t wakeup = ghi_party_park(&p, deadline);
	if (wakeup != GHI_WOKEN_LOT) { /* (S6); else the peer may have freed the channel */
		ghi_chan_lock(op->c);
		ghi_chan_part(&n);
		ghi_unlock(&op->c->lock);
	}
	bool served = ghi_party_claimed(&p) != 0; /* (S7) */
	ghi_nosig_leave();
	if (served)
		ghi_sanitizer_after(op->c);
	if (served)
		return n.closed ? -EPIPE : 0;
	r = ghi_wait_result(wakeup);
	return r == -ETIMEDOUT || r == -ECANCELED ? r : -EAGAIN;
}

static int run(const struct op *op, bool waits, gh_time until)
{
	int r;

	ghi_native_attention();
	if (!ghi_chan_good(op->c))
		return ghi_misuse_handle(op->sends ? "gh_chan_send" : "gh_chan_recv", op->c,
					 "channel");
	if (op->sends && !op->slot && op->c->core.size)
		return ghi_misuse("gh_chan_send", -EINVAL, "the element is NULL");
	if (waits && ghi_native_cancelled())
		return -ECANCELED;
	for (;;) {
		switch (meet(op, NULL)) {
		case GHI_CHAN_DONE:
			return 0;
		case GHI_CHAN_CLOSED:
			return -EPIPE;
		case GHI_CHAN_GROW:
			if ((r = ghi_chan_grow(op->c)))
				return r;
			continue;
		case GHI_CHAN_WAIT:
			break;
		}
		if (!waits)
			return -EAGAIN;
		uint64_t deadline = ghi_native_deadline(until);
		if (ghi_native_past(deadline))
			return -ETIMEDOUT;
		if ((r = wait(op, deadline)) != -EAGAIN)
			return r;
	}
}

int gh_chan_send(gh_chan *c, const void *element)
{
	return run(&(struct op){c, (void *)element, true}, true, GH_FOREVER);
}

int gh_chan_send_try(gh_chan *c, const void *element)
{
	return run(&(struct op){c, (void *)element, true}, false, 0);
}

int gh_chan_send_until(gh_chan *c, const void *element, gh_time until)
{
	return run(&(struct op){c, (void *)element, true}, true, until);
}

int gh_chan_recv(gh_chan *c, void *element)
{
	return run(&(struct op){c, element, false}, true, GH_FOREVER);
}

int gh_chan_recv_try(gh_chan *c, void *element)
{
	return run(&(struct op){c, element, false}, false, 0);
}

int gh_chan_recv_until(gh_chan *c, void *element, gh_time until)
{
	return run(&(struct op){c, element, false}, true, until);
}

int gh_chan_close(gh_chan *c)
{
	struct ghi_gthread *ready = NULL;

	if (!ghi_chan_good(c))
		return GHI_BAD(c, "channel");
	ghi_nosig_enter();
	ghi_chan_lock(c);
	bool was = c->core.closed;
	ghi_chan_close(&c->core, &ready);
	ghi_unlock(&c->lock);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return was ? -EALREADY : 0;
}

static int64_t ask(gh_chan *c, bool how_many)
{
	if (!ghi_chan_good(c))
		return ghi_misuse_handle(how_many ? "gh_chan_len" : "gh_chan_closed", c, "channel");
	ghi_nosig_enter();
	ghi_chan_lock(c);
	int64_t r = how_many ? (int64_t)c->core.count : c->core.closed;
	ghi_unlock(&c->lock);
	ghi_nosig_leave();
	return r;
}

int gh_chan_closed(gh_chan *c)
{
	return (int)ask(c, false);
}

int64_t gh_chan_len(gh_chan *c)
{
	return ask(c, true);
}
