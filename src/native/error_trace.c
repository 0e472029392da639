/* Backtraces of error values: a copy of the stack now, names later; see error.h.
 *
 * Owns: nothing.  Called by: error.c.  Must not know: what an error is.
 */
#include <errno.h>
#include <greenhook/base.h>
#include <string.h>

#include "src/gthread.h"
#include "src/native/error.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/tls.h"
#include "src/unwind.h"

enum { MOST = 4096, BELOW = 64, FRAMES = 48 };

/* One past the highest byte of the stack that `at` is on; 0: unknown. */
static uintptr_t top_of_stack(uintptr_t at)
{
	struct ghi_gthread *self = ghi_self();
	if (!self || !self->stack_hi || at < (uintptr_t)self->stack_lo ||
	    at >= (uintptr_t)self->stack_hi)
		return 0;
	return (uintptr_t)self->stack_hi;
}

size_t ghi_trace_room(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), top = top_of_stack(here);
	/* Whoever takes the copy stands a little deeper. */
	return !top || top - here > MOST - 1024 ? MOST : top - here + 1024;
}

/* Not memcpy: a sanitizer's looks at what lies between a program's variables.  to, from: aligned.
 */
__attribute__((no_sanitize("address"), noinline)) static void
copy_words(uintptr_t *to, const volatile uintptr_t *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(*to); i++)
		to[i] = from[i];
}

/* The registers that calls preserve lie in this frame, where the tables for unwinding say; only
 * its own frame pointer has to be told. */
__attribute__((noinline)) void ghi_trace_take(struct ghi_trace *t, char *to, size_t room)
{
	__builtin_unwind_init();
here:
	__asm__ volatile("" ::: "memory");
	t->pc = (uintptr_t) && here;
	t->fp = (uintptr_t)__builtin_frame_address(0);
	t->sp = t->fp - BELOW;
	t->stack = to;
	uintptr_t top = top_of_stack(t->fp);
	if (top) {
		t->bytes = (top - t->sp < room ? top - t->sp : room) & ~(sizeof(uintptr_t) - 1);
		copy_words((uintptr_t *)(void *)to, (const uintptr_t *)t->sp, t->bytes); // NOLINT
	} else {
		t->bytes = ghi_unwind_read(t->sp, to, room);
	}
}

static void name_line(struct ghi_trace_line *l)
{
	char path[1024];
	uintptr_t base = 0, ip = l->ip - 1; /* the call, not what comes after it */
	const void *module = ghi_unwind_module(ip, &base);

	l->name[0] = l->file[0] = 0;
	if (!module)
		return;
	l->in_file = l->ip - base;
	ghi_unwind_module_path(module, path, sizeof(path));
	const char *slash = strrchr(path, '/');
	ghi_format(l->file, sizeof(l->file), "%s", slash ? slash + 1 : path);
	if (!ghi_unwind_name(ip, l->name, sizeof(l->name), &l->off))
		l->name[0] = 0;
	l->off++;
}

static int find(const struct ghi_trace *t, struct ghi_trace_line *ret, int max)
{
	struct ghi_unwind_copy c = {.pc = t->pc, .sp = t->sp, .bytes = t->bytes, .stack = t->stack};
	const uintptr_t saved[GHI_SAVED_REGS] = {[GHI_SAVED_RBP] = t->fp};
	uintptr_t ips[FRAMES];
	int n = 0, from = 0;

	c.saved = saved;
	if (!ghi_runtime_running())
		ghi_unwind_open(true);
	else
		ghi_unwind_open_soon();
	ghi_unwind_forget();
	ghi_tls_fork_not_now();
	if (t->bytes)
		n = ghi_unwind_copy(&c, ips, FRAMES);
	while (from < n && ips[from] != t->at)
		from++;
	if (from == n) { /* not to be found: at least the place */
		ips[0] = t->at;
		from = 0;
		n = 1;
	}
	n = n - from < max ? n - from : max;
	for (int i = 0; i < n; i++) {
		ret[i].ip = ips[from + i];
		name_line(&ret[i]);
	}
	ghi_tls_fork_again();
	return n;
}

/* libunwind and libc take locks and look at the thread block, which a light gthread shares: so they
 * find no gthread meanwhile, and what they wait for is waited for in the kernel. */
int ghi_trace_lines(const struct ghi_trace *t, struct ghi_trace_line *ret, int max)
{
	struct ghi_gthread *self = ghi_self();
	int err = errno; // NOLINT: not a call that failed

	if (self)
		ghi_blocking_begin(self);
	ghi_nosig_enter();
	ghi_tls.self = NULL;
	int n = find(t, ret, max);
	ghi_tls.self = self;
	ghi_nosig_leave();
	if (self)
		ghi_blocking_end(self);
	errno = err;
	return n;
}
