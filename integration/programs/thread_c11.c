/* C11 <threads.h>: threads, mutexes, conditions, specific storage, call_once. */
#include "check.h"
#include <threads.h>

static mtx_t mutex, recursive, timed;
static cnd_t cond;
static tss_t slot;
static once_flag flag = ONCE_FLAG_INIT;
static int once_runs, turn, destroyed, total;
static thread_local int mine;

static void once(void)
{
	once_runs++;
}

static void destroy(void *value)
{
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_SEQ_CST);
}

static int take_turns(void *arg)
{
	int me = (int)(intptr_t)arg;
	call_once(&flag, once);
	QUIET(tss_get(slot) == NULL);
	tss_set(slot, &mine);
	for (int i = 0; i < 50; i++) {
		mtx_lock(&mutex);
		while (turn != me)
			cnd_wait(&cond, &mutex);
		turn = (turn + 1) % 4;
		total++;
		mine++;
		cnd_broadcast(&cond);
		mtx_unlock(&mutex);
	}
	QUIET(mine == 50);
	QUIET(tss_get(slot) == &mine);
	if (me == 3)
		thrd_exit(103);
	return me + 100;
}

static int try_timed(void *arg)
{
	struct timespec until = deadline_ms(CLOCK_REALTIME, 20);
	QUIET(mtx_trylock(&timed) == thrd_busy);
	return mtx_timedlock(&timed, &until);
}

int main(void)
{
	thrd_t t[4];
	int result;
	CHECK(mtx_init(&mutex, mtx_plain) == thrd_success);
	CHECK(mtx_init(&recursive, mtx_plain | mtx_recursive) == thrd_success);
	CHECK(mtx_init(&timed, mtx_timed) == thrd_success);
	CHECK(cnd_init(&cond) == thrd_success);
	CHECK(tss_create(&slot, destroy) == thrd_success);
	for (intptr_t i = 0; i < 4; i++)
		MUST(thrd_create(&t[i], take_turns, (void *)i) == thrd_success);
	for (int i = 0; i < 4; i++) {
		QUIET(thrd_join(t[i], &result) == thrd_success);
		QUIET(result == i + 100);
	}
	CHECK(total == 200);
	CHECK(once_runs == 1);
	CHECK(destroyed == 4);
	CHECK(mine == 0);
	CHECK(thrd_equal(thrd_current(), thrd_current()));

	CHECK(mtx_lock(&recursive) == thrd_success);
	CHECK(mtx_lock(&recursive) == thrd_success);
	CHECK(mtx_unlock(&recursive) == thrd_success);
	CHECK(mtx_unlock(&recursive) == thrd_success);

	mtx_lock(&timed);
	MUST(thrd_create(&t[0], try_timed, NULL) == thrd_success);
	thrd_join(t[0], &result);
	CHECK(result == thrd_timedout);
	mtx_unlock(&timed);

	struct timespec until = deadline_ms(CLOCK_REALTIME, 20);
	mtx_lock(&mutex);
	CHECK(cnd_timedwait(&cond, &mutex, &until) == thrd_timedout);
	CHECK(cnd_signal(&cond) == thrd_success);
	mtx_unlock(&mutex);
	struct timespec nap = {.tv_nsec = 5000000};
	CHECK(thrd_sleep(&nap, NULL) == 0);
	thrd_yield();
	tss_delete(slot);
	return check_done();
}
