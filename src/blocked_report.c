/* Counting blocked calls by place, and the report; see blocked.h.
 *
 * A place is the function of libc that the program called, and from where.  Only kernel threads and
 * a process that exits come here: a lock is held over reads of files.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>

#include "src/base/sysname.h"
#include "src/blocked.h"
#include "src/monitor.h"
#include "src/poller.h"
#include "src/runtime.h"
#include "src/tls.h"
#include "src/unwind.h"

enum { PLACES = 256, FRAMES = 16 };

struct place {
	int nr;
	bool known;
	uintptr_t call; /* in the function that the program called; 0: the system call is its own */
	uintptr_t caller; /* in the program, or a library of its own; 0: not found */
	uint64_t count, handed, longest, total; /* ns */
	uint64_t open;				/* of these still blocked */
};

static struct {
	ghi_lock_t lock; /* held for long: waited for with sched_yield */
	struct place places[PLACES], others;
	unsigned n;
} counts;

struct text {
	char *buf;
	size_t size, len;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (t->len < t->size)
		t->len += ghi_vformat(t->buf + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
}

static const char *module_of(uintptr_t ip, uintptr_t *ret_off)
{
	Dl_info info;
	if (!ip || !dladdr((void *)ip, &info) || !info.dli_fname) // NOLINT: an address of ours
		return NULL;
	const char *base = strrchr(info.dli_fname, '/');
	if (ret_off)
		*ret_off = ip - (uintptr_t)info.dli_fbase;
	return base ? base + 1 : info.dli_fname;
}

/* Not of the program's own making: the C library, the loader, this library. */
static bool is_system(uintptr_t ip)
{
	static const char *const names[] = {"libc.so", "libc-2",     "libpthread",  "ld-linux",
					    "ld-2",    "linux-vdso", "libgreenhook"};
	const char *module = module_of(ip, NULL);
	for (size_t i = 0; module && i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(module, names[i], strlen(names[i])))
			return true;
	return false;
}

/* ---- counting ------------------------------------------------------------------------------- */

static void find_place(const struct ghi_episode *e, struct place *ret)
{
	struct ghi_unwind_copy copy = {e->pc, e->sp, e->bytes, e->stack, NULL};
	uintptr_t ips[FRAMES];
	int n, i = 0;

	ghi_tls_fork_not_now(); /* the loader's lock must be free in a child */
	n = e->pc ? ghi_unwind_copy(&copy, ips, FRAMES) : 0;

	*ret = (struct place){.nr = e->nr, .known = e->known};
	/* A return address points behind the call. */
	for (int k = 1; k < n; k++)
		ips[k]--;
	while (i < n && is_system(ips[i]))
		i++;
	if (i)
		ret->call = ips[i < n ? i - 1 : 0];
	if (i < n)
		ret->caller = ips[i];
	ghi_tls_fork_again();
}

static void count(struct place *p, const struct ghi_episode *e, uint64_t ns)
{
	p->count++;
	p->handed += e->handed;
	p->total += ns;
	if (ns > p->longest)
		p->longest = ns;
}

static void enter(const struct ghi_episode *e, uint64_t ns, bool open)
{
	struct place new;
	find_place(e, &new);
	struct place *p = counts.places, *end = p + counts.n;
	while (p < end && (p->nr != new.nr || p->known != new.known || p->call != new.call ||
			   p->caller != new.caller))
		p++;
	if (p == end) {
		if (counts.n == PLACES) {
			p = &counts.others;
		} else {
			counts.n++;
			*p = new;
		}
	}
	count(p, e, ns);
	p->open += open;
}

static int to_fd = -1; /* standard error as it was, which the program may close before it exits */

void ghi_blocked_report_start(void)
{
	if (to_fd >= 0)
		ghi_poller_drop(to_fd);
	to_fd = *ghi_report_path ? -1 : ghi_poller_adopt(ghi_sys(SYS_fcntl, 2, F_DUPFD_CLOEXEC, 3));
	memset(&counts, 0, sizeof(counts));
}

/* The process may exit on a gthread, whose handlers would find the lock taken. */
static void lock_counts(void)
{
	ghi_nosig_enter();
	while (!cas_acquire(&counts.lock, &(ghi_lock_t){0}, 1u))
		ghi_sys(SYS_sched_yield);
}

static void unlock_counts(void)
{
	store_release(&counts.lock, 0u);
	ghi_nosig_leave();
}

static struct ghi_episode e; /* under the lock: the stack of whoever exits may be short */

static void collect_locked(void)
{
	int at = 0;
	while (ghi_blocked_take(&e, false, &at))
		enter(&e, e.ns, false);
}

void ghi_blocked_collect(void)
{
	lock_counts();
	collect_locked();
	unlock_counts();
}

/* ---- the text ------------------------------------------------------------------------------- */

static void put_function(struct text *t, uintptr_t ip)
{
	char name[256];
	uintptr_t off, in = 0;
	Dl_info info;

	ghi_tls_fork_not_now();
	const char *module = module_of(ip, &in);
	if (ghi_unwind_name(ip, name, sizeof(name), &off))
		put(t, "%s", name);
	else if (dladdr((void *)ip, &info) && info.dli_sname) // NOLINT: an address of ours
		put(t, "%s", info.dli_sname);
	else
		put(t, "%p", (void *)ip); // NOLINT
	put(t, " (%s+0x%lx)", module ? module : "?", in);
	ghi_tls_fork_again();
}

static void put_place(struct text *t, const struct place *p)
{
	put(t, "%7lu %9lu %8lu.%03lu %8lu.%03lu  ", p->count, p->handed, p->longest / 1000000,
	    p->longest / 1000 % 1000, p->total / 1000000, p->total / 1000 % 1000);
	if (p == &counts.others)
		put(t, "everything else");
	else if (p->nr == GHI_UNSEEN_CALL)
		put(t, "woke up before it could be looked at");
	else if (p->nr == GHI_NO_CALL)
		put(t, "page fault");
	else if (ghi_sysname(p->nr))
		put(t, "%s", ghi_sysname(p->nr));
	else
		put(t, "system call %d", p->nr);
	if (p->call) {
		put(t, " in ");
		put_function(t, p->call);
	}
	if (p->caller) {
		put(t, p->call ? ", called by " : " in ");
		put_function(t, p->caller);
	}
	if (p->open)
		put(t, "; still in it: %lu", p->open);
	put(t, "\n");
}

static void put_places(struct text *t, bool known)
{
	static bool printed[PLACES];
	memset(printed, 0, sizeof(printed));
	put(t, "  count hand-offs  longest/ms     total/ms  call\n");
	for (;;) {
		int best = -1;
		for (unsigned i = 0; i < counts.n; i++)
			if (!printed[i] && counts.places[i].known == known &&
			    (best < 0 || counts.places[i].total > counts.places[best].total))
				best = (int)i;
		if (best < 0)
			break;
		printed[best] = true;
		put_place(t, &counts.places[best]);
	}
	if (!known && counts.others.count)
		put_place(t, &counts.others);
}

static uint64_t sum(bool known, uint64_t *ret_handed)
{
	uint64_t n = known ? 0 : counts.others.count;
	*ret_handed = known ? 0 : counts.others.handed;
	for (unsigned i = 0; i < counts.n; i++)
		if (counts.places[i].known == known) {
			n += counts.places[i].count;
			*ret_handed += counts.places[i].handed;
		}
	return n;
}

static void put_program(struct text *t)
{
	static char path[4096];
	long n = ghi_sys(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	put(t, "greenhook: report on %s, pid %d\n", n > 0 ? path : "?", sys_getpid());
}

/* What is still blocked is shown with its time so far, and not kept. */
static void put_all(struct text *t)
{
	static struct place before[PLACES], others_before;
	unsigned n_before = counts.n;
	uint64_t handed, n, now = ghi_now();
	int at = 0;

	memcpy(before, counts.places, sizeof(before));
	others_before = counts.others;
	while (ghi_blocked_take(&e, true, &at))
		enter(&e, now - e.since, true);

	put_program(t);
	n = sum(false, &handed);
	put(t,
	    "greenhook: calls that blocked a kernel thread unseen: %lu; hand-offs that they cost: "
	    "%lu\n",
	    n, handed);
	if (n)
		put_places(t, false);
	if (ghi_blocked_dropped())
		put(t, "greenhook: %lu more came too fast to be looked at\n",
		    ghi_blocked_dropped());
	n = sum(true, &handed);
	put(t, "greenhook: calls that are known to block, and did: %lu; hand-offs: %lu\n", n,
	    handed);
	if (n)
		put_places(t, true);
	put(t, "greenhook: hand-offs for threads that computed for long: %lu\n",
	    load_relaxed(&ghi_monitor_stats.handoffs_running));

	memcpy(counts.places, before, sizeof(before));
	counts.others = others_before;
	counts.n = n_before;
}

size_t ghi_blocked_report(char *buf, size_t size)
{
	struct text t = {buf, size, 0};
	lock_counts();
	collect_locked();
	put_all(&t);
	unlock_counts();
	return t.len;
}

void ghi_blocked_report_at_exit(void)
{
	long buf = ghi_sys(SYS_mmap, NULL, GHI_REPORT_BYTES, 3, 0x22, -1, 0);
	long fd = to_fd >= 0 ? to_fd : 2, n = 0;

	if (buf < 0 && buf > -4096)
		return;
	if (*ghi_report_path)
		fd = ghi_sys(SYS_openat, AT_FDCWD, ghi_report_path,
			     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0) {
		ghi_say("cannot write the report to %s (error %ld)", ghi_report_path, -fd);
		return;
	}
	size_t size = ghi_blocked_report((char *)buf, GHI_REPORT_BYTES);
	for (size_t at = 0; at < size; at += (size_t)n)
		if ((n = ghi_sys(SYS_write, fd, buf + (long)at, size - at)) <= 0)
			break;
	if (*ghi_report_path)
		ghi_sys(SYS_close, fd);
	ghi_sys(SYS_munmap, buf, GHI_REPORT_BYTES);
}
