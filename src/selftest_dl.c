/* A library with initial-exec thread-local data, made in memory, for the self-test; see selftest.h.
 *
 * Owns: the image of the smallest shared object that has such data: one segment, a TLS template,
 * and one relocation by which the loader stores the data's offset from the thread pointer. dlopen()
 * then has to initialise it in every thread block that is on its lists.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>

#include "src/base/report.h"
#include "src/base/sys.h"
#include "src/selftest.h"

#if defined(__x86_64__)

enum { MAGIC = 0x67726e68 };

static const struct image {
	Elf64_Ehdr head;
	Elf64_Phdr load, dynamic, tls, stack;
	Elf64_Dyn dyn[10];
	Elf64_Sym none;
	Elf64_Rela reloc;
	Elf64_Word hash[4]; /* one bucket, one symbol, nothing in them */
	uint64_t template[2];
	int64_t offset; /* written by the loader */
	char strings[8];
} image = {
    .head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	     .e_type = ET_DYN,
	     .e_machine = EM_X86_64,
	     .e_version = EV_CURRENT,
	     .e_phoff = offsetof(struct image, load),
	     .e_ehsize = sizeof(Elf64_Ehdr),
	     .e_phentsize = sizeof(Elf64_Phdr),
	     .e_phnum = 4},
    .load = {.p_type = PT_LOAD,
	     .p_flags = PF_R | PF_W,
	     .p_filesz = sizeof(struct image),
	     .p_memsz = sizeof(struct image),
	     .p_align = 4096},
    .dynamic = {.p_type = PT_DYNAMIC,
		.p_flags = PF_R,
		.p_offset = offsetof(struct image, dyn),
		.p_vaddr = offsetof(struct image, dyn),
		.p_filesz = sizeof(image.dyn),
		.p_memsz = sizeof(image.dyn),
		.p_align = 8},
    .tls = {.p_type = PT_TLS,
	    .p_flags = PF_R,
	    .p_offset = offsetof(struct image, template),
	    .p_vaddr = offsetof(struct image, template),
	    .p_filesz = 8,
	    .p_memsz = 16,
	    .p_align = 8},
    .stack = {.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W},
    .dyn = {{DT_HASH, {offsetof(struct image, hash)}},
	    {DT_SYMTAB, {offsetof(struct image, none)}},
	    {DT_SYMENT, {sizeof(Elf64_Sym)}},
	    {DT_STRTAB, {offsetof(struct image, strings)}},
	    {DT_STRSZ, {sizeof(image.strings)}},
	    {DT_RELA, {offsetof(struct image, reloc)}},
	    {DT_RELASZ, {sizeof(Elf64_Rela)}},
	    {DT_RELAENT, {sizeof(Elf64_Rela)}},
	    {DT_FLAGS, {DF_STATIC_TLS}},
	    {DT_NULL, {0}}},
    .reloc = {.r_offset = offsetof(struct image, offset),
	      .r_info = ELF64_R_INFO(0, R_X86_64_TPOFF64)},
    .hash = {1, 1, 0, 0},
    .template = {MAGIC, 0},
};

int ghi_selftest_dlopen(uintptr_t tcb)
{
	char path[32];
	long fd = ghi_sys(SYS_memfd_create, "greenhook-selftest", 1 /* MFD_CLOEXEC */);
	if (fd < 0)
		return -1;
	if (ghi_sys(SYS_write, fd, &image, sizeof(image)) != sizeof(image))
		return -1;
	ghi_format(path, sizeof(path), "/proc/self/fd/%d", (int)fd);
	struct link_map *map = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!map)
		return -1;
	int64_t at = ((struct image *)map->l_addr)->offset;
	uint64_t *data = (uint64_t *)(tcb + (uintptr_t)at);
	return at < 0 && data[0] == MAGIC && data[1] == 0;
}

#else
int ghi_selftest_dlopen(uintptr_t tcb)
{
	return -1;
}
#endif
