/* symbols.c: names for addresses of another process, from the symbol tables of files.
 *
 * A file is looked for where the process sees it (/proc/PID/root), then where we do; its symbols in
 * .symtab, in the separate file of its build id, or in .dynsym.  Nothing is asked of the process.
 */
#include "preload/cli.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct function {
	uint64_t at, size;
	const char *name;
};

struct symbols {
	char *path;
	bool loaded;
	struct function *functions; /* sorted */
	size_t n;
};

static int by_address(const void *a, const void *b)
{
	const struct function *x = a, *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	/* Of several names for one address: the sized, then the one without underscores. */
	if (!x->size != !y->size)
		return x->size ? -1 : 1;
	bool ux = x->name[0] == '_', uy = y->name[0] == '_';
	return ux != uy ? (ux ? 1 : -1) : strcmp(x->name, y->name);
}

struct file {
	const char *p;
	size_t size;
};

static bool map_file(const char *path, struct file *ret)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ret->p = MAP_FAILED;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > (off_t)sizeof(Elf64_Ehdr)) {
		ret->size = (size_t)st.st_size;
		ret->p = mmap(NULL, ret->size, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	close(fd);
	return ret->p != MAP_FAILED;
}

static const Elf64_Shdr *sections(const struct file *f, size_t *ret_n)
{
	const Elf64_Ehdr *e = (const void *)f->p;
	if (memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->e_shentsize != sizeof(Elf64_Shdr) || e->e_shoff > f->size ||
	    (f->size - e->e_shoff) / sizeof(Elf64_Shdr) < e->e_shnum || e->e_shoff % 8)
		return NULL;
	*ret_n = e->e_shnum;
	return (const void *)(f->p + e->e_shoff);
}

static bool inside(const struct file *f, const Elf64_Shdr *s)
{
	return s->sh_type != SHT_NOBITS && s->sh_offset <= f->size &&
	       s->sh_size <= f->size - s->sh_offset;
}

/* Adds the functions of the first table of that type; the file stays mapped, for their names. */
static bool add_table(struct symbols *s, const struct file *f, uint32_t type)
{
	size_t n;
	const Elf64_Shdr *all = sections(f, &n);

	for (size_t i = 0; all && i < n; i++) {
		const Elf64_Shdr *t = &all[i];
		if (t->sh_type != type || !inside(f, t) || t->sh_link >= n ||
		    !inside(f, &all[t->sh_link]) || t->sh_offset % 8)
			continue;
		const Elf64_Sym *sym = (const void *)(f->p + t->sh_offset);
		const Elf64_Shdr *str = &all[t->sh_link];
		size_t count = t->sh_size / sizeof(*sym);
		struct function *room = realloc(s->functions, (s->n + count) * sizeof(*room));
		if (!room)
			return false;
		s->functions = room;
		for (size_t k = 0; k < count; k++) {
			int what = ELF64_ST_TYPE(sym[k].st_info);
			if ((what != STT_FUNC && what != STT_GNU_IFUNC) || !sym[k].st_shndx ||
			    sym[k].st_name >= str->sh_size)
				continue;
			const char *name = f->p + str->sh_offset + sym[k].st_name;
			if (memchr(name, 0, str->sh_size - sym[k].st_name))
				s->functions[s->n++] =
				    (struct function){sym[k].st_value, sym[k].st_size, name};
		}
		return s->n > 0;
	}
	return false;
}

static bool add_debug_file(struct symbols *s, const struct file *f)
{
	size_t n;
	const Elf64_Shdr *all = sections(f, &n);
	struct file debug;

	for (size_t i = 0; all && i < n; i++) {
		if (all[i].sh_type != SHT_NOTE || !inside(f, &all[i]) || all[i].sh_size < 36)
			continue;
		const uint8_t *note = (const void *)(f->p + all[i].sh_offset);
		Elf64_Nhdr h;
		memcpy(&h, note, sizeof(h));
		if (h.n_type != NT_GNU_BUILD_ID || h.n_namesz != 4 || h.n_descsz < 4 ||
		    h.n_descsz > 20)
			continue;
		char path[128];
		int at = snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%02x/", note[16]);
		for (unsigned k = 1; k < h.n_descsz; k++)
			at += snprintf(path + at, sizeof(path) - (size_t)at, "%02x", note[16 + k]);
		snprintf(path + at, sizeof(path) - (size_t)at, ".debug");
		return map_file(path, &debug) && add_table(s, &debug, SHT_SYMTAB);
	}
	return false;
}

static void load(struct symbols *s, long pid)
{
	char path[PATH_MAX + 32];
	struct file f;

	s->loaded = true;
	snprintf(path, sizeof(path), "/proc/%ld/root%s", pid, s->path);
	if (!map_file(path, &f) && !map_file(s->path, &f))
		return;
	if (!add_table(s, &f, SHT_SYMTAB) && !add_debug_file(s, &f))
		add_table(s, &f, SHT_DYNSYM);
	if (s->n)
		qsort(s->functions, s->n, sizeof(*s->functions), by_address);
}

struct symbols *symbols_new(const char *path)
{
	struct symbols *s = calloc(1, sizeof(*s));
	if (s)
		s->path = strdup(path);
	return s;
}

const char *symbols_path(const struct symbols *s)
{
	return s->path;
}

const char *symbols_find(struct symbols *s, long pid, uint64_t at, uint64_t *ret_off)
{
	if (!s->loaded)
		load(s, pid);
	size_t lo = 0, hi = s->n;
	while (lo < hi) { /* the first beyond */
		size_t mid = (lo + hi) / 2;
		if (s->functions[mid].at <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	struct function *f = &s->functions[lo - 1];
	while (f > s->functions && f[-1].at == f->at)
		f--;
	/* Code without a size belongs to the last name before it, within reason. */
	if (at - f->at >= (f->size ? f->size : 4096))
		return NULL;
	*ret_off = at - f->at;
	return f->name;
}
