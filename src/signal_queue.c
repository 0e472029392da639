/* Queued signals: nodes and the queues they wait in; see signal.h.
 *
 * A sender pushes on the target's `incoming`, which is lock-free and async-signal-safe; the gthread
 * moves what came to its own two lists (sent to it, sent to the process), in order, and only it
 * looks at those.  Nodes come from a pool that grows by whole pages and never shrinks; as in the
 * kernel, RLIMIT_SIGPENDING bounds how many signals wait before a real-time one is refused, those
 * in the kernel included.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "src/base/text.h"
#include "src/signal_int.h"

enum { CHUNK = 128, CHUNKS = 8192 };

/* The free list: index of a node + 1 in the low half, a count of takes in the high half, so that a
 * node which was taken and came back meanwhile is not mistaken for itself. */
static struct {
	uint64_t free;
	uint32_t nchunks;
	uint32_t unused; /* number of a chunk that there was no memory for, plus 1 */
	struct ghi_siginfo_node *chunk[CHUNKS];
} pool;
static struct ghi_siginfo_node first_chunk[CHUNK]; /* a kill() must not fail for want of memory */
static int64_t queued;				   /* signals that wait here */
static int64_t kernel_has; /* that wait there, of the user, when asked last */
static uint64_t asked_at;  /* `to_kernel` then */
static uint64_t to_kernel; /* sent there */
static uint64_t last_seq;
static uint64_t shared_std; /* standard signals sent to the process that wait */

static struct ghi_siginfo_node *node_at(uint32_t index)
{
	return &load_acquire(&pool.chunk[index / CHUNK])[index % CHUNK];
}

static void give(struct ghi_siginfo_node *n)
{
	uint64_t seen = load_relaxed(&pool.free);
	do
		n->next_free = (uint32_t)seen;
	while (!cas_release(&pool.free, &seen, (seen & ~0xffffffffull) | (n->index + 1)));
}

static struct ghi_siginfo_node *grow(void)
{
	uint32_t c = xchg_acq_rel(&pool.unused, 0u);
	c = c ? c - 1 : fetch_add_relaxed(&pool.nchunks, 1u);
	if (c >= CHUNKS) {
		fetch_add_relaxed(&pool.nchunks, (uint32_t)-1);
		return NULL;
	}
	long r = c == 0 ? (long)first_chunk
			: ghi_sys(SYS_mmap, NULL, CHUNK * sizeof(struct ghi_siginfo_node),
				  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r < 0 && r > -4096) {
		store_release(&pool.unused, c + 1);
		return NULL;
	}
	struct ghi_siginfo_node *n = (struct ghi_siginfo_node *)r;
	for (uint32_t i = 0; i < CHUNK; i++)
		n[i].index = c * CHUNK + i;
	store_release(&pool.chunk[c], n);
	for (uint32_t i = 1; i < CHUNK; i++)
		give(&n[i]);
	return n;
}

static struct ghi_siginfo_node *take(void)
{
	uint64_t seen = load_acquire(&pool.free);
	while ((uint32_t)seen) {
		struct ghi_siginfo_node *n = node_at((uint32_t)seen - 1);
		uint64_t next = ((seen >> 32) + 1) << 32 | load_relaxed(&n->next_free);
		if (cas_acquire(&pool.free, &seen, next))
			return n;
	}
	return grow();
}

/* How many wait in the kernel.  A file is read only when it may matter. */
static int64_t count_kernel(int64_t room)
{
	enum { NEAR = 64 };
	char text[4096];
	uint64_t sent = load_relaxed(&to_kernel);
	int64_t at_most = load_relaxed(&kernel_has) + (int64_t)(sent - load_relaxed(&asked_at));

	if (room - at_most > NEAR)
		return 0;
	if (ghi_text_read("/proc/self/status", text, sizeof(text)) < 0)
		return 0;
	const char *line = strstr(text, "SigQ:");
	int64_t has = line ? strtol(line + strlen("SigQ:"), NULL, 10) : 0;
	store_relaxed(&kernel_has, has);
	store_relaxed(&asked_at, sent);
	return has;
}

/* As the kernel: a real-time signal that carries a value fails when too many wait, a kill() never
 * does, and a standard signal needs no room. */
bool ghi_sig_no_room(int sig, const siginfo_t *info)
{
	struct {
		uint64_t cur, max;
	} rl = {~0ull, ~0ull};
	if (sig < 32 || !info || info->si_code == SI_USER || info->si_code > 0)
		return false;
	ghi_sys(SYS_prlimit64, 0, RLIMIT_SIGPENDING, NULL, &rl);
	int64_t room = rl.cur > INT32_MAX ? INT32_MAX : (int64_t)rl.cur;
	room -= load_relaxed(&queued);
	return room <= 0 || count_kernel(room) >= room;
}

bool ghi_sig_goes_to_kernel(int sig, const siginfo_t *info)
{
	if (load_relaxed(&queued) && ghi_sig_no_room(sig, info)) /* it counts its own only */
		return false;
	fetch_add_relaxed(&to_kernel, (uint64_t)1);
	return true;
}

void ghi_sig_node_is_last(struct ghi_siginfo_node *n)
{
	n->seq = fetch_add_relaxed(&last_seq, (uint64_t)1);
}

struct ghi_siginfo_node *ghi_sig_node_new(int sig, const siginfo_t *info, bool shared)
{
	struct ghi_siginfo_node *n = !shared && ghi_sig_no_room(sig, info) ? NULL : take();
	if (!n)
		return NULL;
	fetch_add_relaxed(&queued, (int64_t)1);
	n->sig = sig;
	n->shared = shared;
	n->target = NULL;
	n->timer = NULL;
	n->born = load_relaxed(&ghi_sig_flushes);
	ghi_sig_node_is_last(n);
	if (info)
		n->info = *info;
	else
		memset(&n->info, 0, sizeof(n->info));
	n->info.si_signo = sig;
	return n;
}

/* g: whose queue it was enqueued in, NULL: nobody's.  Another one of its kind may wait again. */
static void release(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	fetch_add_relaxed(&queued, (int64_t)-1);
	if (n->sig < 32 && n->shared)
		fetch_and_acq_rel(&shared_std, ~BIT(n->sig));
	else if (n->sig < 32 && g && !n->timer)
		fetch_and_acq_rel(&g->sig.std, ~BIT(n->sig));
	give(n);
}

void ghi_sig_node_free(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	if (n->timer && !ghi_sig_timer_gone(n))
		ghi_sig_timer_taken(n->timer, NULL);
	release(g, n);
}

void ghi_sig_node_take(struct ghi_gthread *g, struct ghi_siginfo_node *n, siginfo_t *ret_info)
{
	*ret_info = n->info;
	if (n->timer && !ghi_sig_timer_gone(n))
		ghi_sig_timer_taken(n->timer, ret_info);
	release(g, n);
}

void ghi_sig_push(struct ghi_siginfo_node **stack, struct ghi_siginfo_node *n)
{
	struct ghi_siginfo_node *seen = load_relaxed(stack);
	do
		n->next = seen;
	while (!cas_release(stack, &seen, n));
}

/* Standard signals do not queue: false, and the node is gone, when one waits already. */
bool ghi_sig_enqueue(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	if (n->sig < 32 && !n->shared && !n->timer &&
	    (fetch_or_acq_rel(&g->sig.std, BIT(n->sig)) & BIT(n->sig))) {
		ghi_sig_node_free(NULL, n);
		return false;
	}
	ghi_sig_push(&g->sig.incoming, n);
	return true;
}

/* Everything on the stack, oldest first. */
struct ghi_siginfo_node *ghi_sig_take_all(struct ghi_siginfo_node **stack)
{
	struct ghi_siginfo_node *n = xchg_acq_rel(stack, (struct ghi_siginfo_node *)NULL);
	struct ghi_siginfo_node *out = NULL;
	while (n) {
		struct ghi_siginfo_node *next = n->next;
		n->next = out;
		out = n;
		n = next;
	}
	return out;
}

void ghi_sig_append(struct ghi_siglist *l, struct ghi_siginfo_node *n)
{
	n->next = NULL;
	if (l->bits)
		l->last->next = n;
	else
		l->first = n;
	l->last = n;
	l->bits |= BIT(n->sig);
}

void ghi_sig_insert(struct ghi_siglist *l, struct ghi_siginfo_node *n)
{
	struct ghi_siginfo_node **p = &l->first;

	if (!l->bits || l->last->seq < n->seq) {
		ghi_sig_append(l, n);
		return;
	}
	while ((*p)->seq < n->seq)
		p = &(*p)->next;
	n->next = *p;
	*p = n;
	l->bits |= BIT(n->sig);
}

/* The oldest of its number. */
struct ghi_siginfo_node *ghi_sig_remove(struct ghi_siglist *l, int sig)
{
	struct ghi_siginfo_node *before = NULL, *n = l->first;

	if (!(l->bits & BIT(sig)))
		return NULL;
	for (; n->sig != sig; n = n->next)
		before = n;
	*(before ? &before->next : &l->first) = n->next;
	if (l->last == n)
		l->last = before;
	struct ghi_siginfo_node *more = n->next;
	while (more && more->sig != sig)
		more = more->next;
	if (!more)
		l->bits &= ~BIT(sig);
	return n;
}

static void drop_void(struct ghi_gthread *self, struct ghi_siglist *l)
{
	struct ghi_siginfo_node *n = l->bits ? l->first : NULL, *next;
	*l = (struct ghi_siglist){0};
	for (; n; n = next) {
		next = n->next;
		if (ghi_sig_is_void(n))
			ghi_sig_node_free(self, n);
		else
			ghi_sig_append(l, n);
	}
}

uint64_t ghi_sig_collect(struct ghi_gthread *self)
{
	struct ghi_gthread_signals *s = &self->sig;
	uint64_t flushes = load_acquire(&ghi_sig_flushes);
	struct ghi_siginfo_node *n, *next;

	if (load_relaxed(&s->incoming))
		for (n = ghi_sig_take_all(&s->incoming); n; n = next) {
			next = n->next;
			if (ghi_sig_is_void(n))
				ghi_sig_node_free(self, n);
			else if (n->shared)
				ghi_sig_insert(&s->own[GHI_TO_PROCESS], n);
			else
				ghi_sig_append(&s->own[GHI_TO_THREAD], n);
		}
	if (__builtin_expect(s->flushed != flushes, 0)) {
		s->flushed = flushes;
		drop_void(self, &s->own[GHI_TO_THREAD]);
		drop_void(self, &s->own[GHI_TO_PROCESS]);
	}
	return s->own[GHI_TO_THREAD].bits | s->own[GHI_TO_PROCESS].bits;
}

/* What was sent to the thread goes before what was sent to the process. */
struct ghi_siginfo_node *ghi_sig_pick(struct ghi_gthread *self, uint64_t want)
{
	ghi_sig_collect(self);
	for (int i = GHI_TO_THREAD; i <= GHI_TO_PROCESS; i++) {
		struct ghi_siglist *l = &self->sig.own[i];
		if (l->bits & want)
			return ghi_sig_remove(l, ghi_sig_first(l->bits & want));
	}
	return NULL;
}

void ghi_sig_drop_batch(struct ghi_gthread *self)
{
	struct ghi_siginfo_node *n;
	while ((n = self->sig.batch)) {
		self->sig.batch = n->next;
		ghi_sig_node_free(self, n);
	}
	self->sig.in_place = 0;
	while ((n = self->sig.late)) {
		self->sig.late = n->next;
		ghi_sig_insert(&self->sig.own[GHI_TO_PROCESS], n);
		store_relaxed(&self->sig_pending, 1u);
	}
}

void ghi_signal_drop_queued(struct ghi_gthread *self)
{
	struct ghi_siginfo_node *n;

	fence_seq_cst(); /* pairs with the look at `life` in signal_route.c */
	ghi_sig_drop_batch(self);
	while ((n = ghi_sig_pick(self, ~0ull))) {
		if (n->shared) /* the process's: somebody else may take it */
			ghi_sig_reroute(n);
		else
			ghi_sig_node_free(self, n);
	}
}

uint64_t ghi_signal_queued(struct ghi_gthread *self)
{
	ghi_nosig_enter();
	uint64_t set = ghi_sig_collect(self) | ghi_sig_limbo_bits();
	ghi_nosig_leave();
	return set;
}

/* Sent to the process, and given to us when we had just blocked it: somebody else's.  What only a
 * handler's mask blocks is ours when that ends, what we wait for is taken there. */
static uint64_t misplaced(const struct ghi_gthread *self)
{
	return self->sig.own[GHI_TO_PROCESS].bits & self->sigmask & self->sig.counted &
	       ~load_relaxed(&self->sig.waits);
}

void ghi_sig_pass_on(struct ghi_gthread *self)
{
	ghi_sig_collect(self);
	for (uint64_t bits; (bits = misplaced(self));)
		ghi_sig_place_now(
		    ghi_sig_remove(&self->sig.own[GHI_TO_PROCESS], ghi_sig_first(bits)));
}

bool ghi_signal_due(struct ghi_gthread *self)
{
	return (ghi_sig_collect(self) & ~self->sigmask) != 0 || misplaced(self);
}

/* False: one of them waits already. */
bool ghi_sig_claim_shared(int sig)
{
	return sig >= 32 || !(fetch_or_acq_rel(&shared_std, BIT(sig)) & BIT(sig));
}

void ghi_sig_unclaim_shared(int sig)
{
	if (sig < 32)
		fetch_and_acq_rel(&shared_std, ~BIT(sig));
}

/* In a process without threads yet: nothing waits. */
void ghi_sig_queue_reset(void)
{
	uint32_t n = pool.nchunks < CHUNKS ? pool.nchunks : CHUNKS;
	pool.free = 0;
	queued = 0;
	shared_std = 0;
	for (uint32_t c = 0; c < n; c++)
		for (uint32_t i = 0; pool.chunk[c] && i < CHUNK; i++) {
			/* A fork copies page after page: one that another thread was about to
			 * number may be older than the pointer to it. */
			pool.chunk[c][i].index = c * CHUNK + i;
			give(&pool.chunk[c][i]);
		}
}
