/* Backtraces of gthreads that are not running; see inspect.h.
 *
 * Unwinding costs microseconds, and of a million gthreads most wait at the same few places.  So the
 * shape of a stack that was unwound is kept: which words at which distance from the saved stack
 * pointer are its return addresses, and which are its frame pointers, relative to it.  Another
 * stack with the same words in the same places has the same frames: the place of each frame follows
 * from the code and, where the code uses one, the frame pointer.
 */
#include <string.h>

#include "src/base/copy.h"
#include "src/inspect.h"
#include "src/tls.h"
#include "src/unwind.h"

enum { SHAPES = 64, KNOWN = 1 << 14, MODULES = 512, COPY = 16 << 10 };

struct ghi_inspect_shape {
	uint64_t hash;
	long number; /* -1: not said yet */
	int n, words;
	uintptr_t ips[GHI_INSPECT_FRAMES];
	struct word {
		uint32_t at;   /* from the saved stack pointer */
		bool relative; /* to that */
		uintptr_t value;
	} word[2 * GHI_INSPECT_FRAMES + 2];
};

struct known {
	uint64_t hash; /* 0: free */
	long number;
};

static struct {
	struct ghi_inspect_shape *shape[SHAPES]; /* in use; the latest match first */
	int n;
	struct ghi_inspect_shape *store; /* SHAPES of them */
	struct known *known;		 /* numbers that were given */
	unsigned nknown;
	long next;
	int modules;
	const void *module[MODULES];
	char copy[COPY] __attribute__((aligned(16)));
	struct ghi_unwind_frame frames[GHI_INSPECT_FRAMES];
	char path[4096];
} stacks;

static void *pages(size_t bytes)
{
	long r = ghi_sys(SYS_mmap, NULL, bytes, 3, 0x22, -1, 0);
	return r < 0 && r > -4096 ? NULL : (void *)r;
}

bool ghi_inspect_stacks_begin(void)
{
	ghi_unwind_open_soon();
	ghi_unwind_forget();
	stacks.n = 0;
	stacks.modules = 0;
	stacks.next = 0;
	stacks.nknown = 0;
	stacks.store = pages(SHAPES * sizeof(*stacks.store));
	stacks.known = pages(KNOWN * sizeof(*stacks.known));
	return stacks.store && stacks.known;
}

void ghi_inspect_stacks_end(void)
{
	if (stacks.store)
		ghi_sys(SYS_munmap, stacks.store, SHAPES * sizeof(*stacks.store));
	if (stacks.known)
		ghi_sys(SYS_munmap, stacks.known, KNOWN * sizeof(*stacks.known));
	stacks.store = NULL;
	stacks.known = NULL;
}

static uint64_t hash_of(const uintptr_t *ips, int n)
{
	uint64_t h = 0xcbf29ce484222325ull;
	for (int i = 0; i < n; i++)
		h = (h ^ ips[i]) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
	return h ? h : 1;
}

/* Its own mapping is never unmapped; the program's may be at any time. */
static bool readable(const struct ghi_gthread *g, uintptr_t sp)
{
	return !(g->flags & GHI_G_USTACK) && sp >= (uintptr_t)g->stack_lo &&
	       sp <= (uintptr_t)g->stack_hi - GHI_FRAME_SIZE && sp % 8 == 0;
}

static bool matches(const struct ghi_inspect_shape *s, uintptr_t sp, uintptr_t hi)
{
	for (int i = 0; i < s->words; i++) {
		const struct word *w = &s->word[i];
		if (w->at > hi - sp - 8)
			return false;
		uintptr_t value = load_relaxed((uintptr_t *)(sp + w->at)); // NOLINT
		if (value - (w->relative ? sp : 0) != w->value)
			return false;
	}
	return true;
}

static void add_word(struct ghi_inspect_shape *s, uintptr_t sp, uintptr_t at, uintptr_t value,
		     bool relative)
{
	s->word[s->words++] =
	    (struct word){(uint32_t)(at - sp), relative, value - (relative ? sp : 0)};
}

/* Keeps the shape of the stack in stacks.frames, if it can be told by words of the copy. */
static struct ghi_inspect_shape *keep(const struct ghi_inspect_stack *stack, uintptr_t sp,
				      size_t bytes)
{
	const struct ghi_unwind_frame *f = stacks.frames;
	uintptr_t word, end = sp + bytes, last_at = 0;
	struct ghi_inspect_shape *s =
	    stacks.n < SHAPES ? &stacks.store[stacks.n] : stacks.shape[SHAPES - 1];

	if (stacks.n < SHAPES)
		stacks.shape[stacks.n++] = s;
	s->hash = stack->hash;
	s->number = -1;
	s->words = 0;
	s->n = stack->n;
	memcpy(s->ips, stack->ips, sizeof(s->ips));
	add_word(s, sp, sp + GHI_FRAME_RIP, f[0].ip, false);
	for (int i = 0; i < stack->n; i++) {
		/* Where its caller's rbp is kept; the first one's is in the saved context. */
		uintptr_t at = i ? f[i].fp_at : sp + GHI_FRAME_RBP;
		if (at && at != last_at && at >= sp && at + 8 <= end && f[i].fp >= sp &&
		    f[i].fp < end)
			add_word(s, sp, at, f[i].fp, true);
		last_at = at;
		if (!i)
			continue;
		if (f[i].sp < sp + 8 || f[i].sp > end)
			goto unfit;
		memcpy(&word, stacks.copy + (f[i].sp - 8 - sp), sizeof(word));
		if (word != f[i].ip) /* a signal's frame, say */
			goto unfit;
		add_word(s, sp, f[i].sp - 8, word, false);
	}
	return s;
unfit:
	s->words = 1;
	s->word[0] =
	    (struct word){0, false, 1}; /* matches nothing: mxcsr is there, with its masks */
	return NULL;
}

static void unwind(const struct ghi_unwind_copy *c, struct ghi_inspect_stack *ret)
{
	ret->n = ghi_unwind_frames(c, stacks.frames, GHI_INSPECT_FRAMES);
	for (int i = 0; i < ret->n; i++)
		ret->ips[i] = stacks.frames[i].ip;
	ret->hash = hash_of(ret->ips, ret->n);
	ret->shape = NULL;
}

static bool seen_before(const struct ghi_gthread *g, uintptr_t sp, struct ghi_inspect_stack *ret)
{
	for (int i = 0; i < stacks.n; i++) {
		struct ghi_inspect_shape *s = stacks.shape[i];
		if (!matches(s, sp, (uintptr_t)g->stack_hi))
			continue;
		memmove(stacks.shape + 1, stacks.shape, (size_t)i * sizeof(*stacks.shape));
		stacks.shape[0] = s;
		ret->shape = s;
		ret->hash = s->hash;
		ret->n = 0; /* the shape has them */
		return true;
	}
	return false;
}

void ghi_inspect_stack_of(const struct ghi_gthread *g, struct ghi_inspect_stack *ret)
{
	uintptr_t sp = (uintptr_t)load_relaxed(&g->sp), hi = (uintptr_t)g->stack_hi, word[8];
	bool in_place = readable(g, sp);

	ret->n = 0;
	ret->hash = 0;
	ret->shape = NULL;
	if (sp < (uintptr_t)g->stack_lo || sp >= hi || (in_place && seen_before(g, sp, ret)))
		return;
	size_t bytes = hi - sp < COPY ? hi - sp : COPY;
	if (in_place)
		ghi_copy_raw(stacks.copy, (void *)sp, bytes); // NOLINT: where it left its stack
	else
		bytes = ghi_unwind_read(sp, stacks.copy, bytes);
	if (bytes < GHI_FRAME_SIZE)
		return;
	memcpy(word, stacks.copy, sizeof(word));
	uintptr_t saved[GHI_SAVED_REGS] = {word[GHI_FRAME_RBX / 8], word[GHI_FRAME_RBP / 8],
					   word[GHI_FRAME_R12 / 8], word[GHI_FRAME_R13 / 8],
					   word[GHI_FRAME_R14 / 8], word[GHI_FRAME_R15 / 8]};
	struct ghi_unwind_copy c = {.pc = word[GHI_FRAME_RIP / 8],
				    .sp = sp + GHI_FRAME_SIZE,
				    .bytes = bytes - GHI_FRAME_SIZE,
				    .stack = stacks.copy + GHI_FRAME_SIZE,
				    .saved = saved};
	unwind(&c, ret);
	if (in_place)
		ret->shape = keep(ret, sp, bytes);
}

void ghi_inspect_stack_from(uintptr_t pc, uintptr_t sp, size_t bytes, const char *copy,
			    struct ghi_inspect_stack *ret)
{
	struct ghi_unwind_copy c = {pc, sp, bytes, copy, NULL};
	unwind(&c, ret);
}

/* ---- what is said about them ---------------------------------------------------------------- */

int ghi_inspect_module(struct ghi_answer *a, uintptr_t ip)
{
	uintptr_t base = 0;
	const void *m = ip ? ghi_unwind_module(ip, &base) : NULL;

	if (!m)
		return -1;
	for (int i = 0; i < stacks.modules; i++)
		if (stacks.module[i] == m)
			return i;
	if (stacks.modules == MODULES)
		return -1;
	stacks.module[stacks.modules] = m;
	ghi_unwind_module_path(m, stacks.path, sizeof(stacks.path));
	ghi_answer_put(a, "m\t%d\t%lx\t", stacks.modules, base);
	ghi_answer_field(a, stacks.path, sizeof(stacks.path));
	ghi_answer_put(a, "\n");
	return stacks.modules++;
}

void ghi_inspect_put_code(struct ghi_answer *a, uintptr_t ip, int module)
{
	if (!ip)
		ghi_answer_put(a, "-");
	else if (module < 0)
		ghi_answer_put(a, "%lx:-", ip);
	else
		ghi_answer_put(a, "%lx:%d", ip, module);
}

static void say(struct ghi_answer *a, long number, const uintptr_t *ips, int n)
{
	int modules[GHI_INSPECT_FRAMES];
	for (int i = 0; i < n; i++)
		modules[i] = ghi_inspect_module(a, ips[i] - (i > 0));
	ghi_answer_put(a, "s\t%ld\t", number);
	for (int i = 0; i < n; i++) {
		ghi_answer_put(a, i ? " " : "");
		ghi_inspect_put_code(a, ips[i], modules[i]);
	}
	ghi_answer_put(a, "\n");
}

int ghi_inspect_stack_ips(const struct ghi_inspect_stack *s, uintptr_t *ret)
{
	int n = s->shape ? s->shape->n : s->n;
	memcpy(ret, s->shape ? s->shape->ips : s->ips, (size_t)n * sizeof(*ret));
	return n;
}

long ghi_inspect_stack_number(struct ghi_answer *a, const struct ghi_inspect_stack *s)
{
	if (s->shape && s->shape->number >= 0)
		return s->shape->number;
	const uintptr_t *ips = s->shape ? s->shape->ips : s->ips;
	int n = s->shape ? s->shape->n : s->n;
	if (!n)
		return -1;
	unsigned at = (unsigned)(s->hash >> 20) % KNOWN;
	while (stacks.known[at].hash && stacks.known[at].hash != s->hash)
		at = (at + 1) % KNOWN;
	if (!stacks.known[at].hash) {
		/* When the table is full the others are said again each time. */
		if (stacks.nknown < KNOWN - KNOWN / 8) {
			stacks.nknown++;
			stacks.known[at].hash = s->hash;
		}
		stacks.known[at].number = stacks.next;
		say(a, stacks.next++, ips, n);
	}
	long number = stacks.known[at].hash ? stacks.known[at].number : stacks.next - 1;
	if (s->shape)
		s->shape->number = number;
	return number;
}
