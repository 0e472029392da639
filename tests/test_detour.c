/* Suite of src/detour.c and the processor's jump.c: what may be redirected, what is left alone,
 * that a redirected function answers through its replacement and is itself again afterwards.
 *
 * The victims are bytes in a page of the test's own, so every shape can be made.
 */
#include <sys/mman.h>

#include "src/detour.h"
#include "tests/helpers.h"

enum { PAGE = 4096 };

static int replacement(int a)
{
	return a + 1000;
}

#define FAR  ((char *)0x10000000000)
#define NEAR ((char *)((uintptr_t)replacement & ~(uintptr_t)(PAGE - 1)))

/* The first free place from here on. */
static char *page_at(char *from, const unsigned char *code, size_t n)
{
	char *p = MAP_FAILED;
	for (int i = 1; i < 100 && p == MAP_FAILED; i++)
		p = mmap(from + (i << 24), PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	must(p != MAP_FAILED);
	memcpy(p, code, n);
	must(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0);
	return p;
}

/* int f(int a) { return a + 1; } as a wrapper would begin: mov $39,%eax; then room. */
static const unsigned char plain[] = {0xb8, 39,	  0,	0,    0, /* mov $39, %eax */
				      0x48, 0x83, 0xec, 8,	 /* sub $8, %rsp */
				      0x48, 0x83, 0xc4, 8,	 /* add $8, %rsp */
				      0x8d, 0x47, 1,		 /* lea 1(%rdi), %eax */
				      0xc3, 0x0f, 0x05, 0x90, 0x90, 0x90, 0x90};

static struct ghi_detour planned(const void *entry, size_t size, int nr, const void *to)
{
	struct ghi_detour d = {.name = "victim", .nr = nr, .to = to};
	ghi_detour_plan(&d, entry, size);
	return d;
}

static void redirect_and_back(char *f, const void *to, unsigned length)
{
	int (*victim)(int) = (int (*)(int))f;
	struct ghi_detour d = planned(f, sizeof(plain), 39, to);
	unsigned char before[sizeof(plain)];

	memcpy(before, f, sizeof(before));
	must(d.why == NULL);
	must_eq(d.n, length);
	must_eq(victim(1), 2);
	must_eq(ghi_detours_write(&d, 1), 0);
	must(d.on);
	must_eq(victim(1), 1001);
	must_eq(ghi_detours_write(&d, 1), 0); /* a second time changes nothing */
	must_eq(victim(1), 1001);
	must_eq(ghi_detours_undo(&d, 1), 0);
	must(!d.on);
	must_eq(victim(1), 2);
	must(!memcmp(before, f, sizeof(before)));
}

START_TEST(a_near_function_is_redirected_and_restored)
{
	redirect_and_back(page_at(NEAR, plain, sizeof(plain)), (void *)replacement, 5);
}
END_TEST

START_TEST(a_far_function_is_redirected_and_restored)
{
	redirect_and_back(page_at(FAR, plain, sizeof(plain)), (void *)replacement, 14);
}
END_TEST

START_TEST(the_landing_mark_stays)
{
	unsigned char marked[4 + sizeof(plain)] = {0xf3, 0x0f, 0x1e, 0xfa};
	memcpy(marked + 4, plain, sizeof(plain));
	char *f = page_at(NEAR, marked, sizeof(marked));
	struct ghi_detour d = planned(f, sizeof(marked), 39, (void *)replacement);
	must(d.why == NULL);
	must(d.at == f + 4);
	must_eq(ghi_detours_write(&d, 1), 0);
	must(!memcmp(f, marked, 4));
	must_eq(((int (*)(int))f)(1), 1001);
}
END_TEST

/* Bytes at the entry, and whether they may be overwritten. */
static const struct {
	const char *what;
	bool ok;
	unsigned char code[24];
	size_t n;
} shapes[] = {
    {"cmpb $0, rip; je",
     true,
     {0x80, 0x3d, 1, 2, 3, 0, 0, 0x74, 0x17, 0xb8, 39, 0, 0, 0, 0x0f, 5},
     16},
    {"mov (%rdi); cmp",
     true,
     {0x8b, 7, 0x83, 0xf8, 2, 0x74, 5, 0xb8, 39, 0, 0, 0, 0x0f, 5, 0xc3, 0},
     16},
    {"a jump behind the five bytes",
     true,
     {0x8b, 7, 0x83, 0xf8, 2, 0xb8, 39, 0, 0, 0, 0x0f, 5, 0xeb, 0xf7},
     14},
    {"a jump among the five bytes",
     false,
     {0x8b, 7, 0x83, 0xf8, 2, 0xb8, 39, 0, 0, 0, 0x0f, 5, 0xeb, 0xf4},
     14},
    {"a near jcc among them",
     false,
     {0x8b, 7, 0x83, 0xf8, 2, 0xb8, 39, 0, 0, 0, 0x0f, 5, 0x0f, 0x84, 0xf0, 0xff, 0xff, 0xff},
     18},
    {"a jump to the entry",
     true,
     {0x8b, 7, 0x83, 0xf8, 2, 0xb8, 39, 0, 0, 0, 0x0f, 5, 0xeb, 0xf2},
     14},
    {"a breakpoint", false, {0xcc, 7, 0x83, 0xf8, 2, 0xb8, 39, 0, 0, 0, 0x0f, 5}, 12},
    {"somebody's jump", false, {0xe9, 0, 1, 0, 0, 0xb8, 39, 0, 0, 0, 0x0f, 5}, 12},
    {"somebody's indirect jump", false, {0xff, 0x25, 0, 0, 0, 0, 0xb8, 39, 0, 0, 0, 0x0f, 5}, 13},
    {"somebody's movabs",
     false,
     {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xe0, 0xb8, 39, 0, 0, 0, 0x0f, 5},
     19},
    {"another system call", false, {0xb8, 40, 0, 0, 0, 0x0f, 5, 0x90}, 8},
    {"no system call", false, {0xb8, 39, 0, 0, 0, 0xc3, 0x90, 0x90}, 8},
    {"too short", false, {0x0f, 5, 0xc3, 39}, 4},
};

START_TEST(shapes_are_told_apart)
{
	char *f = page_at(NEAR, shapes[_i].code, shapes[_i].n);
	struct ghi_detour d = planned(f, shapes[_i].n, 39, (void *)replacement);
	if ((d.why == NULL) != shapes[_i].ok)
		ck_abort_msg("%s: %s", shapes[_i].what, d.why ? d.why : "accepted");
}
END_TEST

START_TEST(what_is_not_there_is_said)
{
	struct ghi_detour d = planned(NULL, 0, 39, (void *)replacement);
	must(d.why != NULL);
	must_eq(ghi_detours_write(&d, 1), 0); /* and left alone */
	must(!d.on);
}
END_TEST

START_TEST(a_page_that_may_not_change_leaves_all_as_it_was)
{
	char *f = page_at(NEAR, plain, sizeof(plain));
	struct ghi_detour d[2] = {planned(f, sizeof(plain), 39, (void *)replacement),
				  planned(f, sizeof(plain), 39, (void *)replacement)};
	d[1].at = f + 16 * PAGE; /* what lies between is not mapped */
	must(ghi_detours_write(d, 2) < 0);
	must(!d[0].on && !d[1].on);
	must_eq(((int (*)(int))f)(1), 2);
}
END_TEST

Suite *suite_detour(void)
{
	Suite *s = suite_create("detour");
	add_test(s, a_near_function_is_redirected_and_restored);
	add_test(s, a_far_function_is_redirected_and_restored);
	add_test(s, the_landing_mark_stays);
	add_loop(s, shapes_are_told_apart, sizeof(shapes) / sizeof(shapes[0]));
	add_test(s, what_is_not_there_is_said);
	add_test(s, a_page_that_may_not_change_leaves_all_as_it_was);
	return s;
}
