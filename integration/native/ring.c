/* Two threads that wait for each other's gh_mutex, which only its owner unlocks.  Behind each lies
 * what a pthread mutex would have as its kind: a normal one's. */
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

int main(int argc, char **argv)
{
	int kind = argc > 1 ? atoi(argv[1]) : GH_MUTEX_CHECKED;
	CHECK(gh_mutex_init(&a.m, kind) == 0 && gh_mutex_init(&b.m, kind) == 0);
	pthread_barrier_init(&both, NULL, 2);
	spawn(a_then_b, NULL);
	spawn(b_then_a, NULL);
	sleep(20);
	return 1;
}
