/* Waiting for the end of what has not begun: trees of tasks and threads, joined in every order,
 * each started once; others that have their turns meanwhile.
 *
 *   handover                  trees of each kind
 *   handover turns            two that hand the processor to and fro, and others
 *   handover stress SECONDS   trees, joins that give up, cancellations, tasks nobody joins
 */
#include <stdatomic.h>
#include <string.h>

#include "rc.h"

enum { BRANCHES = 6, DEPTH = 4, ORDERS = 3 };
enum kind { LIGHT, OWN, THREAD, MIXED, KINDS };

struct node {
	unsigned seed;
	int depth;
	enum kind kind;
	bool wild; /* waits and yields on its way */
	atomic_int begun;
	long sum; /* nodes below it and itself */
};

static atomic_long alone;
static gh_mutex lock = GH_MUTEX_INIT;
static long locked;

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

static void *nobody_joins(void *arg)
{
	atomic_fetch_add(&alone, -1);
	return arg;
}

static void be_wild(unsigned *seed)
{
	switch (next_random(seed) % 8) {
	case 0:
		gh_yield();
		break;
	case 1:
		QUIET(gh_sleep(GH_US(50)) == 0);
		break;
	case 2:
		gh_mutex_lock(&lock);
		locked++;
		gh_yield();
		locked--;
		QUIET(locked == 0);
		gh_mutex_unlock(&lock);
		break;
	case 3:
		atomic_fetch_add(&alone, 1);
		QUIET(gh_go(nobody_joins, NULL, NULL) == 0);
		break;
	default:
		break;
	}
}

static void *grow(void *arg);

struct child {
	struct node node;
	enum kind kind;
	gh_task *task;
	pthread_t thread;
};

static void start(struct child *c)
{
	gh_task_opts o = {.size = sizeof(o), .flags = c->kind == OWN ? GH_TASK_OWN_TLS : 0};
	if (c->kind == THREAD)
		QUIET(pthread_create(&c->thread, NULL, grow, &c->node) == 0);
	else
		QUIET((c->task = gh_task_spawn(grow, &c->node, &o)) != NULL);
}

static void *end(struct child *c)
{
	void *ret = NULL;
	if (c->kind == THREAD) {
		QUIET(pthread_join(c->thread, &ret) == 0);
	} else {
		if (c->node.wild && c->node.seed % 4 == 0) { /* gives up, and comes again */
			int r = gh_task_join_until(c->task, &ret, gh_after(GH_US(20)));
			if (r == 0)
				return ret;
			QUIET(r == -ETIMEDOUT);
		}
		QUIET(gh_task_join(c->task, &ret) == 0);
	}
	return ret;
}

static void *grow(void *arg)
{
	struct node *me = arg;
	struct child child[BRANCHES];
	int at[BRANCHES];

	QUIET(atomic_fetch_add(&me->begun, 1) == 0);
	me->sum = 1;
	if (me->wild)
		be_wild(&me->seed);
	if (me->depth == 0)
		return me;
	for (int i = 0; i < BRANCHES; i++) {
		enum kind kind = me->kind == MIXED ? next_random(&me->seed) % MIXED : me->kind;
		child[i] = (struct child){.kind = kind};
		child[i].node.seed = next_random(&me->seed);
		child[i].node.depth = me->depth - 1;
		child[i].node.kind = me->kind;
		child[i].node.wild = me->wild;
		start(&child[i]);
		at[i] = i;
	}
	unsigned order = next_random(&me->seed) % ORDERS;
	for (int i = 0; i < BRANCHES; i++) {
		int j = order == 0   ? i
			: order == 1 ? BRANCHES - 1 - i
				     : (int)(next_random(&me->seed) % BRANCHES);
		int other = at[i];
		at[i] = at[j];
		at[j] = other;
	}
	for (int i = 0; i < BRANCHES; i++) {
		struct child *c = &child[at[i]];
		QUIET(end(c) == &c->node);
		QUIET(atomic_load(&c->node.begun) == 1);
		me->sum += c->node.sum;
	}
	return me;
}

static void tree(unsigned seed, enum kind kind, bool wild)
{
	struct node root = {.seed = seed, .depth = DEPTH, .kind = kind, .wild = wild};
	long all = 0;

	for (long i = 0, level = 1; i <= DEPTH; i++, level *= BRANCHES)
		all += level;
	QUIET(grow(&root) == &root);
	if (root.sum != all)
		printf("FAIL: %ld of %ld nodes\n", root.sum, all);
}

/* More at once than a ring holds, joined in order, in the opposite order, and not at all. */
static void *same(void *arg)
{
	return arg;
}

static void many(void)
{
	enum { MANY = 3000 };
	static gh_task *t[MANY];

	for (int way = 0; way < 2; way++) {
		for (long i = 0; i < MANY; i++)
			QUIET((t[i] = gh_task_spawn(same, (void *)i, NULL)) != NULL);
		for (long i = 0; i < MANY; i++) {
			long at = way ? MANY - 1 - i : i;
			void *ret = NULL;
			QUIET(gh_task_join(t[at], &ret) == 0 && ret == (void *)at);
		}
	}
	for (int i = 0; i < MANY; i++) {
		atomic_fetch_add(&alone, 1);
		QUIET(gh_go(nobody_joins, NULL, NULL) == 0);
	}
	gh_task *last = gh_task_spawn(same, NULL, NULL);
	QRC(0, gh_task_join(last, NULL));
}

static void all_gone(void)
{
	gh_time at = gh_after(GH_S(20));
	while (atomic_load(&alone) && gh_now() < at)
		gh_sleep(GH_MS(1));
	CHECK(atomic_load(&alone) == 0);
}

/* ---- turns ---------------------------------------------------------------------------------- */

enum { OTHERS = 60, TURNS = 20, KINDS_OF_OTHERS = 3 };
static atomic_int turns[OTHERS], satisfied;
static atomic_bool enough;

static void *other(void *arg)
{
	int me = (int)(long)arg;
	int fds[2];

	QUIET(pipe(fds) == 0);
	while (!atomic_load(&enough)) {
		if (me % KINDS_OF_OTHERS == 0) {
			gh_yield();
		} else if (me % KINDS_OF_OTHERS == 1) {
			QUIET(gh_sleep(GH_US(100)) == 0);
		} else {
			char c = 0;
			QUIET(write(fds[1], &c, 1) == 1);
			gh_yield();
			QUIET(read(fds[0], &c, 1) == 1);
		}
		if (atomic_fetch_add(&turns[me], 1) == TURNS)
			atomic_fetch_add(&satisfied, 1);
	}
	close(fds[0]);
	close(fds[1]);
	return arg;
}

static void *to_and_fro(void *arg)
{
	gh_time at = gh_after(GH_S(20));
	long rounds = 0;

	for (; atomic_load(&satisfied) < OTHERS && gh_now() < at; rounds++) {
		gh_task *t = gh_task_spawn(same, arg, NULL);
		QUIET(t && gh_task_join(t, NULL) == 0);
	}
	CHECK(atomic_load(&satisfied) == OTHERS && rounds > 0);
	atomic_store(&enough, true);
	return arg;
}

static void others_have_turns(void)
{
	gh_task *t[OTHERS], *pair;

	for (long i = 0; i < OTHERS; i++)
		QUIET((t[i] = gh_task_spawn(other, (void *)i, NULL)) != NULL);
	QUIET((pair = gh_task_spawn(to_and_fro, NULL, NULL)) != NULL);
	RC(0, gh_task_join(pair, NULL));
	for (int i = 0; i < OTHERS; i++)
		QUIET(gh_task_join(t[i], NULL) == 0);
}

/* ---- stress --------------------------------------------------------------------------------- */

static void *one_tree(void *arg)
{
	unsigned seed = (unsigned)(long)arg;
	tree(seed, seed % KINDS, true);
	return arg;
}

static void stress(int seconds)
{
	enum { AT_ONCE = 5 };
	gh_time at = gh_after(GH_S(seconds));
	for (long seed = 1; gh_now() < at; seed += AT_ONCE) {
		gh_task *t[AT_ONCE];
		for (long i = 0; i < AT_ONCE; i++)
			QUIET((t[i] = gh_task_spawn(one_tree, (void *)(seed + i),
						    &(gh_task_opts){.size = sizeof(gh_task_opts),
								    .stack_size = 256 << 10})) !=
			      NULL);
		for (int i = 0; i < AT_ONCE; i++)
			QUIET(gh_task_join(t[i], NULL) == 0);
		many();
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "turns")) {
		others_have_turns();
	} else if (!strcmp(what, "stress")) {
		stress(argc > 2 ? atoi(argv[2]) : 10);
	} else {
		for (enum kind kind = LIGHT; kind < KINDS; kind++) {
			tree(kind + 1, kind, false);
			tree(kind + 1, kind, true);
		}
		many();
	}
	all_gone();
	printf("done\n");
	return 0;
}
