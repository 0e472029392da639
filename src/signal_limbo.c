/* Limbo and order: what was sent to the process and nobody may handle yet; see signal.h.
 *
 * Owns: the signals in limbo; the order of real-time signals of one number.  Called by:
 * signal_route.c, signal_mask.c, signal_wait.c, signal_exec.c.  Must not know: who is interrupted
 * for what it is given.
 *
 * Limbo and unblocking: who sends, or the monitor, puts it into limbo, (X1) fence, looks at all
 * masks again; a gthread stores its mask, (U1) fence, looks at limbo.  One of them sees the other.
 *
 * Order.  Of two real-time signals of one number the one that was sent first is handled or accepted
 * first.  The kernel cannot see to it: it hands what it has to whatever kernel thread opens first,
 * the monitor or a worker, and whoever holds one on its way to the right gthread is overtaken by
 * what is sent to that one directly.  So what a gthread sends with a handler installed does not go
 * through the kernel:
 *
 *   (O1) it gets its place (`seq`) under the lock, after what the kernel has of that number, which
 *        comes into limbo first;
 *   (O2) limbo, and what a gthread has for the process, are sorted by it;
 *   (O3) only from limbo, under the lock and oldest first, does it come to a gthread, which by then
 *        accepts it;
 *   (O4) a gthread that no longer accepts it puts back into limbo all that it has, before its
 *        change of mask, or its wait, is over: (Y1) stores the mask or `waits`, (Y2) fence, waits
 *        for the holder of the lock if there is one, looks at its queue.  Who gives: (Z1) holds
 *        the lock, (Z2) fence, reads mask and `waits`, pushes.  Either Z2 finds the new mask or Y2
 *        the lock held, and the look comes after the push.
 *
 * So whoever accepts a number has all of it that is older in its own queue, or takes it from limbo
 * before (U1), and the queue is sorted.  One who waits in sigwait() accepts one signal: `waits` is
 * cleared when it is given, or what came after would lie in its queue while others wait.
 *
 * It holds for what gthreads send by kill() and sigqueue().  The rest stays the kernel's, and may
 * be overtaken while a mask opens: what other processes, timers and inline system calls send;
 * numbers that a signalfd reads, which does not see limbo; and all that is sent while no gthread,
 * but perhaps a kernel thread that is not ours, accepts it (ghi_signal_stranger).
 */
#include <string.h>

#include "src/signal_int.h"

static struct {
	ghi_lock_t lock;
	struct ghi_siglist list;
	uint64_t bits; /* = list.bits; read without the lock */
} limbo;

uint64_t ghi_sig_limbo_bits(void)
{
	return load_relaxed(&limbo.bits);
}

static struct ghi_siginfo_node *remove_locked(uint64_t want)
{
	struct ghi_siginfo_node *n = NULL;
	if (limbo.list.bits & want)
		n = ghi_sig_remove(&limbo.list, ghi_sig_first(limbo.list.bits & want));
	store_relaxed(&limbo.bits, limbo.list.bits);
	return n;
}

static void insert_locked(struct ghi_siginfo_node *n)
{
	ghi_sig_insert(&limbo.list, n);
	store_relaxed(&limbo.bits, limbo.list.bits);
}

/* What is pending in the kernel for the process while nobody accepts it. */
static void fetch_locked(int sig)
{
	const struct timespec now = {0, 0};
	struct ghi_siginfo_node *n;
	uint64_t set = BIT(sig);

	/* A node first: what was taken out of the kernel must have a place. */
	while ((n = ghi_sig_node_new(sig, NULL, true)) &&
	       ghi_sys(SYS_rt_sigtimedwait, &set, &n->info, &now, 8) == sig)
		insert_locked(n);
	if (n)
		ghi_sig_node_free(NULL, n);
}

void ghi_sig_limbo_put(struct ghi_siginfo_node *n)
{
	ghi_lock(&limbo.lock);
	insert_locked(n);
	ghi_unlock(&limbo.lock);
	fence_seq_cst(); /* (X1) */
}

void ghi_sig_limbo_send(struct ghi_siginfo_node *n)
{
	ghi_lock(&limbo.lock);
	fetch_locked(n->sig);
	ghi_sig_node_is_last(n); /* (O1) */
	insert_locked(n);
	ghi_unlock(&limbo.lock);
	fence_seq_cst(); /* (X1) */
}

struct ghi_siginfo_node *ghi_sig_limbo_take(uint64_t want)
{
	ghi_lock(&limbo.lock);
	struct ghi_siginfo_node *n = remove_locked(want);
	ghi_unlock(&limbo.lock);
	if (n && ghi_sig_is_void(n)) {
		ghi_sig_node_free(NULL, n);
		return ghi_sig_limbo_take(want);
	}
	return n;
}

bool ghi_sig_limbo_to(struct ghi_gthread *g, uint64_t want)
{
	ghi_lock(&limbo.lock);
	struct ghi_siginfo_node *n = remove_locked(want);
	if (n)
		ghi_sig_enqueue(g, n);
	ghi_unlock(&limbo.lock);
	return n;
}

bool ghi_sig_limbo_give(struct ghi_gthread *g, int sig)
{
	struct ghi_siginfo_node *n = NULL;

	ghi_lock(&limbo.lock); /* (Z1) */
	fence_seq_cst();       /* (Z2) */
	if (ghi_sig_accepts(g, sig))
		n = remove_locked(BIT(sig));
	if (n && (load_relaxed(&g->sigmask) & BIT(sig)))
		store_relaxed(&g->sig.waits, 0ull); /* one is enough for it */
	if (n)
		ghi_sig_enqueue(g, n);
	ghi_unlock(&limbo.lock);
	return n;
}

void ghi_sig_limbo_settle(void)
{
	fence_seq_cst(); /* (Y2) */
	if (load_relaxed(&limbo.lock)) {
		ghi_lock(&limbo.lock);
		ghi_unlock(&limbo.lock);
	}
}

void ghi_sig_limbo_drop_void(int sig)
{
	struct ghi_siglist kept = {0}, dropped = {0};
	struct ghi_siginfo_node *n;
	ghi_lock(&limbo.lock);
	while ((n = remove_locked(BIT(sig))))
		ghi_sig_append(ghi_sig_is_void(n) ? &dropped : &kept, n);
	while ((n = ghi_sig_remove(&kept, sig)))
		insert_locked(n);
	ghi_unlock(&limbo.lock);
	while ((n = ghi_sig_remove(&dropped, sig)))
		ghi_sig_node_free(NULL, n);
}

void ghi_sig_limbo_to_kernel(uint64_t set)
{
	struct ghi_siginfo_node *n;

	for (uint64_t look = ghi_sig_limbo_bits() & set; look; look &= look - 1) {
		int sig = __builtin_ctzll(look) + 1;
		ghi_lock(&limbo.lock);
		fetch_locked(sig); /* it came later */
		while ((n = remove_locked(BIT(sig)))) {
			if (!ghi_sig_is_void(n))
				ghi_sys(SYS_rt_sigqueueinfo, sys_getpid(), sig, &n->info);
			ghi_sig_node_free(NULL, n);
		}
		ghi_unlock(&limbo.lock);
	}
}

void ghi_sig_limbo_reset(void)
{
	memset(&limbo, 0, sizeof(limbo));
}
