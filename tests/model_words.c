/* The words of the explorer's memory: found by address, named for the trace.
 *
 * Owns: the tables of words and names, the state of the machines at the start of an execution.
 * Called by: models (model_name, model_watch), model.c (reset), the machines.  Must not know: what
 * a load may see.
 */
#include "tests/model_machine.h"

#include <stdio.h>

enum { MAX_NAMES = 24, FIRST_WORD = MODEL_THREADS, HASH = 128 };

enum model_machine model_machine;
struct model_thread model_threads[MODEL_THREADS];
struct model_view model_fence_view;
/* The first places of a view hold the clocks of the threads. */
static struct model_word words[MODEL_VIEW];
static int nwords = FIRST_WORD;
static uint8_t hash[HASH]; /* index into words; 0: free */
static struct {
	const char *p, *end, *name;
	bool watched;
} names[MAX_NAMES];
static int nnames;

static void add_name(const void *p, size_t bytes, const char *name, bool watched)
{
	for (int i = 0; i < nnames; i++)
		if (names[i].p == p && names[i].watched == watched)
			return;
	if (nnames == MAX_NAMES)
		model_fail("explorer: too many names");
	names[nnames].p = p;
	names[nnames].end = (const char *)p + bytes;
	names[nnames].name = name;
	names[nnames++].watched = watched;
}

void model_name(const void *p, size_t bytes, const char *name)
{
	add_name(p, bytes, name, false);
}

void model_watch(const void *p, size_t bytes)
{
	add_name(p, bytes, NULL, true);
}

const char *model_name_of(const volatile void *p, int size, const char *otherwise)
{
	static char text[48];
	for (int i = 0; i < nnames; i++) {
		const char *c = (const char *)p;
		if (names[i].watched || c < names[i].p || c >= names[i].end)
			continue;
		if (names[i].end - names[i].p <= size)
			return names[i].name;
		snprintf(text, sizeof(text), "%s+%d", names[i].name, (int)(c - names[i].p));
		return text;
	}
	return otherwise;
}

struct model_word *model_word_at(const volatile void *p, int size)
{
	unsigned h = ((uintptr_t)p >> 2) * 0x9e3779b1u >> 16;
	struct model_word *w;

	for (;; h++) {
		uint8_t *slot = &hash[h % HASH];
		if (!*slot) {
			if (nwords == MODEL_VIEW)
				model_fail("explorer: too many words");
			*slot = nwords++;
			w = &words[*slot];
			w->p = p;
			w->size = size;
			w->stores = 0;
			w->watched = false;
			for (int i = 0; i < nnames; i++)
				w->watched |= names[i].watched && (const char *)p >= names[i].p &&
					      (const char *)p < names[i].end;
			break;
		}
		w = &words[*slot];
		if (w->p == p)
			break;
	}
	if (w->stores == 0) {
		w->stores = 1;
		w->value[0] = model_peek(p, size);
		memset(&w->view[0], 0, sizeof(w->view[0]));
		memset(w->written, 0, sizeof(w->written));
		memset(w->read, 0, sizeof(w->read));
	}
	return w;
}

int model_index_of(const struct model_word *w)
{
	return w - words;
}

void model_memory_reset(enum model_machine machine, bool forget_names)
{
	model_machine = machine;
	memset(&model_fence_view, 0, sizeof(model_fence_view));
	for (int t = 0; t < MODEL_THREADS; t++) {
		struct model_thread *c = &model_threads[t];
		memset(&c->now, 0, sizeof(c->now));
		c->acquired = c->released = c->now;
		c->clock = 0;
		c->copies = c->buffered = 0;
		c->held = NULL;
	}
	for (int i = FIRST_WORD; i < nwords; i++)
		words[i].stores = 0;
	if (forget_names) {
		nnames = 0;
		nwords = FIRST_WORD;
		memset(hash, 0, sizeof(hash));
	}
}
