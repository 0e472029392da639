/* See warn.h. */
#include <string.h>

#include "src/control.h"
#include "src/cputime.h"
#include "src/deadlock.h"
#include "src/inspect.h"
#include "src/warn.h"

enum { MOST = 64, WORDS = 16 };
static const uint64_t pattern = 0x5a6b7c8d9eafb0c1;

/* One word per warning: whoever sets it from FREE to TAKEN owns the rest, until SEEN. */
static struct seen {
	enum { FREE, TAKEN, SEEN } state;
	enum { SPIN, STACK } kind;
	const struct ghi_gthread *g;
	uint64_t id;
	uint32_t reason, switches;
	size_t stack;
	char name[sizeof(((struct ghi_gthread *)0)->name) + 1];
} all[MOST]; /* never given back: so many are told, and no more */
static uint32_t taken;

static uint64_t *mark_of(const struct ghi_gthread *g)
{
	size_t bytes = (size_t)(g->stack_hi - g->stack_lo);
	return (uint64_t *)((uintptr_t)(g->stack_lo + bytes / 10) & ~63ul);
}

static void note(struct ghi_gthread *g, int kind)
{
	uint32_t n = fetch_add_relaxed(&taken, 1u);
	if (n >= MOST) {
		store_relaxed(&taken, (uint32_t)MOST);
		return;
	}
	struct seen *s = &all[n];
	s->kind = kind ? STACK : SPIN;
	s->g = g;
	s->id = g->id;
	s->reason = g->reason;
	s->switches = g->switches;
	s->stack = (size_t)(g->stack_hi - g->stack_lo);
	memcpy(s->name, g->name, sizeof(g->name));
	store_release(&s->state, SEEN);
	ghi_control_errand();
}

void ghi_warn_start(void)
{
	if (ghi_config.warn)
		fetch_or_acq_rel(&ghi_cputime_exact, (uint32_t)GHI_SWITCH_WARNED);
}

void ghi_warn_begin(struct ghi_gthread *g)
{
	g->spins = 0;
	g->warned_spin = g->warned_stack = false;
	g->marked = !(g->flags & (GHI_G_USTACK | GHI_G_MAIN | GHI_G_NATIVE));
	for (int i = 0; g->marked && i < WORDS; i++)
		mark_of(g)[i] = pattern;
}

void ghi_warn_look(struct ghi_gthread *g)
{
	if (g->spins && g->reason && !g->warned_spin) {
		g->warned_spin = true;
		note(g, SPIN);
	}
	for (int i = 0; g->marked && !g->warned_stack && i < WORDS; i++)
		if (mark_of(g)[i] != pattern) {
			g->warned_stack = true;
			note(g, STACK);
		}
}

void ghi_warn_spin(struct ghi_gthread *self, int delta)
{
	/* Another one may give it back. */
	if (self && (delta > 0 ? self->spins < UINT16_MAX : self->spins > 0))
		self->spins = (uint16_t)(self->spins + delta);
}

static void tell(const struct seen *s)
{
	static struct ghi_inspect_stack stack;

	if (s->kind == SPIN)
		ghi_say("warning: gthread %lu \"%s\" parks (%s) while it holds a spin lock", s->id,
			s->name, ghi_reason_names[s->reason]);
	else
		ghi_say("warning: gthread %lu \"%s\" has used more than 90 %% of its stack of %lu "
			"bytes",
			s->id, s->name, s->stack);
	if (s->kind != SPIN)
		return;
	bool stacks = ghi_inspect_stacks_begin();
	if (stacks)
		ghi_inspect_stack_of(s->g, &stack);
	if (stacks && load_acquire(&s->g->switches) == s->switches && s->g->id == s->id &&
	    (load_acquire(&s->g->wake) & GHI_WAKE_MASK) == GHI_WAKE_PARKED)
		ghi_deadlock_print_stack(&stack);
	ghi_inspect_stacks_end();
}

void ghi_warn_tell(void)
{
	for (int i = 0; i < MOST; i++)
		if (load_acquire(&all[i].state) == SEEN) {
			tell(&all[i]);
			all[i].state = TAKEN;
		}
}

void ghi_warn_after_fork(void)
{
	memset(all, 0, sizeof(all));
	taken = 0;
}
