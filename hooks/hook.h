/* The whole vocabulary of a hook, on one page.
 *
 * Owns: the guard, real.*, BLOCKING(), the answer to an interrupted wait.  Called by: every file in
 * hooks/.  Must not know: run queues, pollers.
 *
 * Three names, one meaning each: `read` is what the program calls, REAL(read) is libc's, ghi_wait_*
 * parks.  A body has five beats: guard, quick try, wait, retry, errno.
 */
#ifndef GHI_HOOK_H
#define GHI_HOOK_H

#include <errno.h>
#include <string.h>

#include "src/cancel.h"
#include "src/gthread.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal.h"

#include "hooks/hook_types.h"

#define EXPORT __attribute__((visibility("default")))

/* Every interposed function as libc has it; NULL: this libc has none. */
struct ghi_real {
#define HOOK(family, ret, name, params, args, kind, note) ret(*name) params;
#define ALIAS(family, name, target, note)
#include "hooks/hooks.def"
#undef HOOK
#undef ALIAS
};
extern struct ghi_real real;
void ghi_real_load(void);
/* libc's own symbol, exported under any version; NULL: this libc has none. */
void *ghi_real_find(const char *name);

#define REAL(name)                                                                                 \
	(*(__builtin_expect(real.name != NULL, 1) ? real.name : (ghi_real_load(), real.name)))

/* The guard: a gthread, or NULL for kernel threads and the time before the first pthread_create.
 * For a gthread it is also the place where the monitor's wish that it yields is noticed. */
void ghi_hook_attention(struct ghi_gthread *self);
static inline struct ghi_gthread *ghi_hook_self(void)
{
	struct ghi_gthread *self = ghi_self();
	if (__builtin_expect(self && load_relaxed(&self->yield_please), 0))
		ghi_hook_attention(self);
	return self;
}
/* The same for hooks that may park.  A light gthread that was called by libc, or that runs a
 * handler on top of who knows what, must not leave its worker (docs/design.md, "Light gthreads"):
 * NULL, the call waits in the kernel. */
struct ghi_gthread *ghi_hook_look(struct ghi_gthread *self, const void *caller);
static inline __attribute__((always_inline)) struct ghi_gthread *ghi_hook_parks(void)
{
	struct ghi_gthread *self = ghi_self();
	if (__builtin_expect(self && load_relaxed(&self->yield_please), 0))
		self = ghi_hook_look(self, __builtin_return_address(0));
	return self;
}
/* A worker's block names its native context.  The caller, if it is light and runs there. */
struct ghi_gthread *ghi_hook_light_of(struct ghi_gthread *native);
/* The process when it is the id of one of its threads, else the id (ids.c). */
pid_t ghi_process_of_thread(pid_t id);

/* The gthread behind a pthread_t; NULL: a kernel thread, ask libc. */
static inline struct ghi_gthread *ghi_hook_gthread_of(pthread_t t)
{
	struct ghi_gthread *g = ghi_runtime_running() && t ? ghi_gthread_of((uintptr_t)t) : NULL;
	return __builtin_expect(g && (g->flags & GHI_G_NATIVE), 0) ? ghi_hook_light_of(g) : g;
}
/* After a lock was given up: who was overtaken there for long runs first (src/sync/word.h). */
#define MAKE_WAY(word)                                                                             \
	do {                                                                                       \
		if (__builtin_expect(ghi_word_overtaken(word), 0) && ghi_hook_parks())             \
			ghi_yield();                                                               \
	} while (0)
#define HOOK_ENTER(self, native)                                                                   \
	struct ghi_gthread *self = ghi_hook_parks();                                               \
	if (!self)                                                                                 \
	return native

/* A call that may block the kernel thread: others may have the slot meanwhile.  It may be left by
 * unwinding: a request that libc acts on, or an exception. */
static inline void ghi_hook_unblock(struct ghi_gthread **self)
{
	ghi_blocking_end(*self);
}
#define BLOCKING(self, call)                                                                       \
	({                                                                                         \
		struct ghi_gthread *blocked_ __attribute__((cleanup(ghi_hook_unblock))) = (self);  \
		ghi_blocking_begin(blocked_);                                                      \
		__typeof__(call) ret_ = (call);                                                    \
		ret_;                                                                              \
	})

/* A system call that is a cancellation point, for use inside BLOCKING: -EINTR when a request is
 * due, however late it came.  The caller acts on it with nothing locked. */
#define GHI_L1(a)			    (long)(a)
#define GHI_L2(a, ...)			    (long)(a), GHI_L1(__VA_ARGS__)
#define GHI_L3(a, ...)			    (long)(a), GHI_L2(__VA_ARGS__)
#define GHI_L4(a, ...)			    (long)(a), GHI_L3(__VA_ARGS__)
#define GHI_L5(a, ...)			    (long)(a), GHI_L4(__VA_ARGS__)
#define GHI_L6(a, ...)			    (long)(a), GHI_L5(__VA_ARGS__)
#define GHI_LPICK(a, b, c, d, e, f, n, ...) n
#define ghi_sys_point(self, nr, ...)                                                               \
	GHI_FAULT(                                                                                 \
	    GHI_FAULT_PROGRAM, nr,                                                                 \
	    ghi_cancel_syscall(ghi_cancel_word(self), nr,                                          \
			       (const long[6]){GHI_LPICK(__VA_ARGS__, GHI_L6, GHI_L5, GHI_L4,      \
							 GHI_L3, GHI_L2, GHI_L1)(__VA_ARGS__)}))

/* A blocking system call (result or -errno) that signal(7) restarts: only a handler without
 * SA_RESTART ends it.  The kernel cannot know that the signal it was interrupted by was a kick. */
#define BLOCKING_RESTART(self, call)                                                               \
	({                                                                                         \
		long r2_;                                                                          \
		(self)->sig_ran = 0;                                                               \
		do {                                                                               \
			r2_ = BLOCKING(self, call);                                                \
			if (r2_ == -EINTR)                                                         \
				ghi_cancel_point(self);                                            \
		} while (r2_ == -EINTR && !((self)->sig_ran & GHI_SIG_RAN_NORESTART));             \
		r2_;                                                                               \
	})

/* The same when the caller may be no gthread. */
#define BLOCKING_MAYBE(self, call) ((self) ? BLOCKING(self, call) : (call))

/* libc's own lock on an object that other processes share: waits in the kernel. */
#define LIBC(call)                                                                                 \
	({                                                                                         \
		struct ghi_gthread *self_ = ghi_self();                                            \
		self_ ? BLOCKING(self_, call) : (call);                                            \
	})

/* The runtime's fork handlers, before anybody else's. */
void ghi_process_atfork(void);
/* Where libc's code lies; before the first gthread. */
void ghi_light_prepare(void);
/* syscall(SYS_fork, ...): true when the call makes a process with memory of its own. */
bool ghi_process_raw_fork(long nr, const long *a, long *ret);
/* Before a system call: when it changes what the kernel keeps per thread, the caller has a kernel
 * thread of its own from now on.  0 or -errno. */
long ghi_own_before(struct ghi_gthread *self, long nr, long a, long b);
/* In a fork's child: nobody is in system(). */
void ghi_spawn_after_fork(void);
/* clock_nanosleep on the CPU clock of a thread: false when it is none. */
bool ghi_cputime_nanosleep(struct ghi_gthread *self, clockid_t c, int flags,
			   const struct timespec *t, struct timespec *rem, int *ret);
/* For a timer on the CPU clock of a thread: the caller's becomes that of a kernel thread of its
 * own. 0 or -errno. */
long ghi_cputime_own_clock(struct ghi_gthread *self, clockid_t *clock);
/* What pthread_getattr_np says of processors and scheduling. */
void ghi_scheduling_to_attr(struct ghi_gthread *g, pthread_attr_t *attr);
/* sched_setaffinity and sched_getaffinity as system calls. */
long ghi_scheduling_affinity(struct ghi_gthread *self, bool set, pid_t pid, size_t n, void *cpus);
/* waitid with the system call's fifth argument; 0 or -errno. */
long ghi_waitid(struct ghi_gthread *self, int type, long id, siginfo_t *info, int options,
		struct rusage *usage);

/* The 64 signals of a set. */
static inline uint64_t ghi_hook_bits(const sigset_t *s)
{
	uint64_t set;
	memcpy(&set, s, sizeof(set));
	return set;
}

/* EINTR, or ECANCELED when it was a cancelled task of the native API that did not wait. */
int ghi_hook_eintr(void);

/* errno beat: a result or -errno becomes what libc returns. */
static inline long ghi_ret(long r)
{
	if (r < 0) {
		errno = r == -EINTR ? ghi_hook_eintr() : (int)-r;
		return -1;
	}
	return r;
}

/* A wait of a call that set sig_ran to 0 when it began.  A handler may have run since by a kick,
 * between two steps of ours: natively it would have found the kernel waiting, so it ends the wait.
 * The bracket lets none in between the look and the wait. */
#define HOOK_WAIT(self, wait)                                                                      \
	({                                                                                         \
		ghi_nosig_enter();                                                                 \
		int w_ = (self)->sig_ran ? -EINTR : (wait);                                        \
		ghi_nosig_leave(); /* handlers that are due run here */                            \
		w_;                                                                                \
	})

/* After a wait said -EINTR or -ECANCELED: acts on a cancellation, and tells whether the call must
 * return EINTR (a handler ran and the call, or the handler, does not restart).  If not, the call
 * begins again. */
static inline bool ghi_hook_interrupted(struct ghi_gthread *self, int r, bool restarts)
{
	if (r == -ECANCELED)
		ghi_cancel_point(self);
	if (self->sig_ran & (restarts ? GHI_SIG_RAN_NORESTART : GHI_SIG_RAN))
		return true;
	self->sig_ran = 0;
	return false;
}

#endif
