/* trace.h: what `greenhook trace` reads (docs/trace.md, src/trace.h) and hands to the writer. */
#ifndef GREENHOOK_TRACE_H
#define GREENHOOK_TRACE_H

#include "preload/cli.h"

enum { TRACE_SLOTS = 256, TRACE_REASONS = 64 };
enum { TRACE_SWITCH = 1, TRACE_READY, TRACE_SPAWN, TRACE_EVENT, TRACE_HANDOFF, TRACE_LOST };
enum { TRACE_YIELDS = 1000, TRACE_ENDS };

/* As it lies in the process; LOST is ours, with their number in `object`. */
struct trace_record {
	uint64_t seq, at;
	uint32_t kind, why;
	uint64_t from, to, object, unused;
	int32_t tid, ring;
};

/* trace_json.c: one trace. */
struct trace_head {
	long pid;
	unsigned slots;
	uint64_t begin; /* ns */
	char version[32];
	struct {
		char name[32];
		bool fd;
	} reasons[TRACE_REASONS];
};
bool trace_json_begin(FILE *f, const struct trace_head *head);
void trace_json_name(uint64_t id, long tid, const char *name);
/* In the order of their times. */
void trace_json_put(const struct trace_record *r);
/* One that ran all the time, slot -1: without one. */
void trace_json_ran(long tid, long slot, uint64_t id);
void trace_json_end(uint64_t at, bool complete);
uint64_t trace_json_lost(void);

#endif
