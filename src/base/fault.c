/* The table of call sites, and what is to fail; see fault.h and docs/testing.md.
 *
 * Owns: the counters, which may lie in a file that all processes of a run share.
 */
#ifdef GREENHOOK_FAULTS
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "src/base/atomic.h"
#include "src/base/config.h"
#include "src/base/report.h"
#include "src/base/sys.h"

enum { RECORDS = 1021 };

/* The layout of the file: integration/faults.py reads it. */
struct record {
	uint64_t key; /* of call, function and kind; 0: free */
	char call[24], func[40];
	uint32_t kind, calls, failed, unused;
};
static struct table {
	uint64_t matched; /* calls that the rule is about */
	uint64_t open;	  /* descriptors at the end that are not the runtime's, plus 1 */
	uint64_t own;	  /* the runtime's */
	uint64_t inert;
	struct record records[RECORDS];
} private_table, *table = &private_table;

static struct {
	char call[24], func[40];
	uint64_t first, last;
	int error;
} rule;

static const struct {
	long nr;
	const char *name;
} names[] = {
#define N(name) {SYS_##name, #name},
    N(accept) N(accept4) N(alarm) N(arch_prctl) N(capget) N(clock_gettime) N(clock_nanosleep) N(
	clone) N(close) N(close_range) N(connect) N(epoll_create1) N(epoll_ctl) N(epoll_pwait)
	N(eventfd2) N(execve) N(execveat) N(exit) N(exit_group) N(fcntl) N(flock) N(fstat) N(
	    futex) N(get_robust_list) N(getdents64) N(getpgid) N(getpid) N(getpriority) N(getrusage)
	    N(getsockopt) N(gettid) N(getuid) N(io_uring_enter) N(io_uring_register) N(
		io_uring_setup) N(ioctl) N(ioprio_set) N(kill) N(madvise) N(membarrier)
		N(memfd_create) N(mmap) N(mprotect) N(mq_timedreceive) N(mq_timedsend) N(munmap) N(
		    openat) N(pidfd_open) N(pipe2) N(poll) N(ppoll) N(prctl) N(pread64) N(preadv2)
		    N(prlimit64) N(process_vm_readv) N(pselect6) N(pwritev2) N(read) N(readlinkat)
			N(readv) N(recvfrom) N(recvmmsg) N(recvmsg) N(rseq) N(rt_sigaction) N(
			    rt_sigpending) N(rt_sigprocmask) N(rt_sigqueueinfo) N(rt_sigtimedwait)
			    N(rt_tgsigqueueinfo) N(sched_get_priority_max) N(sched_get_priority_min)
				N(sched_getaffinity) N(sched_getattr) N(sched_getparam)
				    N(sched_getscheduler) N(sched_rr_get_interval)
					N(sched_setaffinity) N(sched_setscheduler) N(sched_yield)
					    N(sendfile) N(sendmmsg) N(sendmsg) N(sendto) N(setgid)
						N(setpriority) N(sigaltstack) N(signalfd4) N(socket)
						    N(splice) N(stat) N(tgkill) N(timer_create)
							N(timer_delete) N(timerfd_create)
							    N(timerfd_settime) N(wait4) N(waitid)
								N(write) N(writev)
#undef N
								    {SYS_futex + GHI_FAULT_WAIT,
								     "futex.wait"},
    {SYS_futex + GHI_FAULT_WAKE, "futex.wake"},
};

static const struct {
	const char *name;
	int error;
} errors[] = {
    {"EINTR", EINTR},	{"EAGAIN", EAGAIN}, {"ENOMEM", ENOMEM}, {"EMFILE", EMFILE},
    {"ENOSYS", ENOSYS}, {"EPERM", EPERM},   {"EACCES", EACCES}, {"ENOENT", ENOENT},
    {"EINVAL", EINVAL}, {"ENFILE", ENFILE}, {"ENOSPC", ENOSPC},
};

extern struct ghi_fault_site __start_ghi_faults[] __attribute__((visibility("hidden")));
extern struct ghi_fault_site __stop_ghi_faults[] __attribute__((visibility("hidden")));

static void name_of(long nr, char *buf, size_t size)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].nr == nr) {
			ghi_format(buf, size, "%s", names[i].name);
			return;
		}
	ghi_format(buf, size, "%ld", nr);
}

static struct record *record_of(struct ghi_fault_site *site, long nr)
{
	if (site->cached && site->cached_nr == nr)
		return &table->records[site->cached - 1];
	uint64_t key = 1469598103934665603ull ^ (uint64_t)nr;
	for (const char *s = site->func; *s; s++)
		key = (key ^ (unsigned char)*s) * 1099511628211ull;
	key = (key ^ (uint64_t)site->kind) * 1099511628211ull | 1;
	for (unsigned i = key % RECORDS, n = 0; n < RECORDS; n++, i = (i + 1) % RECORDS) {
		struct record *r = &table->records[i];
		uint64_t seen = load_acquire(&r->key);
		if (seen == 0 && cas_acq_rel(&r->key, &seen, key)) {
			name_of(nr, r->call, sizeof(r->call));
			ghi_format(r->func, sizeof(r->func), "%s", site->func);
			r->kind = (uint32_t)site->kind;
			seen = key;
		}
		if (seen != key)
			continue;
		if (site->nr != -1) { /* else two threads could mix two numbers */
			site->cached_nr = nr;
			store_release(&site->cached, (int)i + 1);
		}
		return r;
	}
	return NULL;
}

/* An error that a call cannot have is no fault: they look at nothing that could be missing. */
static bool never_fails(long nr)
{
	return nr == SYS_exit || nr == SYS_exit_group || nr == SYS_sched_yield ||
	       nr == SYS_getuid || nr == SYS_gettid || nr == SYS_getpid;
}

/* A rule about futex is about both halves. */
static bool about(const char *call)
{
	size_t n = strlen(rule.call);
	return !strncmp(rule.call, call, n) && (!call[n] || call[n] == '.');
}

long ghi_fault_ask(struct ghi_fault_site *site, long nr, int *ret_after)
{
	struct record *r = record_of(site, nr);
	if (!r || never_fails(nr))
		return 0;
	fetch_add_relaxed(&r->calls, 1u);
	if (!rule.error || !about(r->call) ||
	    (*rule.func && strncmp(rule.func, r->func, sizeof(rule.func))))
		return 0;
	uint64_t n = fetch_add_relaxed(&table->matched, (uint64_t)1) + 1;
	if (n < rule.first || n > rule.last)
		return 0;
	fetch_add_relaxed(&r->failed, 1u);
	/* Linux closes whatever close() says. */
	*ret_after = nr == SYS_close;
	return -rule.error;
}

/* Copies up to one of the characters in `end`; NULL: too long. */
static const char *word(const char *s, const char *end, char *buf, size_t size)
{
	size_t n = strcspn(s, end);
	if (n >= size)
		return NULL;
	memcpy(buf, s, n);
	buf[n] = 0;
	return s + n;
}

static uint64_t number(const char **s)
{
	uint64_t v = 0;
	for (; **s >= '0' && **s <= '9'; ++*s)
		v = v * 10 + (uint64_t)(**s - '0');
	return v;
}

/* CALL[@FUNCTION]:error=ERRNO[:when=FIRST[+|..LAST]] */
static bool parse(const char *s)
{
	char error[16];
	rule.first = 1;
	rule.last = UINT64_MAX;
	if (!(s = word(s, "@:", rule.call, sizeof(rule.call))))
		return false;
	if (*s == '@' && !(s = word(s + 1, ":", rule.func, sizeof(rule.func))))
		return false;
	if (strncmp(s, ":error=", 7) || !(s = word(s + 7, ":", error, sizeof(error))))
		return false;
	if (!strncmp(s, ":when=", 6)) {
		s += 6;
		rule.first = rule.last = number(&s);
		if (*s == '+')
			rule.last = UINT64_MAX, s++;
		else if (!strncmp(s, "..", 2))
			s += 2, rule.last = number(&s);
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (!strcmp(error, errors[i].name))
			rule.error = errors[i].error;
	return !*s && rule.first && rule.error;
}

void ghi_fault_load(char **envp)
{
	const char *path = ghi_config_lookup(envp, "GREENHOOK_FAULT_TABLE");
	const char *text = ghi_config_lookup(envp, "GREENHOOK_FAULT");
	if (path && *path) {
		long fd =
		    GHI_SYS_MAKE(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		long r = fd < 0 ? fd : GHI_SYS_MAKE(SYS_ftruncate, fd, sizeof(struct table));
		r = r < 0 ? r
			  : GHI_SYS_MAKE(SYS_mmap, NULL, sizeof(struct table),
					 PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (fd >= 0)
			GHI_SYS_MAKE(SYS_close, fd);
		if (r < 0 && r > -4096)
			ghi_say("GREENHOOK_FAULT_TABLE=%s: error %d", path, (int)-r);
		else
			table = (struct table *)r;
	}
	for (struct ghi_fault_site *s = __start_ghi_faults; s < __stop_ghi_faults; s++)
		if (s->nr != -1)
			record_of(s, s->nr);
	if (text && *text && !parse(text)) {
		ghi_say(
		    "GREENHOOK_FAULT=%s is not CALL[@FUNCTION]:error=ERRNO[:when=FIRST[+|..LAST]]",
		    text);
		GHI_SYS_MAKE(SYS_exit_group, 2);
	}
}

static void count_descriptors(bool (*is_own)(int))
{
	char buf[4096];
	uint64_t others = 1, own = 0;
	long n, fd = GHI_SYS_MAKE(SYS_openat, AT_FDCWD, "/proc/self/fd",
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	while ((n = GHI_SYS_MAKE(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n;) {
			struct dirent64 *d = (struct dirent64 *)(buf + at);
			const char *s = d->d_name;
			at += d->d_reclen;
			if (*s == '.')
				continue;
			long got = (long)number(&s);
			if (got == fd)
				continue;
			*(is_own((int)got) ? &own : &others) += 1;
		}
	GHI_SYS_MAKE(SYS_close, fd);
	if (table->open && table->open < others)
		return;
	table->open = others;
	table->own = own;
}

/* The fewest of several counts, unless there are but the usual three: the monitor may have one open
 * for a moment, which lasts while the machine is busy. */
void ghi_fault_count_descriptors(bool (*is_own)(int), bool inert)
{
	table->inert = inert;
	table->open = 0;
	for (int i = 0; i < 20; i++) {
		count_descriptors(is_own);
		if (table->open <= 1 + 3)
			return;
		GHI_SYS_MAKE(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0,
			     (&(struct timespec){.tv_nsec = 5000000}), NULL);
	}
}
#endif
