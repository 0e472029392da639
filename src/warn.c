/* See warn.h. */
#include <string.h>

#include "src/control.h"
#include "src/cputime.h"
#include "src/deadlock.h"
#include "src/inspect.h"
#include "src/runtime.h"
#include "src/warn.h"

enum { MOST = 64, WORDS = 16 };
static const uint64_t pattern = 0x5a6b7c8d9eafb0c1;

/* One word per warning: whoever sets it from FREE to TAKEN owns the rest, until SEEN. */
static struct seen {
	enum { FREE, TAKEN, SEEN } state;
	enum kind { SPIN, STACK, LOCK } kind;
	const struct ghi_gthread *g;
	uint64_t id;
	uint32_t reason, switches;
	size_t stack;
	uintptr_t waits_for; /* LOCK */
	int32_t owner;
	char name[sizeof(((struct ghi_gthread *)0)->name) + 1];
} all[MOST]; /* never given back: so many are told, and no more */
static uint32_t taken;

static uint64_t *mark_of(const struct ghi_gthread *g)
{
	size_t bytes = (size_t)(g->stack_hi - g->stack_lo);
	return (uint64_t *)((uintptr_t)(g->stack_lo + bytes / 10) & ~63ul);
}

static void note(const struct ghi_gthread *g, enum kind kind, uint32_t reason, uint32_t switches,
		 uintptr_t waits_for, int32_t owner)
{
	uint32_t n = fetch_add_relaxed(&taken, 1u);
	if (n >= MOST) {
		store_relaxed(&taken, (uint32_t)MOST);
		return;
	}
	struct seen *s = &all[n];
	s->kind = kind;
	s->g = g;
	s->id = g->id;
	s->reason = reason;
	s->switches = switches;
	s->waits_for = waits_for;
	s->owner = owner;
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
		note(g, SPIN, g->reason, g->switches, 0, 0);
	}
	for (int i = 0; g->marked && !g->warned_stack && i < WORDS; i++)
		if (mark_of(g)[i] != pattern) {
			g->warned_stack = true;
			note(g, STACK, g->reason, g->switches, 0, 0);
		}
}

void ghi_warn_spin(struct ghi_gthread *self, int delta)
{
	/* Another one may give it back. */
	if (self && (delta > 0 ? self->spins < UINT16_MAX : self->spins > 0))
		self->spins = (uint16_t)(self->spins + delta);
}

/* By the monitor, with what it found on its walk. */
bool ghi_warn_locks(const struct ghi_deadlock_edge *edges, uint32_t n, uint64_t now)
{
	uint32_t told = 0, locks = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct ghi_deadlock_edge *e = &edges[i];
		bool known = e->reason == GHI_PARK_JOIN || load_relaxed(&taken) >= MOST;
		locks += !known;
		for (int k = 0; k < MOST && !known; k++)
			known = load_acquire(&all[k].state) != FREE && all[k].kind == LOCK &&
				all[k].id == e->id && all[k].switches == e->switches;
		told += known && e->reason != GHI_PARK_JOIN;
		if (known || now < e->g->parked_at ||
		    now - e->g->parked_at < ghi_config.warn_lock_ms * GHI_MS)
			continue;
		note(e->g, LOCK, e->reason, e->switches, e->waits_for, e->owner);
	}
	return locks > told;
}

/* Where it stands, if it still does. */
static void tell_stack(const struct ghi_gthread *g, uint32_t switches, uint64_t id)
{
	static struct ghi_inspect_stack stack;

	bool stacks = ghi_inspect_stacks_begin();
	if (stacks)
		ghi_inspect_stack_of(g, &stack);
	if (stacks && load_acquire(&g->switches) == switches && g->id == id &&
	    (load_acquire(&g->wake) & GHI_WAKE_MASK) == GHI_WAKE_PARKED)
		ghi_deadlock_print_stack(&stack);
	ghi_inspect_stacks_end();
}

static void tell_owner(const struct seen *s)
{
	const struct ghi_gthread *owner = ghi_gthread_by_tid(s->owner);
	if (!owner)
		return;
	uint32_t switches = load_acquire(&owner->switches);
	ghi_print("greenhook: gthread %lu \"%s\" holds it\n", owner->id, owner->name);
	tell_stack(owner, switches, owner->id);
}

static void tell(const struct seen *s)
{
	switch (s->kind) {
	case SPIN:
		ghi_say("warning: gthread %lu \"%s\" parks (%s) while it holds a spin lock", s->id,
			s->name, ghi_reason_names[s->reason]);
		tell_stack(s->g, s->switches, s->id);
		break;
	case STACK:
		ghi_say("warning: gthread %lu \"%s\" has used more than 90 %% of its stack of %lu "
			"bytes",
			s->id, s->name, s->stack);
		break;
	case LOCK:
		ghi_say("warning: gthread %lu \"%s\" has waited for more than %lu ms for the %s at "
			"0x%lx",
			s->id, s->name, ghi_config.warn_lock_ms, ghi_reason_names[s->reason],
			s->waits_for);
		tell_stack(s->g, s->switches, s->id);
		tell_owner(s);
		break;
	}
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
