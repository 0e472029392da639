/* Planning and writing entry detours; see detour.h. */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "src/base/sys.h"
#include "src/detour.h"

enum { PAGE = 4096 };

/* By the object's own hash table: dladdr() walks through all of libc's three thousand symbols. */
size_t ghi_detour_size(void *object, const char *name, const void *entry)
{
	struct link_map *map = NULL;
	const ElfW(Sym) *symbols = NULL;
	const char *strings = NULL;
	const uint32_t *table = NULL; /* buckets, first symbol, words of the filter, its shift */
	uint32_t hash = 5381;

	if (!object || !entry || dlinfo(object, RTLD_DI_LINKMAP, &map) < 0)
		return 0;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			symbols = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_STRTAB)
			strings = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_GNU_HASH)
			table = (const void *)d->d_un.d_ptr;
	}
	if (!symbols || !strings || !table)
		return 0;
	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	const uint32_t *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
	const uint32_t *chains = buckets + table[0];
	for (uint32_t i = buckets[hash % table[0]]; i >= table[1]; i++) {
		uint32_t h = chains[i - table[1]];
		if ((h | 1) == (hash | 1) &&
		    map->l_addr + symbols[i].st_value == (uintptr_t)entry &&
		    !strcmp(strings + symbols[i].st_name, name))
			return symbols[i].st_size;
		if (h & 1)
			break;
	}
	return 0;
}

void ghi_detour_plan(struct ghi_detour *d, const void *entry, size_t size)
{
	const unsigned char *code = entry;

	d->on = false;
	d->n = 0;
	if (!entry || !size) {
		d->why = "this C library has no such function";
		return;
	}
	unsigned keep = ghi_jump_keep(code, size);
	d->at = (char *)entry + keep;
	d->n = ghi_jump_encode(d->jump, d->at, d->to);
	d->why = ghi_jump_check(code, size, keep, d->n);
	if (!d->why && d->nr >= 0 && !ghi_jump_wraps(code, size, d->nr))
		d->why = "it does not look like the wrapper of its system call";
	if (!d->why)
		__builtin_memcpy(d->was, d->at, d->n);
}

/* No call of libc between the two mprotects: its text is being changed. */
static void copy(volatile char *to, const unsigned char *from, unsigned n)
{
	while (n--)
		to[n] = (char)from[n];
}

static int change(struct ghi_detour *d, unsigned n, bool on)
{
	uintptr_t lo = UINTPTR_MAX, hi = 0;
	uint64_t all = ~0ull, old;

	for (unsigned i = 0; i < n; i++) {
		if (d[i].why || d[i].on == on)
			continue;
		if ((uintptr_t)d[i].at < lo)
			lo = (uintptr_t)d[i].at;
		if ((uintptr_t)d[i].at + d[i].n > hi)
			hi = (uintptr_t)d[i].at + d[i].n;
	}
	if (!hi)
		return 0;
	lo &= ~(uintptr_t)(PAGE - 1);
	/* Never without PROT_EXEC: a policy that lets us take it away may not let us give it back.
	 */
	sys_sigprocmask(SIG_SETMASK, &all, &old);
	long r = ghi_sys(SYS_mprotect, lo, hi - lo, PROT_READ | PROT_WRITE | PROT_EXEC);
	if (r == 0) {
		for (unsigned i = 0; i < n; i++)
			if (!d[i].why && d[i].on != on) {
				copy(d[i].at, on ? d[i].jump : d[i].was, d[i].n);
				d[i].on = on;
			}
		ghi_sys(SYS_mprotect, lo, hi - lo, PROT_READ | PROT_EXEC);
	}
	sys_sigprocmask(SIG_SETMASK, &old, NULL);
	return (int)r;
}

int ghi_detours_write(struct ghi_detour *d, unsigned n)
{
	return change(d, n, true);
}

int ghi_detours_undo(struct ghi_detour *d, unsigned n)
{
	return change(d, n, false);
}
