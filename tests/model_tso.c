/* The x86 machine of the explorer: total store order.
 *
 * Owns: store buffers.  Called by: model_memory.c.  Must not know: orders (every load is an acquire
 * and every store a release here), schedules, protocols.
 *
 * A store waits in its thread's first-in first-out buffer; a load takes the thread's own newest
 * buffered store, else memory.  Read-modify-writes and fences drain the buffer.  When a buffered
 * store arrives matters only to a load of the same word by somebody else, so that is where the
 * explorer chooses: the stores of that word in other buffers (and all older ones of those buffers)
 * arrive now, or this load is early.
 */
#include "tests/model_machine.h"

/* The oldest n stores of t arrive. */
void model_tso_arrive(int t, int n)
{
	struct model_thread *c = &model_threads[t];
	if (n == 0)
		return;
	for (int i = 0; i < n; i++) {
		model_poke(c->buffer[i].p, c->buffer[i].size, c->buffer[i].v);
		if (model_tracing && t != model_running)
			model_trace("(store %#llx of thread %d arrives)",
				    (unsigned long long)c->buffer[i].v, t);
	}
	memmove(&c->buffer[0], &c->buffer[n], (c->buffered - n) * sizeof(c->buffer[0]));
	c->buffered -= n;
}

void model_tso_drain(void)
{
	model_tso_arrive(model_running, model_me()->buffered);
}

/* Before memory at p is read: decides which buffered stores of other model_threads arrive first. */
void model_tso_settle(const volatile void *p)
{
	for (;;) {
		int who[MODEL_THREADS], upto[MODEL_THREADS], n = 0;
		for (int t = 0; t < MODEL_THREADS; t++) {
			int i = 0;
			while (i < model_threads[t].buffered && model_threads[t].buffer[i].p != p)
				i++;
			if (t != model_running && i < model_threads[t].buffered)
				who[n] = t, upto[n++] = i + 1;
		}
		if (n == 0)
			return;
		/* The last choice: none, this read is early. */
		int pick = model_choose_late(n + 1);
		if (pick == n)
			return;
		model_tso_arrive(who[pick], upto[pick]);
	}
}

uint64_t model_tso_load(const volatile void *p, int size)
{
	struct model_thread *c = model_me();
	for (int i = c->buffered; i-- > 0;)
		if (c->buffer[i].p == p)
			return c->buffer[i].v;
	model_tso_settle(p);
	return model_peek(p, size);
}

void model_tso_store(volatile void *p, int size, uint64_t v)
{
	struct model_thread *c = model_me();
	if (c->buffered == MODEL_BUFFER)
		model_tso_arrive(model_running, 1);
	c->buffer[c->buffered].p = p;
	c->buffer[c->buffered].size = size;
	c->buffer[c->buffered++].v = v;
}
