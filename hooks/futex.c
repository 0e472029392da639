/* syscall(SYS_futex, ...), which language runtimes and libstdc++ build their locks on.
 *
 * Owns: nothing.  Called by: raw.c.  Must not know: who made the word, and what it means.
 *
 * FUTEX_WAIT parks in the lot; FUTEX_WAKE wakes the lot first and then the kernel's queue, where
 * kernel threads and code that makes system calls inline may sleep.  What other processes may share
 * is the kernel's: a word without FUTEX_PRIVATE_FLAG, unless its page says otherwise
 * (private_page.h).  Whoever wakes looks in both places, so a wait that could not be told private
 * is no worse than slow.
 */
#include "hooks/futex.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "hooks/hook.h"
#include "hooks/offload.h"
#include "src/lot.h"
#include "src/private_page.h"
#include "src/sync/word.h"

struct futex_wait {
	uint32_t *word;
	uint32_t val;
};

static bool unchanged(void *arg)
{
	struct futex_wait *f = arg;
	return load_acquire(f->word) == f->val;
}

/* A lock that the program made: one who waits for it was woken in vain, perhaps (src/sync/word.h).
 * Whether in vain only the program knows; to make way costs little, now and then. */
static void note_overtaken(struct ghi_gthread *self, const uint32_t *word)
{
	uint64_t now = load_relaxed(&ghi_clock_coarse);
	if (self->futex == word && now - self->futex_since < GHI_OVERTAKEN_NS)
		return;
	if (self->futex == word)
		store_relaxed(ghi_overtaken_at(word), word);
	self->futex = word;
	self->futex_since = now;
}

static long futex_wait(struct ghi_gthread *self, uint32_t *word, int op, uint32_t val,
		       const struct timespec *t, uint32_t bits)
{
	struct futex_wait f = {word, val};
	uint64_t deadline = GHI_NEVER;
	struct timespec limit;

	if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && !bits)
		return -EINVAL;
	if ((uintptr_t)word % 4)
		return -EINVAL;
	if (t) {
		if (ghi_copy_in(&limit, t, sizeof(limit)) < 0)
			return -EFAULT;
		t = &limit;
		if (ghi_ts_invalid(t) || t->tv_sec < 0)
			return -EINVAL;
		if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT)
			deadline = ghi_deadline_in(ghi_ts_to_ns(t));
		else
			deadline = ghi_deadline_at(
			    op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, t);
	}
	note_overtaken(self, word);
	self->sig_ran = 0;
	for (;;) {
		struct ghi_lot_wait w = {.key = word,
					 .validate = unchanged,
					 .arg = &f,
					 .bits = bits,
					 .deadline = deadline,
					 .why = GHI_PARK_FUTEX,
					 .uninterruptible = true}; /* no cancellation point */
		int r = HOOK_WAIT(self, ghi_lot_wait(&w));
		if (r == -EINTR || r == -ECANCELED) {
			if (self->sig_ran & (t ? GHI_SIG_RAN : GHI_SIG_RAN_NORESTART))
				return -EINTR;
			self->sig_ran = 0; /* it begins again */
			continue;
		}
		return r;
	}
}

static long futex_wake(uint32_t *word, int op, int n, uint32_t bits)
{
	if ((op & FUTEX_CMD_MASK) == FUTEX_WAKE_BITSET && !bits)
		return -EINVAL;
	int woken = ghi_lot_wake(word, n, bits, NULL, NULL);
	if (woken >= n)
		return woken;
	long more = ghi_sys_program(SYS_futex, word, op, n - woken, NULL, NULL, bits);
	return more < 0 ? (woken ? woken : more) : woken + more;
}

static bool is_ours(const uint32_t *word, int op)
{
	return (op & FUTEX_PRIVATE_FLAG) || ghi_page_private(word);
}

static long futex_requeue(uint32_t *word, int op, int n, int m, uint32_t *to, uint32_t val)
{
	bool cmp = (op & FUTEX_CMD_MASK) == FUTEX_CMP_REQUEUE;
	struct futex_wait f = {word, val};
	int moved = 0;

	if (n < 0 || m < 0)
		return -EINVAL;
	if (!is_ours(word, op) || !is_ours(to, op)) {
		/* Another process may wake those who are moved: nobody of ours may wait there. */
		long r = ghi_sys_program(SYS_futex, word, op, n, m, to, val);
		int all = n < INT_MAX - m ? n + m : INT_MAX;
		return r < 0 || r >= all ? r
					 : r + ghi_lot_wake(word, all - (int)r, ~0u, NULL, NULL);
	}
	int woken = ghi_lot_requeue(word, to, n, m, cmp ? unchanged : NULL, &f, &moved);
	if (woken < 0 || (woken >= n && moved >= m))
		return woken < 0 ? woken : woken + moved;
	/* The kernel too answers woken and moved together, for both operations. */
	long more = ghi_sys_program(SYS_futex, word, op, n - woken, m - moved, to, val);
	return woken + moved + (more > 0 ? more : 0);
}

/* What the second word becomes, and the comparison with what it was (futex(2), FUTEX_WAKE_OP). */
static bool wake_op(uint32_t *word, uint32_t code)
{
	int32_t oparg = (int32_t)(code << 8) >> 20, cmparg = (int32_t)(code << 20) >> 20;
	uint32_t old = load_relaxed(word), next;
	int op = code >> 28 & 7;

	if (code >> 28 & 8)
		oparg = (int32_t)(1u << (oparg & 31));
	do
		switch (op) {
		case FUTEX_OP_SET:
			next = (uint32_t)oparg;
			break;
		case FUTEX_OP_ADD:
			next = old + (uint32_t)oparg;
			break;
		case FUTEX_OP_OR:
			next = old | (uint32_t)oparg;
			break;
		case FUTEX_OP_ANDN:
			next = old & ~(uint32_t)oparg;
			break;
		default:
			next = old ^ (uint32_t)oparg;
		}
	while (!cas_acq_rel(word, &old, next));
	int32_t was = (int32_t)old;
	switch (code >> 24 & 15) {
	case FUTEX_OP_CMP_EQ:
		return was == cmparg;
	case FUTEX_OP_CMP_NE:
		return was != cmparg;
	case FUTEX_OP_CMP_LT:
		return was < cmparg;
	case FUTEX_OP_CMP_LE:
		return was <= cmparg;
	case FUTEX_OP_CMP_GT:
		return was > cmparg;
	default:
		return was >= cmparg;
	}
}

static long futex_wake_op(uint32_t *word, int op, int n, int m, uint32_t *to, uint32_t code)
{
	int flag = op & FUTEX_PRIVATE_FLAG;

	if (!is_ours(word, op) || !is_ours(to, op)) {
		long r = ghi_sys_program(SYS_futex, word, op, n, m, to, code);
		return r < 0 ? r
			     : r + ghi_lot_wake(word, n, ~0u, NULL, NULL) +
				   ghi_lot_wake(to, m, ~0u, NULL, NULL);
	}
	bool also = wake_op(to, code);
	long woken = futex_wake(word, FUTEX_WAKE | flag, n, ~0u);
	return also ? woken + futex_wake(to, FUTEX_WAKE | flag, m, ~0u) : woken;
}

bool ghi_futex_is_wake(int op)
{
	return (op & FUTEX_CMD_MASK) == FUTEX_WAKE || (op & FUTEX_CMD_MASK) == FUTEX_WAKE_BITSET;
}

long ghi_futex(struct ghi_gthread *self, const long a[6])
{
	uint32_t *word = (uint32_t *)a[0], *to = (uint32_t *)a[4];
	int op = (int)a[1], n = (int)a[2];

	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		if (!is_ours(word, op))
			break;
		return futex_wait(self, word, op, (uint32_t)n, (const struct timespec *)a[3],
				  (op & FUTEX_CMD_MASK) == FUTEX_WAIT ? ~0u : (uint32_t)a[5]);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		return futex_wake(word, op, n,
				  (op & FUTEX_CMD_MASK) == FUTEX_WAKE ? ~0u : (uint32_t)a[5]);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(word, op, n, (int)a[3], to, (uint32_t)a[5]);
	case FUTEX_WAKE_OP:
		return futex_wake_op(word, op, n, (int)a[3], to, (uint32_t)a[5]);
	}
	return BLOCKING(self, ghi_sys_program(SYS_futex, a[0], a[1], a[2], a[3], a[4], a[5]));
}
