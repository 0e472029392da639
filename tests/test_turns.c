/* Suite of src/proto/turns.h, with small ages: who has the turn, and that nobody waits for ever. */
#define GHI_AGE_BELOW 5u
#define GHI_AGE_ABOVE 3u
#include "src/proto/turns.h"

#include "tests/helpers.h"

#define BIT(turn) (1u << (turn))
enum { ALL = (1 << GHI_TURNS) - 1 };

/* The last question was one switch ago. */
static struct ghi_turns begun(uint32_t tick)
{
	struct ghi_turns t = {.asked = tick - 1};
	return t;
}

START_TEST(the_highest_has_the_turn)
{
	for (unsigned waiting = 1; waiting <= ALL; waiting++) {
		struct ghi_turns t = begun(77);
		must_eq(ghi_turns_pick(&t, 77, waiting), 31 - __builtin_clz(waiting));
	}
}
END_TEST

START_TEST(one_that_is_due_has_one_turn)
{
	struct ghi_turns t = begun(0);
	unsigned both = BIT(GHI_TURN_HIGHEST) | BIT(GHI_TURN_LOW);
	for (uint32_t tick = 0; tick < 4 * GHI_AGE_BELOW; tick++)
		must_eq(ghi_turns_pick(&t, tick, both),
			tick && tick % GHI_AGE_BELOW == 0 ? GHI_TURN_LOW : GHI_TURN_HIGHEST);
}
END_TEST

START_TEST(a_class_ages_from_when_it_waits)
{
	struct ghi_turns t = begun(0);
	unsigned high = BIT(GHI_TURN_HIGH), both = high | BIT(GHI_TURN_LOW);
	for (uint32_t tick = 0; tick < 100; tick++)
		must_eq(ghi_turns_pick(&t, tick, high), GHI_TURN_HIGH);
	for (uint32_t tick = 100; tick < 100 + GHI_AGE_BELOW; tick++)
		must_eq(ghi_turns_pick(&t, tick, both), GHI_TURN_HIGH);
	must_eq(ghi_turns_due(&t, 100 + GHI_AGE_BELOW, both), true);
	must_eq(ghi_turns_pick(&t, 100 + GHI_AGE_BELOW, both), GHI_TURN_LOW);
	must_eq(ghi_turns_due(&t, 101 + GHI_AGE_BELOW, both), false);
}
END_TEST

START_TEST(the_fast_path_counts_as_turns_of_the_ring)
{
	struct ghi_turns t = begun(0);
	unsigned both = BIT(GHI_TURN_HIGH) | BIT(GHI_TURN_NORMAL);
	ghi_turns_pick(&t, 0, both);
	must_eq(ghi_turns_pick(&t, 50, both), GHI_TURN_HIGH);
}
END_TEST

START_TEST(who_is_next_has_the_next_turn)
{
	struct ghi_turns t = begun(9);
	ghi_turns_next(&t, 9, GHI_TURN_INBOX);
	must_eq(ghi_turns_pick(&t, 9, ALL), GHI_TURN_INBOX);
	ghi_turns_pick(&t, 10, ALL);
	ghi_turns_make_due(&t, 11, GHI_TURN_LOWEST);
	must_eq(ghi_turns_pick(&t, 11, ALL), GHI_TURN_LOWEST);
}
END_TEST

/* A slot that finds nothing but LOW, and always something in another one's ring. */
START_TEST(what_is_stolen_lets_those_below_age)
{
	struct ghi_turns t = begun(0);
	unsigned low = BIT(GHI_TURN_LOW);
	for (uint32_t tick = 0; tick < 4 * GHI_AGE_BELOW; tick++) {
		bool due = ghi_turns_due(&t, tick, low);
		must_eq(due, tick && tick % GHI_AGE_BELOW == 0);
		if (due)
			must_eq(ghi_turns_pick(&t, tick, low), GHI_TURN_LOW);
		else
			ghi_turns_pass(&t, tick, low);
	}
}
END_TEST

/* Who waits changes at random, the ticks wrap, the fast path has some of them: a class that has
 * waited at each question since some tick has had a turn within its age and one for each class. */
START_TEST(nobody_waits_for_ever)
{
	uint32_t rnd = (uint32_t)_i * 2654435761u + 1;
	uint32_t tick = (uint32_t)-3000, since[GHI_TURNS] = {0};
	struct ghi_turns t = begun(tick);
	unsigned waiting = 0, before = 0, mask = ALL;

	for (int i = 0; i < 20000; i++) {
		if (random_next(&rnd) % 32 == 0)
			mask = random_next(&rnd) & ALL;
		waiting = (random_next(&rnd) | mask) & ALL;
		tick++;
		bool fast = !(waiting >> GHI_TURN_HIGH) && random_next(&rnd) % 4 == 0;
		for (unsigned c = 0; c < GHI_TURNS; c++)
			if (!(waiting & before & BIT(c)))
				since[c] = tick;
		before = waiting;
		if (fast || !waiting)
			continue; /* one more switch until the next question */
		unsigned c = ghi_turns_pick(&t, tick, waiting);
		must(waiting & BIT(c));
		since[c] = tick;
		for (c = 0; c < GHI_TURNS; c++)
			if (waiting & BIT(c))
				must(c == GHI_TURN_HIGHEST || tick - since[c] < 8 * GHI_AGE_BELOW);
	}
}
END_TEST

/* With everybody waiting all the time, exactly: within its age and the number of classes. */
START_TEST(the_bound_holds_for_each_set)
{
	for (unsigned waiting = 1; waiting <= ALL; waiting++) {
		uint32_t tick = 1000u * (uint32_t)_i - 50, since[GHI_TURNS];
		struct ghi_turns t = begun(tick);
		for (unsigned c = 0; c < GHI_TURNS; c++)
			since[c] = tick;
		for (int i = 0; i < 200; i++, tick++) {
			unsigned turn = ghi_turns_pick(&t, tick, waiting);
			must(waiting & BIT(turn));
			since[turn] = tick;
			for (unsigned c = 0; c < GHI_TURNS; c++)
				if (waiting & BIT(c))
					must(tick - since[c] <= ghi_turns_age(c) + GHI_TURNS);
		}
	}
}
END_TEST

/* However many switches two need to hand over to each other, they count as 16 of the ring's. */
START_TEST(handing_over_ages_others_but_little)
{
	enum { MANY = 1000, EACH = GHI_AGE_BELOW / 4 + 1 };
	uint32_t tick = (uint32_t)-3 * MANY;
	struct ghi_turns t = begun(tick);
	unsigned waiting = BIT(GHI_TURN_INBOX) | BIT(GHI_TURN_NORMAL);
	int asked = 1;

	must_eq(ghi_turns_pick(&t, tick, waiting), GHI_TURN_NORMAL);
	for (;; asked++) {
		tick += MANY + 1;
		ghi_turns_skip(&t, MANY);
		if (ghi_turns_pick(&t, tick, waiting) == GHI_TURN_INBOX)
			break;
	}
	must_eq(asked, (GHI_AGE_BELOW + EACH - 1) / EACH);
}
END_TEST

Suite *suite_turns(void)
{
	Suite *s = suite_create("turns");
	add_test(s, the_highest_has_the_turn);
	add_test(s, one_that_is_due_has_one_turn);
	add_test(s, a_class_ages_from_when_it_waits);
	add_test(s, the_fast_path_counts_as_turns_of_the_ring);
	add_test(s, who_is_next_has_the_next_turn);
	add_test(s, what_is_stolen_lets_those_below_age);
	add_test(s, handing_over_ages_others_but_little);
	add_loop(s, nobody_waits_for_ever, 50);
	add_loop(s, the_bound_holds_for_each_set, 2);
	return s;
}
