/* The crash report; see crash.h.  Runs on the worker's alternate stack, in a process that may be
 * broken in any way: no allocation of ours, no locks but libunwind's own, and a second fault while
 * reporting goes straight to the default action. */
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "src/crash.h"
#include "src/gthread.h"
#include "src/real.h"
#include "src/sched.h"
#include "src/unwind.h"

enum { MAX_FRAMES = 64 };

static uint32_t reporting; /* tid of the thread that reports; others wait for the end */

void ghi_crash_prepare(void)
{
	if (ghi_config.crash_report)
		ghi_unwind_open(false);
}

static const char *signal_name(int sig)
{
	switch (sig) {
	case SIGSEGV:
		return "SIGSEGV";
	case SIGBUS:
		return "SIGBUS";
	case SIGFPE:
		return "SIGFPE";
	case SIGILL:
		return "SIGILL";
	case SIGABRT:
		return "SIGABRT";
	default:
		return "signal";
	}
}

static bool print_frame(int n, uintptr_t ip, const char *name, uintptr_t off, void *arg)
{
	Dl_info info;
	if (n == MAX_FRAMES) {
		ghi_print("  ... (more frames)\n");
		return false;
	}
	/* A return address points behind the call: look up the call itself. */
	if (dladdr((void *)(n ? ip - 1 : ip), &info) && info.dli_fname) {
		if (!name && info.dli_sname) {
			name = info.dli_sname;
			off = ip - (uintptr_t)info.dli_saddr;
		}
		const char *base = strrchr(info.dli_fname, '/');
		ghi_print("  #%d %p %s+0x%lx (%s+0x%lx)\n", n, (void *)ip, name ? name : "?",
			  name ? off : 0, base ? base + 1 : info.dli_fname,
			  ip - (uintptr_t)info.dli_fbase);
	} else {
		ghi_print("  #%d %p %s\n", n, (void *)ip, name ? name : "?");
	}
	return true;
}

static void describe(struct ghi_gthread *g, int sig, siginfo_t *info, ucontext_t *uc)
{
	bool fault = info->si_code > 0;

	ghi_print("greenhook: *** %s", signal_name(sig));
	if (fault)
		ghi_print(" at address %p", info->si_addr);
	if (!g || (g->flags & GHI_G_NATIVE)) {
		ghi_print(" in the runtime itself, kernel thread %d\n", sys_gettid());
	} else if (g->flags & GHI_G_MAIN) {
		ghi_print(" in gthread %lu (main thread)\n", g->id);
	} else {
		/* dladdr knows exported names only, and answers a neighbour's for others. */
		char name[256];
		Dl_info start;
		const char *known = "?";
		if (ghi_unwind_name_here((uintptr_t)g->start, name, sizeof(name)))
			known = name;
		else if (dladdr((void *)g->start, &start) && start.dli_sname &&
			 start.dli_saddr == (void *)g->start)
			known = start.dli_sname;
		ghi_print(" in gthread %lu \"%s\", started as %s (%p)\n", g->id, g->name, known,
			  (void *)g->start);
	}
#if defined(__x86_64__)
	char *sp = (char *)uc->uc_mcontext.gregs[REG_RSP];
	char *at = info->si_addr;
	if (g && fault && (sig == SIGSEGV || sig == SIGBUS) && g->stack_lo) {
		char *guard_lo = g->stack_lo - (g->guard ? g->guard : 4096);
		bool in_guard = at >= guard_lo && at < g->stack_lo + 4096;
		bool out = sp < g->stack_lo + 256 && sp >= guard_lo - 65536;
		if (in_guard || out) {
			size_t size = (size_t)(g->stack_hi - g->stack_lo) >> 10;
			ghi_print("greenhook: stack overflow: %lu KiB used of %lu KiB%s\n", size,
				  size,
				  g->task ? "; gh_task_opts.stack_size gives a task more" : "");
		}
	}
#endif
	ghi_unwind_here(uc, print_frame, NULL);
}

void ghi_crash_trace(void)
{
	ucontext_t uc;
	if (getcontext(&uc) == 0)
		ghi_unwind_here(&uc, print_frame, NULL);
}

/* The task that failed goes on at `to`, on what is left of its stack.  After an overflow that is
 * the innermost part of what overflowed. */
static void go_on(struct ghi_gthread *g, ucontext_t *uc, void (*to)(void))
{
#if defined(__x86_64__)
	greg_t *r = uc->uc_mcontext.gregs;
	char *sp = (char *)r[REG_RSP] - 128; /* the red zone */
	size_t room = (size_t)(g->stack_hi - g->stack_lo) / 4;
	room = room < 16384 ? room : 16384;
	if (sp >= g->stack_lo - 65536 && sp < g->stack_lo + room)
		sp = g->stack_lo + room;
	r[REG_RSP] = (greg_t)(((uintptr_t)sp & ~(uintptr_t)15) - 8); /* as after a call */
	r[REG_RIP] = (greg_t)(uintptr_t)to;
	r[REG_EFL] &= ~0x500; /* direction, trap */
#endif
}

/* One that ends a task alone waits for its turn to speak, and gives it back.  We are on the
 * worker's alternate stack, which the next fault on this kernel thread would use as well: so
 * nothing here may switch.  Hooks that libunwind or libc reaches see no gthread meanwhile, and no
 * signal arrives until the return from the handler. */
static void report_task(struct ghi_gthread *g, uint32_t me, int sig, siginfo_t *info, void *uc)
{
	uint64_t all = ~0ull;
	uint32_t nobody = 0;

	sys_sigprocmask(SIG_SETMASK, &all, NULL);
	ghi_tls.self = NULL;
	while (!cas_acquire(&reporting, &nobody, me)) {
		struct timespec limit = ghi_ns_to_ts(ghi_deadline_in(GHI_SEC));
		sys_futex_wait_until(&reporting, nobody, &limit);
		nobody = 0;
	}
	describe(g, sig, info, uc);
	store_release(&reporting, 0u);
	sys_futex_wake(&reporting, 1);
	ghi_tls.self = g;
}

void ghi_crash_on_signal(int sig, siginfo_t *info, void *uc)
{
	uint32_t nobody = 0, me = (uint32_t)sys_gettid();
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	struct ghi_gthread *g = ghi_self();
	bool mine = info->si_code > 0 && g && g->task && !ghi_tls.nosig && !g->handler_sp;
	void (*to)(void) = mine ? g->task_ops->faulted(g->task) : NULL;

	if (to) {
		report_task(g, me, sig, info, uc);
		go_on(g, uc, to);
		return;
	}
	if (cas_acquire(&reporting, &nobody, me)) {
		describe(g, sig, info, uc);
	} else if (nobody != me) {
		/* Another thread reports and will end the process. */
		struct timespec limit = {.tv_sec = 5};
		sys_futex_wait(&reporting, nobody, &limit);
	}
	ghi_real_sigaction(sig, &dfl, NULL);
	/* A fault happens again when we return and takes the default action: same status, same core
	 * file.  One that was sent must be sent again. */
	if (info->si_code <= 0)
		ghi_sys(SYS_rt_tgsigqueueinfo, sys_getpid(), me, sig, info);
}
