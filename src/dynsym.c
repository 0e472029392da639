/* Looking up exported functions; see dynsym.h.  The hash table is that of the GNU tools: a bloom
 * filter (not used here), buckets that name the first symbol of a chain, and the chains' hash
 * values, whose lowest bit marks the last of a chain. */
#include <link.h>
#include <string.h>

#include "src/dynsym.h"

enum { VERSION_HIDDEN = 0x8000 };

struct search {
	struct ghi_dynsym *d;
	const char *file;
};

/* The loader relocates these in place in most libraries. */
static const void *at(const char *base, uint64_t value)
{
	return value < (uintptr_t)base ? base + value : (const void *)value;
}

static int open_one(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	const char *name = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
	if (!name || strcmp(name + 1, s->file))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_DYNAMIC)
			continue;
		s->d->base = (char *)info->dlpi_addr;
		const Elf64_Dyn *dyn = (const Elf64_Dyn *)(s->d->base + info->dlpi_phdr[i].p_vaddr);
		for (; dyn->d_tag != DT_NULL; dyn++) {
			const void *p = at(s->d->base, dyn->d_un.d_ptr);
			if (dyn->d_tag == DT_SYMTAB)
				s->d->symbols = p;
			else if (dyn->d_tag == DT_STRTAB)
				s->d->strings = p;
			else if (dyn->d_tag == DT_GNU_HASH)
				s->d->hash = p;
			else if (dyn->d_tag == DT_VERSYM)
				s->d->version = p;
		}
	}
	return 1;
}

bool ghi_dynsym_open(struct ghi_dynsym *d, const char *file)
{
	struct search s = {d, file};
	*d = (struct ghi_dynsym){0};
	dl_iterate_phdr(open_one, &s);
	if (!d->strings || !d->hash)
		d->symbols = NULL;
	return d->symbols != NULL;
}

void *ghi_dynsym_find(const struct ghi_dynsym *d, const char *name)
{
	if (!d->symbols)
		return NULL;
	uint32_t h = 5381;
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		h = h * 33 + *c;
	uint32_t buckets = d->hash[0], first = d->hash[1], blooms = d->hash[2];
	const uint32_t *bucket = d->hash + 4 + blooms * 2, *chain = bucket + buckets;
	uint32_t i = bucket[h % buckets];
	if (i < first)
		return NULL;
	for (;; i++) {
		uint32_t hash = chain[i - first];
		const Elf64_Sym *sym = &d->symbols[i];
		int type = ELF64_ST_TYPE(sym->st_info);
		if ((hash | 1) == (h | 1) && sym->st_shndx != SHN_UNDEF &&
		    (type == STT_FUNC || type == STT_GNU_IFUNC) &&
		    !(d->version && d->version[i] & VERSION_HIDDEN) &&
		    !strcmp(d->strings + sym->st_name, name)) {
			char *address = d->base + sym->st_value;
			return type == STT_GNU_IFUNC ? ((void *(*)(void))address)() : address;
		}
		if (hash & 1)
			return NULL;
	}
}
