/* io_uring, as far as disk.c needs it: one ring without a descriptor, used by one kernel thread.
 *
 * Owns: the memory that the ring and the kernel share, and the numbers of the kernel's interface.
 * Called by: disk.c.  Must not know: gthreads, what is asked of the kernel.
 *
 * Why not liburing: Debian's is older than the three features below, it keeps the ring behind a
 * descriptor, and it calls libc's functions, some of which are hooks here.  The numbers are spelled
 * out because the headers of the oldest supported system lack most of them.
 *
 * The ring has no descriptor at all (REGISTERED_FD_ONLY with NO_MMAP, Linux 6.5): a program that
 * closes every number, or counts them, does not meet it, and no child inherits it.  The kernel
 * knows it by an index that belongs to the kernel thread that made it, so nobody else can use it.
 */
#ifndef GHI_URING_H
#define GHI_URING_H

#include <stdbool.h>
#include <stdint.h>

/* As many as fit the one page each that older kernels take. */
enum { GHI_URING_SUBMIT = 64, GHI_URING_COMPLETE = 128 };

enum {
	GHI_URING_FSYNC = 3,
	GHI_URING_CANCEL = 14,
	GHI_URING_READ = 22,
	GHI_URING_WRITE = 23,
	GHI_URING_FUTEX_WAIT = 51, /* Linux 6.7 */
};

/* struct io_uring_sqe, with the names of the fields that are used here. */
struct ghi_uring_entry {
	uint8_t op, flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t off;  /* and addr2 */
	uint64_t addr; /* of the buffer, or the user_data of whom to cancel */
	uint32_t len, op_flags;
	uint64_t user_data;
	uint16_t buf_index, personality;
	uint32_t file_index;
	uint64_t addr3, pad;
};
_Static_assert(sizeof(struct ghi_uring_entry) == 64, "the kernel's");

struct ghi_uring_result { /* struct io_uring_cqe */
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

struct ghi_uring {
	int index; /* of the registered ring */
	struct ghi_uring_entry *entries;
	uint32_t tail;			  /* of the submissions; stored into *sq_tail to be seen */
	uint32_t *sq_head, *sq_tail;	  /* the kernel's head, our tail */
	uint32_t *cq_head, *cq_tail;	  /* our head, the kernel's tail */
	struct ghi_uring_result *results; /* GHI_URING_COMPLETE of them */
	void *pages;			  /* what both live in */
};

/* Makes one for the calling kernel thread; 0, or -errno with nothing left behind.  -ENOSYS also
 * when the kernel lacks an operation. */
int ghi_uring_open(struct ghi_uring *u);
/* A cleared entry, to be filled before the next call; NULL: no room before ghi_uring_enter. */
struct ghi_uring_entry *ghi_uring_entry(struct ghi_uring *u);
/* Submits what was filled, and may sleep until there is a result; 0 or -errno.  There may be
 * results in either case, and entries that were not taken. */
int ghi_uring_enter(struct ghi_uring *u, bool sleeps);
/* Takes back the last entry that the kernel has not taken; NULL: there is none. */
struct ghi_uring_entry *ghi_uring_take_back(struct ghi_uring *u);
/* The oldest result, false: none. */
bool ghi_uring_next(struct ghi_uring *u, struct ghi_uring_result *ret);

#endif
