/* Read-write locks: one state word, waiters in the lot marked as readers or writers.
 *
 * State (in __readers): bit 31 a writer holds it, bit 30 somebody waits, below: readers that hold
 * it.  __writers counts writers that wait; the writer-preferring kind lets no new reader in while
 * there are any.  __cur_writer is the owner's id, as in NPTL, for EDEADLK.
 *
 * As in NPTL, a writer hands the lock over to all readers that wait, who so hold it before they
 * run: a stream of writers does not starve them.  (Not in the writer-preferring kind while writers
 * wait.) Otherwise a release that finds waiters wakes one writer; he has to compete with newcomers.
 */
#include <errno.h>

#include "src/lot.h"
#include "src/sync/word.h"

#define WRITER	0x80000000u
#define WAITERS 0x40000000u
#define READERS 0x3fffffffu
enum { AS_READER = 1, AS_WRITER = 2 };

static uint32_t *state_of(pthread_rwlock_t *l)
{
	return &l->__data.__readers;
}

bool ghi_rwlock_ours(const pthread_rwlock_t *l)
{
	return l->__data.__shared == 0;
}

static bool prefers_writers(const pthread_rwlock_t *l)
{
	return l->__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

/* The preferring kind keeps readers out of a free lock too while a writer is on its way to it. */
static bool reader_must_wait(pthread_rwlock_t *l, uint32_t s)
{
	return (s & WRITER) || (prefers_writers(l) && load_relaxed(&l->__data.__writers));
}

static bool writer_must_wait(pthread_rwlock_t *l, uint32_t s)
{
	return (s & (WRITER | READERS)) != 0;
}

struct contender {
	pthread_rwlock_t *l;
	bool (*must_wait)(pthread_rwlock_t *, uint32_t);
};

/* Under the bucket lock: leaves the mark that makes the holder wake us, unless it is free by now.
 */
static bool mark(void *arg)
{
	struct contender *c = arg;
	uint32_t s = load_relaxed(state_of(c->l));
	while (c->must_wait(c->l, s)) {
		if (!(s & WAITERS) && !cas_acq_rel(state_of(c->l), &s, s | WAITERS))
			continue;
		/* (V1) The last waiting writer may have given up between the two; it looks for the
		 * mark after it stopped counting (V2). */
		fence_seq_cst();
		if (c->must_wait(c->l, s = load_relaxed(state_of(c->l))))
			return true;
	}
	return false;
}

/* Readers that wait have the lock, as far as they may; under the bucket lock. */
static bool let_in(void *arg, int n, bool remain)
{
	pthread_rwlock_t *l = arg;
	struct contender c = {l, reader_must_wait};
	uint32_t s;

	do {
		if (n == 0 || mark(&c))
			return false;
		s = load_relaxed(state_of(l));
	} while (reader_must_wait(l, s) ||
		 !cas_acq_rel(state_of(l), &s, (s + (uint32_t)n) | (remain ? WAITERS : 0)));
	return true;
}

/* The same by the writer that holds it: only the mark can change meanwhile, and that is made under
 * the bucket lock. */
static bool hand_over(void *arg, int n, bool remain)
{
	if (n == 0)
		return false;
	store_release(state_of(arg), (uint32_t)n | (remain ? WAITERS : 0)); /* next: (V3) */
	return true;
}

enum { GRANTED = -1 };

/* 0: look again, GRANTED, or an errno. */
static int wait_turn(pthread_rwlock_t *l, const struct ghi_until *until, uint32_t as,
		     bool (*must_wait)(pthread_rwlock_t *, uint32_t))
{
	struct contender c = {l, must_wait};
	uint64_t deadline;
	int r = ghi_until_deadline(until, &deadline);

	if (r)
		return r;
	if (deadline == GHI_PASSED)
		return ETIMEDOUT;
	struct ghi_lot_wait w = {.key = l,
				 .validate = mark,
				 .arg = &c,
				 .deadline = deadline,
				 .why = GHI_PARK_RWLOCK,
				 .bits = as,
				 .uninterruptible = true};
	r = ghi_lot_wait(&w);
	if (r == 1) {
		load_acquire(state_of(l)); /* (V3) */
		return GRANTED;
	}
	if (r == -ETIMEDOUT && !ghi_until_deadline(until, &deadline) && deadline == GHI_PASSED)
		return ETIMEDOUT;
	return 0; /* look again */
}

int ghi_rwlock_rdlock(pthread_rwlock_t *l, const struct ghi_until *until, bool try)
{
	uint32_t s = load_relaxed(state_of(l));

	if (load_relaxed(&l->__data.__cur_writer) == ghi_lock_owner())
		return try ? EBUSY : EDEADLK;
	for (;;) {
		if (!reader_must_wait(l, s)) {
			if ((s & READERS) == READERS)
				return EAGAIN;
			if (cas_acquire(state_of(l), &s, s + 1))
				return 0;
			continue;
		}
		if (try)
			return EBUSY;
		int r = wait_turn(l, until, AS_READER, reader_must_wait);
		if (r)
			return r == GRANTED ? 0 : r;
		s = load_relaxed(state_of(l));
	}
}

int ghi_rwlock_wrlock(pthread_rwlock_t *l, const struct ghi_until *until, bool try)
{
	uint32_t s = load_relaxed(state_of(l));
	bool counted = false;
	uint64_t since = 0;
	int r = 0;

	if (load_relaxed(&l->__data.__cur_writer) == ghi_lock_owner())
		return try ? EBUSY : EDEADLK;
	for (;;) {
		if (!writer_must_wait(l, s)) {
			if (!cas_acquire(state_of(l), &s, s | WRITER))
				continue;
			break;
		}
		if (try)
			return EBUSY;
		if (!counted) {
			fetch_add_acq_rel(&l->__data.__writers, 1u);
			counted = true;
		}
		ghi_overtaken_note(l, &since);
		if ((r = wait_turn(l, until, AS_WRITER, writer_must_wait)))
			break;
		s = load_relaxed(state_of(l));
	}
	if (counted)
		fetch_add_acq_rel(&l->__data.__writers, 0u - 1);
	fence_seq_cst(); /* (V2) pairs with (V1) */
	if (r) {
		/* Readers may be waiting only for this writer to have its turn. */
		if (prefers_writers(l) && (load_relaxed(state_of(l)) & WAITERS))
			ghi_lot_grant(l, AS_READER, let_in, l);
		return r;
	}
	store_relaxed(&l->__data.__cur_writer, ghi_lock_owner());
	return 0;
}

/* Under the bucket lock: who still waits needs the mark. */
static void mark_rest(void *arg, bool remain)
{
	if (remain)
		fetch_or_acq_rel((uint32_t *)arg, WAITERS);
}

static void wake_next(pthread_rwlock_t *l)
{
	/* The lock was free, with the mark, when this was decided.  The mark went with the release;
	 * somebody who takes the lock now and lets it go wakes nobody, so we do, one way or other.
	 */
	if (ghi_lot_wake(l, 1, AS_WRITER, mark_rest, state_of(l)) == 0)
		ghi_lot_grant(l, AS_READER, let_in, l);
}

int ghi_rwlock_unlock(pthread_rwlock_t *l)
{
	uint32_t s = load_relaxed(state_of(l)), next;

	if (s & WRITER)
		store_relaxed(&l->__data.__cur_writer, 0);
	do {
		if ((s & WRITER) && (s & WAITERS) &&
		    !(prefers_writers(l) && load_relaxed(&l->__data.__writers)) &&
		    ghi_lot_grant(l, AS_READER, hand_over, l))
			return 0;
		next = s & WRITER ? 0 : (s & READERS) == 1 ? 0 : s - 1;
	} while (!cas_release(state_of(l), &s, next));
	if (next == 0 && (s & WAITERS))
		wake_next(l);
	return 0;
}

bool ghi_rwlock_held(const pthread_rwlock_t *l)
{
	uint32_t s = load_relaxed(&l->__data.__readers);
	return s & WRITER ? load_relaxed(&l->__data.__cur_writer) == ghi_lock_owner()
			  : (s & READERS) != 0;
}
