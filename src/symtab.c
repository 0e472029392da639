/* Reading .symtab; see symtab.h. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "src/base/sys.h"
#include "src/symtab.h"

struct search {
	const char *name;
	char *base;
	char path[1024];
};

static int is_it(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	if (!info->dlpi_name || !strstr(info->dlpi_name, s->name) ||
	    strlen(info->dlpi_name) >= sizeof(s->path))
		return 0;
	strcpy(s->path, info->dlpi_name);
	s->base = (char *)info->dlpi_addr;
	return 1;
}

static bool inside(const struct ghi_symtab *t, uint64_t off, uint64_t n, uint64_t each)
{
	return off <= t->bytes && n <= (t->bytes - off) / each;
}

int ghi_symtab_open(struct ghi_symtab *t, const char *name)
{
	struct search s = {.name = name};
	struct stat st;

	*t = (struct ghi_symtab){0};
	if (!dl_iterate_phdr(is_it, &s))
		return -ENOENT;
	long fd = ghi_sys(SYS_openat, AT_FDCWD, s.path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return (int)fd;
	long r = ghi_sys(SYS_fstat, fd, &st);
	if (r == 0 && st.st_size >= (off_t)sizeof(Elf64_Ehdr))
		r = ghi_sys(SYS_mmap, NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	else if (r == 0)
		r = -ENOEXEC;
	ghi_sys(SYS_close, fd);
	if (r < 0 && r > -4096)
		return (int)r;
	*t = (struct ghi_symtab){(char *)r, (size_t)st.st_size, s.base};
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)t->file;
	if (memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->e_shentsize != sizeof(Elf64_Shdr) ||
	    !inside(t, e->e_shoff, e->e_shnum, sizeof(Elf64_Shdr))) {
		ghi_symtab_close(t);
		return -ENOEXEC;
	}
	return 0;
}

void *ghi_symtab_find(const struct ghi_symtab *t, const char *name)
{
	if (!t->file)
		return NULL;
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)t->file;
	const Elf64_Shdr *sections = (const Elf64_Shdr *)(t->file + e->e_shoff);
	for (unsigned i = 0; i < e->e_shnum; i++) {
		const Elf64_Shdr *table = &sections[i];
		if (table->sh_type != SHT_SYMTAB || table->sh_link >= e->e_shnum)
			continue;
		const Elf64_Shdr *names = &sections[table->sh_link];
		if (!inside(t, table->sh_offset, table->sh_size, 1) ||
		    !inside(t, names->sh_offset, names->sh_size, 1) || names->sh_size == 0 ||
		    t->file[names->sh_offset + names->sh_size - 1] != 0)
			continue;
		const Elf64_Sym *sym = (const Elf64_Sym *)(t->file + table->sh_offset);
		for (uint64_t n = table->sh_size / sizeof(*sym); n > 0; n--, sym++)
			if (sym->st_shndx != SHN_UNDEF && sym->st_name < names->sh_size &&
			    !strcmp(t->file + names->sh_offset + sym->st_name, name))
				return t->base + sym->st_value;
	}
	return NULL;
}

void ghi_symtab_close(struct ghi_symtab *t)
{
	if (t->file)
		ghi_sys(SYS_munmap, t->file, t->bytes);
	t->file = NULL;
}
