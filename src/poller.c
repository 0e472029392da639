/* epoll, the alarm clock and the kick; see poller.h. */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "src/control.h"
#include "src/fdtab.h"
#include "src/gthread.h"
#include "src/poller.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/timer.h"

enum { EVENTS = 64, HIGH_FD = 3, MAX_FAILURES = 15 };
#define UNREAD_KICK (20 * GHI_MS)

/* Tags of our own descriptors: no descriptor number looks like this. */
#define TAG_TIMER UINT64_MAX
#define TAG_KICK  (UINT64_MAX - 1)
#define TAG_SIGS  (UINT64_MAX - 2)
#define TAG_ASK	  (UINT64_MAX - 3)

static struct {
	int ep, timer, kick;
	int sigs;	     /* signalfd, made when somebody waits for signals */
	ghi_lock_t lock;     /* armed and the timerfd */
	uint64_t armed;	     /* deadline the timerfd is set to; GHI_NEVER: none */
	uint32_t sleeping;   /* a worker is in, or about to enter, a blocking epoll_wait */
	uint32_t kicked;     /* an unread kick is in the eventfd */
	uint32_t failures;   /* of epoll_wait, one after another */
	uint32_t timer_kick; /* the timerfd expired in place of a kick: for the sleeper alone */
	uint32_t no_timer;   /* the timerfd cannot be set: epoll_wait has a limit instead */
	uint32_t broken;     /* epoll is refused for good: nobody waits with it any more */
} poller = {.ep = -1, .timer = -1, .kick = -1, .sigs = -1, .armed = GHI_NEVER};

/* No descriptor of the runtime's is below: most numbers need no search. */
static int lowest = INT32_MAX;

int ghi_poller_move_up(long fd)
{
	struct {
		uint64_t cur, max;
	} rl = {1024, 1024};
	if (fd < 0)
		return (int)fd;
	ghi_sys(SYS_prlimit64, 0, 7 /* RLIMIT_NOFILE */, NULL, &rl);
	uint64_t limit = rl.cur > GHI_POLLER_FDS ? GHI_POLLER_FDS : rl.cur;
	long up = ghi_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, limit > 16 ? limit - 16 : 0);
	if (up < 0)
		up = fd;
	else
		ghi_sys(SYS_close, fd);
	if (up < load_relaxed(&lowest))
		store_relaxed(&lowest, (int)up);
	return (int)up;
}

/* Of other parts of the runtime. */
static int adopted[16] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

int ghi_poller_adopt(long fd)
{
	int up = ghi_poller_move_up(fd);
	for (unsigned i = 0; up >= 0 && i < sizeof(adopted) / sizeof(*adopted); i++)
		if (cas_acq_rel(&adopted[i], &(int){-1}, up))
			return up;
	if (up >= 0)
		ghi_sys(SYS_close, up);
	return up < 0 ? up : -EMFILE;
}

void ghi_poller_drop(int fd)
{
	for (unsigned i = 0; i < sizeof(adopted) / sizeof(*adopted); i++)
		if (load_relaxed(&adopted[i]) == fd) {
			ghi_sys(SYS_close, fd);
			store_release(&adopted[i], -1);
			return; /* the number may be somebody else's by now */
		}
}

static bool is_adopted(int fd)
{
	for (unsigned i = 0; i < sizeof(adopted) / sizeof(*adopted); i++)
		if (load_relaxed(&adopted[i]) == fd)
			return true;
	return false;
}

static int add(int fd, uint64_t tag, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = tag};
	return (int)ghi_sys(SYS_epoll_ctl, poller.ep, EPOLL_CTL_ADD, fd, &ev);
}

int ghi_poller_init(const char **ret_what)
{
	int r;
	*ret_what = "epoll";
	if ((r = poller.ep = ghi_poller_move_up(ghi_sys(SYS_epoll_create1, EPOLL_CLOEXEC))) < 0)
		return r;
	*ret_what = "timerfd";
	if ((r = poller.timer = ghi_poller_move_up(
		 ghi_sys(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK))) < 0)
		return r;
	*ret_what = "eventfd";
	if ((r = poller.kick =
		 ghi_poller_move_up(ghi_sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK))) < 0)
		return r;
	*ret_what = "epoll registration";
	if ((r = add(poller.timer, TAG_TIMER, EPOLLIN)) < 0 ||
	    (r = add(poller.kick, TAG_KICK, EPOLLIN)) < 0)
		return r;
	poller.armed = GHI_NEVER;
	poller.sleeping = poller.kicked = poller.failures = poller.timer_kick = 0;
	poller.no_timer = poller.broken = 0;
	return 0;
}

bool ghi_poller_owns(int fd)
{
	return fd >= load_relaxed(&lowest) && fd >= HIGH_FD &&
	       (fd == poller.ep || fd == poller.timer || fd == poller.kick || fd == poller.sigs ||
		is_adopted(fd) || ghi_worker_owns_fd(fd));
}

int ghi_poller_signals(uint64_t set)
{
	if (poller.sigs >= 0)
		return (int)ghi_sys(SYS_signalfd4, poller.sigs, &set, 8, 0) < 0 ? -EINVAL : 0;
	int r,
	    fd =
		ghi_poller_move_up(ghi_sys(SYS_signalfd4, -1, &set, 8, SFD_CLOEXEC | SFD_NONBLOCK));
	if (fd < 0)
		return fd;
	if ((r = add(fd, TAG_SIGS, EPOLLIN | EPOLLET)) < 0) {
		ghi_sys(SYS_close, fd);
		return r;
	}
	poller.sigs = fd;
	return 0;
}

int ghi_poller_listen(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = TAG_ASK};
	if (load_acquire(&poller.broken))
		return -ENOMEM;
	int r = (int)ghi_sys(SYS_epoll_ctl, poller.ep, EPOLL_CTL_ADD, fd, &ev);
	return r == -EEXIST ? (int)ghi_sys(SYS_epoll_ctl, poller.ep, EPOLL_CTL_MOD, fd, &ev) : r;
}

int ghi_poller_arm(int fd, uint32_t generation)
{
	if (load_acquire(&poller.broken))
		return -ENOMEM;
	int r = add(fd, (uint64_t)generation << 32 | (uint32_t)fd,
		    EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET);
	/* The number was closed and reused behind our back, same file. */
	return r == -EEXIST ? ghi_poller_rearm(fd, generation, 3) : r;
}

int ghi_poller_rearm(int fd, uint32_t generation, unsigned dirs)
{
	if (load_acquire(&poller.broken))
		return -ENOMEM;
	struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLPRI | EPOLLET,
				 .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd};
	ev.events |= (dirs & 1u << GHI_RD ? EPOLLIN : 0) | (dirs & 1u << GHI_WR ? EPOLLOUT : 0);
	int r = (int)ghi_sys(SYS_epoll_ctl, poller.ep, EPOLL_CTL_MOD, fd, &ev);
	return r == -ENOENT ? (int)ghi_sys(SYS_epoll_ctl, poller.ep, EPOLL_CTL_ADD, fd, &ev) : r;
}

void ghi_poller_disarm(int fd)
{
	struct epoll_event ev = {0};
	ghi_sys(SYS_epoll_ctl, poller.ep, EPOLL_CTL_DEL, fd, &ev);
}

static void arm_timer(uint64_t when)
{
	bool kick = false;
	ghi_lock(&poller.lock);
	if (when < poller.armed) {
		struct itimerspec its = {.it_value = ghi_ns_to_ts(when ? when : 1)};
		poller.armed = when;
		if (ghi_sys(SYS_timerfd_settime, poller.timer, TFD_TIMER_ABSTIME, &its, NULL) < 0)
			store_release(&poller.no_timer, 1u);
		kick = load_acquire(&poller.no_timer) || load_acquire(&poller.broken);
	}
	ghi_unlock(&poller.lock);
	if (kick)
		ghi_poller_kick();
}

void ghi_poller_timer_added(uint64_t deadline)
{
	fence_seq_cst(); /* (D2) pairs with (L2) */
	if (load_relaxed(&poller.sleeping) && deadline < load_relaxed(&poller.armed))
		arm_timer(deadline);
}

/* (L3), (L4) */
static void arm_earliest(void)
{
	uint64_t min = ghi_fd_sweep_next();
	for (unsigned i = 0; i < ghi_nslots; i++) {
		uint64_t next = ghi_timers_next(ghi_slots[i].timers);
		if (next < min)
			min = next;
	}
	if (min < GHI_NEVER)
		arm_timer(min);
}

static void timer_expired(void)
{
	uint64_t count;
	ghi_lock(&poller.lock);
	poller.armed = GHI_NEVER;
	ghi_sys(SYS_read, poller.timer, &count, sizeof(count));
	ghi_unlock(&poller.lock);
	uint64_t now = ghi_now();
	for (unsigned i = 0; i < ghi_nslots; i++)
		ghi_timers_run(ghi_slots[i].timers, now);
	ghi_fd_sweep(now);
	/* A busy worker may have taken this expiry from under the one that sleeps. */
	if (load_relaxed(&poller.sleeping))
		arm_earliest();
}

/* A filter that came when the runtime was running.  Whoever waits tries again, is refused a
 * registration, and waits in the kernel on a worker that is handed off, or asks again and again. */
static void give_up(void)
{
	if (xchg_acq_rel(&poller.broken, 1u))
		return;
	ghi_say(
	    "the system refuses epoll from now on: threads that wait for descriptors keep their "
	    "kernel threads");
	ghi_fd_wake_all();
	ghi_control_knock(); /* from now on nobody would tell of one */
}

static long ask(struct epoll_event *ev, int timeout_ms)
{
	long n = ghi_sys(SYS_epoll_pwait, poller.ep, ev, EVENTS, timeout_ms, NULL, 8);
#ifdef SYS_epoll_wait
	/* A filter may know the call that libc makes only. */
	if (n == -ENOSYS || n == -EPERM)
		n = ghi_sys(SYS_epoll_wait, poller.ep, ev, EVENTS, timeout_ms);
#endif
	if (n >= 0)
		store_relaxed(&poller.failures, 0u);
	else if (n != -EINTR && fetch_add_relaxed(&poller.failures, 1u) >= MAX_FAILURES)
		give_up();
	return n;
}

const char *ghi_poller_needs(void)
{
	struct itimerspec never = {0};
	struct epoll_event ev[EVENTS];
	uint64_t count;

	if (ask(ev, 0) < 0)
		return "epoll_pwait";
	if (ghi_sys(SYS_timerfd_settime, poller.timer, TFD_TIMER_ABSTIME, &never, NULL) < 0)
		return "timerfd_settime";
	if (ghi_sys(SYS_read, poller.kick, &count, sizeof(count)) != -EAGAIN)
		return "read";
	return NULL;
}

int ghi_poller_poll(int timeout_ms)
{
	struct epoll_event ev[EVENTS];
	struct ghi_gthread *ready = NULL;

	if (__builtin_expect(load_relaxed(&poller.broken), 0))
		return 0;
	long n = ask(ev, timeout_ms);

	for (long i = 0; i < n; i++) {
		if (ev[i].data.u64 == TAG_TIMER) {
			/* As for a kick: others must not drain it. */
			if (load_acquire(&poller.timer_kick)) {
				if (timeout_ms == 0)
					continue;
				store_relaxed(&poller.timer_kick, 0u);
			}
			timer_expired();
		} else if (ev[i].data.u64 == TAG_SIGS) {
			ghi_signal_waiters_look();
		} else if (ev[i].data.u64 == TAG_ASK) {
			ghi_control_knock();
		} else if (ev[i].data.u64 == TAG_KICK) {
			/* Only the sleeper drains it: for others it stays readable and wakes him.
			 * A kick between the two lines is lost, but he is awake by then. */
			uint64_t count;
			if (timeout_ms == 0)
				continue;
			ghi_sys(SYS_read, poller.kick, &count, sizeof(count));
			/* A full fence: the giver stores `wake` and then finds kicked == 1; if we
			 * do not see that `wake` after this, he must see this. */
			xchg_acq_rel(&poller.kicked, 0u);
		} else {
			ghi_fd_fire((int)(uint32_t)ev[i].data.u64, (uint32_t)(ev[i].data.u64 >> 32),
				    ev[i].events, &ready);
		}
	}
	ghi_ready_batch(ready);
	return n > 0 ? (int)n : 0;
}

/* In place of the three descriptors: the futex that a kick sets, and a look at the timers.  Their
 * deadlines are in `armed`, which any later one kicks; signals in the kernel are looked for. */
static void sleep_without(void)
{
	uint64_t limit = ghi_deadline_in(10 * GHI_MS), armed = load_relaxed(&poller.armed);
	struct timespec ts = ghi_ns_to_ts(armed < limit || poller.sigs < 0 ? armed : limit);
	sys_futex_wait_until(&poller.kicked, 0, armed == GHI_NEVER && poller.sigs < 0 ? NULL : &ts);
	xchg_acq_rel(&poller.kicked, 0u);
	if (ghi_now() >= load_relaxed(&poller.armed))
		timer_expired();
	if (poller.sigs >= 0)
		ghi_signal_waiters_look();
}

static void sleep_without_timer(void)
{
	uint64_t now = ghi_now(), armed = load_relaxed(&poller.armed);
	uint64_t ms = armed > now ? (armed - now + GHI_MS - 1) / GHI_MS : 0;
	/* With a limit always: a kick may have had nothing but the timer. */
	ghi_poller_poll(ms < 100 ? (int)ms : 100);
	if (ghi_now() >= load_relaxed(&poller.armed))
		timer_expired();
}

static uint64_t sleeps; /* by the one who sleeps */

uint64_t ghi_poller_sleeps(void)
{
	return load_relaxed(&sleeps);
}

void ghi_poller_sleep(void)
{
	store_relaxed(&sleeps, sleeps + 1);
	store_relaxed(&poller.sleeping, 1u); /* (L1) */
	fence_seq_cst();		     /* (L2) pairs with (D2) */
	arm_earliest();
	if (__builtin_expect(load_acquire(&poller.broken), 0))
		sleep_without();
	else if (__builtin_expect(load_acquire(&poller.no_timer), 0))
		sleep_without_timer();
	else
		ghi_poller_poll(-1);
	store_relaxed(&poller.sleeping, 0u);
}

static void interrupt_sleeper(void)
{
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (load_relaxed(&w->polling) && load_relaxed(&w->tid) > 0)
			ghi_sys(SYS_tgkill, sys_getpid(), w->tid, GHI_SIG_KICK);
}

/* The sleeper wakes and finds a timer that is not due, which it forgets or sets anew. */
static void kick_by_timer(void)
{
	struct itimerspec its = {.it_value.tv_nsec = 1};
	store_release(&poller.kicked, 0u); /* nobody will: there is nothing to drain */
	ghi_lock(&poller.lock);
	store_release(&poller.timer_kick, 1u);
	poller.armed = 1; /* or who is about to sleep sets it to a later time */
	if (ghi_sys(SYS_timerfd_settime, poller.timer, TFD_TIMER_ABSTIME, &its, NULL) < 0)
		store_release(&poller.no_timer, 1u);
	ghi_unlock(&poller.lock);
	/* From now on he looks by himself; once more he is interrupted. */
	if (load_relaxed(&poller.no_timer))
		interrupt_sleeper();
}

void ghi_poller_kick(void)
{
	uint64_t one = 1;
	if (xchg_acq_rel(&poller.kicked, 1u))
		return;
	if (ghi_sys(SYS_write, poller.kick, &one, sizeof(one)) < 0)
		kick_by_timer();
	if (load_acquire(&poller.broken)) {
		xchg_acq_rel(&poller.kicked, 1u); /* sleep_without() looks at it */
		sys_futex_wake(&poller.kicked, 1);
	}
}

bool ghi_poller_watch(uint64_t now)
{
	static uint64_t since; /* when that kick was seen first; 0: none */

	if (!load_relaxed(&poller.kicked) || !load_relaxed(&poller.sleeping) ||
	    load_relaxed(&poller.broken)) {
		since = 0;
		return false;
	}
	if (!since)
		since = now;
	if (now - since > UNREAD_KICK) {
		since = now;
		interrupt_sleeper();
	}
	return true;
}

void ghi_poller_look_after(void)
{
	if (load_relaxed(&poller.broken) || ghi_sys(SYS_fcntl, poller.ep, F_GETFD) != -EBADF)
		return;
	store_release(&poller.no_timer, 1u);
	interrupt_sleeper();
}

void ghi_poller_after_fork(void)
{
	ghi_sys(SYS_close, poller.ep);
	ghi_sys(SYS_close, poller.timer);
	ghi_sys(SYS_close, poller.kick);
	if (poller.sigs >= 0)
		ghi_sys(SYS_close, poller.sigs);
	poller.ep = poller.timer = poller.kick = poller.sigs = -1;
	poller.lock = 0;
}
