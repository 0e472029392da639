/* What calls hold, by thread; see held.h.
 *
 * A list of values, not of frames: a frame can be left in ways that nobody tells (an assembler's
 * jump, a context that is never resumed), and then only what it held stays behind.  Deeper than the
 * list is long, in handlers within handlers, a longjmp loses what is held, nothing else.
 */
#include "hooks/held.h"

enum { MOST = 8 };

static __thread struct {
	unsigned n;
	struct {
		void (*give_back)(void *what);
		void *what;
	} list[MOST];
} mine;

void ghi_hold(struct ghi_held *h, void (*give_back)(void *what), void *what)
{
	/* The list stays with the thread block, which a light gthread may leave. */
	struct ghi_gthread *self = ghi_self();
	bool light = self && (self->flags & GHI_G_LIGHT);
	*h = (struct ghi_held){give_back, what, mine.n < MOST && !light};
	if (!h->listed)
		return;
	mine.list[mine.n].give_back = give_back;
	mine.list[mine.n++].what = what;
}

/* Also out of order: contexts may take turns in one thread. */
static bool unlist(const struct ghi_held *h)
{
	for (unsigned i = mine.n; i-- > 0;) {
		if (mine.list[i].give_back != h->give_back || mine.list[i].what != h->what)
			continue;
		for (mine.n--; i < mine.n; i++)
			mine.list[i] = mine.list[i + 1];
		return true;
	}
	return false;
}

bool ghi_held_drop(struct ghi_held *h)
{
	ghi_nosig_enter();
	bool held = h->give_back && (!h->listed || unlist(h));
	h->give_back = NULL;
	ghi_nosig_leave();
	return held;
}

void ghi_held_leave(struct ghi_held *h)
{
	void (*give_back)(void *) = h->give_back;
	if (!give_back)
		return;
	ghi_nosig_enter();
	if (ghi_held_drop(h))
		give_back(h->what);
	ghi_nosig_leave();
}

void ghi_held_jump(void)
{
	if (!mine.n)
		return;
	ghi_nosig_enter();
	while (mine.n) {
		mine.n--;
		mine.list[mine.n].give_back(mine.list[mine.n].what);
	}
	ghi_nosig_leave();
}

static void leave_listener(void *e)
{
	ghi_fd_accept_leave(e);
}

bool ghi_hold_listener(struct ghi_held *h, struct ghi_fd *e)
{
	ghi_nosig_enter();
	bool got = ghi_fd_accept_enter(e);
	if (got)
		ghi_hold(h, leave_listener, e);
	ghi_nosig_leave();
	return got;
}
