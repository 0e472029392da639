/* stats.h: what `greenhook stats` and `greenhook top` read (src/stats.h). */
#ifndef GREENHOOK_STATS_H
#define GREENHOOK_STATS_H

#include "preload/cli.h"

enum { STATS_NAMES = 32, STATS_SLOTS = 256, STATS_REASONS = 48, STATS_BUCKETS = 64 };

struct stats {
	char version[16];
	struct value {
		char name[32];
		uint64_t value;
		bool counter;
	} values[STATS_NAMES];
	int nvalues;
	struct slot {
		uint64_t switches, steals, events, queue;
		char state[16];
	} slots[STATS_SLOTS];
	int nslots;
	struct park {
		char reason[32];
		uint64_t count;
	} parks[STATS_REASONS];
	int nparks;
	struct bucket {
		uint64_t below, count;
	} latency[STATS_BUCKETS];
	int nlatency;
};

/* 0 or the exit code; ms: of sampling, 0: none. */
int stats_read(long pid, unsigned ms, struct stats *ret);
uint64_t stats_value(const struct stats *s, const char *name);
/* The time, in ns, that so many percent of the samples were below; 0: there are none. */
uint64_t stats_percentile(const struct stats *s, double percent);
void stats_put_ns(FILE *f, uint64_t ns);

#endif
