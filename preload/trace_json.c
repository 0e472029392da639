/* trace_json.c: writes a trace in the JSON form that Perfetto and chrome://tracing load.
 *
 * One track per slot, and one per kernel thread that ran a gthread without a slot: slices (B, E)
 * are who ran.  A gthread's waits are asynchronous slices (b, e) with its id: the reason, then
 * "runnable" until it runs.  Spawns, ends, hand-offs and events of the poller are instants (i).
 * Times never go back.
 */
#include "preload/trace.h"

#include <stdlib.h>

enum { KERNEL_TRACKS = 1000 /* the number of a kernel thread's track: this and its tid */ };

struct gthread {
	uint64_t id; /* 0: free */
	long tid;
	char name[20];
	const char *waits; /* the slice that is open; NULL: none */
	long track;	   /* where it was opened */
};

struct track {
	long tid; /* of a kernel thread's; a slot's: -1 */
	bool used, seen;
	uint64_t runs; /* id; 0: nobody */
};

static struct {
	FILE *f;
	struct trace_head head;
	uint64_t now, lost;
	struct gthread *gthreads; /* open addressing by id */
	size_t size, n;
	struct track slots[TRACE_SLOTS], *kernel;
	size_t nkernel;
} out;

/* ---- who ------------------------------------------------------------------------------------ */

static struct gthread *find(struct gthread *in, size_t size, uint64_t id)
{
	size_t at = (size_t)(id * 0x9e3779b97f4a7c15u) & (size - 1);
	while (in[at].id && in[at].id != id)
		at = (at + 1) & (size - 1);
	return &in[at];
}

static struct gthread *gthread(uint64_t id)
{
	if (out.n * 2 >= out.size) {
		size_t size = out.size ? out.size * 2 : 1024;
		struct gthread *more = calloc(size, sizeof(*more));
		if (!more) {
			fprintf(stderr, "greenhook: out of memory\n");
			exit(EXIT_SELF);
		}
		for (size_t i = 0; i < out.size; i++)
			if (out.gthreads[i].id)
				*find(more, size, out.gthreads[i].id) = out.gthreads[i];
		free(out.gthreads);
		out.gthreads = more;
		out.size = size;
	}
	struct gthread *g = find(out.gthreads, out.size, id);
	if (!g->id) {
		g->id = id;
		out.n++;
	}
	return g;
}

void trace_json_name(uint64_t id, long tid, const char *name)
{
	struct gthread *g = gthread(id);
	g->tid = tid;
	snprintf(g->name, sizeof(g->name), "%s", name);
}

/* ---- one event ------------------------------------------------------------------------------ */

static void open_event(const char *phase, const char *name, const char *category, long track)
{
	uint64_t us = (out.now - out.head.begin) / 1000, ns = (out.now - out.head.begin) % 1000;
	fprintf(
	    out.f,
	    ",\n{\"ph\":\"%s\",\"pid\":%ld,\"tid\":%ld,\"ts\":%lu.%03lu,\"cat\":\"%s\",\"name\":",
	    phase, out.head.pid, track, us, ns, category);
	json_string(out.f, name);
}

static void name_track(long track, const char *kind, long number, int order)
{
	fprintf(out.f,
		",\n{\"ph\":\"M\",\"pid\":%ld,\"tid\":%ld,\"name\":\"thread_name\",\"args\":{"
		"\"name\":\"%s "
		"%ld\"}}",
		out.head.pid, track, kind, number);
	fprintf(out.f,
		",\n{\"ph\":\"M\",\"pid\":%ld,\"tid\":%ld,\"name\":\"thread_sort_index\",\"args\":{"
		"\"sort_index\":%d}}",
		out.head.pid, track, order);
}

static struct track *kernel_track(long tid)
{
	for (size_t i = 0; i < out.nkernel; i++)
		if (out.kernel[i].tid == tid)
			return &out.kernel[i];
	struct track *more = realloc(out.kernel, (out.nkernel + 1) * sizeof(*more));
	if (!more) {
		fprintf(stderr, "greenhook: out of memory\n");
		exit(EXIT_SELF);
	}
	out.kernel = more;
	more[out.nkernel] = (struct track){.tid = tid};
	return &more[out.nkernel++];
}

static long number_of(struct track *t)
{
	bool is_slot = t->tid < 0;
	long number = is_slot ? t - out.slots : t->tid;
	if (!t->used)
		name_track(is_slot ? number + 1 : KERNEL_TRACKS + number,
			   is_slot ? "slot" : "kernel thread", number,
			   is_slot ? (int)number : 1000);
	t->used = true;
	return is_slot ? number + 1 : KERNEL_TRACKS + number;
}

static void put_object(uint32_t reason, uint64_t object)
{
	if (reason < TRACE_REASONS && out.head.reasons[reason].fd)
		fprintf(out.f, ",\"fd\":%lu", object);
	else if (object)
		fprintf(out.f, ",\"object\":\"0x%lx\"", object);
}

static void runs(struct track *t, uint64_t id, long tid)
{
	char name[64];
	struct gthread *g = gthread(id);
	snprintf(name, sizeof(name), "%s %lu", *g->name ? g->name : "gthread", id);
	open_event("B", name, "runs", number_of(t));
	fprintf(out.f, ",\"args\":{\"gthread\":%lu,\"tid\":%ld", id, g->tid);
	fprintf(out.f, tid > 0 ? ",\"kernel_thread\":%ld}}" : "}}", tid);
	t->runs = id;
	t->seen = true;
}

static const char *reason_name(uint32_t why)
{
	return why == TRACE_YIELDS				    ? "yields"
	       : why == TRACE_ENDS				    ? "ends"
	       : why < TRACE_REASONS && *out.head.reasons[why].name ? out.head.reasons[why].name
								    : "parks";
}

static void stops(struct track *t, const char *how)
{
	t->seen = true;
	if (!t->runs)
		return;
	fprintf(out.f,
		",\n{\"ph\":\"E\",\"pid\":%ld,\"tid\":%ld,\"ts\":%lu.%03lu,\"args\":{\"then\":",
		out.head.pid, number_of(t), (out.now - out.head.begin) / 1000,
		(out.now - out.head.begin) % 1000);
	json_string(out.f, how);
	fputs("}}", out.f);
	t->runs = 0;
}

static void waits_no_more(struct gthread *g, uint64_t by)
{
	if (!g->waits)
		return;
	open_event("e", g->waits, "gthread", g->track);
	fprintf(out.f, ",\"id\":\"%lu\"", g->id);
	fprintf(out.f, by ? ",\"args\":{\"by\":%lu}}" : "}", by);
	g->waits = NULL;
}

/* The slice of a wait. */
static void waits(struct gthread *g, const char *what, uint32_t reason, uint64_t object, long track)
{
	waits_no_more(g, 0); /* the record of its end was lost */
	open_event("b", what, "gthread", track);
	fprintf(out.f, ",\"id\":\"%lu\",\"args\":{\"gthread\":%lu", g->id, g->id);
	put_object(reason, object);
	fputs("}}", out.f);
	g->waits = what;
	g->track = track;
}

static void instant(struct track *t, const char *name, const char *key, uint64_t value)
{
	open_event("i", name, "event", number_of(t));
	fprintf(out.f, ",\"s\":\"t\",\"args\":{\"%s\":%lu}}", key, value);
}

/* ---- records -------------------------------------------------------------------------------- */

static void put_switch(struct track *t, const struct trace_record *r)
{
	if (r->from) {
		/* It ran when the trace began. */
		if (!t->seen) {
			uint64_t now = out.now;
			out.now = out.head.begin;
			runs(t, r->from, r->tid);
			out.now = now;
		}
		stops(t, reason_name(r->why));
		if (r->why < TRACE_YIELDS)
			waits(gthread(r->from), reason_name(r->why), r->why, r->object,
			      number_of(t));
		else if (r->why == TRACE_ENDS)
			instant(t, "end", "gthread", r->from);
	}
	stops(t, "lost");
	if (!r->to)
		return;
	waits_no_more(gthread(r->to), 0);
	runs(t, r->to, r->tid);
}

static void put_handoff(struct track *t, const struct trace_record *r)
{
	if (!t->seen && r->from) {
		uint64_t now = out.now;
		out.now = out.head.begin;
		runs(t, r->from, r->tid);
		out.now = now;
	}
	stops(t, "loses its slot");
	instant(t, r->why ? "hand-off: blocked" : "hand-off: computing", "gthread", r->from);
	struct track *k = kernel_track(r->tid);
	stops(k, "lost");
	if (r->from)
		runs(k, r->from, r->tid);
}

void trace_json_put(const struct trace_record *r)
{
	struct track *t =
	    r->ring < (int)out.head.slots ? &out.slots[r->ring] : kernel_track(r->tid);
	struct gthread *g;

	if (r->at > out.now)
		out.now = r->at;
	switch (r->kind) {
	case TRACE_SWITCH:
		put_switch(t, r);
		break;
	case TRACE_READY:
		g = gthread(r->to);
		waits_no_more(g, r->from);
		waits(g, "runnable", 0, 0, number_of(t));
		break;
	case TRACE_SPAWN:
		instant(t, "spawn", "gthread", r->to);
		break;
	case TRACE_EVENT:
		open_event("i", "I/O event", "event", number_of(t));
		fprintf(out.f, ",\"s\":\"t\",\"args\":{\"fd\":%lu,\"events\":\"0x%x\"}}", r->object,
			r->why);
		break;
	case TRACE_HANDOFF:
		put_handoff(t, r);
		break;
	case TRACE_LOST:
		out.lost += r->object;
		stops(t, "lost");
		instant(t, "lost", "records", r->object);
		break;
	}
}

bool trace_json_begin(FILE *f, const struct trace_head *head)
{
	out.f = f;
	out.head = *head;
	out.now = head->begin;
	fprintf(f,
		"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
		"{\"ph\":\"M\",\"pid\":%ld,\"name\":\"process_name\",\"args\":{\"name\":"
		"\"greenhook %ld\"}}",
		head->pid, head->pid);
	for (unsigned i = 0; i < head->slots; i++) {
		out.slots[i].tid = -1;
		number_of(&out.slots[i]);
	}
	return !ferror(f);
}

void trace_json_ran(long tid, long slot, uint64_t id)
{
	struct track *t = slot >= 0 ? &out.slots[slot] : kernel_track(tid);
	uint64_t now = out.now;
	if (t->seen)
		return;
	out.now = out.head.begin;
	runs(t, id, tid);
	out.now = now;
}

void trace_json_end(uint64_t at, bool complete)
{
	if (at > out.now)
		out.now = at;
	for (unsigned i = 0; i < out.head.slots; i++)
		stops(&out.slots[i], "the trace ends");
	for (size_t i = 0; i < out.nkernel; i++)
		stops(&out.kernel[i], "the trace ends");
	for (size_t i = 0; i < out.size; i++)
		if (out.gthreads[i].id)
			waits_no_more(&out.gthreads[i], 0);
	fprintf(out.f,
		"\n],\"otherData\":{\"version\":\"%s\",\"pid\":\"%ld\",\"slots\":\"%u\",\"lost\":"
		"\"%lu\","
		"\"complete\":\"%s\",\"begin_ns\":\"%lu\",\"end_ns\":\"%lu\"}}\n",
		out.head.version, out.head.pid, out.head.slots, out.lost, complete ? "yes" : "no",
		out.head.begin, out.now);
}

uint64_t trace_json_lost(void)
{
	return out.lost;
}
