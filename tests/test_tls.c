/* Suite of src/tls.c and the memory side of src/gthread.c: a thread block of ours is one of libc's.
 *
 * Without the scheduler: visit() switches to a new thread block on this kernel thread and back, as
 * the start-up self-test does.  The destructors of thread-specific data run on real gthreads.
 */
#include <ctype.h>
#include <limits.h>
#include <locale.h>

#include "src/arch/ctx.h"
#include "src/stack.h"
#include "src/tls.h"
#include "tests/helpers.h"

enum { TIDS = 10000, THREADS = 40, KEYS = 100 };

static __thread int initialised = 7;
static __thread char zeroed[300];

static struct {
	void *here, *there;
	uintptr_t tp;
	void (*fn)(void);
} trip;

static void entry(void *arg)
{
	ghi_tls_enter(((struct ghi_gthread *)arg)->res);
	trip.fn();
	ghi_tp_set(trip.tp);
	ghi_ctx_switch(&trip.there, trip.here);
}

/* Calls fn on the thread block and the stack of a new gthread. */
static struct ghi_gthread *visit(void (*fn)(void))
{
	static const struct ghi_gthread_attr attr = {.stack_size = 256 << 10,
						     .guard_size = GHI_PAGE};
	const char *why = NULL;

	if (!ghi_libc.tls_size)
		ck_assert_msg(ghi_tls_probe(&why) == 0, "%s", why);
	struct ghi_gthread *g = ghi_gthread_new(&attr, NULL, NULL, entry);
	must(g != NULL);
	trip.fn = fn;
	trip.tp = ghi_tp_get();
	ghi_tp_set(g->tp);
	ghi_ctx_switch(&trip.here, g->sp);
	return g;
}

static struct {
	pthread_t self;
	int initialised, errno_at_entry, alpha;
	uintptr_t tls, stack;
	bool zero;
} saw;

static void look(void)
{
	saw.self = pthread_self();
	saw.initialised = initialised++;
	saw.errno_at_entry = errno;
	saw.alpha = isalpha('x') && !isalpha('1') && toupper('q') == 'Q';
	saw.tls = (uintptr_t)&initialised;
	saw.stack = (uintptr_t)__builtin_frame_address(0);
	saw.zero = true;
	for (size_t i = 0; i < sizeof(zeroed); i++)
		saw.zero &= zeroed[i] == 0;
	memset(zeroed, 0xff, sizeof(zeroed));
	errno = EXDEV;
}

START_TEST(thread_locals_and_errno_are_its_own)
{
	initialised = 1;
	errno = EPIPE;
	visit(look);
	ck_assert_int_eq(saw.initialised, 7);
	ck_assert_int_eq(saw.errno_at_entry, 0);
	ck_assert(saw.zero);
	ck_assert(saw.alpha);
	ck_assert_int_eq(initialised, 1);
	ck_assert_int_eq(zeroed[0], 0);
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(pthread_self_is_the_thread_block)
{
	struct ghi_gthread *g = visit(look);
	ck_assert_uint_eq((uintptr_t)saw.self, g->tp);
	ck_assert_ptr_eq(ghi_gthread_of(g->tp), g);
	ck_assert(!pthread_equal(saw.self, pthread_self()));
}
END_TEST

START_TEST(stack_tls_and_thread_block_lie_in_the_mapping)
{
	struct ghi_gthread *g = visit(look);
	uintptr_t lo = (uintptr_t)g->map + g->guard, hi = (uintptr_t)g->map + g->map_size;
	ck_assert(saw.stack > lo && saw.stack < (uintptr_t)g->stack_hi);
	ck_assert(saw.tls >= (uintptr_t)g->stack_hi && saw.tls < g->tp);
	ck_assert(g->tp < (uintptr_t)g && (uintptr_t)(g + 1) <= hi);
	ck_assert_uint_eq(g->tp % ghi_libc.tls_align, 0);
	ck_assert_ptr_eq(g->stack_lo, g->map + g->guard);
}
END_TEST

static void churn(void)
{
	void *p[64];
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 64; i++) {
			p[i] = malloc((size_t)(i * 37 % 500 + 1));
			must(p[i] != NULL);
			memset(p[i], round, (size_t)(i * 37 % 500 + 1));
		}
		for (int i = 0; i < 64; i++)
			free(p[(i * 29) % 64]);
	}
	look();
}

START_TEST(a_recycled_block_is_as_good_as_new_and_malloc_works)
{
	struct ghi_gthread *first = NULL;
	for (int i = 0; i < 50; i++) {
		struct ghi_gthread *g = visit(churn);
		must(!first || g == first); /* from the pool */
		first = g;
		must_eq(saw.initialised, 7);
		must_eq(saw.errno_at_entry, 0);
		must(saw.zero);
		ghi_gthread_recycle(g);
		churn(); /* this thread's malloc is unharmed too */
	}
}
END_TEST

START_TEST(a_recycled_block_gets_another_tid)
{
	struct ghi_gthread *g = visit(look);
	int32_t tid = g->tid;
	ghi_gthread_recycle(g);
	ck_assert_ptr_eq(visit(look), g);
	ck_assert_int_ne(g->tid, tid);
}
END_TEST

START_TEST(tids_are_unique_and_no_kernel_tids)
{
	int32_t last = 0;
	for (int i = 0; i < TIDS; i++) {
		int32_t tid = ghi_gthread_new_tid();
		must(tid > 1 << 22 && tid < 1 << 30);
		must(tid > last);
		last = tid;
	}
}
END_TEST

static void use_stdio_and_locale(void)
{
	char buf[64];
	double d = 0;
	snprintf(buf, sizeof(buf), "%.2f", 2.5);
	must(sscanf(buf, "%lf", &d) == 1 && d == 2.5);
	must(strcmp(strerror(ENOENT), "No such file or directory") == 0);
	must(strcmp(localeconv()->decimal_point, ".") == 0);
	FILE *f = fopen("/dev/null", "w");
	must(f != NULL && fprintf(f, "%s", buf) == 4 && fclose(f) == 0);
}

START_TEST(stdio_and_locale_work_on_it)
{
	visit(use_stdio_and_locale);
}
END_TEST

START_TEST(too_large_a_stack_is_refused)
{
	const char *why;
	struct ghi_gthread_attr attr = {.stack_size = 1ul << 47};
	must_eq(ghi_tls_probe(&why), 0);
	ck_assert_ptr_null(ghi_gthread_new(&attr, NULL, NULL, entry));
}
END_TEST

/* ---- thread-specific data ------------------------------------------------------------------- */

static pthread_key_t keys[KEYS];
static int calls[KEYS];

static void set_again(void *value)
{
	int k = (int)(intptr_t)value - 1;
	__atomic_fetch_add(&calls[k], 1, __ATOMIC_RELAXED);
	must(pthread_getspecific(keys[k]) == NULL);
	pthread_setspecific(keys[k], value);
}

static void count_call(void *value)
{
	__atomic_fetch_add(&calls[(intptr_t)value - 1], 1, __ATOMIC_RELAXED);
}

static void *set_all(void *arg)
{
	for (int k = 0; k < KEYS; k++) {
		must(pthread_getspecific(keys[k]) == NULL);
		must_eq(pthread_setspecific(keys[k], (void *)(intptr_t)(k + 1)), 0);
	}
	return NULL;
}

START_TEST(destructors_run_once_per_thread_and_key)
{
	start_runtime(2);
	for (int k = 0; k < KEYS; k++)
		must_eq(pthread_key_create(&keys[k], count_call), 0);
	for (int i = 0; i < THREADS; i++)
		join(spawn(set_all, NULL)); /* recycled blocks: nothing of the last one is left */
	for (int k = 0; k < KEYS; k++)
		must_eq(calls[k], THREADS);
}
END_TEST

START_TEST(destructors_that_set_again_get_four_rounds)
{
	start_runtime(1);
	for (int k = 0; k < KEYS; k++)
		must_eq(pthread_key_create(&keys[k], k % 2 ? set_again : count_call), 0);
	join(spawn(set_all, NULL));
	for (int k = 0; k < KEYS; k++)
		must_eq(calls[k], k % 2 ? PTHREAD_DESTRUCTOR_ITERATIONS : 1);
}
END_TEST

static void *set_then_delete(void *arg)
{
	set_all(NULL);
	pthread_key_delete(keys[0]);
	pthread_key_delete(keys[KEYS - 1]);
	must_eq(pthread_key_create(&keys[0], count_call), 0); /* the same place, another key */
	return NULL;
}

START_TEST(a_deleted_key_has_no_destructor_call)
{
	start_runtime(1);
	for (int k = 0; k < KEYS; k++)
		must_eq(pthread_key_create(&keys[k], count_call), 0);
	join(spawn(set_then_delete, NULL));
	must_eq(calls[0], 0);
	must_eq(calls[KEYS - 1], 0);
	must_eq(calls[1], 1);
}
END_TEST

Suite *suite_tls(void)
{
	Suite *s = suite_create("tls");
	add_test(s, thread_locals_and_errno_are_its_own);
	add_test(s, pthread_self_is_the_thread_block);
	add_test(s, stack_tls_and_thread_block_lie_in_the_mapping);
	add_test(s, a_recycled_block_is_as_good_as_new_and_malloc_works);
	add_test(s, a_recycled_block_gets_another_tid);
	add_test(s, tids_are_unique_and_no_kernel_tids);
	add_test(s, stdio_and_locale_work_on_it);
	add_test(s, too_large_a_stack_is_refused);
	add_test(s, destructors_run_once_per_thread_and_key);
	add_test(s, destructors_that_set_again_get_four_rounds);
	add_test(s, a_deleted_key_has_no_destructor_call);
	return s;
}
