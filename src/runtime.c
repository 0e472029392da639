/* Start-up as a numbered list, and fork; see runtime.h. */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/base/text.h"
#include "src/blocked.h"
#include "src/cancel.h"
#include "src/control.h"
#include "src/cputime.h"
#include "src/crash.h"
#include "src/deadlock.h"
#include "src/disk.h"
#include "src/fdtab.h"
#include "src/lot.h"
#include "src/metrics.h"
#include "src/monitor.h"
#include "src/native/hook.h"
#include "src/needs.h"
#include "src/poller.h"
#include "src/private_page.h"
#include "src/real.h"
#include "src/runtime.h"
#include "src/sanitizer.h"
#include "src/sched.h"
#include "src/selftest.h"
#include "src/signal.h"
#include "src/stack.h"
#include "src/sync/sync.h"
#include "src/timer.h"
#include "src/tls.h"
#include "src/unwind.h"
#include "src/warn.h"

/* Locks with deadlines are used before the runtime starts, and in programs where it never does. */
static int raw_clock_gettime(clockid_t clock, struct timespec *ts)
{
	return (int)ghi_sys(SYS_clock_gettime, clock, ts);
}
int (*ghi_clock_gettime)(clockid_t, struct timespec *) = raw_clock_gettime;
int (*ghi_real_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
void (*ghi_real_pthread_exit)(void *);
int (*ghi_real_pthread_setcancelstate)(int, int *);
int (*ghi_real_pthread_setcanceltype)(int, int *);
pid_t (*ghi_real_Fork)(void);
int (*ghi_real_clock_gettime)(clockid_t, struct timespec *);
int (*ghi_real_sigaction)(int, const struct sigaction *, struct sigaction *);

static enum { DORMANT, RUNNING, INERT } state;
struct ghi_gthread *ghi_runtime_main_gthread;
static struct ghi_gthread initial; /* gthread 1 until a fork makes another one main */
static int64_t alive;
static uint64_t spawned;
static int pid; /* written while the process has one thread */

void (*ghi_runtime_on_start)(void), (*ghi_runtime_on_inert)(void), (*ghi_runtime_atfork)(void);

bool ghi_runtime_running(void)
{
	return state == RUNNING;
}

int ghi_runtime_pid(void)
{
	return pid;
}

bool ghi_runtime_inert(void)
{
	return state == INERT || !ghi_config.enabled;
}

struct ghi_gthread *ghi_runtime_main(void)
{
	return ghi_runtime_main_gthread;
}

/* "max 100000" or "quota period" of cgroup v2; 0 when there is no limit. */
static unsigned cgroup_cpus(void)
{
	char text[64];
	ghi_text_read("/sys/fs/cgroup/cpu.max", text, sizeof(text));
	if (text[0] < '0' || text[0] > '9')
		return 0;
	char *end;
	unsigned long quota = strtoul(text, &end, 10), period = strtoul(end, NULL, 10);
	return period ? (unsigned)((quota + period - 1) / period) : 0;
}

static unsigned usable_cpus(void)
{
	cpu_set_t set;
	long r = ghi_sys(SYS_sched_getaffinity, 0, sizeof(set), &set);
	unsigned n = r > 0 ? (unsigned)CPU_COUNT_S((size_t)r, &set) : 1;
	unsigned quota = cgroup_cpus();
	return quota && quota < n ? quota : n;
}

static int inert(const char *why)
{
	state = INERT;
	ghi_sync_native = true;
	if (ghi_runtime_on_inert)
		ghi_runtime_on_inert();
	ghi_say("staying inert, threads are kernel threads: %s", why);
	return 0;
}

static int make_slots(void)
{
	ghi_nslots = (unsigned)ghi_config.workers;
	if (!ghi_nslots)
		ghi_nslots = usable_cpus();
	if (ghi_nslots < 1)
		ghi_nslots = 1;
	if (ghi_nslots > GHI_MAX_SLOTS)
		ghi_nslots = GHI_MAX_SLOTS;
	if (!ghi_config.max_workers)
		ghi_config.max_workers = 4 * usable_cpus() > 256 ? 4 * usable_cpus() : 256;
	ghi_lock_spin = usable_cpus() > 1 ? 100 : 0;
	ghi_yields_mask = ghi_nslots > usable_cpus() ? 31 : 255;
	if (!ghi_slots) {
		size_t bytes = GHI_MAX_SLOTS * sizeof(struct ghi_slot);
		long r = ghi_sys(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (r < 0 && r > -4096)
			return -1;
		ghi_slots = (struct ghi_slot *)r;
	}
	for (unsigned i = 0; i < ghi_nslots; i++) {
		struct ghi_timers *timers = ghi_slots[i].timers;
		memset(&ghi_slots[i], 0, sizeof(ghi_slots[i]));
		ghi_slots[i].index = i;
		ghi_slots[i].rng = i * 2654435761u + 1;
		if (!timers && !(timers = ghi_timers_new()))
			return -1;
		ghi_timers_after_fork(timers);
		ghi_slots[i].timers = timers;
	}
	return 0;
}

/* The initial thread keeps its stack and its TCB; only the books are ours. */
static struct ghi_gthread *adopt_main(void)
{
	struct ghi_gthread *g = ghi_tls.home;
	if (!g) {
		pthread_attr_t attr;
		void *addr;
		size_t size;
		g = &initial;
		g->tp = ghi_tp_get();
		g->id = 1;
		if (pthread_getattr_np(pthread_self(), &attr) == 0) {
			pthread_attr_getstack(&attr, &addr, &size);
			pthread_attr_destroy(&attr);
			g->stack_lo = addr;
			g->stack_hi = (char *)addr + size;
		}
		ghi_sys(SYS_prctl, 16 /* PR_GET_NAME */, g->name);
	}
	g->flags |= GHI_G_MAIN;
	if (!g->task) { /* a task that forked goes on as one */
		g->cancel_word = ghi_cancel_libc_word(g->tp);
		g->joined_at = &g->join;
	}
	g->sig_pending = 0;
	g->tid = sys_gettid();
	g->life = GHI_LIFE_ALIVE;
	g->join = GHI_JOINABLE;
	g->result = PTHREAD_CANCELED;
	sys_sigprocmask(SIG_BLOCK, NULL, &g->sigmask);
	g->sigmask = ghi_sanitizer_mask(g->sigmask);
	ghi_tls.home = g;
	ghi_tls.tid = g->tid;
	return g;
}

/* The kernel writes the CPU number of whatever kernel thread registered it, which after a switch is
 * not the one the main gthread runs on. */
static void unregister_rseq(void)
{
#ifdef SYS_rseq
	if (!ghi_libc.rseq_off)
		return;
	char *area = (char *)ghi_tp_get() + ghi_libc.rseq_off;
	ghi_sys(SYS_rseq, area, 32, 1 /* RSEQ_FLAG_UNREGISTER */, 0x53053053);
	*(volatile int32_t *)(area + 4) = -2; /* RSEQ_CPU_ID_REGISTRATION_FAILED */
#endif
}

static int start(void)
{
	static bool probed;
	const char *why = NULL;
	int r;

	/* 1. What CPU and C library is this, and is there what no thread of ours is right for? */
	if (!probed) {
		if (ghi_needs_kernel_threads())
			return inert("Go's runtime is in this process, and needs kernel threads");
#if defined(__x86_64__)
		ghi_have_fsgsbase = ghi_config.fsgsbase && (getauxval(AT_HWCAP2) & 2);
#endif
		ghi_clock_gettime = ghi_real_clock_gettime;
		if (ghi_tls_probe(&why) < 0)
			return inert(why);
		/* 2. Prove on this very libc that a thread block of ours works. */
		if (ghi_config.selftest && (why = ghi_selftest()))
			return inert(why);
		probed = true;
	}
	/* 3. Slots and their timers, the poller. */
	ghi_sched_init();
	if (make_slots() < 0)
		return inert("out of memory");
	if ((r = ghi_poller_init(&why)) < 0) {
		ghi_poller_after_fork();
		ghi_say(
		    "cannot make its %s (error %d); raise the limit on open files (ulimit -n) or "
		    "close some",
		    why, -r);
		return inert("the poller needs three descriptors");
	}
	/* 4. Is everything permitted that is done later, when there is no way back? */
	if ((why = ghi_needs())) {
		ghi_poller_after_fork();
		ghi_say("the system refuses %s (a seccomp filter?)", why);
		return inert("it needs more system calls than are permitted");
	}
	/* 5. The calling thread becomes gthread 1 on worker 0. */
	ghi_gthread_seed_tids(sys_getpid());
	ghi_clock_note(ghi_now());
	ghi_runtime_main_gthread = adopt_main();
	unregister_rseq();
	if (ghi_worker_start_first(ghi_runtime_main_gthread) < 0) {
		ghi_poller_after_fork();
		ghi_runtime_main_gthread = NULL;
		return inert("out of memory");
	}
	ghi_runtime_main_gthread->cpu_ns = ghi_runtime_main_gthread->worker->cpu_mark =
	    ghi_cputime_of_tid(sys_gettid());
	/* 6. What must be done before there is a second thread. */
	pid = sys_getpid();
	ghi_signal_before_threads();
	if (ghi_runtime_on_start)
		ghi_runtime_on_start();
	/* 7. The monitor: the one thread that libc makes, which also tells libc (malloc, stdio)
	 *    that the process has threads now. */
	if ((r = ghi_monitor_start())) {
		ghi_poller_after_fork();
		ghi_runtime_main_gthread = NULL;
		return inert("the system lets it make no thread");
	}
	/* 8. Signals and reports. */
	ghi_crash_prepare();
	ghi_metrics_start();
	ghi_control_open();
	ghi_warn_start();
	if (ghi_config.report)
		ghi_blocked_start();
	ghi_signal_start(ghi_runtime_main_gthread);
	/* 9. From here on the hooks see a gthread. */
	alive = 1;
	spawned = 0;
	state = RUNNING;
	ghi_tls.nosig = 0;
	ghi_tls.self = ghi_runtime_main_gthread;
	ghi_debug(1, "running: %u slots, thread pointer by %s", ghi_nslots,
		  ghi_have_fsgsbase ? "wrfsbase" : "arch_prctl");
	return 1;
}

bool ghi_runtime_ensure(void)
{
	if (__builtin_expect(state == RUNNING, 1))
		return true;
	if (state == INERT)
		return false;
	if (!ghi_config.enabled) { /* as it was asked to: nothing to say */
		state = INERT;
		ghi_sync_native = true;
		return false;
	}
	/* Only the thread that holds the process's original TCB can become gthread 1. */
	if (sys_gettid() != sys_getpid())
		return false;
	return start();
}

unsigned long ghi_runtime_spawned(void)
{
	return load_relaxed(&spawned);
}

long ghi_runtime_count(void)
{
	return load_relaxed(&alive);
}

void ghi_runtime_alive(int delta)
{
	if (delta > 0)
		fetch_add_relaxed(&spawned, (uint64_t)1);
	if (fetch_add_acq_rel(&alive, (int64_t)delta) + delta == 0)
		exit(0); /* the last thread is gone and main left by pthread_exit */
}

void ghi_runtime_fork_prepare(void)
{
	struct ghi_gthread *self = ghi_self();
	if (state != RUNNING || ghi_tls.lent)
		return;
	ghi_tls.forking = true;
	ghi_fd_mark_all_shared();
	if (self) { /* what arrives in the child finds the monitor gone until the books are in order
		     */
		self->fork_mask = self->sigmask;
		ghi_signal_set_mask(self, ~GHI_SIG_FAULTS);
	}
	/* After the mask, which waits for the monitor, who may be about to make a worker. */
	ghi_tls_fork_prepare();
}

void ghi_runtime_fork_parent(void)
{
	struct ghi_gthread *self = ghi_self();
	ghi_tls.forking = false;
	if (state != RUNNING || ghi_tls.lent)
		return;
	ghi_tls_fork_parent();
	if (self)
		ghi_signal_set_mask(self, self->fork_mask);
}

void ghi_runtime_fork_child(void)
{
	struct ghi_gthread *self = ghi_tls.self;

	if (!ghi_tls.lent)
		ghi_native_after_fork(self ? self->task : NULL);
	if (state != RUNNING && !ghi_tls.lent)
		ghi_lot_after_fork(false); /* kernel threads wait there as well */
	if (state != RUNNING || ghi_tls.lent)
		return;
	state = DORMANT;
	ghi_tls.forking = false;
	ghi_signal_fork_child(self);
	ghi_tls.self = NULL;
	ghi_tls.nosig = 0;
	ghi_tls.tid = 0;
	ghi_tls.home = self;
	ghi_runtime_main_gthread = NULL;
	if (self) {
		ghi_gthread_prio_after_fork(self);
		self->wake = GHI_WAKE_IDLE;
		self->joiner = 0; /* its joiner is lost, and that memory will be another's */
		/* When the fork was made by a handler that interrupted a hook, the child comes back
		 * into that hook: this flag makes its next wait look, and start the runtime. */
		self->sig_pending = 1;
		self->flags &= ~GHI_G_LIGHT; /* its worker is gone, the block is its own */
		self->worker->slot = NULL;
		self->own = NULL; /* its state is what all threads here begin with */
		self->hog = 0;
		self->pin = 0; /* the child may have other slots */
	}
	ghi_tls_after_fork();
	ghi_lot_after_fork(self != NULL);
	ghi_robust_after_fork();
	ghi_fd_after_fork();
	ghi_queues_after_fork();
	ghi_worker_after_fork();
	ghi_poller_after_fork();
	ghi_disk_after_fork();
	ghi_monitor_after_fork();
	ghi_blocked_after_fork();
	ghi_page_after_fork();
	ghi_control_after_fork();
	ghi_unwind_after_fork();
	ghi_deadlock_after_fork();
	ghi_metrics_after_fork();
	ghi_warn_after_fork();
	for (unsigned i = 0; i < ghi_nslots; i++)
		ghi_timers_after_fork(ghi_slots[i].timers);
	if (self != &initial)
		memset(&initial, 0, sizeof(initial));
	ghi_gthread_after_fork(self);
	if (self) {
		ghi_sys(SYS_prctl, 15 /* PR_SET_NAME */, self->name);
		self->sigmask = self->fork_mask;
		ghi_sanitizer_set_mask(self->sigmask);
		sys_sigprocmask(SIG_SETMASK, &self->sigmask, NULL);
	}
}

void ghi_runtime_revive(struct ghi_gthread *self)
{
	uint32_t nosig = ghi_tls.nosig;
	if (ghi_self())
		return;
	if (!ghi_runtime_ensure() || ghi_self() != self)
		ghi_panic(__FILE__, __LINE__, "a fork's child cannot go on with its wait");
	ghi_tls.nosig = nosig;
}

void ghi_lend_begin(void)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		ghi_blocking_begin(self);
	ghi_tls.lender = self;
	ghi_tls.lent = 1;
	ghi_tls.self = NULL;
}

void ghi_lend_end(void)
{
	struct ghi_gthread *self = ghi_tls.lender;
	ghi_tls.self = self;
	ghi_tls.lent = 0;
	ghi_tls.lender = NULL;
	if (!self)
		return;
	ghi_blocking_end(self);
	if (load_relaxed(&self->sig_pending))
		ghi_signal_run_pending();
}
