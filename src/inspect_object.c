/* What a parked gthread waits for, in words; see inspect.h.
 *
 * Everything is read through the kernel or from the gthread's own stack: a lock may be freed, a
 * descriptor closed, while we look.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "src/inspect.h"
#include "src/runtime.h"
#include "src/unwind.h"
#include "src/wait.h"

/* Ids by tid: made when the first owner is asked for, dropped at the end of the list. */
static struct {
	struct owner {
		int32_t tid; /* 0: free */
		uint64_t id;
	} * slot;
	size_t n; /* a power of two */
	bool made;
} owners;

void ghi_inspect_owners_begin(void)
{
	owners.slot = NULL;
	owners.n = 0;
	owners.made = false;
}

void ghi_inspect_owners_end(void)
{
	if (owners.slot)
		ghi_sys(SYS_munmap, owners.slot, owners.n * sizeof(*owners.slot));
	owners.slot = NULL;
}

static bool counts(const struct ghi_gthread *g)
{
	uint32_t life = load_acquire(&g->life);
	return (life == GHI_LIFE_ALIVE || life == GHI_LIFE_EXITING) && !(g->flags & GHI_G_NATIVE);
}

static void add_owner(const struct ghi_gthread *g)
{
	size_t at = (uint32_t)g->tid * 2654435761u & (owners.n - 1);
	while (owners.slot[at].tid)
		at = (at + 1) & (owners.n - 1);
	owners.slot[at] = (struct owner){g->tid, g->id};
}

static void make_owners(void)
{
	struct ghi_gthread *newest = ghi_gthread_all(), *g;
	size_t n = 64, left;

	owners.made = true;
	for (g = newest; g; g = g->all_next)
		n += counts(g);
	for (owners.n = 128; owners.n < 2 * n;)
		owners.n *= 2;
	long r = ghi_sys(SYS_mmap, NULL, owners.n * sizeof(*owners.slot), 3, 0x22, -1, 0);
	if (r < 0 && r > -4096)
		return;
	owners.slot = (struct owner *)r;
	left = owners.n * 3 / 4; /* more may live now than were counted */
	for (g = newest; g && left; g = g->all_next)
		if (counts(g) && !(g->flags & GHI_G_MAIN)) {
			add_owner(g);
			left--;
		}
	if ((g = ghi_runtime_main()))
		add_owner(g);
}

uint64_t ghi_inspect_id_of(int32_t tid)
{
	if (!owners.made)
		make_owners();
	if (!owners.slot || !tid)
		return 0;
	size_t at = (uint32_t)tid * 2654435761u & (owners.n - 1);
	while (owners.slot[at].tid && owners.slot[at].tid != tid)
		at = (at + 1) & (owners.n - 1);
	return owners.slot[at].tid ? owners.slot[at].id : 0;
}

/* ---- descriptors ---------------------------------------------------------------------------- */

union name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage room;
};

static size_t put_v6(char *to, size_t size, const struct sockaddr_in6 *a)
{
	const uint8_t *b = a->sin6_addr.s6_addr;
	size_t n = ghi_format(to, size, "[");
	if (!memcmp(b, "\0\0\0\0\0\0\0\0\0\0\377\377", 12)) {
		n += ghi_format(to + n, size - n, "::ffff:%d.%d.%d.%d", b[12], b[13], b[14], b[15]);
	} else {
		int from = -1, longest = 1; /* the longest run of zero groups, of two at least */
		for (int i = 0; i < 8; i++) {
			int k = i;
			while (k < 8 && !b[2 * k] && !b[2 * k + 1])
				k++;
			if (k - i > longest)
				from = i, longest = k - i;
		}
		for (int i = 0; i < 8; i++) {
			if (i == from) {
				n += ghi_format(to + n, size - n, "::");
				i += longest - 1;
				continue;
			}
			n += ghi_format(to + n, size - n, "%s%x",
					i && i != from + longest ? ":" : "",
					(unsigned)(b[2 * i] << 8 | b[2 * i + 1]));
		}
	}
	return n + ghi_format(to + n, size - n, "]:%u", ntohs(a->sin6_port));
}

static size_t put_name(char *to, size_t size, const union name *a, socklen_t len)
{
	const uint8_t *b = (const uint8_t *)&a->in.sin_addr;
	char path[sizeof(a->un.sun_path) + 1] = {0};

	switch (a->sa.sa_family) {
	case AF_INET:
		return ghi_format(to, size, "%d.%d.%d.%d:%u", b[0], b[1], b[2], b[3],
				  ntohs(a->in.sin_port));
	case AF_INET6:
		return put_v6(to, size, &a->in6);
	case AF_UNIX:
		if (len <= offsetof(struct sockaddr_un, sun_path))
			return ghi_format(to, size, "unix");
		memcpy(path, a->un.sun_path, len - offsetof(struct sockaddr_un, sun_path));
		if (!path[0])
			path[0] = '@';
		return ghi_format(to, size, "unix:%s", path);
	default:
		return ghi_format(to, size, "family %d", a->sa.sa_family);
	}
}

/* "local <- peer" for sockets that have one, the local address for others, else what /proc says. */
static size_t put_fd(char *to, size_t size, int fd)
{
	union name local, peer;
	socklen_t n = sizeof(local), m = sizeof(peer);
	char path[40];

	if (ghi_sys(SYS_getsockname, fd, &local, &n) == 0) {
		size_t k = put_name(to, size, &local, n);
		if (ghi_sys(SYS_getpeername, fd, &peer, &m) == 0) {
			k += ghi_format(to + k, size - k, " <- ");
			k += put_name(to + k, size - k, &peer, m);
		}
		return k;
	}
	ghi_format(path, sizeof(path), "/proc/self/fd/%d", fd);
	long r = ghi_sys(SYS_readlinkat, AT_FDCWD, path, to, size - 1);
	if (r < 0)
		return ghi_format(to, size, "closed");
	to[r] = 0;
	return (size_t)r;
}

static void describe_fd(int fd, struct ghi_inspect_object *ret)
{
	size_t n = ghi_format(ret->detail, sizeof(ret->detail), "fd %d ", fd);
	put_fd(ret->detail + n, sizeof(ret->detail) - n, fd);
}

/* The set lies on the stack that was left, or in memory of the program's. */
static void describe_set(uintptr_t at, struct ghi_inspect_object *ret)
{
	struct {
		struct ghi_pollset set;
		struct ghi_pollset_fd fds[4];
	} copy;
	size_t have = ghi_unwind_read(at, &copy, sizeof(copy));
	unsigned fit = have < sizeof(copy.set)
			   ? 0
			   : (unsigned)((have - sizeof(copy.set)) / sizeof(copy.fds[0]));

	if (have < sizeof(copy.set))
		return;
	size_t n = ghi_format(ret->detail, sizeof(ret->detail), "%u descriptor%s", copy.set.n,
			      copy.set.n == 1 ? "" : "s");
	for (unsigned i = 0; i < copy.set.n && i < fit; i++) {
		n += ghi_format(ret->detail + n, sizeof(ret->detail) - n, "%s fd %d ",
				i ? "," : ":", copy.fds[i].fd);
		n += put_fd(ret->detail + n, (sizeof(ret->detail) - n) / 2, copy.fds[i].fd);
	}
	if (copy.set.n > fit)
		ghi_format(ret->detail + n, sizeof(ret->detail) - n, ", ...");
}

/* ---- all ------------------------------------------------------------------------------------ */

int32_t ghi_inspect_word(uintptr_t at)
{
	int32_t v = 0;
	return ghi_unwind_read(at, &v, sizeof(v)) == sizeof(v) ? v : 0;
}

int32_t ghi_inspect_owner(uint32_t reason, uintptr_t waits_for)
{
	switch (reason) {
	case GHI_PARK_MUTEX: /* a gh_mutex, too */
		return ghi_inspect_word(waits_for + offsetof(pthread_mutex_t, __data.__owner));
	case GHI_PARK_RWLOCK:
		return ghi_inspect_word(waits_for +
					offsetof(pthread_rwlock_t, __data.__cur_writer));
	case GHI_PARK_JOIN:
		return ghi_inspect_word(waits_for - offsetof(struct ghi_gthread, join) +
					offsetof(struct ghi_gthread, tid));
	default:
		return 0;
	}
}

void ghi_inspect_object(const struct ghi_gthread *g, uint32_t reason, uintptr_t waits_for,
			struct ghi_inspect_object *ret)
{
	ret->address = 0;
	ret->owner = 0;
	ret->owner_tid = 0;
	ret->detail[0] = 0;
	switch (reason) {
	case GHI_PARK_MUTEX:
	case GHI_PARK_RWLOCK:
		ret->address = waits_for;
		if ((ret->owner_tid = ghi_inspect_owner(reason, waits_for)))
			ret->owner = ghi_inspect_id_of(ret->owner_tid);
		return;
	case GHI_PARK_JOIN: {
		const struct ghi_gthread *other =
		    (void *)(waits_for - offsetof(struct ghi_gthread, join)); // NOLINT
		/* A pthread, if it is the one that has this tid; a task of the native API is told
		 * by its address. */
		int32_t tid = ghi_inspect_owner(reason, waits_for);
		uint64_t id = 0;
		if (tid && ghi_unwind_read((uintptr_t)&other->id, &id, sizeof(id)) == sizeof(id) &&
		    id && ghi_inspect_id_of(tid) == id) {
			ret->owner = id;
			ret->owner_tid = tid;
		} else {
			ret->address = waits_for;
		}
		return;
	}
	case GHI_PARK_READ:
	case GHI_PARK_WRITE:
	case GHI_PARK_ACCEPT:
	case GHI_PARK_CONNECT:
	case GHI_PARK_CHILD:
		if (waits_for < GHI_FD_CHUNK * GHI_FD_CHUNKS)
			describe_fd((int)waits_for, ret);
		return;
	case GHI_PARK_POLL:
		describe_set(waits_for, ret);
		return;
	case GHI_PARK_SLEEP:
	case GHI_PARK_FOREVER:
	case GHI_PARK_SIGNAL:
		return;
	default:
		ret->address = waits_for;
		return;
	}
}
