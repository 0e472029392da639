/* dump_text.c: what `greenhook dump` prints for people. */
#include "preload/dump.h"

#include <stdlib.h>

static void put_ms(long ms)
{
	if (ms < 10000)
		printf("%ld ms", ms);
	else if (ms < 600000)
		printf("%ld s", ms / 1000);
	else
		printf("%ld min", ms / 60000);
}

static int by_lo(const void *a, const void *b)
{
	uint64_t x = ((const struct range *)a)->lo, y = ((const struct range *)b)->lo;
	return x < y ? -1 : x > y;
}

static void put_range(const struct range *r)
{
	printf(r->lo == r->hi ? "%lu" : "%lu-%lu", r->lo, r->hi);
}

static void put_ids(struct group *g)
{
	size_t n = 0;
	qsort(g->ranges, g->nranges, sizeof(*g->ranges), by_lo);
	for (size_t i = 0; i < g->nranges; i++) {
		if (n && g->ranges[n - 1].hi + 1 == g->ranges[i].lo)
			g->ranges[n - 1].hi = g->ranges[i].hi;
		else
			g->ranges[n++] = g->ranges[i];
	}
	for (size_t i = 0; i < n && i < 8; i++) {
		printf(i ? ", " : "");
		put_range(&g->ranges[i]);
	}
	if (n > 9)
		printf(", ...");
	if (n > 8) {
		printf(", ");
		put_range(&g->ranges[n - 1]);
	}
}

static void put_name(const char *name)
{
	printf(" \"");
	fields_print(stdout, name);
	printf("\"");
}

static void put_held(const struct held *h, bool counted)
{
	printf("    ");
	if (counted)
		printf("%zu of them: ", h->n);
	if (h->object)
		printf("at 0x%lx", h->object);
	if (h->itself)
		printf(", held by itself");
	else if (h->owner)
		printf(h->object ? ", held by gthread %lu" : "for gthread %lu", h->owner);
	else if (h->owner_tid >= 0)
		printf(h->object ? ", held by thread %ld" : "for thread %ld", h->owner_tid);
	putchar('\n');
}

/* What the runtime does inside is left out, but for the function that the program called. */
static void put_stack(struct dump *d, long number, uint64_t start, int start_module)
{
	struct stack *s = dump_stack(d, number);
	int from = 0;

	if (!s) {
		if (start) {
			printf("    started as ");
			dump_place(stdout, d, start, start_module, false);
			putchar('\n');
		}
		return;
	}
	while (from + 1 < s->n && dump_in_runtime(d, &s->frames[from + 1]))
		from++;
	if (!dump_in_runtime(d, &s->frames[from]))
		from = 0;
	for (int i = from, n = 0; i < s->n; i++, n++) {
		/* Its last frames are ours, too: how a thread begins. */
		if (i > from && dump_in_runtime(d, &s->frames[i])) {
			int k = i;
			while (k < s->n && dump_in_runtime(d, &s->frames[k]))
				k++;
			if (k == s->n)
				break;
		}
		printf("    #%-2d ", n);
		dump_place(stdout, d, s->frames[i].ip, s->frames[i].module, i > 0);
		putchar('\n');
	}
}

static void put_state(const char *state, const char *reason, long worker)
{
	printf("%s", state);
	if (!strcmp(state, "blocked"))
		printf(" in the kernel");
	if (worker > 0)
		printf(" on kernel thread %ld", worker);
	if (*reason) {
		printf(" in ");
		fields_print(stdout, reason);
	}
}

static void put_header(struct dump *d)
{
	char path[64], command[256];
	snprintf(path, sizeof(path), "/proc/%ld/cmdline", d->pid);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(command, 1, sizeof(command) - 1, f) : 0;
	if (f)
		fclose(f);
	command[n] = 0;
	printf("process %ld (", d->pid);
	fields_print(stdout, command);
	printf("), greenhook %s: %zu gthreads, %lu workers\n", d->version, d->gthreads, d->workers);
}

static int rank(const struct group *g)
{
	return strcmp(g->state, "parked") != 0;
}

static int by_size(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
	if (rank(x) != rank(y))
		return rank(y) - rank(x);
	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	uint64_t first = x->ranges[x->nranges - 1].lo, other = y->ranges[y->nranges - 1].lo;
	return first < other ? -1 : first > other;
}

static void put_group(struct dump *d, struct group *g)
{
	if (g->n == 1)
		printf("\ngthread %lu", g->ranges[0].lo);
	else
		printf("\n%zu gthreads", g->n);
	if (g->same_name && *g->name)
		put_name(g->name);
	printf(": ");
	put_state(g->state, g->reason, g->n == 1 ? g->worker : 0);
	if (g->most >= 0) {
		printf(" for ");
		put_ms(g->least);
		if (g->most > g->least + 10) {
			printf(" to ");
			put_ms(g->most);
		}
	}
	if (g->left >= 0) {
		printf(g->n == 1 ? ", " : ", the first of them for ");
		put_ms(g->left);
		printf(" more");
	}
	putchar('\n');
	if (g->n > 1) {
		printf("    ids ");
		put_ids(g);
		putchar('\n');
	}
	bool differ = g->nheld > 1 || g->others;
	for (size_t i = 0; i < g->nheld; i++)
		put_held(&g->held[i], differ);
	if (g->others)
		printf("    %zu of them: elsewhere (--all tells)\n", g->others);
	if (*g->detail) {
		printf(g->n == 1 ? "    " : "    one of them: ");
		fields_print(stdout, g->detail);
		putchar('\n');
	}
	put_stack(d, g->stack, g->start, g->start_module);
}

void dump_text(struct dump *d)
{
	struct group **all = malloc((d->ngroups + 1) * sizeof(*all));
	size_t n = 0;

	if (!all)
		abort();
	for (size_t i = 0; i < sizeof(d->buckets) / sizeof(*d->buckets); i++)
		for (struct group *g = d->buckets[i]; g; g = g->next)
			all[n++] = g;
	qsort(all, n, sizeof(*all), by_size);
	put_header(d);
	for (size_t i = 0; i < n; i++)
		put_group(d, all[i]);
	free(all);
}

void dump_one(struct dump *d, const struct gthread *t)
{
	if (d->gthreads == 1)
		printf("process %ld, greenhook %s\n", d->pid, d->version);
	printf("\ngthread %lu", t->id);
	if (*t->name)
		put_name(t->name);
	printf(" (tid %ld): ", t->tid);
	put_state(t->state, t->reason, t->worker);
	if (t->waited >= 0) {
		printf(" for ");
		put_ms(t->waited);
	}
	if (t->left >= 0) {
		printf(", ");
		put_ms(t->left);
		printf(" more");
	}
	putchar('\n');
	if (t->object || t->owner_tid >= 0)
		put_held(&(struct held){t->object, t->owner, t->owner_tid,
					t->owner && t->owner == t->id, 1},
			 false);
	if (*t->detail) {
		printf("    ");
		fields_print(stdout, t->detail);
		putchar('\n');
	}
	put_stack(d, t->stack, t->start, t->start_module);
}
