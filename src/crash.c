/* The crash report; see crash.h.  Runs on the worker's alternate stack, in a process that may be
 * broken in any way: no allocation of ours, no locks but libunwind's own, and a second fault while
 * reporting goes straight to the default action. */
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if __has_include(<libunwind.h>)
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#else /* built without it: reports show the place of the fault and no backtrace */
typedef struct {
	long opaque[128];
} unw_cursor_t;
typedef void unw_context_t;
typedef unsigned long unw_word_t;
enum { UNW_REG_IP, UNW_REG_SP, UNW_INIT_SIGNAL_FRAME };
#endif

#include "src/crash.h"
#include "src/gthread.h"
#include "src/real.h"
#include "src/sched.h"

enum { MAX_FRAMES = 64 };

static struct {
	int (*init)(unw_cursor_t *, unw_context_t *, int);
	int (*step)(unw_cursor_t *);
	int (*get_reg)(unw_cursor_t *, int, unw_word_t *);
	int (*get_name)(unw_cursor_t *, char *, size_t, unw_word_t *);
} unw;

static uint32_t reporting; /* tid of the thread that reports; others wait for the end */

#define UNW_SYM(name) "_ULx86_64_" #name

void ghi_crash_prepare(void)
{
	if (unw.step || !ghi_config.crash_report)
		return;
#if !__has_include(<libunwind.h>)
	return;
#endif
	void *h = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	if (!h) {
		ghi_debug(1, "libunwind.so.8 is not there: crash reports will have no backtrace");
		return;
	}
#if defined(__x86_64__)
	unw.init = (int (*)(unw_cursor_t *, unw_context_t *, int))dlsym(h, UNW_SYM(init_local2));
	unw.step = (int (*)(unw_cursor_t *))dlsym(h, UNW_SYM(step));
	unw.get_reg = (int (*)(unw_cursor_t *, int, unw_word_t *))dlsym(h, UNW_SYM(get_reg));
	unw.get_name =
	    (int (*)(unw_cursor_t *, char *, size_t, unw_word_t *))dlsym(h, UNW_SYM(get_proc_name));
#endif
	if (!unw.init || !unw.get_reg || !unw.get_name)
		unw.step = NULL;
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

static void print_frame(int n, uintptr_t ip, const char *name, uintptr_t off)
{
	Dl_info info;
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
}

static void backtrace(ucontext_t *uc)
{
	unw_cursor_t cursor;
	unw_word_t ip, last_sp = 0, sp, off;
	char name[256];

	if (!unw.step) {
#if defined(__x86_64__)
		print_frame(0, (uintptr_t)uc->uc_mcontext.gregs[REG_RIP], NULL, 0);
#endif
		return;
	}
	if (unw.init(&cursor, (unw_context_t *)uc, UNW_INIT_SIGNAL_FRAME) < 0)
		return;
	for (int n = 0; n < MAX_FRAMES; n++) {
		if (unw.get_reg(&cursor, UNW_REG_IP, &ip) < 0 || !ip)
			return;
		unw.get_reg(&cursor, UNW_REG_SP, &sp);
		bool named = unw.get_name(&cursor, name, sizeof(name), &off) >= 0;
		print_frame(n, ip, named ? name : NULL, off);
		if (n && sp == last_sp)
			return; /* no progress: a damaged stack */
		last_sp = sp;
		if (unw.step(&cursor) <= 0)
			return;
	}
	ghi_print("  ... (more frames)\n");
}

static void describe(struct ghi_gthread *g, int sig, siginfo_t *info, ucontext_t *uc)
{
	Dl_info start;
	bool fault = info->si_code > 0;

	ghi_print("greenhook: *** %s", signal_name(sig));
	if (fault)
		ghi_print(" at address %p", info->si_addr);
	if (!g || (g->flags & GHI_G_NATIVE)) {
		ghi_print(" in the runtime itself, kernel thread %d\n", sys_gettid());
	} else if (g->flags & GHI_G_MAIN) {
		ghi_print(" in gthread %lu (main thread)\n", g->id);
	} else {
		bool known = dladdr((void *)g->start, &start) && start.dli_sname;
		ghi_print(" in gthread %lu \"%s\", started as %s (%p)\n", g->id, g->name,
			  known ? start.dli_sname : "?", (void *)g->start);
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
			ghi_print("greenhook: stack overflow: %lu KiB used of %lu KiB\n", size,
				  size);
		}
	}
#endif
	backtrace(uc);
}

void ghi_crash_on_signal(int sig, siginfo_t *info, void *uc)
{
	uint32_t nobody = 0, me = (uint32_t)sys_gettid();
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	if (cas_acquire(&reporting, &nobody, me)) {
		describe(ghi_self(), sig, info, uc);
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
