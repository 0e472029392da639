/* Timers that call functions: many at once, set, stopped and freed by several threads. */
#include "rc.h"

enum { MANY = 300, ROUNDS = 200 };

static int fired, early;
static gh_timer *shared;

struct one {
	gh_timer *timer;
	gh_time at;
};

static void due(void *arg)
{
	struct one *o = arg;
	if (gh_now() < o->at)
		__atomic_add_fetch(&early, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&fired, 1, __ATOMIC_RELAXED);
}

static void many(void)
{
	static struct one all[MANY];
	for (int i = 0; i < MANY; i++) {
		MUST((all[i].timer = gh_timer_new(due, &all[i])));
		all[i].at = gh_after(GH_MS(i % 20));
		QRC(0, gh_timer_set(all[i].timer, all[i].at, 0));
	}
	for (int i = 0; i < 10000 && __atomic_load_n(&fired, __ATOMIC_ACQUIRE) < MANY; i++)
		gh_sleep(GH_MS(1));
	CHECK(fired == MANY && early == 0);
	for (int i = 0; i < MANY; i++) {
		QRC(0, gh_timer_stop(all[i].timer));
		QRC(0, gh_timer_free(all[i].timer));
	}
}

static int running, overlaps, beats;

static void beat(void *arg)
{
	(void)arg;
	if (__atomic_add_fetch(&running, 1, __ATOMIC_ACQ_REL) != 1)
		__atomic_add_fetch(&overlaps, 1, __ATOMIC_RELAXED);
	if (__atomic_add_fetch(&beats, 1, __ATOMIC_RELAXED) % 3 == 0)
		gh_yield();
	__atomic_sub_fetch(&running, 1, __ATOMIC_ACQ_REL);
}

static void *sets(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		switch ((i + (int)(intptr_t)arg) % 4) {
		case 0:
			QRC(0, gh_timer_set(shared, gh_after(GH_US(50)), GH_US(20)));
			break;
		case 1:
			QRC(0, gh_timer_set(shared, 0, 0));
			break;
		case 2:
			QUIET(gh_timer_stop(shared) >= 0);
			break;
		default:
			gh_sleep(GH_US(100));
		}
	}
	return NULL;
}

static void storm(void)
{
	pthread_t p[4];
	gh_task *t[8];
	MUST((shared = gh_timer_new(beat, NULL)));
	for (intptr_t i = 0; i < 4; i++)
		MUST(!pthread_create(&p[i], NULL, sets, (void *)i));
	for (intptr_t i = 0; i < 8; i++)
		MUST((t[i] = gh_task_spawn(sets, (void *)i, NULL)));
	for (int i = 0; i < 4; i++)
		pthread_join(p[i], NULL);
	for (int i = 0; i < 8; i++)
		QRC(0, gh_task_join(t[i], NULL));
	int before = __atomic_load_n(&beats, __ATOMIC_ACQUIRE);
	RC(0, gh_timer_set(shared, 0, GH_US(10)));
	for (int i = 0; i < 10000 && __atomic_load_n(&beats, __ATOMIC_ACQUIRE) < before + 20; i++)
		gh_sleep(GH_MS(1));
	RC(0, gh_timer_free(shared));
	CHECK(running == 0 && overlaps == 0 && beats >= before + 20);
}

int main(void)
{
	many();
	storm();
	RC(0, gh_shutdown(gh_after(GH_S(10))));
	return check_done();
}
