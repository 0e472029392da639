/* Explores protocol 1, park and ready (src/proto/park_word.h): one sleeper, two wakers.
 *
 * Owns: the model of a gthread that parks twice and can be found by two wakers, each through a list
 * with a lock of its own (as a timed lock wait is found by the unlocker and by the timer).  Called
 * by: model_main.c.  Must not know: memory orders, schedules.
 *
 * Claims: exactly one ready() per park; no park sleeps for ever; nobody resumes the gthread before
 * it has left its stack; the reason it takes is the winner's, and what the winner wrote is visible.
 */
#include "src/proto/park_word.h"
#include "tests/models.h"

enum { SLEEPER, WAKER_A, WAKER_B, THREADS, ROUNDS = 2 };

static struct {
	uint32_t wake;
	uint32_t stack;		   /* plain: what P3 saves; read by whoever resumes */
	uint32_t message[THREADS]; /* plain: written by a waker before W2 */
	struct model_lock lock[THREADS];
	struct model_gate runnable;
	/* ghost */
	bool listed[THREADS];
	int round, winner, readies;
	bool done;
} s;

static void setup(void)
{
	s = (__typeof__(s)){.round = 0};
	model_name(&s.wake, 4, "wake");
	model_name(&s.stack, 4, "stack");
}

static void ready(void)
{
	model_note("ready()");
	s.readies++;
	model_assert(s.readies == s.round); /* one per park */
	model_post(&s.runnable);
}

static void publish(bool listed)
{
	for (int w = WAKER_A; w <= WAKER_B; w++) {
		model_lock(&s.lock[w]);
		s.listed[w] = listed;
		model_unlock(&s.lock[w]);
	}
}

static void commit(void)
{
	if (!ghi_wake_commit(&s.wake) && !model_mutated("P5 skipped"))
		ready();
}

static void sleeper(void)
{
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		bool late_arm = model_mutated("P2 before P1");

		s.round = round;
		s.winner = 0;
		if (!late_arm)
			ghi_wake_arm(&s.wake);
		publish(true);
		if (late_arm)
			ghi_wake_arm(&s.wake);
		if (!ghi_wake_notified(&s.wake)) {
			if (model_mutated("P4 before P3"))
				commit();
			plain_write(&s.stack, round);
			if (!model_mutated("P4 before P3"))
				commit();
			model_wait_moved(&s.runnable);
			model_assert(plain_read(&s.stack) == round);
		} else {
			s.readies++; /* it readies itself by staying */
		}
		uint32_t reason = ghi_wake_take(&s.wake);
		model_assert(reason == (uint32_t)s.winner);
		publish(false);
		model_assert(plain_read(&s.message[reason]) == round);
	}
	s.done = true;
}

static bool worth_a_try(int w)
{
	return s.listed[w] || s.done;
}

static void waker(int w)
{
	while (!s.done) {
		enum ghi_notify got = GHI_NOTIFY_LOST;

		model_block(worth_a_try, w);
		model_lock(&s.lock[w]);
		if (s.listed[w]) {
			s.listed[w] = false; /* one try per park */
			plain_write(&s.message[w], (uint32_t)s.round);
			got = ghi_wake_notify(&s.wake, w);
			if (got != GHI_NOTIFY_LOST) {
				model_assert(s.winner == 0);
				s.winner = w;
			}
		}
		model_unlock(&s.lock[w]);
		if (got == GHI_NOTIFY_WON_READY)
			ready();
		if (got == GHI_NOTIFY_WON_EARLY && model_mutated("WON_EARLY readies too"))
			ready();
	}
}

static void thread(int self)
{
	if (self == SLEEPER)
		sleeper();
	else
		waker(self);
}

static void final(void)
{
	model_assert(s.readies == ROUNDS);
	model_assert(s.runnable.posts == 0);
	model_assert(s.wake == GHI_WAKE_IDLE);
}

static const struct model_mutant mutants[] = {
    {"P4 commit not atomic", "ghi_wake_commit", NULL, MODEL_CAS, MODEL_SPLIT},
    {"P4 commit without release", "ghi_wake_commit", NULL, MODEL_CAS, MODEL_RELAX},
    {"W2 notify not atomic", "ghi_wake_notify", NULL, MODEL_CAS, MODEL_SPLIT},
    {"W2 notify without acquire", "ghi_wake_notify", NULL, MODEL_CAS, MODEL_RELAX},
    {"P1 arm forgotten", "ghi_wake_arm", NULL, MODEL_STORE, MODEL_DROP},
    {.name = "P2 before P1"},
    {.name = "P4 before P3"},
    {.name = "P5 skipped"},
    {.name = "WON_EARLY readies too"},
    {.name = NULL},
};

const struct model model_park = {
    .name = "park",
    .threads = THREADS,
    .preemptions = 3,
    .late = 1,
    .setup = setup,
    .thread = thread,
    .final = final,
    .mutants = mutants,
};
