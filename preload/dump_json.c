/* dump_json.c: `greenhook dump --json`: each gthread as it is read, then the stacks. */
#include "preload/dump.h"

static void member_number(bool *first, const char *name, long v, bool known)
{
	json_member(stdout, first, name);
	if (known)
		printf("%ld", v);
	else
		fputs("null", stdout);
}

static void member_string(bool *first, const char *name, const char *text)
{
	json_member(stdout, first, name);
	if (*text)
		json_string(stdout, text);
	else
		fputs("null", stdout);
}

static void member_address(bool *first, const char *name, uint64_t v)
{
	json_member(stdout, first, name);
	if (v)
		printf("\"0x%lx\"", v);
	else
		fputs("null", stdout);
}

static void json_gthread(struct dump *d, const struct gthread *t)
{
	bool first = true;
	uint64_t off;
	const char *start =
	    t->start ? dump_function(d, t->start, t->start_module, false, &off) : NULL;

	printf("%s\n{", d->gthreads > 1 ? "," : "");
	member_number(&first, "id", (long)t->id, true);
	member_number(&first, "tid", t->tid, true);
	json_member(stdout, &first, "name");
	json_string(stdout, t->name);
	member_string(&first, "state", t->state);
	member_number(&first, "kernel_thread", t->worker, t->worker >= 0);
	member_string(&first, "waits_for", t->reason);
	member_address(&first, "object", t->object);
	member_string(&first, "detail", t->detail);
	member_number(&first, "waited_ms", t->waited, t->waited >= 0);
	member_number(&first, "left_ms", t->left, t->left >= 0);
	member_number(&first, "owner", (long)t->owner, t->owner);
	member_number(&first, "owner_tid", t->owner_tid, t->owner_tid >= 0);
	member_address(&first, "start", t->start);
	member_string(&first, "start_function", start ? start : "");
	member_number(&first, "switches", (long)t->switches, true);
	member_number(&first, "stack", t->stack, t->stack >= 0);
	putchar('}');
}

static void json_stacks(struct dump *d)
{
	for (size_t i = 0; i < d->nstacks; i++) {
		const struct stack *s = &d->stacks[i];
		printf("%s\n\"%ld\":[", i ? "," : "", s->number);
		for (int k = 0; k < s->n; k++) {
			const struct frame *f = &s->frames[k];
			uint64_t off = 0;
			const char *name = dump_function(d, f->ip, f->module, k > 0, &off);
			bool first = true;
			printf("%s{", k ? "," : "");
			member_address(&first, "address", f->ip);
			member_string(&first, "function", name ? name : "");
			member_number(&first, "offset", (long)off, name);
			member_string(&first, "file",
				      f->module >= 0 && d->modules[f->module]
					  ? symbols_path(d->modules[f->module])
					  : "");
			putchar('}');
		}
		putchar(']');
	}
}

int dump_json(struct dump *d)
{
	d->each = json_gthread;
	printf("{\"pid\":%ld,\"gthreads\":[", d->pid);
	int code = dump_read(d);
	/* Well-formed whatever happened; what is missing was said on stderr. */
	printf("\n],\"complete\":%s,\"version\":", d->complete ? "true" : "false");
	json_string(stdout, d->version);
	printf(",\"workers\":%lu,\"stacks\":{", d->workers);
	json_stacks(d);
	printf("\n},\"deadlocks\":[");
	if (!code)
		deadlock_print(d, true);
	puts("]}");
	return code;
}
