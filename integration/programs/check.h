/* check.h: what the programs of this folder share.
 *
 * A program prints one line per fact, in an order that does not depend on scheduling, and returns
 * check_done(). It runs natively and under LD_PRELOAD; both outputs must be identical, so nothing
 * that varies (addresses, thread ids, durations) may be printed.
 *
 *   CHECK(cond)            a fact: prints "ok   cond" or "FAIL cond (line)"
 *   CHECK_RC(E, call)      the call returns the error number E (pthread style; 0 = success)
 *   CHECK_ERRNO(E, call)   the call returns -1 and sets errno to E (system call style)
 *   QUIET(cond)            a fact checked by many threads or many times: prints only failures
 *   MUST(cond)             set-up that has to work; ends the program otherwise
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"

static int check_failures;

static void check_report(int ok, const char *what, const char *got, int line, int quiet)
{
	if (!ok)
		__atomic_add_fetch(&check_failures, 1, __ATOMIC_SEQ_CST);
	if (ok && !quiet)
		printf("ok   %s\n", what);
	if (!ok)
		printf("FAIL %s%s%s (line %d)\n", what, *got ? ": got " : "", got, line);
	fflush(stdout); /* a crash or a fork must not lose or double lines */
}

#define CHECK(cond) check_report(!!(cond), #cond, "", __LINE__, 0)
#define QUIET(cond) check_report(!!(cond), #cond, "", __LINE__, 1)
#define CHECK_RC(expected, call)                                                                   \
	do {                                                                                       \
		int check_rc = (call);                                                             \
		check_report(check_rc == (expected), #call " is " #expected, strerror(check_rc),   \
			     __LINE__, 0);                                                         \
	} while (0)
#define CHECK_ERRNO(expected, call)                                                                \
	do {                                                                                       \
		errno = 0;                                                                         \
		long check_ret = (long)(call);                                                     \
		int check_errno = errno;                                                           \
		check_report(check_ret == -1 && check_errno == (expected),                         \
			     #call " fails with " #expected,                                       \
			     check_ret == -1 ? strerror(check_errno) : "no error", __LINE__, 0);   \
	} while (0)
#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			printf("FAIL set-up %s: %s (line %d)\n", #cond, strerror(errno),           \
			       __LINE__);                                                          \
			fflush(stdout);                                                            \
			_exit(70);                                                                 \
		}                                                                                  \
	} while (0)

static int check_done(void)
{
	int failed = __atomic_load_n(&check_failures, __ATOMIC_SEQ_CST);
	printf("%s\n", failed ? "some checks failed" : "done");
	fflush(stdout);
	return failed ? 1 : 0;
}

static pthread_t spawn(void *(*entry)(void *), void *arg)
{
	pthread_t t;
	int rc = pthread_create(&t, NULL, entry, arg);
	MUST(rc == 0 || (errno = rc, 0));
	return t;
}

static void *join(pthread_t t)
{
	void *result = NULL;
	int rc = pthread_join(t, &result);
	MUST(rc == 0 || (errno = rc, 0));
	return result;
}

static void *check_nothing(void *arg)
{
	return arg;
}

/* A program that never creates a thread is left alone by a threading runtime, so programs about
 * main's own behaviour (signals, sleeping) create one first. */
static void become_threaded(void)
{
	join(spawn(check_nothing, NULL));
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static struct timespec timespec_of_ns(int64_t ns)
{
	struct timespec ts;
	ts.tv_sec = ns / 1000000000;
	ts.tv_nsec = ns % 1000000000;
	return ts;
}

/* The point in time `ms` milliseconds from now, which may be negative. */
static struct timespec deadline_ms(clockid_t clock, int ms)
{
	return timespec_of_ns(now_ns(clock) + (int64_t)ms * 1000000);
}

static void sleep_ms(int ms)
{
	struct timespec ts = timespec_of_ns((int64_t)ms * 1000000);
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

#endif
