/* Suite of a request that was on its way when the task shielded itself: it wakes a later wait,
 * which it must not end.  Once a shielded gh_chan_send() said -ECANCELED. */
#include <greenhook/chan.h>
#include <greenhook/net.h>
#include <greenhook/sync.h>
#include <greenhook/task.h>
#include <sys/socket.h>

#include "src/native/task_int.h"
#include "src/signal.h"
#include "tests/helpers.h"

static gh_chan *ch;
static int pair[2];
static gh_mutex m;
static gh_cond c;
static gh_sem sem;
static gh_event event;
static gh_wg wg;
static gh_barrier barrier;
static uint32_t waiting, released;

static int64_t wait_for(int what)
{
	char x;
	gh_case cases[] = {GH_RECV(ch, &x), GH_READABLE(pair[0])};
	gh_time at;
	int64_t r;

	switch (what) {
	case 0:
		return gh_chan_recv(ch, &x);
	case 1:
		return gh_select(cases, 2);
	case 2:
		return gh_recv(pair[0], &x, 1) - 1;
	case 3:
		gh_mutex_lock(&m);
		for (r = 0; r == 0 && !load_relaxed(&released);)
			r = gh_cond_wait(&c, &m);
		gh_mutex_unlock(&m);
		return r;
	case 4:
		return gh_sem_wait(&sem);
	case 5:
		return gh_event_wait(&event);
	case 6:
		return gh_wg_wait(&wg);
	case 7:
		r = gh_barrier_wait(&barrier);
		return r < 0 ? r : 0;
	default:
		at = gh_after(GH_MS(20));
		r = gh_sleep_until(at);
		return r ? r : gh_now() < at ? -1 : 0;
	}
}
enum { WAITS = 9 };

static void *shielded(void *arg)
{
	must_eq(gh_task_shield(), 0);
	store_release(&waiting, 1u);
	must_eq(wait_for((int)(intptr_t)arg), 0);
	must_eq(gh_task_unshield(), 0);
	must_eq(gh_chan_recv(ch, NULL), -ECANCELED); /* it was only put off */
	return NULL;
}

static void release(int what)
{
	switch (what) {
	case 0:
	case 1:
		must_eq(gh_chan_send(ch, "x"), 0);
		break;
	case 2:
		must_eq(gh_send(pair[1], "x", 1), 1);
		break;
	case 3:
		gh_mutex_lock(&m);
		store_relaxed(&released, 1u);
		gh_mutex_unlock(&m);
		must_eq(gh_cond_signal(&c), 0);
		break;
	case 4:
		must_eq(gh_sem_post(&sem), 0);
		break;
	case 5:
		must_eq(gh_event_set(&event), 0);
		break;
	case 6:
		must_eq(gh_wg_done(&wg), 0);
		break;
	case 7:
		must(gh_barrier_wait(&barrier) >= 0);
	}
}

START_TEST(a_late_request_ends_no_shielded_wait)
{
	int what = _i / WORKER_COUNTS;
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	ch = gh_chan_new(1, 0);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	must_eq(gh_wg_add(&wg, 1), 0);
	must_eq(gh_barrier_init(&barrier, 2), 0);
	gh_task *t = gh_task_spawn(shielded, (void *)(intptr_t)what, NULL);
	until(load_acquire(&waiting));
	must_eq(gh_task_cancel(t), 0);
	for (int i = 0; i < 5; i++) {
		if (what < 8)
			until(t->g->reason != GHI_PARK_NONE);
		/* The canceller, which had seen that it counts. */
		ghi_signal_interrupt(t->g, GHI_WOKEN_CANCEL);
	}
	release(what);
	must_eq(gh_task_join(t, NULL), 0);
}
END_TEST

Suite *suite_native_late(void)
{
	Suite *s = suite_create("native_late");
	add_loop(s, a_late_request_ends_no_shielded_wait, WAITS * WORKER_COUNTS);
	return s;
}
