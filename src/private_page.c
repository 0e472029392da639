/* The bits of /proc/self/pagemap about a page; see private_page.h. */
#include "src/private_page.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "src/base/atomic.h"
#include "src/base/sys.h"
#include "src/gthread.h"
#include "src/poller.h"
#include "src/tls.h"

#define PAGE_EXCLUSIVE (1ull << 56) /* mapped once: also no zero page, and no device's memory */
#define PAGE_FILE      (1ull << 61) /* of a file, or shared memory */
#define PAGE_PRESENT   (1ull << 63)

enum { NONE = -1, OPENING = -2, LOST = -3 };

static struct {
	int fd;
	ino_t inode; /* the program may close any number by a system call of its own */
	uint32_t kernel_wakes;
} map = {.fd = NONE};

/* Once per process; a descriptor, or negative: not now. */
static int open_map(void)
{
	struct stat st;
	int fd = NONE;

	ghi_nosig_enter();
	if (ghi_tls_fork_not_now_try()) {
		if (cas_acq_rel(&map.fd, &fd, OPENING)) {
			fd = ghi_poller_adopt(ghi_sys(SYS_openat, AT_FDCWD, "/proc/self/pagemap",
						      O_RDONLY | O_CLOEXEC, 0));
			if (fd >= 0 && ghi_sys(SYS_fstat, fd, &st) == 0)
				map.inode = st.st_ino;
			store_release(&map.fd, fd < 0 ? NONE : fd);
		}
		ghi_tls_fork_again();
	}
	ghi_nosig_leave();
	return fd;
}

static bool look(int fd, const void *word)
{
	uint64_t page = 0;

	if (ghi_sys(SYS_pread64, fd, &page, sizeof(page), (uintptr_t)word / 4096 * 8) !=
	    sizeof(page))
		return false;
	return (page & (PAGE_PRESENT | PAGE_FILE | PAGE_EXCLUSIVE)) ==
	       (PAGE_PRESENT | PAGE_EXCLUSIVE);
}

bool ghi_page_private(const void *word)
{
	struct stat st;
	int fd = load_acquire(&map.fd);

	if (load_acquire(&map.kernel_wakes) || fd == LOST)
		return false;
	if (fd < 0 && (fd = open_map()) < 0)
		return false;
	if (ghi_sys(SYS_fstat, fd, &st) < 0 || st.st_ino != map.inode) {
		store_release(&map.fd, LOST);
		return false;
	}
	if (look(fd, word))
		return true;
	/* Never written, or not since a fork: the kernel gives the process its own copy when it is
	 * asked for a futex there, so that comes first.  Whatever the comparison says, this wakes
	 * and moves nobody. */
	ghi_sys(SYS_futex, word, FUTEX_CMP_REQUEUE, 0, 0, word, 0);
	return look(fd, word);
}

void ghi_page_kernel_wakes(void)
{
	store_release(&map.kernel_wakes, 1);
}

/* The inherited descriptor tells about the parent's memory. */
void ghi_page_after_fork(void)
{
	if (map.fd >= 0)
		ghi_poller_drop(map.fd);
	map.fd = NONE;
}
