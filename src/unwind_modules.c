/* Memory that may not be there, and which module an address is in; see unwind.h. */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/uio.h>

#include "src/base/copy.h"
#include "src/base/sys.h"
#include "src/unwind.h"

/* struct dl_find_object of glibc 2.35, which an older header does not have. */
struct found {
	unsigned long long flags;
	void *start, *end;
	struct link_map *map;
	void *eh_frame_hdr;
	unsigned long long reserved[7];
};
static int (*find_object)(void *, struct found *); /* NULL: not in this libc */
static bool looked_for_find_object;

static bool object_of(uintptr_t ip, struct found *ret)
{
	if (!looked_for_find_object) {
		*(void **)(&find_object) = dlsym(RTLD_DEFAULT, "_dl_find_object");
		looked_for_find_object = true;
	}
	return find_object && find_object((void *)ip, ret) == 0; // NOLINT: an address of ours
}

/* A sandbox may forbid process_vm_readv.  rt_sigprocmask reads eight bytes before it refuses the
 * first argument: page by page that tells what can be read. */
static size_t read_by_probing(uintptr_t from, char *to, size_t size)
{
	size_t done = 0;
	while (done < size) {
		uintptr_t at = from + done;
		size_t n = 4096 - at % 4096 < size - done ? 4096 - at % 4096 : size - done;
		if (ghi_sys(SYS_rt_sigprocmask, 77, (at & ~7ul), NULL, 8) != -EINVAL)
			break;
		ghi_copy_raw(to + done, (void *)at, n); // NOLINT: it was readable just now
		done += n;
	}
	return done;
}

size_t ghi_unwind_read(uintptr_t from, void *to, size_t size)
{
	size_t first = 4096 - from % 4096;
	struct iovec here = {to, size};
	struct iovec there[2] = {{(void *)from, first < size ? first : size}, // NOLINT
				 {(void *)(from + first), size - first}};
	long n =
	    ghi_sys(SYS_process_vm_readv, sys_getpid(), &here, 1, there, first < size ? 2 : 1, 0);
	if (n == -EPERM || n == -ENOSYS || n == -EACCES)
		return read_by_probing(from, to, size);
	return n > 0 ? (size_t)n : 0;
}

const void *ghi_unwind_module(uintptr_t ip, uintptr_t *ret_base)
{
	struct found o;
	struct link_map *map = NULL;
	Dl_info info;

	if (object_of(ip, &o))
		map = o.map;
	else if (find_object ||
		 !dladdr1((void *)ip, &info, (void **)&map, RTLD_DL_LINKMAP)) // NOLINT
		return NULL;
	if (ghi_unwind_read((uintptr_t)&map->l_addr, ret_base, sizeof(*ret_base)) <
	    sizeof(*ret_base))
		return NULL;
	return map;
}

void ghi_unwind_module_path(const void *module, char *ret, size_t size)
{
	const struct link_map *map = module;
	uintptr_t name;
	size_t n = 0;

	if (ghi_unwind_read((uintptr_t)&map->l_name, &name, sizeof(name)) == sizeof(name))
		n = ghi_unwind_read(name, ret, size - 1);
	ret[n] = 0;
	if (*ret)
		return;
	long got = ghi_sys(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", ret, size - 1);
	ret[got > 0 ? got : 0] = 0;
}

void ghi_unwind_modules_open(void)
{
	object_of(0, &(struct found){0});
}

int ghi_unwind_table(uintptr_t ip, uintptr_t *ret_start, uintptr_t *ret_end, uintptr_t *ret_hdr)
{
	struct found o;

	if (looked_for_find_object && !find_object)
		return -1;
	if (!object_of(ip, &o) || !o.eh_frame_hdr)
		return find_object ? 0 : -1;
	*ret_start = (uintptr_t)o.start;
	*ret_end = (uintptr_t)o.end;
	*ret_hdr = (uintptr_t)o.eh_frame_hdr;
	return 1;
}
