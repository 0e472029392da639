/* Kernel threads of the runtime's own; see helper.h. */
#include <dlfcn.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>

#include "src/base/atomic.h"
#include "src/base/clock.h"
#include "src/base/sys.h"
#include "src/helper.h"
#include "src/real.h"

static int starting; /* kernel thread that is making one; 0: none */

static int running[8]; /* kernel threads; 0: free */
enum { RUNNING = sizeof(running) / sizeof(*running) };

void ghi_helper_begins(void)
{
	int tid = sys_gettid();
	for (int i = 0; i < RUNNING; i++) {
		int none = 0;
		if (cas_acq_rel(&running[i], &none, tid))
			return;
	}
}

void ghi_helper_ends(void)
{
	int tid = sys_gettid();
	for (int i = 0; i < RUNNING; i++)
		if (load_relaxed(&running[i]) == tid)
			store_release(&running[i], 0);
}

bool ghi_helper_is(int tid)
{
	for (int i = 0; i < RUNNING; i++)
		if (load_relaxed(&running[i]) == tid)
			return true;
	return false;
}

void ghi_helper_after_fork(void)
{
	for (int i = 0; i < RUNNING; i++)
		running[i] = 0;
	starting = 0;
}

/* Where many processes compete, the kernel lets those run soon whose slice is short, and a look
 * lasts microseconds.  (Since Linux 6.12; an older one takes no notice.)  The flag keeps it from
 * the workers that it makes; it would take a negative nice value from them, too: not then.
 */
void ghi_helper_be_prompt(void)
{
	struct { /* sched_attr: libc and the kernel's headers define it only one without the other
		  */
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} a = {0};

	if (ghi_sys(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0 || a.policy != SCHED_NORMAL ||
	    a.nice < 0)
		return;
	a.flags = SCHED_FLAG_RESET_ON_FORK;
	a.runtime = 100 * GHI_US; /* the shortest there is */
	ghi_sys(SYS_sched_setattr, 0, &a, 0);
}

bool ghi_helper_starting(void)
{
	int by = load_relaxed(&starting);
	return by && by == sys_gettid();
}

int ghi_helper_start(void *(*fn)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;
	uint64_t all = ~0ull, old;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	/* By the name the program sees: a sanitizer that wraps it must know each of libc's threads.
	 * Looked up once, before there are other threads: it takes the loader's lock, which one of
	 * them may hold while it waits for the caller. */
	static int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	if (!create)
		create = (__typeof__(create))dlsym(RTLD_DEFAULT, "pthread_create");
	sys_sigprocmask(SIG_SETMASK, &all, &old);
	store_relaxed(&starting, sys_gettid());
	if (!create)
		create = ghi_real_pthread_create;
	int r = -(int)GHI_FAULT(GHI_FAULT_OWN, SYS_clone, -create(&thread, &attr, fn, NULL));
	store_relaxed(&starting, 0);
	sys_sigprocmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return r;
}
