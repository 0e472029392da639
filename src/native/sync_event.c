/* Events and wait groups of the native API.
 *
 * Owns: both algorithms.  Called by: programs.  Must not know: who waits.
 *
 * An event is 0, SET, or WAITED: not set, and somebody may wait.  A setter's exchange is its last
 * touch of the event; whoever it wakes competes for SET with those who come, and a waiter of an
 * auto event that had to wait leaves WAITED behind when it takes SET, because others may wait still
 * (the unlock of a mutex works the same way).
 *
 * A wait group is its count, a round, and the bit WAITERS.  The round ends when the count becomes
 * zero; a waiter waits for the end of the round that it found.
 */
#include <limits.h>

#include <greenhook/sync.h>
#include "src/lot.h"
#include "src/native/misuse.h"
#include "src/native/until.h"
#include "src/sanitizer.h"

_Static_assert(sizeof(gh_event) == 8 && sizeof(gh_wg) == 8, "part of the ABI");

enum { SET = 1, WAITED = 2 };

int gh_event_init(gh_event *e, int kind)
{
	if (!e || (kind != GH_EVENT_MANUAL && kind != GH_EVENT_AUTO))
		return GHI_MISUSE(-EINVAL, "the event is NULL, or there is no kind %d", kind);
	*e = (gh_event){.kind = (uint32_t)kind};
	return 0;
}

int gh_event_set(gh_event *e)
{
	if (!e)
		return GHI_NULL("event");
	int n = e->kind == GH_EVENT_AUTO ? 1 : INT_MAX; /* before it may be freed */
	ghi_sanitizer_before(e);
	if (xchg_acq_rel(&e->state, (uint32_t)SET) == WAITED) {
		ghi_lot_wake(e, n, 0, NULL, NULL);
		ghi_native_make_way(e);
	}
	return 0;
}

int gh_event_reset(gh_event *e)
{
	uint32_t set = SET;
	if (!e)
		return GHI_NULL("event");
	cas_acq_rel(&e->state, &set, 0u);
	return 0;
}

/* What an auto event becomes when it is taken: `as`. */
static bool event_take(gh_event *e, uint32_t as)
{
	uint32_t set = SET;
	bool took = e->kind == GH_EVENT_AUTO ? cas_acquire(&e->state, &set, as)
					     : load_acquire(&e->state) == SET;
	if (took)
		ghi_sanitizer_after(e);
	return took;
}

static bool event_not_set(void *arg)
{
	uint32_t seen = load_relaxed((uint32_t *)arg);
	while (seen == 0)
		if (cas_acq_rel((uint32_t *)arg, &seen, (uint32_t)WAITED))
			return true;
	return seen == WAITED;
}

/* A waiter that was woken for SET, and lost it to a newcomer, leaves by an error: others may wait,
 * whom the newcomer does not know of.  As if it had taken SET late: WAITED, or, if the event is set
 * again by somebody who saw no WAITED, one of them is woken. */
static void event_leave_to_others(gh_event *e)
{
	uint32_t seen = 0;
	if (e->kind == GH_EVENT_AUTO && !cas_acq_rel(&e->state, &seen, (uint32_t)WAITED) &&
	    seen == SET)
		ghi_lot_wake(e, 1, 0, NULL, NULL);
}

int gh_event_wait_until(gh_event *e, gh_time until)
{
	if (!e)
		return GHI_NULL("event");
	if (ghi_native_cancelled())
		return -ECANCELED;
	uint64_t since = 0;
	for (uint32_t as = 0; !event_take(e, as); as = WAITED) {
		ghi_overtaken_note(e, &since);
		struct ghi_lot_wait w = {.key = e,
					 .validate = event_not_set,
					 .arg = &e->state,
					 .deadline = ghi_native_deadline(until),
					 .why = GHI_PARK_EVENT};
		int r = ghi_lot_wait(&w);
		if (r == -ETIMEDOUT || r == -ECANCELED) {
			if (as == WAITED)
				event_leave_to_others(e);
			return r;
		}
	}
	return 0;
}

int gh_event_wait(gh_event *e)
{
	return gh_event_wait_until(e, GH_FOREVER);
}

int gh_event_wait_try(gh_event *e)
{
	return !e ? GHI_NULL("event") : event_take(e, 0) ? 0 : -EAGAIN;
}

/* ---- wait groups -------------------------------------------------------------------------------
 */

#define WG_WAITERS     (1ull << 31)
#define WG_ROUND       (1ull << 32)
#define WG_COUNT(data) ((data) & (WG_WAITERS - 1))
#define WG_ROUND_OF(d) ((d) >> 32)

int gh_wg_add(gh_wg *wg, int32_t n)
{
	if (!wg)
		return GHI_NULL("wait group");
	uint64_t seen = load_relaxed(&wg->data), next;
	ghi_sanitizer_before(wg);
	do {
		int64_t count = (int64_t)WG_COUNT(seen) + n;
		if (count < 0)
			return GHI_MISUSE(-EINVAL, "more are done than were added");
		if (count > GH_WG_MAX)
			return -EOVERFLOW;
		next = seen - WG_COUNT(seen) + (uint64_t)count;
		if (count == 0 && n != 0)
			next = (next & ~WG_WAITERS) + WG_ROUND;
	} while (!cas_acq_rel(&wg->data, &seen, next));
	if ((seen & WG_WAITERS) && !(next & WG_WAITERS))
		ghi_lot_wake(wg, INT_MAX, 0, NULL, NULL);
	return 0;
}

int gh_wg_done(gh_wg *wg)
{
	return gh_wg_add(wg, -1);
}

struct wg_wait {
	gh_wg *wg;
	uint64_t round;
};

static bool wg_busy(void *arg)
{
	struct wg_wait *w = arg;
	uint64_t seen = load_relaxed(&w->wg->data);
	while (WG_COUNT(seen) && WG_ROUND_OF(seen) == w->round)
		if ((seen & WG_WAITERS) || cas_acq_rel(&w->wg->data, &seen, seen | WG_WAITERS))
			return true;
	return false;
}

int gh_wg_wait_until(gh_wg *wg, gh_time until)
{
	if (!wg)
		return GHI_NULL("wait group");
	if (ghi_native_cancelled())
		return -ECANCELED;
	uint64_t seen = load_acquire(&wg->data);
	struct wg_wait mine = {wg, WG_ROUND_OF(seen)};
	for (; WG_COUNT(seen) && WG_ROUND_OF(seen) == mine.round; seen = load_acquire(&wg->data)) {
		struct ghi_lot_wait w = {.key = wg,
					 .validate = wg_busy,
					 .arg = &mine,
					 .deadline = ghi_native_deadline(until),
					 .why = GHI_PARK_EVENT};
		int r = ghi_lot_wait(&w);
		if (r == -ETIMEDOUT || r == -ECANCELED)
			return r;
	}
	ghi_sanitizer_after(wg);
	return 0;
}

int gh_wg_wait(gh_wg *wg)
{
	return gh_wg_wait_until(wg, GH_FOREVER);
}

int gh_wg_wait_try(gh_wg *wg)
{
	if (!wg)
		return GHI_NULL("wait group");
	if (WG_COUNT(load_acquire(&wg->data)))
		return -EAGAIN;
	ghi_sanitizer_after(wg);
	return 0;
}
