/* The word under every mutex: 0 free, 1 held, 2 held and somebody may wait (NPTL's meanings), with
 * waiters in the lot under its address; and the queue under every condition variable.
 *
 * Owns: the algorithms that pthread's objects (mutex.c, cond.c) and the native ones (src/native/)
 * share.  Must not know: owners, kinds, clocks' names.
 */
#ifndef GHI_SYNC_WORD_H
#define GHI_SYNC_WORD_H

#include "src/lot.h"
#include "src/sync/sync.h"

static inline bool ghi_word_try(uint32_t *word)
{
	uint32_t free = 0;
	return cas_acquire(word, &free, 1u);
}

/* After a failed try, and for whoever others may queue behind: takes it as 2.  0, or EINVAL,
 * ETIMEDOUT. */
int ghi_word_lock_slow(uint32_t *word, const struct ghi_until *until);

/* Whoever waits is woken when the word is free, and may find that it was taken meanwhile; on one
 * slot always, by a thread that parks only while it holds it.  So too with semaphores and the
 * writers of read-write locks.  One who was overtaken for long leaves the word's address here, and
 * the unlocker that finds it makes way (ghi_word_overtaken). */
enum { GHI_OVERTAKEN_SLOTS = 64 };
#define GHI_OVERTAKEN_NS (5 * GHI_MS)
extern const void *ghi_overtaken[GHI_OVERTAKEN_SLOTS];
static inline const void **ghi_overtaken_at(const void *word)
{
	return &ghi_overtaken[(uintptr_t)word / 16 % GHI_OVERTAKEN_SLOTS];
}

/* By a waiter, each time that it finds no turn; *since: 0 at first.  Most are woken once: what the
 * time is they ask from the second time on. */
static inline void ghi_overtaken_note(const void *word, uint64_t *since)
{
	if (*since < 2)
		*since = *since ? ghi_now() : 1;
	else if (ghi_now() - *since >= GHI_OVERTAKEN_NS)
		store_relaxed(ghi_overtaken_at(word), word);
}

/* After it was given up; the word may be gone.  True once for each mark. */
static inline bool ghi_word_overtaken(const void *word)
{
	const void **mark = ghi_overtaken_at(word);
	if (__builtin_expect(load_relaxed(mark) != word, 1))
		return false;
	store_relaxed(mark, NULL);
	return true;
}

/* After the word is released only the lot is touched: the memory may be gone by then.  What it
 * was, 0: not held. */
static inline uint32_t ghi_word_unlock(uint32_t *word)
{
	uint32_t was = xchg_acq_rel(word, 0u);
	if (__builtin_expect(was == 2, 0))
		ghi_lot_wake(word, 1, 0, NULL, NULL);
	return was;
}

/* For ghi_lot_morph: somebody will release the word with a wake-up. */
bool ghi_word_hold_for_waiter(void *word, bool one_is_awake);

/* A wait on a condition, whose only word says "maybe somebody waits". */
struct ghi_cond_sleep {
	uint32_t *cond;
	void *mutex;		    /* its word, which waiters are moved to; NULL: they are woken */
	void (*release)(void *arg); /* gives the mutex up; once */
	void *arg;
	uint64_t deadline;
	bool released; /* answer */
};
/* As ghi_lot_wait.  On return the mutex was released, unless it is -ECANCELED with released unset;
 * the caller takes it again, by ghi_word_lock_slow since others may have been moved to it. */
int ghi_cond_sleep(struct ghi_cond_sleep *s);
void ghi_cond_wake(uint32_t *cond, int n);

#endif
