/* One ring of the kernel's; see uring.h. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "src/base/atomic.h"
#include "src/base/sys.h"
#include "src/uring.h"

#define PAGE 4096

/* linux/io_uring.h */
#define SETUP_CQSIZE		 (1u << 3)
#define SETUP_NO_MMAP		 (1u << 14)
#define SETUP_REGISTERED_FD_ONLY (1u << 15)
#define SETUP_NO_SQARRAY	 (1u << 16)
#define ENTER_GETEVENTS		 (1u << 0)
#define ENTER_REGISTERED_RING	 (1u << 4)
#define REGISTER_PROBE		 8
#define REGISTER_IOWQ_WORKERS	 19
#define REGISTER_BY_INDEX	 (1u << 31)
#define OP_SUPPORTED		 1
#define FEAT_NODROP		 (1u << 1)

struct params { /* struct io_uring_params */
	uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
	uint32_t resv[3];
	struct {
		uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
		uint64_t user_addr;
	} sq;
	struct {
		uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
		uint64_t user_addr;
	} cq;
};
_Static_assert(sizeof(struct params) == 120, "the kernel's");

struct probe { /* struct io_uring_probe */
	uint8_t last_op, ops_len;
	uint16_t resv;
	uint32_t resv2[3];
	struct {
		uint8_t op, resv;
		uint16_t flags;
		uint32_t resv2;
	} ops[64];
};

static bool supports(const struct ghi_uring *u)
{
	static const uint8_t needed[] = {GHI_URING_FSYNC, GHI_URING_CANCEL, GHI_URING_READ,
					 GHI_URING_WRITE, GHI_URING_FUTEX_WAIT};
	struct probe p = {0};

	if (ghi_sys(SYS_io_uring_register, u->index, REGISTER_PROBE | REGISTER_BY_INDEX, &p,
		    sizeof(p.ops) / sizeof(*p.ops)) < 0)
		return false;
	for (unsigned i = 0; i < sizeof(needed); i++)
		if (needed[i] > p.last_op || !(p.ops[needed[i]].flags & OP_SUPPORTED))
			return false;
	return true;
}

/* On failure the index stays with the kernel thread, which is about to end. */
int ghi_uring_open(struct ghi_uring *u)
{
	struct params p = {.flags = SETUP_CQSIZE | SETUP_NO_MMAP | SETUP_REGISTERED_FD_ONLY |
				    SETUP_NO_SQARRAY,
			   .cq_entries = GHI_URING_COMPLETE};
	/* Kernel threads of the ring's own for what cannot wait otherwise: fsync, above all. As
	 * many as may be under way: several that flush one file system share its journal. */
	uint32_t threads[2] = {GHI_URING_COMPLETE, 0};
	long r = ghi_sys(SYS_mmap, NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (r < 0 && r > -4096)
		return (int)r;
	u->pages = (void *)r;
	u->entries = u->pages;
	char *rings = (char *)u->pages + PAGE;
	p.sq.user_addr = (uintptr_t)u->entries;
	p.cq.user_addr = (uintptr_t)rings;
	/* A child must not see results of its parent's, nor copy pages that the kernel holds. */
	r = ghi_sys(SYS_madvise, u->pages, 2 * PAGE, MADV_DONTFORK);
	if (r == 0)
		r = ghi_sys(SYS_io_uring_setup, GHI_URING_SUBMIT, &p);
	if (r >= 0) {
		u->index = (int)r;
		u->sq_head = (uint32_t *)(rings + p.sq.head);
		u->sq_tail = (uint32_t *)(rings + p.sq.tail);
		u->cq_head = (uint32_t *)(rings + p.cq.head);
		u->cq_tail = (uint32_t *)(rings + p.cq.tail);
		u->results = (struct ghi_uring_result *)(rings + p.cq.cqes);
		u->tail = load_relaxed(u->sq_tail);
		r = p.sq_entries == GHI_URING_SUBMIT && p.cq_entries == GHI_URING_COMPLETE &&
			    p.features & FEAT_NODROP && supports(u)
			? 0
			: -ENOSYS;
	}
	if (r < 0) {
		ghi_sys(SYS_munmap, u->pages, 2 * PAGE); /* a ring holds what it needs of it */
		return (int)r;
	}
	/* Without it there are four for each CPU. */
	ghi_sys(SYS_io_uring_register, u->index, REGISTER_IOWQ_WORKERS | REGISTER_BY_INDEX, threads,
		2);
	return 0;
}

struct ghi_uring_entry *ghi_uring_entry(struct ghi_uring *u)
{
	if (u->tail - load_acquire(u->sq_head) == GHI_URING_SUBMIT)
		return NULL;
	struct ghi_uring_entry *e = &u->entries[u->tail++ % GHI_URING_SUBMIT];
	memset(e, 0, sizeof(*e));
	return e;
}

int ghi_uring_enter(struct ghi_uring *u, bool sleeps)
{
	store_release(u->sq_tail, u->tail);
	uint32_t n = u->tail - load_acquire(u->sq_head);
	long r = ghi_sys(SYS_io_uring_enter, u->index, n, sleeps,
			 ENTER_GETEVENTS | ENTER_REGISTERED_RING, NULL, 8);
	return r < 0 ? (int)r : 0;
}

/* The kernel reads the tail within ghi_uring_enter only. */
struct ghi_uring_entry *ghi_uring_take_back(struct ghi_uring *u)
{
	if (u->tail == load_acquire(u->sq_head))
		return NULL;
	return &u->entries[--u->tail % GHI_URING_SUBMIT];
}

bool ghi_uring_next(struct ghi_uring *u, struct ghi_uring_result *ret)
{
	uint32_t head = load_relaxed(u->cq_head);
	if (head == load_acquire(u->cq_tail)) /* pairs with the kernel's release */
		return false;
	*ret = u->results[head % GHI_URING_COMPLETE];
	store_release(u->cq_head, head + 1); /* the kernel may write there again */
	return true;
}
