/* Mistakes in calls: an error each, or, in a debug run, the end with a text.
 *
 *   misuse          all of them, one after the other: errors
 *   misuse list     their numbers and texts, for the test
 *   misuse N        number N alone */
#include "rc.h"

static gh_task *stale_task(void)
{
	gh_task *t = gh_task_spawn((gh_fn)(void *)gh_now, NULL, NULL);
	MUST(t && gh_task_join(t, NULL) == 0);
	return t;
}

static uint64_t zeros[64];
#define NONE(type) ((type *)zeros)
static gh_mutex mutex;
static gh_rwlock rwlock;
static gh_barrier barrier;
static gh_wg wg;

static int errno_of(const void *p)
{
	return p ? 0 : -errno;
}

static void *joins_itself(void *arg)
{
	*(int *)arg = gh_task_join(gh_task_self(), NULL);
	return NULL;
}

static int join_itself(void)
{
	int r = 0;
	MUST(gh_task_join(gh_task_spawn(joins_itself, &r, NULL), NULL) == 0);
	return r;
}

static gh_task *two[2];
static int said[2], begun, ended;

static void *joins_the_other(void *arg)
{
	intptr_t i = (intptr_t)arg;
	__atomic_add_fetch(&begun, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) < 3)
		gh_yield();
	said[i] = gh_task_join(two[!i], NULL);
	__atomic_add_fetch(&ended, 1, __ATOMIC_ACQ_REL);
	return NULL;
}

static int join_each_other(void)
{
	for (intptr_t i = 0; i < 2; i++)
		two[i] = gh_task_spawn(joins_the_other, (void *)i, NULL);
	__atomic_add_fetch(&begun, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < 2)
		gh_yield();
	for (int i = 0; i < 2; i++)
		MUST(said[!i] == 0 || gh_task_join(two[i], NULL) == 0);
	return said[0] ? said[0] : said[1];
}

static int waits(void *arg)
{
	return gh_group_wait(arg);
}

static int wait_as_member(void)
{
	gh_group *g = gh_group_new(NULL, 0);
	MUST(gh_group_spawn(g, waits, g, NULL) == 0);
	int r = gh_group_wait(g);
	gh_group_free(g);
	return r;
}

static void *unshields(void *arg)
{
	*(int *)arg = gh_task_unshield();
	return NULL;
}

static int unshield(void)
{
	int r = 0;
	MUST(gh_task_join(gh_task_spawn(unshields, &r, NULL), NULL) == 0);
	return r;
}

static void *sleeps(void *arg)
{
	gh_sleep(GH_S(60));
	return arg;
}

static int join_detached(void)
{
	gh_task *t = gh_task_spawn(sleeps, NULL, NULL);
	MUST(gh_task_detach(t) == 0);
	int r = gh_task_join(t, NULL);
	gh_task_cancel(t);
	return r;
}

static int spawn_without_size(void)
{
	return errno_of(gh_task_spawn(sleeps, NULL, &(gh_task_opts){0}));
}

static int select_nothing_known(void)
{
	gh_case c = {.op = 99};
	return gh_select(&c, 1);
}

static int select_closed(void)
{
	int v;
	gh_case c = GH_RECV(NONE(gh_chan), &v);
	return gh_select(&c, 1);
}

/* X(error, text, call) */
#define MISTAKES                                                                                   \
	X(-EINVAL, "gh_task_join_until: the task is NULL", gh_task_join(NULL, NULL))               \
	X(-EINVAL, "is no task: it was given up (joined", gh_task_join(stale_task(), NULL))        \
	X(-EINVAL, "gh_task_detach: the task is NULL", gh_task_detach(NULL))                       \
	X(-EINVAL, "gh_task_detach: 0x", gh_task_detach(stale_task()))                             \
	X(-EINVAL, "gh_task_cancel: 0x", gh_task_cancel(stale_task()))                             \
	X(-EINVAL, "gh_task_set_deadline: 0x", gh_task_set_deadline(stale_task(), 1))              \
	X(-EINVAL, "is detached, or another thread joins it", join_detached())                     \
	X(-EDEADLK, "a task joins itself", join_itself())                                          \
	X(-EDEADLK, "joins the caller, by itself or by others", join_each_other())                 \
	X(-EINVAL, "the function is NULL", errno_of(gh_task_spawn(NULL, NULL, NULL)))              \
	X(-EINVAL, "GH_TASK_OPTS_SIZE is missing", spawn_without_size())                           \
	X(-EPERM, "gh_task_shield: the caller is no task", gh_task_shield())                       \
	X(-EPERM, "gh_task_unshield: the caller is no task", gh_task_unshield())                   \
	X(-EINVAL, "there is no gh_task_shield to end", unshield())                                \
	X(-EPERM, "gh_defer: the caller is no task", gh_defer(free, NULL))                         \
	X(-EPERM, "gh_defer_pop: the caller is no task", gh_defer_pop(true))                       \
	X(-EINVAL, "gh_main: the function is NULL", gh_main(NULL, 0, NULL))                        \
	X(-EINVAL, "gh_group_wait_until: the group is NULL", gh_group_wait(NULL))                  \
	X(-EINVAL, "is no group", gh_group_cancel(NONE(gh_group)))                                 \
	X(-EDEADLK, "a member waits for its own group", wait_as_member())                          \
	X(-EINVAL, "is no future", gh_future_set(NONE(gh_future), 0, NULL))                        \
	X(-EINVAL, "the future is NULL", gh_await(NULL, NULL))                                     \
	X(-EINVAL, "gh_await_any: no futures", gh_await_any(NULL, 3, 0))                           \
	X(-EINVAL, "gh_chan_send: the channel is NULL", gh_chan_send(NULL, NULL))                  \
	X(-EINVAL, "is no channel", gh_chan_recv(NONE(gh_chan), NULL))                             \
	X(-EINVAL, "gh_chan_close: 0x", gh_chan_close(NONE(gh_chan)))                              \
	X(-EINVAL, "gh_chan_len: the channel is NULL", (int)gh_chan_len(NULL))                     \
	X(-EINVAL, "gh_chan_new: elements of", errno_of(gh_chan_new(SIZE_MAX, 2)))                 \
	X(-EINVAL, "gh_select: case 0 has no meaning", select_nothing_known())                     \
	X(-EINVAL, "gh_select: case 0: its channel was given up", select_closed())                 \
	X(-EINVAL, "gh_mutex_lock: the mutex is NULL", gh_mutex_lock(NULL))                        \
	X(-EPERM, "gh_mutex_unlock: the mutex is not locked", gh_mutex_unlock(&mutex))             \
	X(-EPERM, "the caller has not locked the mutex", gh_cond_wait(&(gh_cond){0}, &mutex))      \
	X(-EPERM, "gh_rwlock_unlock: the lock is not locked", gh_rwlock_unlock(&rwlock))           \
	X(-EINVAL, "the value -1 is no count", gh_sem_init(&(gh_sem){0}, -1))                      \
	X(-EINVAL, "was destroyed, or was not made", gh_barrier_wait(&barrier))                    \
	X(-EINVAL, "more are done than were added", gh_wg_done(&wg))                               \
	X(-EINVAL, "gh_open: the path is NULL", gh_open(NULL, 0, 0))                               \
	X(-EINVAL, "-5 is no place in a file", (int)gh_pread(0, zeros, 1, -5))                     \
	X(-EINVAL, "gh_dir_next: the directory is NULL", gh_dir_next(NULL, NULL, NULL))            \
	X(-EINVAL, "gh_proc_spawn: no program", gh_proc_spawn(NULL, NULL))                         \
	X(-EINVAL, "gh_tick: every 0 ns", errno_of(gh_tick(0)))                                    \
	X(-EINVAL, "gh_resolve_until: the host or the result", gh_resolve(NULL, 1, NULL, 0))       \
	X(-EINVAL, "gh_task_set_priority: 0x", gh_task_set_priority(stale_task(), 0))              \
	X(-EINVAL, "gh_task_get_priority: the task is NULL", gh_task_get_priority(NULL, NULL))     \
	X(-EINVAL, "is no timer", gh_timer_stop(NONE(gh_timer)))                                   \
	X(-EINVAL, "gh_module_load: the module is NULL", gh_module_load(NULL, "x", NULL, 0))       \
	X(-EINVAL, "is no version of a module", gh_module_release(NONE(gh_module_version)))        \
	X(-EINVAL, "is no error", gh_error_code(NONE(gh_error)))                                   \
	X(-EINVAL, "gh_set_allocator: the allocator is NULL", gh_set_allocator(NULL))              \
	X(-EINVAL, "gh_stats: the structure is NULL", gh_stats(NULL))

int main(int argc, char **argv)
{
	int n = 0, only = argc > 1 ? atoi(argv[1]) : -1;
	bool list = argc > 1 && !strcmp(argv[1], "list");
#define X(error, text, call)                                                                       \
	if (list)                                                                                  \
		printf("%d\t%s\n", n, text);                                                       \
	else if (only < 0 || only == n)                                                            \
		RC(error, call);                                                                   \
	n++;
	MISTAKES
#ifdef GH_DEBUG
	puts("compiled with GH_DEBUG");
#endif
	if (!list && only < 0)
		CHECK(gh_debug(0) == 0 && gh_debug(1) == 0 && gh_debug(0) == 1);
	return check_done();
}
