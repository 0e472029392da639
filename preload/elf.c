/* elf.c: reads from one file what decides whether it can run green.  Called by doctor.c only.
 *
 * The file is not trusted: it may be truncated, hostile or not ELF at all.  Every byte is fetched
 * through get() or view(), which check the range against the file's size; nothing is read through a
 * pointer cast, so odd alignments are harmless; every loop is bounded by something that fits in the
 * file. Section headers are used only to recognise Go (a stripped file has none): all else comes
 * from the program headers and the dynamic section, which is what the kernel and the loader look
 * at.
 */
#include "preload/cli.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#else
#error "teach elf.c this machine's e_machine"
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ORDER ELFDATA2LSB
#else
#define NATIVE_ORDER ELFDATA2MSB
#endif

/* The kernel takes at most 64 KiB of program headers. */
#define PHDRS_MAX (65536 / sizeof(Elf64_Phdr))
#define GO_MAGIC  "\xff Go buildinf:"

struct image {
	const unsigned char *bytes;
	uint64_t size;
	Elf64_Ehdr header;
};

/* The dynamic section's entries we use; addresses are the file's virtual ones, 0 when absent. */
struct dynamic {
	uint64_t symtab, strtab, strsz, soname, flags_1;
};

/* `length` bytes at `offset`, or NULL when the file ends before. */
static const void *view(const struct image *image, uint64_t offset, uint64_t length)
{
	if (offset > image->size || length > image->size - offset)
		return NULL;
	return image->bytes + offset;
}

static bool get(const struct image *image, uint64_t offset, void *ret, size_t length)
{
	const void *bytes = view(image, offset, length);
	if (bytes)
		memcpy(ret, bytes, length);
	return bytes != NULL;
}

static bool get_phdr(const struct image *image, unsigned index, Elf64_Phdr *ret)
{
	uint64_t delta = (uint64_t)index * sizeof(*ret);
	return image->header.e_phoff <= image->size &&
	       get(image, image->header.e_phoff + delta, ret, sizeof(*ret));
}

/* Where in the file is this virtual address?  The file's size, which no get() accepts, when
 * nowhere. */
static uint64_t offset_of(const struct image *image, uint64_t address)
{
	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		Elf64_Phdr ph;
		if (!get_phdr(image, i, &ph) || ph.p_type != PT_LOAD || address < ph.p_vaddr)
			continue;
		uint64_t delta = address - ph.p_vaddr;
		if (delta < ph.p_filesz && ph.p_offset <= image->size &&
		    delta < image->size - ph.p_offset)
			return ph.p_offset + delta;
	}
	return image->size;
}

static const char *read_interp(const struct image *image, const Elf64_Phdr *ph, char *ret)
{
	if (ph->p_filesz < 2 || ph->p_filesz > PATH_MAX)
		return "the loader's name has an impossible length";
	if (!get(image, ph->p_offset, ret, ph->p_filesz))
		return "the loader's name lies outside the file";
	if (ret[ph->p_filesz - 1])
		return "the loader's name is not terminated";
	return NULL;
}

static const char *read_dynamic(const struct image *image, const Elf64_Phdr *ph,
				struct dynamic *ret)
{
	if (!view(image, ph->p_offset, ph->p_filesz))
		return "the dynamic section lies outside the file";
	for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= ph->p_filesz; at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn entry;
		get(image, ph->p_offset + at, &entry, sizeof(entry));
		switch (entry.d_tag) {
		case DT_NULL:
			return NULL;
		case DT_SYMTAB:
			ret->symtab = entry.d_un.d_ptr;
			break;
		case DT_STRTAB:
			ret->strtab = entry.d_un.d_ptr;
			break;
		case DT_STRSZ:
			ret->strsz = entry.d_un.d_val;
			break;
		case DT_SONAME:
			ret->soname = entry.d_un.d_val;
			break;
		case DT_FLAGS_1:
			ret->flags_1 = entry.d_un.d_val;
			break;
		}
	}
	return NULL;
}

/* Does the string table hold exactly `name` at `index`? */
static bool name_is(const struct image *image, const struct dynamic *dyn, uint64_t strings,
		    uint64_t index, const char *name)
{
	size_t length = strlen(name) + 1;
	if (index > dyn->strsz || length > dyn->strsz - index || strings + index < strings)
		return false;
	const char *found = view(image, strings + index, length);
	return found && memcmp(found, name, length) == 0;
}

/* The symbol table has no length of its own, and the hash tables do not tell it when nothing is
 * exported.  Every linker puts the string table behind it, so we read up to there, or to the end of
 * the file; what lies between would have to look exactly like these to mislead us. */
static void read_symbols(const struct image *image, const struct dynamic *dyn,
			 struct elf_facts *ret)
{
	if (!dyn->symtab || !dyn->strtab)
		return;
	uint64_t at = offset_of(image, dyn->symtab), strings = offset_of(image, dyn->strtab);
	uint64_t end = strings > at ? strings : image->size;
	Elf64_Sym symbol;
	for (; at < end && get(image, at, &symbol, sizeof(symbol)); at += sizeof(symbol)) {
		if (symbol.st_shndx == SHN_UNDEF)
			ret->imports_threads |=
			    name_is(image, dyn, strings, symbol.st_name, "pthread_create") ||
			    name_is(image, dyn, strings, symbol.st_name, "thrd_create");
		else
			ret->has_runtime |=
			    name_is(image, dyn, strings, symbol.st_name, "__libc_start_main");
	}
}

/* A name of the string table, cut short to what `ret` holds. */
static void read_name(const struct image *image, const struct dynamic *dyn, uint64_t index,
		      char *ret, size_t size)
{
	uint64_t at = offset_of(image, dyn->strtab) + index;
	ret[0] = 0;
	if (!index || index >= dyn->strsz)
		return;
	for (size_t i = 0; i + 1 < size; i++) {
		ret[i + 1] = 0;
		if (!get(image, at + i, ret + i, 1))
			ret[i] = 0;
		if (!ret[i])
			return;
	}
}

/* Their runtimes want to be loaded before all other libraries. */
static bool is_sanitizer(const char *name)
{
	static const char *const names[] = {"libasan.so",	"libtsan.so",
					    "liblsan.so",	"libhwasan.so",
					    "libclang_rt.asan", "libclang_rt.hwasan"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static void read_needed(const struct image *image, const Elf64_Phdr *ph, const struct dynamic *dyn,
			struct elf_facts *ret)
{
	Elf64_Dyn entry;
	for (uint64_t at = 0; at + sizeof(entry) <= ph->p_filesz; at += sizeof(entry)) {
		char name[sizeof(ret->sanitizer)];
		if (!get(image, ph->p_offset + at, &entry, sizeof(entry)) || entry.d_tag == DT_NULL)
			return;
		if (entry.d_tag != DT_NEEDED)
			continue;
		read_name(image, dyn, entry.d_un.d_val, name, sizeof(name));
		if (is_sanitizer(name))
			memcpy(ret->sanitizer, name, sizeof(name));
	}
}

/* Go leaves a section `.go.buildinfo`; without section headers, its magic still starts a
 * 16-byte aligned block early in the first writable segment (as debug/buildinfo looks for it). */
static bool find_go(const struct image *image)
{
	const Elf64_Ehdr *h = &image->header;
	Elf64_Shdr names, section;
	if (h->e_shentsize == sizeof(section) && h->e_shoff && h->e_shoff < image->size &&
	    h->e_shstrndx < h->e_shnum &&
	    get(image, h->e_shoff + (uint64_t)h->e_shstrndx * sizeof(names), &names,
		sizeof(names)) &&
	    names.sh_offset <= image->size) {
		static const char wanted[] = ".go.buildinfo";
		for (unsigned i = 0; i < h->e_shnum; i++) {
			if (!get(image, h->e_shoff + i * sizeof(section), &section,
				 sizeof(section)))
				break;
			const char *name =
			    view(image, names.sh_offset + section.sh_name, sizeof(wanted));
			if (name && memcmp(name, wanted, sizeof(wanted)) == 0)
				return true;
		}
	}
	for (unsigned i = 0; i < h->e_phnum; i++) {
		Elf64_Phdr ph;
		if (!get_phdr(image, i, &ph) || ph.p_type != PT_LOAD || !(ph.p_flags & PF_W) ||
		    ph.p_offset > image->size)
			continue;
		uint64_t limit = ph.p_filesz < 65536 ? ph.p_filesz : 65536;
		for (uint64_t at = 0; at < limit; at += 16) {
			const void *block = view(image, ph.p_offset + at, sizeof(GO_MAGIC) - 1);
			if (block && memcmp(block, GO_MAGIC, sizeof(GO_MAGIC) - 1) == 0)
				return true;
		}
	}
	return false;
}

static void read_shebang(const struct image *image, struct elf_facts *ret)
{
	size_t length = image->size - 2;
	if (length > sizeof(ret->shebang) - 1)
		length = sizeof(ret->shebang) - 1;
	memcpy(ret->shebang, image->bytes + 2, length);
	ret->shebang[length] = 0;
	ret->shebang[strcspn(ret->shebang, "\n")] = 0;
}

/* Returns what is wrong with the file, or NULL. */
static const char *read_native(struct image *image, struct elf_facts *ret)
{
	struct dynamic dyn = {0};
	Elf64_Phdr dynamic = {0};
	const Elf64_Ehdr *h = &image->header;
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > PHDRS_MAX)
		return "its program headers are unusable";
	for (unsigned i = 0; i < h->e_phnum; i++) {
		const char *damage = NULL;
		Elf64_Phdr ph;
		if (!get_phdr(image, i, &ph))
			return "its program headers lie outside the file";
		if (ph.p_type == PT_LOAD && !view(image, ph.p_offset, ph.p_filesz))
			damage = "a segment lies outside the file";
		if (ph.p_type == PT_INTERP && !ret->has_interp) {
			damage = read_interp(image, &ph, ret->interp);
			ret->has_interp = true;
		}
		if (ph.p_type == PT_DYNAMIC && !ret->has_dynamic) {
			damage = read_dynamic(image, &ph, &dyn);
			dynamic = ph;
			ret->has_dynamic = true;
		}
		if (damage)
			return damage;
	}
	ret->is_pie = dyn.flags_1 & DF_1_PIE;
	read_symbols(image, &dyn, ret);
	ret->is_go = find_go(image);
	read_name(image, &dyn, dyn.soname, ret->soname, sizeof(ret->soname));
	read_needed(image, &dynamic, &dyn, ret);
	return NULL;
}

static void read_image(struct image *image, struct elf_facts *ret)
{
	if (image->size >= 2 && memcmp(image->bytes, "#!", 2) == 0) {
		ret->form = ELF_FORM_SCRIPT;
		read_shebang(image, ret);
		return;
	}
	if (image->size < SELFMAG || memcmp(image->bytes, ELFMAG, SELFMAG) != 0)
		return;

	ret->form = ELF_FORM_DAMAGED;
	ret->damage = "it ends inside its header";
	/* e_type and e_machine have the same place in both classes. */
	Elf32_Ehdr common;
	if (!get(image, 0, &common, sizeof(common)))
		return;
	ret->elf_class = common.e_ident[EI_CLASS];
	ret->byte_order = common.e_ident[EI_DATA];
	bool swapped = ret->byte_order != NATIVE_ORDER;
	ret->machine = swapped ? __builtin_bswap16(common.e_machine) : common.e_machine;
	ret->type = swapped ? __builtin_bswap16(common.e_type) : common.e_type;
	if (swapped || ret->elf_class != ELFCLASS64 || ret->machine != NATIVE_MACHINE) {
		ret->form = ELF_FORM_FOREIGN;
		return;
	}
	if (!get(image, 0, &image->header, sizeof(image->header)))
		return;
	ret->damage = read_native(image, ret);
	if (!ret->damage)
		ret->form = ELF_FORM_NATIVE;
}

int elf_read(int fd, struct elf_facts *ret_facts)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	memset(ret_facts, 0, sizeof(*ret_facts));
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return 0; /* ELF_FORM_OTHER */
	struct image image = {.size = (uint64_t)st.st_size};
	void *map = mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	image.bytes = map;
	read_image(&image, ret_facts);
	munmap(map, image.size);
	return 0;
}
