/* Select over channels, descriptors and points in time; see include/greenhook/chan.h and
 * docs/channels.md.
 *
 * Owns: the order in which cases are tried and channels are locked.  Called by: programs.  Must not
 * know: what a channel holds.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "src/native/chan.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/poller.h"
#include "src/sanitizer.h"

enum { ON_STACK = 4, MOST = 16384, NONE = -1 };

/* Per case, in one block of memory. */
struct room {
	gh_chan *chan;		   /* those that are used, each once, by address */
	struct ghi_chan_node node; /* of the case itself */
	struct pollfd poll;	   /* of the descriptors, in the order of the cases; one more */
	uint32_t order;		   /* a permutation of the cases that may be ready */
};

struct select {
	gh_case *cases;
	size_t n;
	struct room *room;
	struct ghi_pollset *set; /* of a gthread, when there are descriptors */
	size_t active, chans, fds;
	struct ghi_party party;
	gh_chan *grow;	    /* an unbounded one that needs a larger ring */
	uint64_t first_due; /* of the cases */
	uint64_t now;
};

static bool on_chan(const gh_case *c)
{
	return c->op == GH_CASE_SEND || c->op == GH_CASE_RECV;
}

static bool on_fd(const gh_case *c)
{
	return c->op == GH_CASE_READABLE || c->op == GH_CASE_WRITABLE;
}

/* What is known about a case before anything happens: 0, -EINVAL. */
static int admit(struct select *s, size_t i)
{
	const gh_case *c = &s->cases[i];

	if (c->op < GH_CASE_SEND || c->op > GH_CASE_TIME)
		return ghi_misuse("gh_select", -EINVAL, "case %lu has no meaning",
				  (unsigned long)i);
	s->room[i].node.link.next = NULL;
	if ((on_chan(c) && !c->chan) || (on_fd(c) && c->fd < 0))
		return 0;
	if (on_chan(c)) {
		if (!ghi_chan_good(c->chan) ||
		    (c->op == GH_CASE_SEND && !c->element && c->chan->core.size))
			return ghi_misuse(
			    "gh_select", -EINVAL,
			    "case %lu: its channel was given up, or it sends from NULL",
			    (unsigned long)i);
		s->room[s->chans++].chan = c->chan;
	} else if (on_fd(c)) {
		s->room[i].node.index = (uint32_t)s->fds;
		s->room[s->fds++].poll = (struct pollfd){
		    .fd = c->fd, .events = c->op == GH_CASE_READABLE ? POLLIN : POLLOUT};
	} else if (ghi_native_deadline(c->at) < s->first_due) {
		s->first_due = ghi_native_deadline(c->at);
	}
	s->room[s->active++].order = (uint32_t)i;
	return 0;
}

/* By address, each once.  Shell's: in place, and no call of libc's that may allocate. */
static void sort_chans(struct select *s)
{
	struct room *r = s->room;
	size_t n = s->chans, kept = 0;

	for (size_t gap = n / 2; gap; gap /= 2)
		for (size_t i = gap; i < n; i++) {
			gh_chan *c = r[i].chan;
			size_t k = i;
			for (; k >= gap && (uintptr_t)r[k - gap].chan > (uintptr_t)c; k -= gap)
				r[k].chan = r[k - gap].chan;
			r[k].chan = c;
		}
	for (size_t i = 0; i < n; i++)
		if (!kept || r[kept - 1].chan != r[i].chan)
			r[kept++].chan = r[i].chan;
	s->chans = kept;
}

static void shuffle(struct select *s)
{
	struct room *r = s->room;
	for (size_t left = s->active; left > 1; left--) {
		size_t k = ghi_chan_random() % left;
		uint32_t last = r[left - 1].order;
		r[left - 1].order = r[k].order;
		r[k].order = last;
	}
}

/* ---- descriptors and time ----------------------------------------------------------------------
 */

/* (F1) of fdtab.h for each, then asks the kernel. */
static void look(struct select *s)
{
	struct timespec none = {0, 0};

	s->now = s->first_due != GHI_NEVER ? ghi_now() : 0;
	for (size_t i = 0; s->set && i < s->fds; i++) {
		struct ghi_pollset_fd *p = &s->set->fds[i];
		struct ghi_fd *e = ghi_fd_get(s->room[i].poll.fd);
		*p = (struct ghi_pollset_fd){
		    .fd = s->room[i].poll.fd,
		    .dirs = 1u << (s->room[i].poll.events == POLLIN ? GHI_RD : GHI_WR)};
		if (!e)
			continue;
		p->seq[GHI_RD] = load_acquire(&e->seq[GHI_RD]);
		p->seq[GHI_WR] = load_acquire(&e->seq[GHI_WR]);
	}
	/* One by one: the array of the kernel's is not ours, and nearly always there is one. */
	for (size_t i = 0; i < s->fds; i++) {
		long r;
		do /* a kick may come in it */
			r = ghi_sys(SYS_ppoll, &s->room[i].poll, 1, &none, NULL, 8);
		while (r == -EINTR);
		if (r <= 0)
			s->room[i].poll.revents = 0;
	}
}

/* The answer for a descriptor's case, which keeps in its node where it is; 0: it is not ready. */
static int fd_answer(const struct select *s, size_t i)
{
	short got = s->room[s->room[i].node.index].poll.revents;
	return got & POLLNVAL ? -EBADF : got;
}

/* ---- channels ----------------------------------------------------------------------------------
 */

static bool try(struct select *s, size_t i, struct ghi_gthread **ret_ready)
{
	gh_case *c = &s->cases[i];

	if (on_fd(c))
		return (c->result = fd_answer(s, i)) != 0;
	if (c->op == GH_CASE_TIME) {
		c->result = 0;
		return ghi_native_deadline(c->at) <= s->now;
	}
	struct ghi_chan_core *k = &c->chan->core;
	enum ghi_chan_did did = c->op == GH_CASE_SEND ? ghi_chan_send(k, c->element, ret_ready)
						      : ghi_chan_recv(k, c->element, ret_ready);
	if (did == GHI_CHAN_GROW)
		s->grow = c->chan;
	c->result = did == GHI_CHAN_CLOSED ? -EPIPE : 0;
	return did == GHI_CHAN_DONE || did == GHI_CHAN_CLOSED;
}

static void join(struct select *s, size_t i)
{
	gh_case *c = &s->cases[i];
	struct ghi_chan_node *n = &s->room[i].node;

	if (!on_chan(c))
		return;
	*n = (struct ghi_chan_node){.party = &s->party, .slot = c->element, .index = (uint32_t)i};
	ghi_chan_join(&c->chan->core, n, c->op == GH_CASE_SEND);
}

/* (S3), and (S4) when it waits: the case that was done, or NONE. */
static int meet(struct select *s, bool waits)
{
	struct ghi_gthread *ready = NULL;
	int done = NONE;

	s->grow = NULL;
	shuffle(s);
	for (size_t i = 0; i < s->chans; i++)
		ghi_chan_lock(s->room[i].chan);
	for (size_t i = 0; i < s->active && done == NONE && !s->grow; i++)
		if (try(s, s->room[i].order, &ready))
			done = (int)s->room[i].order;
	for (size_t i = 0; i < s->active && done == NONE && waits && !s->grow; i++)
		join(s, s->room[i].order);
	for (size_t i = s->chans; i-- > 0;)
		ghi_unlock(&s->room[i].chan->lock);
	ghi_ready_batch(ready);
	return done;
}

/* (S6) */
static void part(struct select *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!on_chan(&s->cases[i]) || !s->cases[i].chan)
			continue;
		ghi_chan_lock(s->cases[i].chan);
		ghi_chan_part(&s->room[i].node);
		ghi_unlock(&s->cases[i].chan->lock);
	}
}

/* ---- waiting -----------------------------------------------------------------------------------
 */

/* A kernel thread, in poll(): the eventfd stands for its wake word. */
static uint32_t park_in_poll(struct select *s, struct pollfd *p, uint64_t deadline)
{
	if (ghi_tls.kwait) /* nobody tells of a request */
		deadline = deadline < ghi_deadline_in(20 * GHI_MS) ? deadline
								   : ghi_deadline_in(20 * GHI_MS);
	uint64_t now = ghi_now();
	struct timespec ts = ghi_ns_to_ts(deadline > now ? deadline - now : 0);
	ghi_sys(SYS_ppoll, p, s->fds + 1, deadline == GHI_NEVER ? NULL : &ts, NULL, 8);
	return GHI_WOKEN_FD; /* look again */
}

static uint32_t park(struct select *s, uint64_t deadline, struct pollfd *p)
{
	if (p)
		return park_in_poll(s, p, deadline);
	if (!s->set)
		return ghi_party_park(&s->party, deadline);
	uint32_t wakeup;
	if (ghi_wait_set_join(s->party.g, s->set, &deadline)) {
		wakeup = ghi_wait_park_until(s->party.g, deadline);
	} else {
		struct ghi_gthread *none = NULL; /* as in ghi_wait_set */
		ghi_park_notify(s->party.g, GHI_WOKEN_FD, &none);
		wakeup = ghi_park(s->party.g);
	}
	ghi_wait_set_leave(s->set);
	return wakeup;
}

/* Once: an index, an error, or -EAGAIN: again. */
static int wait_held(struct select *s, uint64_t until, struct pollfd *p)
{
	int r;

	look(s);
	ghi_nosig_enter();
	if ((r = ghi_party_arm(&s->party, GHI_PARK_SELECT, s->cases))) {
		ghi_nosig_leave();
		return r == -EINTR ? -EAGAIN : r;
	}
	if (p)
		s->party.fd = p[s->fds].fd;
	if ((r = meet(s, true)) != NONE || s->grow) {
		ghi_party_disarm(&s->party);
		ghi_nosig_leave();
		return r != NONE ? r : -EAGAIN;
	}
	uint32_t wakeup = park(s, until < s->first_due ? until : s->first_due, p);
	part(s);
	uint32_t claimed = ghi_party_claimed(&s->party); /* (S7) */
	ghi_nosig_leave();
	if (claimed) {
		ghi_sanitizer_after(s->cases[claimed - 1].chan);
		s->cases[claimed - 1].result = s->room[claimed - 1].node.closed ? -EPIPE : 0;
		return (int)claimed - 1;
	}
	return ghi_wait_result(wakeup) == -ECANCELED ? -ECANCELED : -EAGAIN;
}

/* (S6) looks at channels that the peer may have dropped the last other reference of. */
static int wait(struct select *s, uint64_t until, struct pollfd *p)
{
	for (size_t i = 0; i < s->chans; i++)
		gh_chan_ref(s->room[i].chan);
	int r = wait_held(s, until, p);
	for (size_t i = 0; i < s->chans; i++)
		gh_chan_unref(s->room[i].chan);
	return r;
}

static int run(struct select *s, bool waits, uint64_t until, struct pollfd *p)
{
	int r;

	for (;;) {
		look(s);
		ghi_nosig_enter();
		r = meet(s, false);
		ghi_nosig_leave();
		if (r != NONE)
			return r;
		if (!s->grow && !waits)
			return -EAGAIN;
		if (!s->grow && ghi_native_past(until))
			return -ETIMEDOUT;
		if (!s->grow && (r = wait(s, until, p)) != -EAGAIN)
			return r;
		if (s->grow && (r = ghi_chan_grow(s->grow)))
			return r;
		if (waits && ghi_native_cancelled())
			return -ECANCELED;
	}
}

/* With room for what only some need: descriptors to wait for. */
static int run_with_fds(struct select *s, bool waits, uint64_t until)
{
	struct pollfd *p = NULL;
	int r;

	if (!s->fds || !waits)
		return run(s, waits, until, NULL);
	if (ghi_self()) {
		s->set = ghi_malloc(sizeof(*s->set) + s->fds * sizeof(s->set->fds[0]));
		if (!s->set)
			return -ENOMEM;
		s->set->n = (unsigned)s->fds;
		s->set->one = false;
		r = run(s, waits, until, NULL);
		ghi_free(s->set);
		return r;
	}
	if (!(p = ghi_malloc((s->fds + 1) * sizeof(*p))))
		return -ENOMEM;
	for (size_t i = 0; i < s->fds; i++)
		p[i] = s->room[i].poll;
	int fd = ghi_poller_move_up(ghi_sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
	p[s->fds] = (struct pollfd){.fd = fd, .events = POLLIN};
	r = fd < 0 ? fd : run(s, waits, until, p);
	if (fd >= 0)
		ghi_sys(SYS_close, fd);
	ghi_free(p);
	return r;
}

static int prepare_and_run(gh_case *cases, size_t n, bool waits, uint64_t until)
{
	struct room few[ON_STACK], *many = NULL;
	struct select s = {.cases = cases, .n = n, .room = few, .first_due = GHI_NEVER};
	int r = 0;

	ghi_native_attention();
	if (!cases && n)
		return ghi_misuse("gh_select", -EINVAL, "the cases are NULL");
	if (n > MOST)
		return -E2BIG;
	if (waits && ghi_native_cancelled())
		return -ECANCELED;
	if (n > ON_STACK && !(s.room = many = ghi_malloc(n * sizeof(*many))))
		return -ENOMEM;
	for (size_t i = 0; i < n && !r; i++)
		r = admit(&s, i);
	sort_chans(&s);
	if (!r)
		r = run_with_fds(&s, waits, until);
	ghi_free(many);
	return r;
}

int gh_select(gh_case *cases, size_t n)
{
	return prepare_and_run(cases, n, true, GHI_NEVER);
}

int gh_select_try(gh_case *cases, size_t n)
{
	return prepare_and_run(cases, n, false, 0);
}

int gh_select_until(gh_case *cases, size_t n, gh_time until)
{
	return prepare_and_run(cases, n, true, ghi_native_deadline(until));
}
