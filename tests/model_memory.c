/* The operations of the explorer's memory: what model_atomic.h and plain_read/plain_write call.
 *
 * Owns: nothing; picks the machine, applies mutants, checks races, writes the trace.  Called by:
 * the protocol headers and the models, through macros.  Must not know: schedules, protocols.
 */
#include "tests/model_machine.h"

static void trace(const struct model_site *site, const char *what, const volatile void *p,
		  uint64_t v, const char *more)
{
	static const char *order[] = {"", ".acq", ".rel", ".ar"};
	if (model_tracing)
		model_trace("%s%s %s %#llx%s", what, order[site->order],
			    model_name_of(p, site->size, site->expr), (unsigned long long)v, more);
}

/* --- The operations --- */

static int order_of(const struct model_site *site, enum model_effect e)
{
	return e == MODEL_RELAX ? MODEL_RELAXED : site->order;
}

static uint64_t do_load(const struct model_site *site, const volatile void *p, int order)
{
	uint64_t v = model_machine == MODEL_TSO
			 ? model_tso_load(p, site->size)
			 : model_weak_load(model_word_at(p, site->size), order & MODEL_ACQUIRE);
	trace(site, "load", p, v, v != model_peek(p, site->size) ? " (not the newest)" : "");
	return v;
}

static void do_store(const struct model_site *site, volatile void *p, uint64_t v, int order)
{
	v = model_cut(v, site->size);
	if (model_machine == MODEL_TSO)
		model_tso_store(p, site->size, v);
	else
		model_weak_append(model_word_at(p, site->size), v, NULL, order & MODEL_RELEASE);
	trace(site, "store", p, v, "");
}

uint64_t model_load(struct model_site *site, const volatile void *p)
{
	model_point();
	return do_load(site, p, order_of(site, model_effect_of(site)));
}

void model_store(struct model_site *site, volatile void *p, uint64_t v)
{
	struct model_thread *c = model_me();
	enum model_effect e = model_effect_of(site);

	if (e == MODEL_DROP)
		return;
	if (e == MODEL_LATE) {
		c->held = site, c->held_p = p, c->held_v = v;
		return;
	}
	model_point();
	do_store(site, p, v, order_of(site, e));
	if (c->held) {
		struct model_site *held = c->held;
		c->held = NULL;
		model_point();
		do_store(held, c->held_p, c->held_v, MODEL_RELAXED);
	}
}

static uint64_t combine(int op, uint64_t old, uint64_t v)
{
	return op == MODEL_ADD ? old + v : op == MODEL_OR ? old | v : op == MODEL_AND ? old & v : v;
}

/* Replaces the newest value, `old`. */
static void replace(const struct model_site *site, volatile void *p, uint64_t v, int order)
{
	v = model_cut(v, site->size);
	if (model_machine == MODEL_TSO) {
		model_poke(p, site->size, v);
		return;
	}
	struct model_word *w = model_word_at(p, site->size);
	model_weak_observe(w, w->stores - 1, order & MODEL_ACQUIRE);
	model_weak_append(w, v, &w->view[w->stores - 1], order & MODEL_RELEASE);
}

uint64_t model_rmw(struct model_site *site, volatile void *p, uint64_t v)
{
	enum model_effect e = model_effect_of(site);

	model_point();
	if (e == MODEL_SPLIT) {
		uint64_t old = do_load(site, p, site->order);
		model_point();
		do_store(site, p, combine(site->op, old, v), site->order);
		return old;
	}
	if (model_machine == MODEL_TSO) {
		model_tso_drain();
		model_tso_settle(p);
	}
	uint64_t old = model_peek(p, site->size), new = combine(site->op, old, v);
	replace(site, p, new, order_of(site, e));
	trace(site, "rmw", p, model_cut(new, site->size), "");
	return old;
}

bool model_cas(struct model_site *site, volatile void *p, uint64_t *exp, uint64_t v)
{
	enum model_effect e = model_effect_of(site);
	int order = order_of(site, e);
	uint64_t seen;

	model_point();
	if (e == MODEL_SPLIT) {
		seen = do_load(site, p, order);
		if (seen == model_cut(*exp, site->size)) {
			model_point();
			do_store(site, p, v, order);
			model_weak_confirm_copies(true);
			return true;
		}
	} else if (model_machine == MODEL_TSO) {
		model_tso_drain();
		model_tso_settle(p);
		seen = model_peek(p, site->size);
	} else if (!model_weak_cas_fails_early(model_word_at(p, site->size),
					       model_cut(*exp, site->size), order & MODEL_ACQUIRE,
					       &seen)) {
		seen = model_peek(p, site->size);
		if (seen != model_cut(*exp, site->size))
			model_weak_observe(model_word_at(p, site->size),
					   model_word_at(p, site->size)->stores - 1,
					   order & MODEL_ACQUIRE);
	}
	bool done = seen == model_cut(*exp, site->size);
	if (done)
		replace(site, p, v, order);
	trace(site, "cas", p, done ? model_cut(v, site->size) : seen, done ? "" : " (failed)");
	model_weak_confirm_copies(done);
	*exp = seen;
	return done;
}

void model_fence(struct model_site *site)
{
	struct model_thread *c = model_me();

	if (model_effect_of(site) == MODEL_DROP)
		return;
	model_point();
	model_trace("fence");
	if (model_machine == MODEL_TSO) {
		model_tso_drain();
		return;
	}
	model_join(&c->now, &c->acquired);
	model_join(&c->now, &model_fence_view);
	model_fence_view = c->acquired = c->released = c->now;
}

void model_relax(void)
{
	model_point();
}

/* --- Plain data: on WEAK every access must know the accesses before it (no scheduling point is
 * needed: a race shows in the views whatever the schedule); on TSO the values must be right. --- */

static void race_check(struct model_word *w, const struct model_site *site, const uint8_t *seen)
{
	for (int t = 0; t < MODEL_THREADS; t++)
		if (seen[t] > model_me()->now.at[t])
			model_fail("data race on %s with thread %d in %s",
				   model_name_of(w->p, w->size, site->expr), t, site->func);
}

uint64_t model_plain_read(struct model_site *site, const volatile void *p)
{
	if (model_machine == MODEL_TSO)
		return model_load(site, p);
	struct model_word *w = model_word_at(p, site->size);
	trace(site, "plain read", p, model_peek(p, site->size), "");
	race_check(w, site, w->written);
	w->read[model_running] = model_tick();
	return model_peek(p, site->size);
}

void model_plain_write(struct model_site *site, volatile void *p, uint64_t v)
{
	if (model_machine == MODEL_TSO) {
		model_store(site, p, v);
		return;
	}
	struct model_word *w = model_word_at(p, site->size);
	trace(site, "plain write", p, v, "");
	race_check(w, site, w->written);
	race_check(w, site, w->read);
	w->written[model_running] = model_tick();
	model_poke(p, site->size, v);
}
