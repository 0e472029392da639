/* Panics and faults that end a task or the process; blocking sections; counters. */
#include <sys/syscall.h>

#include "rc.h"

static volatile int zero;
static int deferred;

static void note(void *arg)
{
	gh_sleep(GH_US(100));
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
}

static int recurse(volatile char *above)
{
	volatile char here[512];
	here[0] = above ? above[0] : 1;
	return above == here ? 0 : recurse(here) + here[0];
}

static int fails(void *how)
{
	gh_defer(note, &deferred);
	gh_yield();
	switch ((int)(intptr_t)how) {
	case 0:
		gh_panic("number %d", 7);
	case 1:
		*(volatile int *)(intptr_t)zero = 1;
		break;
	case 2:
		return 7 / zero;
	case 3:
		return recurse(NULL) & 1;
	case 4:
		((void (*)(void))(intptr_t)(zero + 4096))();
		break;
	}
	return 0;
}

static void *fails_in_task(void *how)
{
	return (void *)(intptr_t)fails(how);
}

static void twice(void *arg)
{
	(void)arg;
	gh_panic("again");
}

static void *fails_twice(void *arg)
{
	gh_defer(twice, NULL);
	gh_panic("once");
	return arg;
}

static int works(void *arg)
{
	for (int i = 0; i < 100; i++)
		gh_yield();
	return (int)(intptr_t)arg;
}

static int blocks(void *arg)
{
	gh_blocking_begin();
	struct timespec ts = {0, 2000000};
	syscall(SYS_nanosleep, &ts, NULL); /* seen, and cut out of the section */
	gh_blocking_end();
	gh_yield();
	gh_blocking_begin();
	gh_blocking_end();
	(void)arg;
	return 0;
}

static int owns(void *arg)
{
	(void)arg;
	QRC(0, gh_own_thread());
	QRC(0, gh_own_thread());
	gh_sleep(GH_US(50));
	return 0;
}

static int program(int argc, char **argv)
{
	gh_task_opts o = {.size = sizeof(o), .flags = GH_TASK_RECOVER};
	if (argc > 2 && !strcmp(argv[1], "twice"))
		gh_task_join(gh_task_spawn(fails_twice, NULL, &o), NULL);
	if (argc > 2 && !strcmp(argv[1], "end"))
		gh_task_join(gh_task_spawn(fails_in_task, (void *)(intptr_t)atoi(argv[2]), NULL),
			     NULL);
	if (argc > 1 && !strcmp(argv[1], "main"))
		gh_panic("in main");
	int rounds = 20;
	for (int own = 0; own < 2; own++)
		for (int how = 0; how < 5; how++) {
			o.flags = GH_TASK_RECOVER | (own ? GH_TASK_OWN_TLS : 0);
			o.stack_size = 64 << 10;
			gh_group *g = gh_group_new(NULL, 0);
			deferred = 0;
			for (int i = 0; i < rounds; i++) {
				QRC(0, gh_group_spawn(g, fails, (void *)(intptr_t)how, &o));
				QRC(0, gh_group_spawn(g, works, NULL, &o));
			}
			int r = gh_group_wait(g);
			printf("%s, kind %d: ", own ? "full" : "light", how);
			CHECK(r == -ENOTRECOVERABLE && deferred == rounds);
			gh_group_free(g);
			void *ret = &r;
			gh_task *t = gh_task_spawn(fails_in_task, (void *)(intptr_t)how, &o);
			QRC(-ENOTRECOVERABLE, gh_task_join(t, &ret));
			QUIET(ret == NULL);
			QRC(-EINVAL, gh_task_join(t, &ret));
		}

	struct gh_stats s = {.size = sizeof(s)}, later = s, part = {.size = 2 * sizeof(size_t)};
	gh_group *g = gh_group_new(NULL, 0);
	RC(-EINVAL, gh_stats(NULL));
	RC(-EINVAL, gh_stats(&(struct gh_stats){.size = 0}));
	RC(0, gh_stats(&s));
	CHECK(s.tasks == 0 && s.kernel_threads > 0 && s.slots > 0 && s.switches > 0);
	for (int i = 0; i < 50; i++) {
		QRC(0, gh_group_spawn(g, blocks, NULL, NULL));
		QRC(0, gh_group_spawn(g, works, NULL, NULL));
		QRC(0, gh_group_spawn(g, owns, NULL, NULL));
	}
	RC(0, gh_stats(&part));
	CHECK(part.tasks <= 150 && part.kernel_threads == 0 && part.switches == 0);
	RC(0, gh_group_wait(g));
	RC(0, gh_group_free(g));
	RC(0, gh_stats(&later));
	CHECK(later.switches > s.switches && later.steals >= s.steals && later.tasks == 0);
	gh_blocking_begin();
	gh_blocking_end();
	return check_done();
}

int main(int argc, char **argv)
{
	return gh_main(program, argc, argv);
}
