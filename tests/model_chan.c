/* Explores protocol 5, channels and select (src/proto/chan_core.h, docs/channels.md): two channels,
 * parties of one and of two nodes, a timer, a close.
 *
 * Owns: the model of calls on channels, with park_word.h under them.  Called by: model_main.c. Must
 * not know: memory orders, schedules.
 *
 * Claims: what was sent is received once, or lies in a ring; what was not sent is not received;
 * nobody sleeps beside somebody whom he could meet; a party is not touched once its call is over,
 * nor is the memory that it gave; an end by time loses nothing.
 */
#include "src/proto/park_word.h"
#include "tests/models.h"

#include <string.h>

enum { THREADS = 4, TIMER = 3, CHANNELS = 2, CASES = 2, PEER = 1, TIME = 2 };

struct ghi_party {
	uint32_t claimed, wake;
	struct model_gate runnable;
	bool over; /* ghost */
};
struct wakes {
	struct ghi_party *ready[THREADS * CASES], *late[THREADS * CASES];
	int n, late_n;
	void *to;
	const void *from;
};

static void copy(struct wakes *w, void *to, const void *from);
static void wake(struct ghi_party *p, struct wakes *w);
#define GHI_CHAN_COPY(to, from, n) copy(arg_of(), to, from)
#define GHI_CHAN_WAKE(party, arg)  wake(party, arg)
static struct wakes *arg_of(void);
#include "src/proto/chan_core.h"

struct op {
	int channel;
	bool sends;
};
/* What each thread does: up to two cases; none of it: the timer, or a close of channel 0. */
struct script {
	struct op op[CASES];
	int n;
	bool timed, closes;
};
#define RECV(c)                                                                                    \
	{                                                                                          \
		.channel = (c)                                                                     \
	}
#define SEND(c)                                                                                    \
	{                                                                                          \
		.channel = (c), .sends = true                                                      \
	}
#define ONE(a, ...)                                                                                \
	{                                                                                          \
		.op = {a}, .n = 1, __VA_ARGS__                                                     \
	}
#define TWO(a, b, ...)                                                                             \
	{                                                                                          \
		.op = {a, b}, .n = 2, __VA_ARGS__                                                  \
	}
/* clang-format off */
static const struct script scripts[][3] = {
    /* a select that two senders and the timer find at once */
    {TWO(RECV(0), RECV(1), .timed = true), ONE(SEND(0)), ONE(SEND(1))},
    /* two selects that only meet each other, and a third party */
    {TWO(RECV(0), RECV(1)), TWO(SEND(1), SEND(0), .timed = true), ONE(RECV(0))},
    /* a close beside a select and a sender */
    {TWO(RECV(0), RECV(1)), {.closes = true}, ONE(SEND(0), .timed = true)},
    /* a receiver that may give up, and two who want to send: the ring is passed on */
    {ONE(RECV(0), .timed = true), ONE(SEND(0)), ONE(SEND(0))},
};
/* clang-format on */
enum { SCRIPTS = sizeof(scripts) / sizeof(scripts[0]) };

static struct {
	struct ghi_party party[THREADS];
	struct ghi_chan_node node[THREADS][CASES];
	uint32_t slot[THREADS][CASES]; /* plain */
	uint32_t ring[CHANNELS];       /* plain */
	uint32_t stack[THREADS];       /* plain */
	struct ghi_chan_core chan[CHANNELS];
	struct model_lock lock[CHANNELS], timer;
	struct wakes wakes[THREADS];
	/* ghost */
	const struct script *script;
	bool listed[THREADS], done[THREADS];
	int sent, got; /* bit per thread that sends */
} s;

static struct wakes *arg_of(void)
{
	return &s.wakes[model_running];
}

static void setup(void)
{
	memset(&s, 0, sizeof(s));
	s.script = scripts[model_choose(SCRIPTS)];
	size_t limit = (size_t)model_choose(2);
	for (int c = 0; c < CHANNELS; c++)
		s.chan[c] = (struct ghi_chan_core){.size = sizeof(uint32_t),
						   .limit = limit,
						   .room = limit,
						   .ring = (char *)&s.ring[c]};
	model_name(s.ring, sizeof(s.ring), "ring");
	model_name(s.slot, sizeof(s.slot), "slot");
}

static void copy_now(void *to, const void *from)
{
	plain_write((uint32_t *)to, plain_read((const uint32_t *)from));
}

static bool in_a_frame(const void *p)
{
	return p >= (void *)s.slot && p < (void *)(&s.slot[THREADS - 1][CASES - 1] + 1);
}

static void copy(struct wakes *w, void *to, const void *from)
{
	if (model_mutated("P4 before P3") && in_a_frame(to) && in_a_frame(from))
		w->to = to, w->from = from;
	else
		copy_now(to, from);
}

static void notify(struct ghi_party *p, struct wakes *w)
{
	enum ghi_notify got = ghi_wake_notify(&p->wake, PEER);
	model_assert(!p->over); /* before the sleeper's next step */
	if (got == GHI_NOTIFY_WON_READY)
		w->ready[w->n++] = p;
}

static void wake(struct ghi_party *p, struct wakes *w)
{
	if (model_mutated("P5 before P4"))
		w->late[w->late_n++] = p;
	else
		notify(p, w);
	if (w->to)
		copy_now(w->to, w->from);
	w->to = NULL;
}

static void after_unlock(struct wakes *w)
{
	for (int i = 0; i < w->late_n; i++)
		notify(w->late[i], w);
	for (int i = 0; i < w->n; i++)
		model_post(&w->ready[i]->runnable);
	w->n = w->late_n = 0;
}

static enum ghi_chan_did try(int self, int i)
{
	const struct op *op = &s.script[self].op[i];
	struct ghi_chan_core *c = &s.chan[op->channel];
	return op->sends ? ghi_chan_send(c, &s.slot[self][i], &s.wakes[self])
			 : ghi_chan_recv(c, &s.slot[self][i], &s.wakes[self]);
}

static void lock_all(int self, bool lock)
{
	bool uses[CHANNELS] = {false};
	for (int i = 0; i < s.script[self].n; i++)
		uses[s.script[self].op[i].channel] = true;
	for (int c = 0; c < CHANNELS; c++)
		if (uses[c])
			lock ? model_lock(&s.lock[c]) : model_unlock(&s.lock[c]);
}

static void join(int self, int i)
{
	const struct op *op = &s.script[self].op[i];
	struct ghi_chan_node *n = &s.node[self][i];
	n->party = &s.party[self];
	n->slot = &s.slot[self][i];
	n->index = (uint32_t)i;
	ghi_chan_join(&s.chan[op->channel], n, op->sends);
}

/* S3, S4: what was done at once, or GHI_CHAN_WAIT: it is in all queues. */
static enum ghi_chan_did meet_or_join(int self, int *which)
{
	const struct script *me = &s.script[self];
	enum ghi_chan_did did = GHI_CHAN_WAIT;
	int first = me->n > 1 ? model_choose(me->n) : 0;

	if (model_mutated("S3 one after the other")) {
		for (int i = 0; i < me->n && did == GHI_CHAN_WAIT; i++) {
			model_lock(&s.lock[me->op[i].channel]);
			did = try(self, *which = i);
			model_unlock(&s.lock[me->op[i].channel]);
			after_unlock(&s.wakes[self]);
		}
		for (int i = 0; i < me->n && did == GHI_CHAN_WAIT; i++) {
			model_lock(&s.lock[me->op[i].channel]);
			join(self, i);
			model_unlock(&s.lock[me->op[i].channel]);
		}
		return did;
	}
	lock_all(self, true);
	if (!model_mutated("S3 does not try"))
		for (int i = 0; i < me->n && did == GHI_CHAN_WAIT; i++)
			did = try(self, *which = (first + i) % me->n);
	for (int i = 0; i < me->n && did == GHI_CHAN_WAIT; i++)
		join(self, i);
	lock_all(self, false);
	after_unlock(&s.wakes[self]);
	return did;
}

static void timer_list(int self, bool listed)
{
	model_lock(&s.timer);
	s.listed[self] = listed;
	model_unlock(&s.timer);
}

static uint32_t park(int self)
{
	struct ghi_party *p = &s.party[self];
	if (s.script[self].timed)
		timer_list(self, true);
	if (!ghi_wake_notified(&p->wake)) {
		plain_write(&s.stack[self], 1u);
		if (!ghi_wake_commit(&p->wake))
			model_post(&p->runnable);
		model_wait_moved(&p->runnable);
	}
	uint32_t reason = ghi_wake_take(&p->wake);
	if (s.script[self].timed)
		timer_list(self, false);
	return reason;
}

static void leave(int self)
{
	for (int i = 0; i < s.script[self].n; i++) {
		struct model_lock *l = &s.lock[s.script[self].op[i].channel];
		model_lock(l);
		ghi_chan_part(&s.node[self][i]);
		model_unlock(l);
	}
}

static void finish(int self, bool served, int i)
{
	const struct script *me = &s.script[self];
	int value = served ? (int)plain_read(&s.slot[self][i]) : 0;

	if (served && me->op[i].sends) {
		s.sent |= 1 << self;
	} else if (served) {
		model_assert(value > 0 && value <= THREADS);
		model_assert(!(s.got & 1 << (value - 1)));
		s.got |= 1 << (value - 1);
	}
	/* The call is over, and its frame is used for something else. */
	for (int k = 0; k < me->n; k++) {
		model_assert(!s.node[self][k].link.next);
		plain_write(&s.slot[self][k], 99u);
	}
	s.party[self].over = true;
	s.done[self] = true;
}

static void call(int self)
{
	const struct script *me = &s.script[self];
	int which = 0;

	for (int i = 0; i < me->n; i++)
		plain_write(&s.slot[self][i], me->op[i].sends ? (uint32_t)self + 1 : 0u);
	ghi_wake_arm(&s.party[self].wake); /* S2 */
	enum ghi_chan_did did = meet_or_join(self, &which);
	if (did != GHI_CHAN_WAIT) {
		ghi_wake_take(&s.party[self].wake);
		finish(self, did == GHI_CHAN_DONE, which);
		return;
	}
	uint32_t reason = park(self); /* S5 */
	bool last_touch = me->n == 1 && reason == PEER;
	if (!last_touch && !(reason == TIME && model_mutated("S6 skipped after a deadline")) &&
	    !(me->n > 1 && reason == PEER && model_mutated("S6 skipped by a select")))
		leave(self);
	uint32_t claimed = ghi_party_claimed(&s.party[self]); /* S7 */
	if (reason == TIME && model_mutated("S7 skipped after a deadline"))
		claimed = 0;
	model_assert(claimed || reason == TIME);
	which = claimed ? (int)claimed - 1 : 0;
	finish(self, claimed && !s.node[self][which].closed, which);
}

static bool worth_a_try(int arg)
{
	bool all_done = arg == 0;
	for (int t = 0; t < TIMER; t++) {
		if (s.script[t].timed && s.listed[t])
			return true;
		all_done &= s.done[t] || !s.script[t].timed;
	}
	return all_done;
}

static void timer(void)
{
	struct ghi_party *ready = NULL;
	model_block(worth_a_try, 0);
	model_lock(&s.timer);
	for (int t = 0; t < TIMER; t++) {
		if (!s.listed[t])
			continue;
		s.listed[t] = false;
		if (ghi_wake_notify(&s.party[t].wake, TIME) == GHI_NOTIFY_WON_READY)
			ready = &s.party[t];
	}
	model_unlock(&s.timer);
	if (ready)
		model_post(&ready->runnable);
}

static void close_first(int self)
{
	model_lock(&s.lock[0]);
	if (model_mutated("close wakes nobody"))
		s.chan[0].closed = true;
	else
		ghi_chan_close(&s.chan[0], &s.wakes[self]);
	model_unlock(&s.lock[0]);
	after_unlock(&s.wakes[self]);
	s.done[self] = true;
}

static void thread(int self)
{
	if (self == TIMER)
		timer();
	else if (s.script[self].closes)
		close_first(self);
	else
		call(self);
}

/* Nodes in a queue whose party waits; the party of the first one. */
static int waiting(const struct ghi_list *queue, const struct ghi_party **ret)
{
	int n = 0;
	*ret = NULL;
	for (const struct ghi_list *l = queue->next; l && l != queue; l = l->next) {
		const struct ghi_chan_node *node = ghi_container(l, struct ghi_chan_node, link);
		model_assert(!node->party->over);
		if (node->party->claimed)
			continue;
		*ret = *ret ? *ret : node->party;
		n++;
	}
	return n;
}

static void final(void)
{
	int in_rings = 0;
	for (int c = 0; c < CHANNELS; c++) {
		const struct ghi_chan_core *ch = &s.chan[c];
		const struct ghi_party *sender, *receiver;
		int sends = waiting(&ch->senders, &sender),
		    gets = waiting(&ch->receivers, &receiver);
		model_assert(!(sends && gets) || sender == receiver);
		model_assert(!gets || !ch->count);
		model_assert(!sends || ch->count == ch->limit);
		model_assert(!ch->closed || (!sends && !gets));
		if (ch->count)
			in_rings |= 1 << (s.ring[c] - 1);
	}
	model_assert(!(s.got & in_rings));
	model_assert((s.got | in_rings) == s.sent);
	for (int t = 0; t < TIMER; t++) /* who was served does not sleep */
		model_assert(s.done[t] || !s.party[t].claimed);
}

static const struct model_mutant mutants[] = {
    {"P2 claim not atomic", "ghi_party_claim", NULL, MODEL_CAS, MODEL_SPLIT},
    {.name = "P4 before P3"},
    {.name = "P5 before P4"},
    {.name = "S3 one after the other"},
    {.name = "S3 does not try"},
    {.name = "S6 skipped after a deadline"},
    {.name = "S6 skipped by a select"},
    {.name = "S7 skipped after a deadline"},
    {.name = "close wakes nobody"},
    {.name = NULL},
};

const struct model model_chan = {
    .name = "chan",
    .threads = THREADS,
    .may_sleep = 1 << 0 | 1 << 1 | 1 << 2,
    .preemptions = 2,
    .late = 1,
    .setup = setup,
    .thread = thread,
    .final = final,
    .mutants = mutants,
};
