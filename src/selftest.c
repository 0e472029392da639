/* The self-test; see selftest.h.  The child shares nothing but a pipe's worth: its exit code. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "src/cancel.h"
#include "src/gthread.h"
#include "src/real.h"
#include "src/selftest.h"
#include "src/tls.h"

/* Exit codes of the child and what they mean. */
enum {
	OK,
	NO_MEMORY,
	TLS_SHARED,
	ERRNO_SHARED,
	SELF_WRONG,
	KEY_SHARED,
	STDIO_LOCK,
	FORK_BROKEN,
	CPU_WRONG,
	CANCEL_WORD,
	DLOPEN_MISSES
};
static const char *const meanings[] = {
    [NO_MEMORY] = "the self-test had no memory",
    [TLS_SHARED] = "self-test: thread-local variables are not isolated",
    [ERRNO_SHARED] = "self-test: errno is not isolated",
    [SELF_WRONG] = "self-test: pthread_self is wrong in a new thread block",
    [KEY_SHARED] = "self-test: pthread_getspecific is not isolated",
    [STDIO_LOCK] = "self-test: stdio locks do not tell threads apart",
    [FORK_BROKEN] = "self-test: fork fails on a new thread block",
    [CANCEL_WORD] = "self-test: the cancellation state is not where it should be",
    [DLOPEN_MISSES] = "self-test: a library's initial-exec TLS does not reach a new thread block",
    [CPU_WRONG] = "self-test: sched_getcpu is wrong in a new thread block",
};

static __thread int probe __attribute__((tls_model("initial-exec"))) = 7;

static struct {
	void *back, *there;
	uintptr_t tp_back;
	FILE *locked;
	int verdict;
} st;

static bool cancel_word_is_ours(void)
{
	uint32_t *word = (uint32_t *)(ghi_tp_get() + (uintptr_t)ghi_libc.cancelhandling);
	uint32_t before = *word, disabled, async;
	ghi_real_pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	disabled = *word;
	ghi_real_pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	async = *word;
	return before == 0 && disabled == GHI_CANCEL_DISABLED &&
	       async == (GHI_CANCEL_DISABLED | GHI_CANCEL_ASYNC);
}

static int on_new_block(void)
{
	if (probe != 7 || ++probe != 8)
		return TLS_SHARED;
	if ((uintptr_t)pthread_self() != ghi_tp_get())
		return SELF_WRONG;
	errno = EXDEV;
	if (ftrylockfile(st.locked) == 0)
		return STDIO_LOCK;
	if (sched_getcpu() < 0)
		return CPU_WRONG;
	if (!cancel_word_is_ours())
		return CANCEL_WORD;
	/* By libc where that runs no handlers of the program: it goes through the lists of blocks.
	 */
	long pid = ghi_real_Fork ? ghi_real_Fork() : ghi_sys(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0)
		ghi_sys(SYS_exit_group, errno == EXDEV && probe == 8 ? 0 : 1);
	int status = -1;
	if (pid < 0 || ghi_sys(SYS_wait4, pid, &status, 0x40000000 /* __WALL */, NULL) != pid ||
	    status)
		return FORK_BROKEN;
	return OK;
}

static void entry(void *arg)
{
	ghi_tls_enter(((struct ghi_gthread *)arg)->res);
	st.verdict = on_new_block();
	ghi_tp_set(st.tp_back);
	ghi_ctx_switch(&st.there, st.back);
}

static int run_in_child(void)
{
	static const struct ghi_gthread_attr attr = {.stack_size = 256 << 10, .guard_size = 4096};
	struct ghi_gthread *g = ghi_gthread_new(&attr, NULL, NULL, entry);
	if (!g)
		return NO_MEMORY;
	if (ghi_selftest_dlopen(g->tp) == 0)
		return DLOPEN_MISSES;
	st.locked = stdin;
	st.tp_back = ghi_tp_get();
	flockfile(st.locked);
	errno = 0;
	probe = 1;
	ghi_tp_set(g->tp);
	ghi_ctx_switch(&st.back, g->sp);
	if (st.verdict != OK)
		return st.verdict;
	if (probe != 1)
		return TLS_SHARED;
	if (errno != 0)
		return ERRNO_SHARED;
	return OK;
}

const char *ghi_selftest(void)
{
	uint64_t all = ~0ull, old;
	int status = 0;

	/* A raw clone without SIGCHLD: the program's handlers and atfork functions see nothing. */
	sys_sigprocmask(SIG_SETMASK, &all, &old);
	long pid = ghi_sys(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0) {
		ghi_sys(SYS_prctl, 4 /* PR_SET_DUMPABLE */,
			0); /* a crash here leaves no core file */
		sys_sigprocmask(SIG_SETMASK, &(uint64_t){0}, NULL);
		ghi_sys(SYS_alarm, 2); /* a lock that another thread held when we were copied */
		for (int sig = 1; sig < 32; sig++) {
			struct {
				uint64_t f[4];
			} dfl = {{0}};
			ghi_sys(SYS_rt_sigaction, sig, &dfl, NULL, 8);
		}
		ghi_sys(SYS_exit_group, run_in_child());
	}
	long r = pid;
	if (pid > 0)
		do
			r = ghi_sys(SYS_wait4, pid, &status, 0x40000000 /* __WALL */, NULL);
		while (r == -EINTR);
	sys_sigprocmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return NULL; /* no child can be made here (a sandbox): nothing is known to be wrong
			      */
	if ((status & 0x7f) == SIGALRM)
		return NULL; /* nothing is known to be wrong either */
	if ((status & 0x7f) != 0)
		return "self-test: a new thread block crashes on this C library";
	int code = status >> 8 & 0xff;
	if (code == OK)
		return NULL;
	return code < (int)(sizeof(meanings) / sizeof(meanings[0])) && meanings[code]
		   ? meanings[code]
		   : "self-test failed";
}
