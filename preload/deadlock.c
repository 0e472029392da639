/* deadlock.c: rings in who waits for whom.
 *
 * Each gthread waits for one thing, so each has at most one edge: to the holder of the mutex, the
 * writer of the read-write lock, the thread it joins.  The edges were not seen at one time, so a
 * ring is believed only when a second look finds every one of it where it was, not having moved
 * since (switches): then all of it stood at the time between the two looks.  Those that wait with a
 * time limit will move again and make no ring.  One that waits for itself is none, either: who
 * locks a normal mutex twice may use it as a semaphore, which another one posts.  dump_text.c shows
 * it.
 */
#include "preload/dump.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct edge *)a)->id, y = ((const struct edge *)b)->id;
	return x < y ? -1 : x > y;
}

static struct edge *edge_of(const struct dump *d, uint64_t id)
{
	struct edge key = {.id = id};
	return d->nedges ? bsearch(&key, d->edges, d->nedges, sizeof(key), by_id) : NULL;
}

static bool still(const struct dump *later, const struct edge *e)
{
	struct edge *now = edge_of(later, e->id);
	return now && now->owner == e->owner && now->object == e->object &&
	       now->switches == e->switches;
}

static void print_text(struct dump *d, const struct edge *first)
{
	const struct edge *e = first;
	printf("\ndeadlock:\n");
	do {
		printf("  gthread %lu \"", e->id);
		fields_print(stdout, e->name);
		if (e->object)
			printf("\" waits for the %s at 0x%lx, held by gthread %lu\n", e->reason,
			       e->object, e->owner);
		else
			printf("\" waits for the end of gthread %lu\n", e->owner);
		struct stack *s = dump_stack(d, e->stack);
		int i = 0;
		while (s && i + 1 < s->n && dump_in_runtime(d, &s->frames[i]))
			i++;
		if (s && i) {
			printf("    in ");
			dump_place(stdout, d, s->frames[i].ip, s->frames[i].module, true);
			putchar('\n');
		}
		e = edge_of(d, e->owner);
	} while (e != first);
}

static void print_json(struct dump *d, const struct edge *first, bool comma)
{
	const struct edge *e = first;
	printf("%s[", comma ? "," : "");
	do {
		printf("%s%lu", e == first ? "" : ",", e->id);
		e = edge_of(d, e->owner);
	} while (e != first);
	putchar(']');
}

/* Marks every edge with the walk that met it first: a walk that meets itself has found a ring. */
static size_t find_rings(struct dump *d, struct edge **ret, size_t max)
{
	size_t *met = calloc(d->nedges + 1, sizeof(*met)), n = 0;

	for (size_t i = 0; met && i < d->nedges; i++) {
		struct edge *e = &d->edges[i];
		while (e && !e->timed && !met[e - d->edges]) {
			met[e - d->edges] = i + 1;
			e = edge_of(d, e->owner);
		}
		if (e && !e->timed && met[e - d->edges] == i + 1 && e->owner != e->id && n < max)
			ret[n++] = e;
	}
	free(met);
	return n;
}

int deadlock_print(struct dump *d, bool json)
{
	static struct dump later;
	struct edge *rings[64];
	int printed = 0;

	if (d->nedges)
		qsort(d->edges, d->nedges, sizeof(*d->edges), by_id);
	size_t n = find_rings(d, rings, 64);
	if (!n)
		return 0;
	later.pid = d->pid;
	if (dump_read(&later))
		return -1;
	if (later.nedges)
		qsort(later.edges, later.nedges, sizeof(*later.edges), by_id);
	for (size_t i = 0; i < n; i++) {
		const struct edge *e = rings[i];
		bool all = true;
		do {
			all = still(&later, e);
			e = edge_of(d, e->owner);
		} while (all && e != rings[i]);
		if (!all)
			continue;
		if (json)
			print_json(d, rings[i], printed > 0);
		else
			print_text(d, rings[i]);
		printed++;
	}
	dump_free(&later);
	return printed;
}
