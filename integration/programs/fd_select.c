/* select and closed numbers: those within the table of descriptors are EBADF, those beyond it are
 * ignored; bad addresses; very large counts. */
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>

static int p[2];

static int look(int n, int extra)
{
	static uint64_t set[64]; /* 4096 numbers */
	struct timeval now = {0, 0};
	memset(set, 0, sizeof(set));
	set[p[0] / 64] |= 1ull << (p[0] % 64);
	if (extra >= 0)
		set[extra / 64] |= 1ull << (extra % 64);
	return select(n, (fd_set *)set, NULL, NULL, &now);
}

static void *all(void *arg)
{
	void *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timeval now = {0, 0};
	MUST(pipe(p) == 0 && write(p[1], "x", 1) == 1);
	CHECK(look(p[0] + 1, -1) == 1);
	CHECK_ERRNO(EBADF, look(64, 60));
	CHECK(look(1000, 900) == 1);
	CHECK(look(4096, 3000) == 1);
	CHECK_ERRNO(EBADF, look(4096, 60));
	CHECK(dup2(p[0], 150) == 150);
	CHECK_ERRNO(EBADF, look(1000, 200));
	CHECK(look(1000, 300) == 1);
	CHECK(look(1000, 150) == 2);
	CHECK(close(150) == 0);
	CHECK_ERRNO(EBADF, look(1000, 200));
	CHECK_ERRNO(EFAULT, select(5, bad, NULL, NULL, &now));
	CHECK_ERRNO(EINVAL, select(-1, NULL, NULL, NULL, &now));
	CHECK(select(0, bad, NULL, NULL, &now) == 0);
	now = (struct timeval){0, -1};
	CHECK_ERRNO(EINVAL, select(0, NULL, NULL, NULL, &now));
	return NULL;
}

int main(void)
{
	join(spawn(all, NULL));
	return check_done();
}
