/* Locks and gates of the explorer: how simulated threads wait for each other.
 *
 * Owns: nothing.  Called by: models.  Must not know: which machine runs, protocols.
 *
 * On WEAK a lock hands over exactly what its last owner knew.  On TSO it drains the buffer, which
 * is more than an unlock must do; what that may hide shows on WEAK.
 */
#include "tests/model_machine.h"

/* Ghost waits take an int: the index of the lock or gate being waited for in this table. */
static const struct model_lock *lock_waited[MODEL_THREADS];
static const struct model_gate *gate_waited[MODEL_THREADS];

static bool lock_is_free(int t)
{
	return !lock_waited[t]->held;
}

static bool gate_is_open(int t)
{
	return gate_waited[t]->posts > 0;
}

void model_lock(struct model_lock *l)
{
	lock_waited[model_running] = l;
	model_block(lock_is_free, model_running);
	l->held = true;
	model_tso_drain();
	model_join(&model_me()->now, &l->view);
	model_join(&model_me()->acquired, &l->view);
}

void model_unlock(struct model_lock *l)
{
	model_assert(l->held);
	model_tso_drain();
	l->held = false;
	l->view = model_me()->now;
}

void model_post(struct model_gate *g)
{
	model_point();
	model_trace("wakes");
	model_tso_drain();
	g->posts++;
	model_join(&g->view, &model_me()->now);
}

static void wait_open(struct model_gate *g)
{
	gate_waited[model_running] = g;
	model_block(gate_is_open, model_running);
	model_trace("woken");
	g->posts--;
}

void model_wait(struct model_gate *g)
{
	wait_open(g);
	model_join(&model_me()->now, &g->view);
	model_join(&model_me()->acquired, &g->view);
}

void model_wait_moved(struct model_gate *g)
{
	wait_open(g);
	model_me()->now = model_me()->acquired = g->view;
	memset(&model_me()->released, 0, sizeof(model_me()->released));
	memset(&g->view, 0, sizeof(g->view));
}

void model_memory_settle(void)
{
	for (int t = 0; t < MODEL_THREADS; t++)
		model_tso_arrive(t, model_threads[t].buffered);
}
