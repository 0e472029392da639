/* A version of a module out of a file; see docs/modules.md, "Bad files".
 *
 * Owns: the copy in memory, what is checked before the loader sees it.  Called by: module.c.  Must
 * not know: who uses a version.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <greenhook/sched.h>
#include "src/base/sys.h"
#include "src/native/memory.h"
#include "src/native/module.h"
#include "src/poller.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif

__attribute__((format(printf, 3, 4))) static int refuse(struct ghi_module_load *l, int r,
							const char *fmt, ...)
{
	va_list ap;
	if (!l->size)
		return r;
	int n = snprintf(l->why, l->size, "%s: ", l->path);
	va_start(ap, fmt);
	if (n >= 0 && (size_t)n < l->size)
		vsnprintf(l->why + n, l->size - (size_t)n, fmt, ap);
	va_end(ap);
	return r;
}

static int failed(struct ghi_module_load *l, const char *what, long r)
{
	char text[128];
	return refuse(l, (int)r, "%s: %s", what, strerror_r((int)-r, text, sizeof(text)));
}

/* ---- the copy ------------------------------------------------------------------------------- */

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* From `from` to `to`: 0 or -errno. */
static int copy(struct ghi_module_load *l, int from, int to, int64_t *ret_size)
{
	struct stat before, after;
	long r = ghi_sys(SYS_fstat, from, &before);
	int64_t done = 0;

	if (r < 0)
		return failed(l, "cannot look at it", r);
	if (!S_ISREG(before.st_mode))
		return refuse(l, -ENOEXEC, "not a regular file");
	while (done < before.st_size) {
		r = ghi_sys(SYS_sendfile, to, from, NULL, before.st_size - done);
		if (r == -EINTR)
			continue;
		if (r < 0)
			return failed(l, "cannot copy it", r);
		if (r == 0)
			break;
		done += r;
	}
	r = ghi_sys(SYS_fstat, from, &after);
	if (r < 0 || done != before.st_size || !same(&before, &after))
		return refuse(l, -ETXTBSY, "it was changed while it was read");
	*ret_size = done;
	return 0;
}

/* What would be a fault inside the loader: segments beyond the end of the file. */
static int check(struct ghi_module_load *l, int fd, int64_t bytes)
{
	Elf64_Ehdr h;
	Elf64_Phdr p;
	uint64_t size = (uint64_t)bytes;
	bool dynamic = false;

	if (ghi_sys(SYS_pread64, fd, &h, sizeof(h), 0L) != sizeof(h) ||
	    memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
		return refuse(l, -ENOEXEC, "not an ELF file");
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
	    h.e_machine != MACHINE)
		return refuse(l, -ENOEXEC, "made for another machine");
	if (h.e_type != ET_DYN)
		return refuse(l, -ENOEXEC, "not a shared object");
	if (h.e_phentsize != sizeof(p) || h.e_phoff > size ||
	    h.e_phnum > (size - h.e_phoff) / sizeof(p))
		return refuse(l, -ENOEXEC, "cut off: no room for its program headers");
	for (unsigned i = 0; i < h.e_phnum; i++) {
		if (ghi_sys(SYS_pread64, fd, &p, sizeof(p), (long)(h.e_phoff + i * sizeof(p))) !=
		    sizeof(p))
			return refuse(l, -ENOEXEC, "cut off: no program header %u", i);
		if (p.p_type != PT_LOAD && p.p_type != PT_DYNAMIC && p.p_type != PT_TLS)
			continue;
		if (p.p_offset > size || p.p_filesz > size - p.p_offset || p.p_filesz > p.p_memsz)
			return refuse(l, -ENOEXEC, "cut off: segment %u is not all there", i);
		dynamic |= p.p_type == PT_DYNAMIC;
	}
	return dynamic ? 0 : refuse(l, -ENOEXEC, "not a shared object");
}

/* ---- the object ----------------------------------------------------------------------------- */

/* A name of the descriptor that none of this process ever had: the loader gives an object that it
 * has under the same name, also when the number was used anew.  The count in binary: "./", "/". */
static void name_of(int fd, char *ret, size_t size)
{
	static uint32_t count;
	char dots[65];
	size_t n = 0;

	for (uint32_t bits = fetch_add_relaxed(&count, 1u) + 1; bits; bits >>= 1) {
		if (bits & 1)
			dots[n++] = '.';
		dots[n++] = '/';
	}
	dots[n] = 0;
	snprintf(ret, size, "/proc/self/fd/%s%d", dots, fd);
}

/* *ret: of dlopen. */
static int open_object(struct ghi_module_load *l, void **ret)
{
	const char *base = strrchr(l->path, '/');
	char name[128];
	int64_t bytes = 0;
	long r, from = ghi_sys(SYS_openat, AT_FDCWD, l->path, O_RDONLY | O_CLOEXEC, 0);

	if (from < 0)
		return failed(l, "cannot open it", from);
	snprintf(name, sizeof(name), "%s", base ? base + 1 : l->path);
	long fd = ghi_poller_move_up(ghi_sys(SYS_memfd_create, name, 1 /* MFD_CLOEXEC */));
	if (fd < 0)
		r = failed(l, "no memory for a copy", fd);
	else if ((r = copy(l, (int)from, (int)fd, &bytes)) == 0)
		r = check(l, (int)fd, bytes);
	ghi_sys(SYS_close, from);
	if (r == 0) {
		name_of((int)fd, name, sizeof(name));
		gh_blocking_begin();
		*ret = dlopen(name, RTLD_NOW | RTLD_LOCAL);
		gh_blocking_end();
		if (!*ret) {
			const char *text = dlerror();
			size_t made_up = strlen(name);
			if (text && strncmp(text, name, made_up) == 0 &&
			    strncmp(text + made_up, ": ", 2) == 0)
				text += made_up + 2;
			r = refuse(l, -ENOEXEC, "%s", text ? text : "the loader refuses it");
		}
	}
	if (fd >= 0)
		ghi_sys(SYS_close, fd);
	return (int)r;
}

/* Its gh_module_entry, as this library knows it. */
static int read_def(struct ghi_module_load *l, void *object, struct gh_module_def *ret)
{
	const struct gh_module_def *d = dlsym(object, "gh_module_entry");

	if (!d)
		return refuse(l, -EPROTO, "no gh_module_entry in it");
	if (d->size < offsetof(struct gh_module_def, name) || d->size > 4096)
		return refuse(l, -EPROTO, "a gh_module_entry of %zu bytes", d->size);
	for (size_t i = sizeof(*d); i < d->size; i++)
		if (((const char *)d)[i])
			return refuse(l, -EPROTO, "made for a newer greenhook");
	memcpy(ret, d, d->size < sizeof(*ret) ? d->size : sizeof(*ret));
	if (ret->interface != l->module->interface)
		return refuse(l, -EPROTO, "made for interface %u, the program has %u",
			      ret->interface, l->module->interface);
	return 0;
}

int ghi_module_gave_up(struct ghi_module_load *l)
{
	return refuse(l, -ENOTRECOVERABLE, "its start ended the task that it ran on");
}

int ghi_module_make(struct ghi_module_load *l)
{
	gh_module *m = l->module;
	gh_module_version *v = ghi_zalloc(sizeof(*v));
	int r = v ? open_object(l, &v->object) : refuse(l, -ENOMEM, "no memory");

	if (r == 0 && (r = read_def(l, v->object, &v->def)) == 0 && v->def.start) {
		r = v->def.start(m->host, l->old ? l->old->state : NULL, &v->state);
		r = r < 0 ? failed(l, "its start refused", r) : 0;
	}
	if (r) {
		if (v && v->object)
			dlclose(v->object);
		ghi_free(v);
		return r;
	}
	v->module = m;
	v->refs = 1;
	fetch_add_relaxed(&m->refs, 1u);
	fetch_add_relaxed(&m->count, 1u);
	store_release(&v->magic, GHI_VERSION_MAGIC);
	l->made = v;
	return 0;
}
