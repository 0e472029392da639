/* A module in many versions, by the compiler's options:
 *   -DVERSION=n         what it answers
 *   -DHAND_ON           its start takes over the state of the version in use, instead of making one
 *   -DREFUSE            its start refuses
 *   -DEXITS             its start ends the task
 *   -DPANICS            its start panics
 *   -DEND_EXITS         its end ends the task
 *   -DINTERFACE=n       made for another program
 *   -DNO_ENTRY          without gh_module_entry
 *   -DUNDEFINED         needs a function that nobody has
 *   -DPARKS             its constructor and destructor wait, under the loader's lock
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <greenhook/module.h>
#include <greenhook/panic.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handler.h"

#ifndef VERSION
#define VERSION 1
#endif
#ifndef INTERFACE
#define INTERFACE INTERFACE_OF_TESTS
#endif

static __thread int calls_of_this_block;
static int table[1024] = {VERSION}; /* pages of its own, which are gone when it is */

#ifdef PARKS
__attribute__((constructor)) static void begins(void)
{
	usleep(20);
	sched_yield();
}

__attribute__((destructor)) static void ends(void)
{
	usleep(20);
	sched_yield();
}
#endif

#ifdef UNDEFINED
int nobody_has_this(int);
#endif

static int handle(struct host *h, struct state *s, int n)
{
	calls_of_this_block++;
	if (!s->alive)
		__atomic_add_fetch(&h->wrong, 1, __ATOMIC_RELAXED);
	if (n % 3 == 0)
		h->pause();
#ifdef UNDEFINED
	n += nobody_has_this(n);
#endif
	return __atomic_load_n(table, __ATOMIC_RELAXED) * 1000 + n;
}

static void deferred(void *arg)
{
	struct host *h = arg;
	h->pause();
	__atomic_add_fetch(&h->runs, 1, __ATOMIC_RELAXED);
}

static void *run(void *arg)
{
	struct host *h = arg;
	h->pause();
	if (__atomic_load_n(table, __ATOMIC_RELAXED) != VERSION)
		__atomic_add_fetch(&h->wrong, 1, __ATOMIC_RELAXED);
	deferred(h);
	return NULL;
}

static const struct calls calls = {VERSION, handle, run};

#ifndef NO_ENTRY
static int start(void *host, void *old, void **state)
{
	struct host *h = host;
#ifdef REFUSE
	(void)old;
	(void)state;
	h->pause();
	return -EXDEV;
#elif defined(EXITS) || defined(PANICS)
	(void)old;
	(void)state;
	h->pause();
#ifdef PANICS
	gh_panic("a start");
#else
	gh_task_exit(NULL);
	return 0;
#endif
#else
#ifdef HAND_ON
	if (old) {
		__atomic_add_fetch(&((struct state *)old)->handed, 1, __ATOMIC_RELAXED);
		*state = old;
	}
#else
	if (old && !((struct state *)old)->alive)
		h->wrong++;
#endif
	if (!*state) {
		struct state *s = malloc(sizeof(*s));
		if (!s)
			return -ENOMEM;
		*s = (struct state){VERSION, 0, 1};
		*state = s;
	}
	h->pause();
	__atomic_add_fetch(&h->started, 1, __ATOMIC_RELAXED);
	return 0;
#endif
}

static void end(void *host, void *state)
{
	struct host *h = host;
	struct state *s = state;
	if (s) {
		s->alive = 0;
		free(s);
		__atomic_add_fetch(&h->owners, 1, __ATOMIC_RELAXED);
	}
	h->pause();
	__atomic_add_fetch(&h->ended, 1, __ATOMIC_RELAXED);
#ifdef END_EXITS
	gh_task_exit(NULL);
#endif
}

const gh_module_def gh_module_entry = {GH_MODULE_DEF_SIZE, .interface = INTERFACE,
				       .name = "handler",  .calls = &calls,
				       .start = start,	   .end = end};
#endif

GH_API int exported_by_handler(void)
{
	return VERSION;
}
