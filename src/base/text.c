/* See text.h. */
#include <fcntl.h>

#include "src/base/sys.h"
#include "src/base/text.h"

long ghi_text_read(const char *path, char *ret, size_t size)
{
	long n, fd = ghi_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

	ret[0] = 0;
	if (fd < 0)
		return fd;
	n = ghi_sys(SYS_read, fd, ret, size - 1);
	ghi_sys(SYS_close, fd);
	ret[n > 0 ? n : 0] = 0;
	return n;
}
