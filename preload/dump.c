/* dump.c: `greenhook dump PID`: reads what every gthread does, and groups it. */
#include "preload/dump.h"

#include <stdlib.h>

static long number(const char *text)
{
	return *text ? atol(text) : -1;
}

/* "IP:MODULE" */
static const char *code(const char *text, uint64_t *ret_ip, int *ret_module)
{
	char *end;
	*ret_ip = strtoul(text, &end, 16);
	*ret_module = -1;
	if (*end == ':' && end[1] == '-')
		return end + 2;
	if (*end == ':')
		*ret_module = (int)strtol(end + 1, &end, 10);
	if (*ret_module < 0 || *ret_module >= 512)
		*ret_module = -1;
	return end;
}

static void add_stack(struct dump *d, long n, const char *text)
{
	if (d->nstacks == d->stack_room) {
		d->stack_room = d->stack_room ? 2 * d->stack_room : 64;
		d->stacks = realloc(d->stacks, d->stack_room * sizeof(*d->stacks));
		if (!d->stacks)
			abort();
	}
	struct stack *s = &d->stacks[d->nstacks++];
	s->number = n;
	s->n = 0;
	while (*text && s->n < 64) {
		text = code(text, &s->frames[s->n].ip, &s->frames[s->n].module);
		s->n++;
		while (*text && *text != ' ')
			text++;
		text += *text == ' ';
	}
}

struct stack *dump_stack(const struct dump *d, long n)
{
	/* They come in order. */
	if (n >= 0 && (size_t)n < d->nstacks && d->stacks[n].number == n)
		return &d->stacks[n];
	return NULL;
}

/* ---- names ---------------------------------------------------------------------------------- */

bool dump_in_runtime(const struct dump *d, const struct frame *f)
{
	return f->module >= 0 && d->modules[f->module] &&
	       strstr(path_base(symbols_path(d->modules[f->module])), "libgreenhook") != NULL;
}

const char *dump_function(struct dump *d, uint64_t ip, int module, bool is_return,
			  uint64_t *ret_off)
{
	if (module < 0 || !d->modules[module])
		return NULL;
	/* A return address points behind the call. */
	const char *name =
	    symbols_find(d->modules[module], d->pid, ip - is_return - d->bases[module], ret_off);
	*ret_off += is_return;
	return name;
}

void dump_place(FILE *f, struct dump *d, uint64_t ip, int module, bool is_return)
{
	uint64_t off = 0;
	const char *name = dump_function(d, ip, module, is_return, &off);

	if (name) /* without the version of the symbol */
		fprintf(f, off ? "%.*s+0x%lx" : "%.*s", (int)strcspn(name, "@"), name, off);
	else
		fprintf(f, "0x%lx", ip);
	if (module >= 0 && d->modules[module]) {
		fputs(" (", f);
		fields_print(f, path_base(symbols_path(d->modules[module])));
		if (!name)
			fprintf(f, "+0x%lx", ip - d->bases[module]);
		putc(')', f);
	}
}

/* ---- groups --------------------------------------------------------------------------------- */

static void add_range(struct group *g, uint64_t id)
{
	/* Newest first: mostly the next lower number. */
	if (g->nranges && g->ranges[g->nranges - 1].lo == id + 1) {
		g->ranges[g->nranges - 1].lo = id;
		return;
	}
	if (g->nranges == g->room) {
		g->room = g->room ? 2 * g->room : 4;
		g->ranges = realloc(g->ranges, g->room * sizeof(*g->ranges));
		if (!g->ranges)
			abort();
	}
	g->ranges[g->nranges++] = (struct range){id, id};
}

static void add_held(struct group *g, const struct gthread *t)
{
	if (!t->object && t->owner_tid < 0)
		return;
	bool itself = t->owner && t->owner == t->id;
	for (size_t i = 0; i < g->nheld; i++)
		if (g->held[i].object == t->object && g->held[i].owner_tid == t->owner_tid &&
		    g->held[i].itself == itself) {
			g->held[i].n++;
			return;
		}
	if (g->nheld < 4)
		g->held[g->nheld++] = (struct held){t->object, t->owner, t->owner_tid, itself, 1};
	else
		g->others++;
}

static bool same_stack(struct dump *d, long a, long b)
{
	struct stack *x = dump_stack(d, a), *y = dump_stack(d, b);
	return a == b || (x && y && x->n == y->n &&
			  !memcmp(x->frames, y->frames, (size_t)x->n * sizeof(*x->frames)));
}

static void count(struct dump *d, const struct gthread *t)
{
	struct stack *s = dump_stack(d, t->stack);
	uint64_t h = s ? 17 : t->start;
	for (int i = 0; s && i < s->n; i++)
		h = (h ^ s->frames[i].ip) * 0x9e3779b97f4a7c15ull;
	struct group **at = &d->buckets[h >> 52], *g = *at;
	while (g && (!same_stack(d, g->stack, t->stack) || strcmp(g->state, t->state) ||
		     strcmp(g->reason, t->reason) || (!s && g->start != t->start)))
		g = g->next;
	if (!g) {
		if (!(g = calloc(1, sizeof(*g))))
			abort();
		g->next = *at;
		*at = g;
		d->ngroups++;
		g->stack = t->stack;
		g->start = t->start;
		g->start_module = t->start_module;
		snprintf(g->state, sizeof(g->state), "%s", t->state);
		snprintf(g->reason, sizeof(g->reason), "%s", t->reason);
		snprintf(g->name, sizeof(g->name), "%s", t->name);
		snprintf(g->detail, sizeof(g->detail), "%s", t->detail);
		g->same_name = true;
		g->least = g->most = t->waited;
		g->left = -1;
		g->worker = t->worker;
	}
	g->n++;
	if (strcmp(g->name, t->name))
		g->same_name = false;
	if (t->waited >= 0 && t->waited < g->least)
		g->least = t->waited;
	if (t->waited > g->most)
		g->most = t->waited;
	if (t->left >= 0 && (g->left < 0 || t->left < g->left))
		g->left = t->left;
	add_range(g, t->id);
	add_held(g, t);
}

static void add_edge(struct dump *d, const struct gthread *t)
{
	if (d->nedges == d->edge_room) {
		d->edge_room = d->edge_room ? 2 * d->edge_room : 64;
		d->edges = realloc(d->edges, d->edge_room * sizeof(*d->edges));
		if (!d->edges)
			abort();
	}
	struct edge *e = &d->edges[d->nedges++];
	*e = (struct edge){.id = t->id,
			   .owner = t->owner,
			   .object = t->object,
			   .switches = t->switches,
			   .timed = t->left >= 0,
			   .stack = t->stack};
	snprintf(e->reason, sizeof(e->reason), "%s", t->reason);
	snprintf(e->name, sizeof(e->name), "%s", t->name);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void read_gthread(struct dump *d, char **f)
{
	struct gthread t = {
	    .id = strtoul(f[1], NULL, 10),
	    .tid = number(f[2]),
	    .name = f[3],
	    .state = f[4],
	    .worker = number(f[5]),
	    .reason = f[6],
	    .object = strtoul(f[7], NULL, 16),
	    .waited = number(f[8]),
	    .left = number(f[9]),
	    .owner = strtoul(f[10], NULL, 10),
	    .owner_tid = number(f[11]),
	    .stack = number(f[13]),
	    .switches = strtoul(f[14], NULL, 10),
	    .detail = f[15],
	};
	code(f[12], &t.start, &t.start_module);
	d->gthreads++;
	if (d->each)
		d->each(d, &t);
	if (d->keep_groups)
		count(d, &t);
	if (t.owner && !strcmp(t.state, "parked"))
		add_edge(d, &t);
}

int dump_read(struct dump *d)
{
	char *line = NULL, *f[FIELDS];
	size_t size = 0;
	FILE *answer;
	int code = ask(d->pid, "dump\n", &answer);

	if (code)
		return code;
	while (!d->complete && getline(&line, &size, answer) > 0) {
		int n = fields_split(line, f, FIELDS);
		if (!strcmp(f[0], "g") && n == FIELDS) {
			read_gthread(d, f);
		} else if (!strcmp(f[0], "s") && n == 3) {
			add_stack(d, atol(f[1]), f[2]);
		} else if (!strcmp(f[0], "m") && n == 4 && atol(f[1]) >= 0 && atol(f[1]) < 512) {
			d->modules[atol(f[1])] = symbols_new(f[3]);
			d->bases[atol(f[1])] = strtoul(f[2], NULL, 16);
		} else if (!strcmp(f[0], "greenhook") && n == 6 && !strcmp(f[1], "2")) {
			snprintf(d->version, sizeof(d->version), "%s", f[2]);
			d->workers = strtoul(f[5], NULL, 10);
		} else if (!strcmp(f[0], "end")) {
			d->complete = true;
		} else {
			fprintf(stderr,
				"greenhook: process %ld runs another version of greenhook, "
				"whose answer is not understood\n",
				d->pid);
			code = EXIT_SELF;
			break;
		}
	}
	if (!code && !d->complete) {
		code = ask_failed(d->pid, answer);
		if (d->gthreads)
			fprintf(stderr, "greenhook: this was after %zu gthreads\n", d->gthreads);
	}
	free(line);
	fclose(answer);
	return code;
}

void dump_free(struct dump *d)
{
	free(d->stacks);
	free(d->edges);
}

int dump_main(int argc, char **argv)
{
	static struct dump d;
	bool json = false, all = false;
	int i = 1, code;

	for (; i < argc && argv[i][0] == '-'; i++) {
		json |= !strcmp(argv[i], "--json");
		all |= !strcmp(argv[i], "--all");
		if (strcmp(argv[i], "--json") && strcmp(argv[i], "--all"))
			return usage_error("dump: unknown option '%s'", argv[i]);
	}
	if (argc - i != 1)
		return usage_error("dump: give the number of one process");
	if (!ask_pid(argv[i], &d.pid))
		return usage_error("dump: '%s' is not the number of a process", argv[i]);
	if (json) {
		code = dump_json(&d);
	} else {
		d.keep_groups = !all;
		d.each = all ? dump_one : NULL;
		code = dump_read(&d);
		if (!code || d.gthreads) {
			if (!all)
				dump_text(&d);
			if (!code)
				deadlock_print(&d, false);
		}
	}
	dump_free(&d);
	return code;
}
