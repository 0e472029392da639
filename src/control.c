/* The thread that answers, and the requests; see control.h. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "src/answer.h"
#include "src/blocked.h"
#include "src/control.h"
#include "src/deadlock.h"
#include "src/helper.h"
#include "src/inspect.h"
#include "src/monitor.h"
#include "src/poller.h"
#include "src/runtime.h"
#include "src/sched.h"
#include "src/signal.h"
#include "src/stats.h"
#include "src/tls.h"
#include "src/trace.h"
#include "src/warn.h"

enum { REQUEST = 256, IDLE_MS = 2000, LONGEST_ANSWER_SECONDS = 120 };

static struct {
	int tid;		  /* of the thread that stays; 0: none, or not begun */
	uint32_t woken;		  /* it is to come by, and a signal is or will be sent */
	uint32_t errand;	  /* ghi_deadlock_tell is to be called */
	uint32_t knocked;	  /* somebody connected, and there is no thread */
	uint32_t thread;	  /* there is one, or it is being made */
	bool stays;		  /* it does not end when nobody asks */
	uint64_t looked;	  /* monitor only: when it last looked itself */
	uint64_t refused;	  /* monitor only: when it could not make a thread */
	int peer;		  /* who is served; -1: nobody */
	bool keeps_peer;	  /* somebody else hangs up on him */
	struct ghi_answer answer; /* one request at a time */
} control = {.peer = -1};

/* ---- one request ---------------------------------------------------------------------------- */

/* Without its newline; false: too long, too slow, or gone. */
static bool read_line(int fd, char *line, size_t size)
{
	for (size_t have = 0; have < size;) {
		long n = ghi_sys(SYS_recvfrom, fd, line + have, size - have, 0, NULL, NULL);
		if (n <= 0)
			return false;
		char *end = memchr(line + have, '\n', (size_t)n);
		if (end) {
			*end = 0;
			return strlen(line) == (size_t)(end - line);
		}
		have += (size_t)n;
	}
	return false;
}

static void answer_report(struct ghi_answer *a, unsigned long arg)
{
	if (!ghi_blocked_on) {
		ghi_answer_put(a,
			       "greenhook: process %d keeps no report; start it with "
			       "`greenhook run --report`\n",
			       sys_getpid());
		return;
	}
	long buf = ghi_sys(SYS_mmap, NULL, GHI_REPORT_BYTES, 3, 0x22, -1, 0);
	if (buf < 0 && buf > -4096)
		return;
	ghi_answer_bytes(a, (char *)buf, ghi_blocked_report((char *)buf, GHI_REPORT_BYTES));
	ghi_sys(SYS_munmap, buf, GHI_REPORT_BYTES);
}

static void answer_hello(struct ghi_answer *a, unsigned long arg)
{
	unsigned kernel_threads = 0;
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		kernel_threads += load_relaxed(&w->tid) > 0;
	ghi_answer_put(a, "greenhook\t1\t" GREENHOOK_VERSION "\t%d\t%ld\t%u\n", sys_getpid(),
		       ghi_runtime_count(), kernel_threads);
}

/* The peer is the trace's from then on. */
static void answer_trace(struct ghi_answer *a, unsigned long arg)
{
	control.keeps_peer = ghi_trace_begin(a, arg);
}

static const struct request {
	const char *name;
	void (*answer)(struct ghi_answer *a, unsigned long arg);
} requests[] = {
    {"hello", answer_hello},	 {"report", answer_report}, {"dump", ghi_inspect_dump},
    {"stats", ghi_stats_answer}, {"trace", answer_trace},
};

/* "NAME" or "NAME NUMBER", the number of at most nine digits. */
static const struct request *parse(const char *line, unsigned long *ret_arg)
{
	size_t n = strcspn(line, " ");
	*ret_arg = 0;
	if (line[n]) {
		const char *digit = line + n + 1;
		do {
			if (*digit < '0' || *digit > '9' || digit - (line + n) > 9)
				return NULL;
			*ret_arg = *ret_arg * 10 + (unsigned long)(*digit - '0');
		} while (*++digit);
	}
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
		if (strlen(requests[i].name) == n && !memcmp(requests[i].name, line, n))
			return &requests[i];
	return NULL;
}

static void serve(int fd)
{
	struct ghi_answer *a = &control.answer;
	unsigned long arg;
	char line[REQUEST];

	if (!read_line(fd, line, sizeof(line)))
		return;
	a->fd = fd;
	a->failed = false;
	a->len = 0;
	a->until = ghi_deadline_in(LONGEST_ANSWER_SECONDS * GHI_SEC);
	const struct request *r = parse(line, &arg);
	if (r)
		r->answer(a, arg);
	else
		ghi_answer_put(a, "greenhook: this process does not know that request\n");
	ghi_answer_flush(a);
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void pause_a_little(void)
{
	struct timespec ts = {.tv_nsec = 100 * GHI_MS};
	ghi_sys(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* The thread ends: another one may be made. */
static void resign(void)
{
	store_release(&control.thread, 0u);
	fence_seq_cst(); /* with that of ghi_control_errand(): the monitor finds no thread, or this
			  * is seen, and it looks again however deep it sleeps */
	if (load_relaxed(&control.errand))
		ghi_monitor_poke();
}

/* The socket goes back to the poller, and the thread ends; true: it cannot. */
static bool must_stay(void)
{
	if (control.stays)
		return true;
	resign();
	if (ghi_control_socket() < 0)
		return false;
	if (ghi_poller_listen(ghi_control_socket()) == 0)
		return false; /* who has connected meanwhile knocks now */
	return xchg_acq_rel(&control.thread, 1u) == 0;
}

/* What others want of it.
 *
 *   somebody (ghi_control_collect)          the thread that stays
 *   (C1) woken = 1; it was: done            (W1) tid = its own
 *   (C2) tid: none: done                    (W2) woken = 0, and does what there is
 *   (C3) a signal to tid                    (W3) ppoll, in which alone the signal is accepted
 *
 * Both exchange `woken`: C2 sees W1, or W2 sees C1.  A signal that comes before W3 ends it at once.
 * No descriptor is used for it: a program that closes every number, with a system call of its own,
 * would have whatever got that number written to. */
static void do_what_is_wanted(void)
{
	xchg_acq_rel(&control.woken, 0u); /* (W2) */
	if (xchg_acq_rel(&control.errand, 0u)) {
		ghi_warn_tell();
		ghi_deadlock_tell();
	}
	if (ghi_blocked_on)
		ghi_blocked_collect();
}

/* True: it has resigned.  False: the socket is not ours any more, nobody can ask. */
static bool answer_until_idle(void)
{
	const uint64_t open = ~GHI_SIG_OURS, mask = open | 1ull << (GHI_SIG_KICK - 1);

	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	ghi_sys(SYS_prctl, 15 /* PR_SET_NAME */, "greenhook-ctl");
	if (control.stays)
		store_release(&control.tid, sys_gettid()); /* (W1) */
	for (;;) {
		do_what_is_wanted();
		struct pollfd p = {ghi_control_socket(), POLLIN, 0};
		struct timespec idle = ghi_ns_to_ts(IDLE_MS * GHI_MS);
		long n =
		    ghi_sys(SYS_ppoll, &p, 1, control.stays ? NULL : &idle, &open, 8); /* (W3) */
		/* A program that closes every number above 2 closes ours, and may use it again. */
		if (n > 0 && p.revents & POLLNVAL)
			return false;
		if (n < 0 && n != -EINTR)
			pause_a_little();
		if (n == 0 && !must_stay())
			return true;
		if (n <= 0)
			continue;
		int fd = ghi_control_accept();
		if (fd == -EBADF)
			return false;
		if (fd >= 0) {
			store_release(&control.peer, fd);
			control.keeps_peer = false;
			serve(fd);
			store_release(&control.peer, -1);
			if (!control.keeps_peer)
				ghi_control_hang_up(fd);
		} else if (fd != -EAGAIN && fd != -EINTR && fd != -EACCES && fd != -ECONNABORTED) {
			pause_a_little();
		}
	}
}

static void *control_main(void *arg)
{
	ghi_helper_begins();
	if (!answer_until_idle()) { /* what is to be told is told by the next one */
		control.stays = false;
		store_release(&control.tid, 0);
		resign();
	}
	ghi_helper_ends();
	return arg;
}

/* ---- who wakes it --------------------------------------------------------------------------- */

void ghi_control_open(void)
{
	control.knocked = control.thread = control.woken = control.errand = 0;
	control.stays = false;
	control.peer = -1;
	control.looked = control.refused = 0;
	if (ghi_control_socket_open())
		ghi_poller_listen(ghi_control_socket());
}

void ghi_control_start(void)
{
	control.stays = true;
	control.thread = 1;
	if (ghi_control_socket() >= 0)
		ghi_poller_disarm(ghi_control_socket());
	if (ghi_helper_start(control_main))
		control.thread = 0;
}

void ghi_control_knock(void)
{
	store_release(&control.knocked, 1u);
	ghi_monitor_poke();
}

void ghi_control_errand(void)
{
	store_release(&control.errand, 1u);
	fence_seq_cst();       /* before ghi_control_look() asks whether there is a thread */
	ghi_control_collect(); /* the one that stays sleeps without a limit */
}

void ghi_control_look(uint64_t now)
{
	bool errand = load_acquire(&control.errand);
	if (errand && load_relaxed(&control.tid))
		ghi_control_collect(); /* as long as its signal was refused */
	if (load_acquire(&control.thread) || (ghi_control_socket() < 0 && !errand))
		return;
	bool knocked = errand || load_acquire(&control.knocked);
	if (!knocked) {
		struct pollfd p = {ghi_control_socket(), POLLIN, 0};
		struct timespec none = {0};
		if (now - control.looked < 250 * GHI_MS)
			return;
		control.looked = now;
		knocked = ghi_sys(SYS_ppoll, &p, 1, &none, NULL, 8) == 1 && p.revents & POLLIN;
	}
	if (!knocked || now - control.refused < 250 * GHI_MS)
		return;
	store_release(&control.knocked, 0u);
	if (!errand && !ghi_control_socket_ours())
		return;
	store_release(&control.thread, 1u);
	bool made = false;
	if (ghi_tls_fork_not_now_try()) {
		made = ghi_helper_start(control_main) == 0;
		ghi_tls_fork_again();
	}
	if (made)
		return;
	/* Tried again as long as there is a reason: no memory, or too many threads. */
	control.refused = now;
	store_release(&control.thread, 0u);
	store_release(&control.knocked, 1u);
}

void ghi_control_collect(void)
{
	if (xchg_acq_rel(&control.woken, 1u)) /* (C1) */
		return;
	int tid = load_acquire(&control.tid); /* (C2) */
	/* (C3) Too many signals are queued: the next one who wants something tries again. */
	if (tid && ghi_sys(SYS_tgkill, sys_getpid(), tid, GHI_SIG_KICK) < 0)
		store_release(&control.woken, 0u);
}

void ghi_control_after_fork(void)
{
	if (control.peer >= 0)
		ghi_poller_drop(control.peer);
	control.peer = -1;
	control.tid = 0;
	control.woken = 0;
	ghi_helper_after_fork();
	ghi_stats_after_fork();
	ghi_trace_after_fork();
	ghi_control_socket_forget();
}
