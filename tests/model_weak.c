/* The weak machine of the explorer: C11 without load buffering, append-only.
 *
 * Owns: histories and views.  Called by: model_memory.c.  Must not know: schedules, protocols.
 *
 * Every word keeps all its stores; every thread has a view, the oldest store of each word that it
 * may still see.  A store carries a view: a release all that its thread knows, a relaxed one what
 * it knew at its last fence.  An acquire load takes that over.  A read-modify-write reads the
 * newest store and passes on its view (release sequence).  A seq_cst fence exchanges views with one
 * global view.
 *
 * What x86 can do, this machine can: where a store would wait in a buffer, here the load of the
 * other thread may be of an older store.  Beyond it, a missing acquire or release shows.  Not
 * covered: a load that takes effect after a later store (see model_watch), and two threads' relaxed
 * stores to two words that end up in opposite orders (2+2W).
 */
#include "tests/model_machine.h"

void model_weak_append(struct model_word *w, uint64_t v, const struct model_view *base,
		       bool release)
{
	struct model_thread *c = model_me();
	int n = w->stores++;

	if (n == MODEL_STORES)
		model_fail("explorer: too many stores to %s",
			   model_name_of(w->p, w->size, "a word"));
	for (int t = 0; w->watched && t < MODEL_THREADS; t++)
		if (w->read[t] > c->now.at[t])
			model_fail("overwrites %s while thread %d may still copy it",
				   model_name_of(w->p, w->size, "a word"), t);
	c->now.at[model_index_of(w)] = n;
	w->view[n] = release ? c->now : c->released;
	w->view[n].at[model_index_of(w)] = n;
	if (base)
		model_join(&w->view[n], base);
	w->value[n] = v;
	model_poke((volatile void *)w->p, w->size, v);
}

void model_weak_observe(struct model_word *w, int n, bool acquire)
{
	struct model_thread *c = model_me();
	c->now.at[model_index_of(w)] = n;
	model_join(&c->acquired, &w->view[n]);
	if (acquire)
		model_join(&c->now, &w->view[n]);
}

uint64_t model_weak_load(struct model_word *w, bool acquire)
{
	struct model_thread *c = model_me();
	int newest = w->stores - 1;
	int n = newest - model_choose_late(newest - c->now.at[model_index_of(w)] + 1);

	model_weak_observe(w, n, acquire);
	if (w->watched && c->copies < MODEL_COPIES) {
		c->copy[c->copies].word = w;
		c->copy[c->copies++].clock = model_tick();
	}
	return w->value[n];
}

/* A failed cas is a load, and may be of an older store that differs from what was expected. */
bool model_weak_cas_fails_early(struct model_word *w, uint64_t exp, bool acquire,
				uint64_t *ret_seen)
{
	int pick[MODEL_STORES + 1], n = 1;
	for (int i = w->stores - 2; i >= model_me()->now.at[model_index_of(w)]; i--)
		if (w->value[i] != exp)
			pick[n++] = i;
	int k = model_choose_late(n);
	if (k == 0)
		return false;
	model_weak_observe(w, pick[k], acquire);
	*ret_seen = w->value[pick[k]];
	return true;
}

void model_weak_confirm_copies(bool confirmed)
{
	struct model_thread *c = model_me();
	for (int i = 0; confirmed && i < c->copies; i++)
		c->copy[i].word->read[model_running] = c->copy[i].clock;
	c->copies = 0;
}
