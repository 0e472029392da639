/* dump.h: what `greenhook dump` has read: dump.c reads and groups, dump_text.c, dump_json.c and
 * deadlock.c show.
 */
#ifndef GREENHOOK_DUMP_H
#define GREENHOOK_DUMP_H

#include "preload/cli.h"

enum { FIELDS = 16 };

/* One line "g" (src/inspect.h); the strings live as long as the line. */
struct gthread {
	uint64_t id, owner, start, object, switches;
	long tid, worker, waited, left, owner_tid, stack; /* -1: none */
	int start_module;
	const char *name, *state, *reason, *detail;
};

struct stack {
	long number;
	int n;
	struct frame {
		uint64_t ip;
		int module; /* -1: none */
	} frames[64];
};

struct range {
	uint64_t lo, hi;
};

/* Gthreads that are at the same place for the same reason. */
struct group {
	struct group *next;
	long stack;
	uint64_t start; /* of those without a stack */
	int start_module;
	char state[16], reason[24], name[20], detail[520];
	bool same_name;
	size_t n, nranges, room;
	struct range *ranges;
	long least, most; /* waited, ms */
	long left;	  /* soonest, -1: none */
	struct held {	  /* locks and descriptors, the first few that differ */
		uint64_t object, owner;
		long owner_tid;
		bool itself; /* the one that waits is the owner */
		size_t n;
	} held[4];
	size_t nheld;
	size_t others; /* that wait for more */
	long worker;
};

/* Who waits for whom. */
struct edge {
	uint64_t id, owner, object, switches;
	bool timed;
	char reason[12], name[20];
	long stack;
};

struct dump {
	long pid;
	char version[16];
	unsigned long workers;
	size_t gthreads;
	bool complete;
	struct symbols *modules[512];
	uint64_t bases[512];
	struct stack *stacks;
	size_t nstacks, stack_room;
	struct group *buckets[4096];
	size_t ngroups;
	struct edge *edges;
	size_t nedges, edge_room;
	/* For each gthread as it is read, before it is counted; NULL: nothing. */
	void (*each)(struct dump *d, const struct gthread *g);
	bool keep_groups;
};

/* 0 or the exit code. */
int dump_read(struct dump *d);
void dump_free(struct dump *d);
struct stack *dump_stack(const struct dump *d, long number);
/* "function+0x12 (file)" */
void dump_place(FILE *f, struct dump *d, uint64_t ip, int module, bool is_return);
const char *dump_function(struct dump *d, uint64_t ip, int module, bool is_return,
			  uint64_t *ret_off);
bool dump_in_runtime(const struct dump *d, const struct frame *f);

/* dump_json.c: reads and writes; 0 or the exit code. */
int dump_json(struct dump *d);

/* dump_text.c */
void dump_text(struct dump *d);
void dump_one(struct dump *d, const struct gthread *g);

/* deadlock.c: rings of gthreads that wait for each other, confirmed by a second look; prints them,
 * as text or as the members of a JSON array.  Their number, or -1: no second look was to be had. */
int deadlock_print(struct dump *d, bool json);

#endif
