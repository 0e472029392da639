/* Priorities and their ageing, pinning, the budget, a group's policy for panics.
 *
 * prio                   answers, order, ageing, errors
 * prio pin               those pinned to a slot run there and one at a time, whoever holds it
 * prio stress SECONDS    all of it at once
 * prio kernel            where tasks are kernel threads
 */
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rc.h"

#define LIMIT GH_S(30)

static unsigned slots(void)
{
	struct gh_stats s = {.size = sizeof(s)};
	RC(0, gh_stats(&s));
	return (unsigned)s.slots;
}

static gh_task *start(gh_fn fn, void *arg, int priority)
{
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .priority = priority};
	gh_task *t = gh_task_spawn(fn, arg, &o);
	CHECK(t);
	return t;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void *answers_only(void *arg)
{
	int is = 99;
	RC(0, gh_task_get_priority(gh_task_self(), &is));
	RC((int)(intptr_t)arg, is);
	return NULL;
}

static void *asks_itself(void *arg)
{
	int is = 99;
	RC(0, gh_task_get_priority(gh_task_self(), &is));
	RC((int)(intptr_t)arg, is);
	RC(0, gh_task_set_priority(gh_task_self(), GH_PRIORITY_LOW));
	RC(0, gh_task_get_priority(gh_task_self(), &is));
	RC(GH_PRIORITY_LOW, is);
	RC(0, gh_task_join(start(answers_only, (void *)0, 0), NULL)); /* not inherited */
	return NULL;
}

static void *owner(void *arg)
{
	RC(0, gh_own_thread());
	RC(-EBUSY, gh_task_pin(0));
	RC(-ENOENT, gh_slot());
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED};
	CHECK(!gh_task_spawn(answers_only, NULL, &o) && errno == EBUSY);
	RC(-EBUSY, gh_go(answers_only, NULL, &o));
	return arg;
}

static void answers(void)
{
	int is;
	for (int p = GH_PRIORITY_LOWEST; p <= GH_PRIORITY_HIGHEST; p++) {
		RC(0, gh_task_join(start(answers_only, (void *)(intptr_t)p, p), NULL));
		gh_task *t = start(answers_only, (void *)(intptr_t)p, p);
		int r = gh_task_get_priority(t, &is);
		CHECK(r == -ESRCH || (r == 0 && is == p));
		RC(0, gh_task_join(t, NULL));
	}
	RC(0, gh_task_join(start(asks_itself, (void *)(intptr_t)2, 2), NULL));
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .priority = 3};
	CHECK(!gh_task_spawn(answers_only, NULL, &o) && errno == EINVAL);
	o.priority = -3;
	RC(-EINVAL, gh_go(answers_only, NULL, &o));
	o = (gh_task_opts){GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .slot = slots()};
	CHECK(!gh_task_spawn(answers_only, NULL, &o) && errno == EINVAL);
	o.slot = ~0u;
	RC(-EINVAL, gh_go(answers_only, NULL, &o));
	RC(-EINVAL, gh_task_set_priority(NULL, 0));
	RC(-EINVAL, gh_task_get_priority(NULL, &is));
	RC(-EINVAL, gh_task_set_priority((gh_task *)&is, 0));
	gh_task *t = gh_task_spawn(owner, NULL, NULL);
	RC(-EINVAL, gh_task_get_priority(t, NULL));
	RC(-EINVAL, gh_task_set_priority(t, 3));
	RC(-EINVAL, gh_task_set_priority(t, -3));
	RC(0, gh_task_join(t, NULL));
	RC(-EINVAL, gh_task_pin(-1));
	RC(-EINVAL, gh_task_pin((int)slots()));
	RC(-EINVAL, gh_task_pin(INT32_MAX));
	for (int i = 0; i < (int)slots(); i++) {
		RC(0, gh_task_pin(i));
		is = gh_slot();
		CHECK(is == i || is == -ENOENT);
	}
	RC(0, gh_task_unpin());
	RC(0, gh_task_unpin());
}

/* ---- order ---------------------------------------------------------------------------------- */

static int order[64], norder;

static void *notes(void *arg)
{
	order[__atomic_fetch_add(&norder, 1, __ATOMIC_RELAXED)] = (int)(intptr_t)arg;
	return NULL;
}

/* With one slot: what became runnable while the caller ran runs in order of priority. */
static void in_order(void)
{
	static const int spawned[] = {0, -1, 2, -2, 1, 0, -1, 2, -2, 1};
	static const int expected[] = {2, 2, 1, 1, 0, 0, -1, -1, -2, -2};
	gh_task *t[10];
	norder = 0;
	for (int i = 0; i < 10; i++)
		t[i] = start(notes, (void *)(intptr_t)spawned[i], spawned[i]);
	for (int i = 0; i < 10; i++)
		RC(0, gh_task_join(t[i], NULL));
	RC(10, norder);
	int same = !memcmp(order, expected, sizeof(expected));
	if (slots() == 1 && !same)
		for (int i = 0; i < 10; i++)
			printf("%d%s", order[i], i == 9 ? " FAIL\n" : " ");
}

/* Set while it stands nowhere, a priority counts at its next wake-up. */
static void changed(void)
{
	norder = 0;
	gh_task *low = start(notes, (void *)(intptr_t)-2, -2);
	gh_task *high = start(notes, (void *)(intptr_t)1, 1);
	int r = gh_task_set_priority(low, 2); /* it stands in its queue already */
	CHECK(r == 0 || (r == -ESRCH && slots() > 1));
	RC(0, gh_task_join(low, NULL));
	RC(0, gh_task_join(high, NULL));
	if (slots() == 1)
		CHECK(order[0] == 1 && order[1] == -2);
}

/* ---- ageing --------------------------------------------------------------------------------- */

static uint32_t stop;
static uint64_t turns[5];

static void *spins(void *arg)
{
	uint64_t *n = arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
		gh_yield();
	}
	return NULL;
}

static void *counts(void *arg)
{
	for (int i = 0; i < 200; i++)
		gh_yield();
	return arg;
}

/* Those of a lower priority get on while others of a higher one could always run. */
static void ages(int above, int below)
{
	enum { MANY = 24 };
	gh_task *t[MANY], *waits[4];
	stop = 0;
	memset(turns, 0, sizeof(turns));
	for (int i = 0; i < MANY; i++)
		t[i] = start(spins, &turns[above + 2], above);
	for (int i = 0; i < 4; i++)
		waits[i] = start(counts, NULL, below);
	for (int i = 0; i < 4; i++)
		RC(0, gh_task_join_until(waits[i], NULL, gh_after(LIMIT)));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < MANY; i++)
		RC(0, gh_task_join(t[i], NULL));
	/* Not before those above have had many more turns: 4 x 200 here. */
	CHECK(turns[above + 2] > 3 * 800);
}

/* All five at once, without end: each has turns, the more the higher it stands. */
static void shares(void)
{
	gh_task *t[5][16];
	stop = 0;
	memset(turns, 0, sizeof(turns));
	for (int level = 0; level < 5; level++)
		for (int i = 0; i < 16; i++)
			t[level][i] = start(spins, &turns[level], level - 2);
	for (int level = 0; level < 5; level++) /* from when all are there */
		__atomic_store_n(&turns[level], 0, __ATOMIC_RELAXED);
	gh_time limit = gh_after(LIMIT);
	while (__atomic_load_n(&turns[0], __ATOMIC_RELAXED) < 2000 && gh_now() < limit)
		gh_sleep(GH_MS(1));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int level = 0; level < 5; level++)
		for (int i = 0; i < 16; i++)
			RC(0, gh_task_join(t[level][i], NULL));
	CHECK(turns[0] >= 2000);
	bool more = turns[4] > turns[3] && turns[3] > turns[1] && turns[2] > turns[1];
	CHECK(more);
	if (!more)
		printf("%lu %lu %lu %lu %lu\n", turns[0], turns[1], turns[2], turns[3], turns[4]);
}

/* ---- pinning -------------------------------------------------------------------------------- */

enum { MAX_SLOTS = 64 };
static struct {
	uint64_t turns, pad[7];
} on[MAX_SLOTS];

/* At a place where it has just come back: on its slot, or, when that was taken from it just now, on
 * none. */
static int there(int slot)
{
	int is = gh_slot();
	QUIET(is == slot || is == -ENOENT);
	return is == slot;
}

static gh_chan *channel;

static void *pinned(void *arg)
{
	int slot = (int)(intptr_t)arg, rounds = 0, fds[2];
	int v = slot;
	QUIET(pipe(fds) == 0);
	there(slot);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		switch (rounds++ % 8) {
		case 0:
			gh_sleep(GH_US(50));
			break;
		case 1:
			QRC(0, gh_chan_send(channel, &v));
			break;
		case 2:
			QRC(0, gh_chan_recv(channel, &v));
			break;
		case 3:
			QUIET(write(fds[1], "x", 1) == 1);
			QUIET(read(fds[0], &v, 1) == 1);
			break;
		case 4:
			poll(NULL, 0, rounds % 64 ? 0 : 1);
			break;
		default:
			gh_yield();
		}
		if (there(slot))
			__atomic_fetch_add(&on[slot].turns, 1, __ATOMIC_RELAXED);
	}
	close(fds[0]);
	close(fds[1]);
	return NULL;
}

static void *moves(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg * 2654435761u;
	unsigned n = slots();
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		rnd = rnd * 1664525u + 1013904223u;
		int to = (int)((rnd >> 8) % n);
		QRC(0, gh_task_pin(to));
		there(to);
		gh_yield();
		there(to);
		if (rnd >> 30 == 0)
			gh_sleep(GH_US(20));
		there(to);
		if (rnd >> 29 == 1)
			QRC(0, gh_task_unpin());
		gh_yield();
		QRC(0, gh_task_set_priority(gh_task_self(), (int)((rnd >> 16) % 5) - 2));
	}
	return NULL;
}

static void *blocks(void *arg)
{
	int slot = (int)(intptr_t)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		gh_blocking_begin();
		gh_time until = gh_after(GH_MS(3));
		while (gh_now() < until)
			;
		gh_blocking_end();
		gh_sleep(GH_MS(5));
		there(slot);
	}
	return NULL;
}

static gh_task *start_pinned(gh_fn fn, int slot, int priority)
{
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .slot = (unsigned)slot,
			  .priority = priority};
	gh_task *t = gh_task_spawn(fn, (void *)(intptr_t)slot, &o);
	QUIET(t);
	return t;
}

/* One at a time by construction: a counter without a lock between those of one slot. */
static void *one_at_a_time(void *arg)
{
	int slot = (int)(intptr_t)arg;
	for (int i = 0; i < 2000; i++) {
		there(slot);
		__atomic_fetch_add(&on[slot].turns, 1, __ATOMIC_RELAXED);
		gh_yield();
	}
	return NULL;
}

/* An idle slot is woken for those pinned to it, from another slot and from a kernel thread. */
static void *echo(void *arg)
{
	gh_chan **c = arg;
	int v;
	int slot = -1;
	while (gh_chan_recv(c[0], &v) == 0) {
		if (slot < 0)
			slot = gh_slot();
		QUIET(slot < 0 || gh_slot() == slot || gh_slot() == -ENOENT);
		QRC(0, gh_chan_send(c[1], &v));
	}
	return NULL;
}

static void *asks(void *arg)
{
	gh_chan **c = arg;
	for (int i = 0; i < 3000; i++) {
		int v = i, back = -1;
		QRC(0, gh_chan_send(c[0], &v));
		QRC(0, gh_chan_recv_until(c[1], &back, gh_after(LIMIT)));
		QRC(i, back);
		if (i % 100 == 0)
			gh_sleep(GH_MS(1)); /* all fall asleep */
	}
	return NULL;
}

static void pin_wakes(void)
{
	int n = (int)slots();
	for (int to = 0; to < n; to++) {
		gh_chan *c[2] = {gh_chan_new(sizeof(int), 1), gh_chan_new(sizeof(int), 1)};
		gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .slot = (unsigned)to};
		gh_task *e = gh_task_spawn(echo, c, &o);
		o.slot = (unsigned)(n - 1 - to);
		gh_task *a = gh_task_spawn(asks, c, to % 2 ? &o : NULL);
		RC(0, gh_task_join_until(a, NULL, gh_after(LIMIT)));
		gh_chan_close(c[0]);
		RC(0, gh_task_join(e, NULL));
		gh_chan_unref(c[0]);
		gh_chan_unref(c[1]);
	}
}

static void pin(void)
{
	int n = (int)slots() < MAX_SLOTS ? (int)slots() : MAX_SLOTS;
	gh_task *t[MAX_SLOTS][4];
	pin_wakes();
	for (int s = 0; s < n; s++)
		for (int i = 0; i < 4; i++)
			t[s][i] = start_pinned(one_at_a_time, s, i - 1);
	for (int s = 0; s < n; s++)
		for (int i = 0; i < 4; i++)
			RC(0, gh_task_join_until(t[s][i], NULL, gh_after(LIMIT)));
	for (int s = 0; s < n; s++)
		RC(4 * 2000, on[s].turns);
}

/* Of one level, those pinned to a slot and those of all take turns on it. */
static void shares_of_one_level(int level, bool few_pinned)
{
	enum { MANY = 24 };
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .priority = level};
	gh_task *t[MANY], *waits[4];
	stop = 0;
	memset(turns, 0, sizeof(turns));
	for (int i = 0; i < MANY; i++)
		t[i] = few_pinned ? start(spins, &turns[0], level)
				  : gh_task_spawn(spins, &turns[0], &o);
	for (int i = 0; i < 4; i++)
		waits[i] =
		    few_pinned ? gh_task_spawn(counts, NULL, &o) : start(counts, NULL, level);
	for (int i = 0; i < 4; i++)
		RC(0, gh_task_join_until(waits[i], NULL, gh_after(LIMIT)));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < MANY; i++)
		RC(0, gh_task_join(t[i], NULL));
}

/* A task that blocks in ways that nobody sees: the slot goes on, and those pinned to it too. */
static void *hangs(void *arg)
{
	char c;
	gh_blocking_begin();
	CHECK(read(*(int *)arg, &c, 1) == 1);
	gh_blocking_end();
	gh_yield();
	return NULL;
}

static void pin_goes_with_the_slot(void)
{
	int fds[2];
	CHECK(pipe(fds) == 0);
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .slot = slots() - 1};
	gh_task *h = gh_task_spawn(hangs, &fds[0], &o);
	on[slots() - 1].turns = 0;
	gh_task *t = start_pinned(one_at_a_time, (int)slots() - 1, 0);
	RC(0, gh_task_join_until(t, NULL, gh_after(LIMIT)));
	CHECK(write(fds[1], "x", 1) == 1);
	RC(0, gh_task_join(h, NULL));
	close(fds[0]);
	close(fds[1]);
}

/* The child of one that is pinned is not: its slots are others. */
static void *forks(void *arg)
{
	int status = -1, is = 99;
	pid_t child = fork();
	if (child == 0) {
		check_failures = 0;
		QRC(0, gh_task_join(start(answers_only, (void *)1, 1), NULL));
		QRC(0, gh_task_get_priority(gh_task_self(), &is));
		QRC(GH_PRIORITY_HIGH, is);
		QRC(0, gh_task_pin(0));
		gh_yield();
		_exit(check_failures);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	there((int)slots() - 1);
	return arg;
}

static void *computes(void *arg)
{
	int *due = arg;
	gh_time limit = gh_after(LIMIT);
	while (!__atomic_load_n(due, __ATOMIC_RELAXED) && gh_now() < limit)
		if (gh_yield_if_due())
			__atomic_store_n(due, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void budget(void)
{
	int due = 0;
	RC(0, gh_yield_if_due());
	RC(0, gh_task_join(gh_task_spawn(computes, &due, NULL), NULL));
	RC(1, due);
}

/* ---- groups --------------------------------------------------------------------------------- */

static volatile int none;

static int fails(void *arg)
{
	if (arg)
		*(volatile int *)(intptr_t)none = 1;
	gh_panic("in a group that recovers");
}

static int works(void *arg)
{
	int r = gh_sleep(arg ? GH_S(60) : GH_MS(1));
	return r;
}

static void groups(void)
{
	gh_group *g = gh_group_new(NULL, GH_GROUP_RECOVER);
	gh_group *part = gh_group_new(g, GH_GROUP_CANCEL_ON_ERROR);
	RC(0, gh_group_spawn(g, works, NULL, NULL));
	RC(0, gh_group_wait(g));
	RC(0, gh_group_spawn(g, works, NULL, NULL));
	RC(0, gh_group_spawn(g, fails, NULL, NULL));
	RC(-ENOTRECOVERABLE, gh_group_wait(g));
	RC(0, gh_group_spawn(g, fails, g, NULL));
	RC(-ENOTRECOVERABLE, gh_group_wait(g));
	/* A part has its parent's policy, and its own for the others. */
	RC(0, gh_group_spawn(part, works, part, NULL));
	RC(0, gh_group_spawn(part, fails, NULL, NULL));
	RC(-ENOTRECOVERABLE, gh_group_wait(part));
	RC(0, gh_group_free(part));
	RC(0, gh_group_free(g));
	g = gh_group_new(NULL, 0);
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_RECOVER};
	RC(0, gh_group_spawn(g, fails, NULL, &o));
	RC(-ENOTRECOVERABLE, gh_group_wait(g));
	RC(0, gh_group_free(g));
}

/* The policy of a group is its members', not that of all: the process ends. */
static void others_end(void)
{
	gh_group *g = gh_group_new(NULL, 0), *recovers = gh_group_new(NULL, GH_GROUP_RECOVER);
	RC(0, gh_group_spawn(recovers, works, NULL, NULL));
	RC(0, gh_group_wait(recovers));
	RC(0, gh_group_spawn(g, fails, NULL, NULL));
	RC(0, gh_group_wait(g));
}

/* ---- all at once ---------------------------------------------------------------------------- */

static void *green_pthread(void *arg)
{
	return spins(arg);
}

static void stress(int seconds)
{
	enum { PER_SLOT = 4, MOVERS = 12 };
	int n = (int)slots() < MAX_SLOTS ? (int)slots() : MAX_SLOTS;
	gh_task *t[MAX_SLOTS][PER_SLOT + 1], *m[MOVERS], *l[5];
	pthread_t p[2];
	stop = 0;
	memset(turns, 0, sizeof(turns));
	memset(on, 0, sizeof(on));
	channel = gh_chan_new(sizeof(int), 100000);
	for (int s = 0; s < n; s++) {
		for (int i = 0; i < PER_SLOT; i++)
			t[s][i] = start_pinned(pinned, s, i - 2);
		t[s][PER_SLOT] = start_pinned(blocks, s, 0);
	}
	for (int i = 0; i < MOVERS; i++)
		m[i] = start(moves, (void *)(intptr_t)(i + 1), 0);
	for (int i = 0; i < 5; i++)
		l[i] = start(spins, &turns[i], i - 2);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&p[i], NULL, green_pthread, &turns[2]) == 0);
	gh_time end = gh_after(GH_S(seconds)), look = gh_after(0);
	uint64_t before[MAX_SLOTS] = {0}, seen[5] = {0};
	while (gh_now() < end) {
		look += GH_S(seconds > 20 ? 20 : seconds);
		gh_sleep_until(look < end ? look : end);
		for (int s = 0; s < n; s++) { /* each slot gets on, and each level */
			CHECK(on[s].turns > before[s]);
			before[s] = on[s].turns;
		}
		for (int i = 0; i < 5; i++) {
			uint64_t now = __atomic_load_n(&turns[i], __ATOMIC_RELAXED);
			CHECK(now > seen[i]);
			seen[i] = now;
		}
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 5; i++)
		RC(0, gh_task_join_until(l[i], NULL, gh_after(LIMIT)));
	for (int i = 0; i < 2; i++)
		pthread_join(p[i], NULL);
	for (int i = 0; i < MOVERS; i++)
		RC(0, gh_task_join_until(m[i], NULL, gh_after(LIMIT)));
	for (int s = 0; s < n; s++) {
		for (int i = 0; i <= PER_SLOT; i++)
			RC(0, gh_task_join_until(t[s][i], NULL, gh_after(LIMIT)));
	}
	gh_chan_unref(channel);
}

static void on_kernel_threads(void)
{
	int is = 99;
	RC(-EPERM, gh_start());
	RC(-EPERM, gh_task_pin(0));
	RC(-EPERM, gh_task_unpin());
	RC(-EPERM, gh_slot());
	RC(0, gh_yield_if_due());
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED};
	CHECK(!gh_task_spawn(answers_only, NULL, &o) && errno == EINVAL);
	RC(0, gh_task_join(start(answers_only, NULL, GH_PRIORITY_HIGH), NULL));
	gh_task *t = start(answers_only, NULL, GH_PRIORITY_LOW);
	int r = gh_task_get_priority(t, &is);
	CHECK(r == -ESRCH || (r == 0 && is == 0));
	RC(0, gh_task_join(t, NULL));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "kernel")) {
		on_kernel_threads();
	} else {
		RC(0, gh_start());
		if (!strcmp(what, "pin")) {
			pin();
			pin_goes_with_the_slot();
			RC(0, gh_task_join(start_pinned(forks, (int)slots() - 1, 1), NULL));
			for (int level = -2; level <= 2; level++) {
				shares_of_one_level(level, true);
				shares_of_one_level(level, false);
			}
		} else if (!strcmp(what, "stress")) {
			stress(atoi(argv[2]));
		} else if (!strcmp(what, "end")) {
			others_end();
		} else {
			answers();
			in_order();
			changed();
			ages(GH_PRIORITY_NORMAL, GH_PRIORITY_LOW);
			ages(GH_PRIORITY_NORMAL, GH_PRIORITY_LOWEST);
			ages(GH_PRIORITY_HIGHEST, GH_PRIORITY_NORMAL);
			ages(GH_PRIORITY_HIGH, GH_PRIORITY_LOWEST);
			shares();
			budget();
			groups();
		}
	}
	return check_done();
}
