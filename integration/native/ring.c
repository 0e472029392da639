/* Threads that wait for each other:
 *
 *   ring 1, ring 2   for each other's gh_mutex (checked, recursive), which only its owner unlocks;
 *                    behind each lies what a pthread mutex would have as its kind: a normal one's
 *   ring join        a task in gh_task_join for a task that waits for its mutex
 *   ring deadline    the same, but the first has a deadline, and goes on */
#include <greenhook.h>
#include <stdlib.h>
#include <unistd.h>

#include "../programs/check.h"

static struct {
	gh_mutex m;
	uint32_t behind[8];
} a, b;
static pthread_barrier_t both;

static void takes(gh_mutex *first, gh_mutex *second)
{
	CHECK(gh_mutex_lock(first) == 0);
	pthread_barrier_wait(&both);
	gh_mutex_lock(second);
}

static void *a_then_b(void *arg)
{
	takes(&a.m, &b.m);
	return arg;
}

static void *b_then_a(void *arg)
{
	takes(&b.m, &a.m);
	return arg;
}

static gh_task *joined;

static void *locks(void *arg)
{
	CHECK(gh_mutex_lock(&a.m) == 0);
	CHECK(gh_mutex_unlock(&a.m) == 0);
	return arg;
}

static void *joins(void *at)
{
	CHECK(gh_mutex_lock(&a.m) == 0);
	joined = gh_task_spawn(locks, NULL, NULL);
	CHECK(gh_task_set_deadline(gh_task_self(), *(gh_time *)at) == 0);
	CHECK(gh_task_join(joined, NULL) == -ECANCELED);
	CHECK(gh_mutex_unlock(&a.m) == 0);
	return at;
}

static int join_ring(bool deadline)
{
	gh_time at = deadline ? gh_after(GH_S(4)) : GH_FOREVER;
	CHECK(gh_mutex_init(&a.m, GH_MUTEX_CHECKED) == 0);
	gh_task *t = gh_task_spawn(joins, &at, NULL);
	CHECK(gh_task_join_until(t, NULL, gh_after(GH_S(20))) == 0);
	CHECK(gh_task_join(joined, NULL) == 0);
	return check_done();
}

int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] > '9')
		return join_ring(argv[1][0] == 'd');
	int kind = argc > 1 ? atoi(argv[1]) : GH_MUTEX_CHECKED;
	CHECK(gh_mutex_init(&a.m, kind) == 0 && gh_mutex_init(&b.m, kind) == 0);
	pthread_barrier_init(&both, NULL, 2);
	spawn(a_then_b, NULL);
	spawn(b_then_a, NULL);
	sleep(20);
	return 1;
}
