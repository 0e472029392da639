/* One vocabulary for threads, so that each question of this folder is one program and is put to
 * every peer in the same words.  What a word means is in the header that TASKS names: one of
 * bench/peers/.  In all of them:
 *
 *   tasks_run(workers, body)  runs body as a task (or on main), with so many kernel threads
 *   task_start, task_join     a task that runs fn(arg)
 *   task_yield                others first
 *   struct lock, cond, chan   what they are called everywhere; made by lock_init and so on
 *   TASKS_IO                  defined when task_read and task_write wait as tasks do
 *
 * A program prints one JSON object, {"figure": ns per operation, ...}.  Pairs of a send and a
 * receive, a lock and an unlock, a question and its answer count as one operation.
 */
#ifndef BENCH_TASKS_H
#define BENCH_TASKS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wunused-function"

#ifndef TASKS
#define TASKS "bench/peers/pthread.h"
#endif
#include TASKS

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Resident memory of the process. */
static long rss_bytes(void)
{
	long all, resident = -1;
	FILE *f = fopen("/proc/self/statm", "r");
	must(f && fscanf(f, "%ld %ld", &all, &resident) == 2, "statm");
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

static int figures;

static void figure(const char *name, double value)
{
	printf("%s\"%s\": %.2f", figures++ ? ", " : "{", name, value);
}

/* Runs op(n) with n growing until it takes 60 ms: the first runs are the warm-up, and the very first
 * counts for nothing however long it takes. */
static void ask(const char *name, void (*op)(long n), long n)
{
	op(n);
	for (;;) {
		uint64_t start = now_ns();
		op(n);
		uint64_t took = now_ns() - start;
		if (took >= 60000000) {
			figure(name, (double)took / (double)n);
			return;
		}
		uint64_t more = 90000000 / (took + 1);
		n *= more > 10 ? 10 : more < 2 ? 2 : (long)more;
	}
}

static long number(int argc, char **argv, int i, long otherwise)
{
	return argc > i ? atol(argv[i]) : otherwise;
}

#endif
