/* Which modules have their thread-local data in the static area, and how a recycled block gets it
 * anew; see tls.h.
 *
 * Owns: the table of such modules, rebuilt when the loader's counters move.  Called by: tls.c.
 *
 * dl_iterate_phdr says where the calling thread has a module's data, but not when that thread has
 * not touched it since the module was loaded.  So the place is read from the loader's link map, as
 * a debugger would find it; only if this libc does not describe that, the caller's view must do.
 */
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "src/gthread.h"
#include "src/tls.h"
#include "src/tls_int.h"

static struct module_table {
	unsigned long long adds, subs;
	unsigned n;
	struct tls_module {
		ptrdiff_t off; /* from the thread pointer, negative */
		const void *image;
		size_t filesz, memsz;
	} mod[256], libc; /* libc's own block holds malloc's cache */
} modules;
static ghi_lock_t modules_lock;

/* The loader's list of modules by number, and what is in a link map: from libc's descriptors. */
static struct {
	char *first; /* NULL: not described */
	size_t len, next, slots, slot_size, slot_map, map_offset;
} loader;

void ghi_tls_modules_probe(void)
{
	static const char *const names[] = {
	    "_thread_db_rtld_global__dl_tls_dtv_slotinfo_list",
	    "_thread_db_dtv_slotinfo_list_len",
	    "_thread_db_dtv_slotinfo_list_next",
	    "_thread_db_dtv_slotinfo_list_slotinfo",
	    "_thread_db_dtv_slotinfo_map",
	    "_thread_db_link_map_l_tls_offset",
	};
	size_t off[6];
	char *rtld = ghi_tls_symbol("_rtld_global");
	uint32_t *size = ghi_tls_symbol("_thread_db_sizeof_dtv_slotinfo");

	for (int i = 0; i < 6; i++) {
		ptrdiff_t at = ghi_tls_field(names[i]);
		if (at < 0 || !rtld || !size)
			return;
		off[i] = (size_t)at;
	}
	loader.len = off[1];
	loader.next = off[2];
	loader.slots = off[3];
	loader.slot_size = *size;
	loader.slot_map = off[4];
	loader.map_offset = off[5];
	loader.first = rtld + off[0];
}

/* Offset of a module's data from the thread pointer; 0: not in the static area. */
static ptrdiff_t static_offset(const struct dl_phdr_info *i)
{
	uintptr_t me = ghi_tp_get(), data = (uintptr_t)i->dlpi_tls_data;
	size_t at = i->dlpi_tls_modid;

	if (!loader.first)
		return data && data < me && me - data <= ghi_libc.tls_size ? (ptrdiff_t)(data - me)
									   : 0;
	for (char *l = AT(loader.first, 0, char *); l; l = AT(l, loader.next, char *)) {
		size_t len = AT(l, loader.len, size_t);
		if (at >= len) {
			at -= len;
			continue;
		}
		char *map = load_acquire(
		    &AT(l, loader.slots + at * loader.slot_size + loader.slot_map, char *));
		ptrdiff_t off = map ? AT(map, loader.map_offset, ptrdiff_t) : 0;
		/* -1: decided to be dynamic; 0: not decided. */
		return off > 0 && (size_t)off <= ghi_libc.tls_size ? -off : 0;
	}
	return 0;
}

/* dl_iterate_phdr holds a lock of the loader that libc's fork does not make free in the child: a
 * thread of ours must not be in there when a fork is made.  Natively only programs that look at the
 * modules while they fork have that problem; here each pthread_create looks.  Both sides add to
 * their own counter first and look at the other's then. */
static uint32_t loader_users, forks_now;

void ghi_tls_fork_again(void)
{
	fetch_add_acq_rel(&loader_users, -1u);
}

bool ghi_tls_fork_not_now_try(void)
{
	fetch_add_acq_rel(&loader_users, 1u);
	fence_seq_cst();
	if (!load_acquire(&forks_now))
		return true;
	ghi_tls_fork_again();
	return false;
}

void ghi_tls_fork_not_now(void)
{
	while (!ghi_tls_fork_not_now_try())
		ghi_sys(SYS_sched_yield);
}

void ghi_tls_fork_prepare(void)
{
	uint64_t since = 0;

	fetch_add_acq_rel(&forks_now, 1u);
	fence_seq_cst();
	while (load_acquire(&loader_users)) {
		/* Never for good: whoever is in there may need a lock of an allocator that a
		 * handler of the program has taken for this fork. */
		if (!since)
			since = ghi_now();
		else if (ghi_now() - since > GHI_SEC)
			return;
		ghi_sys(SYS_sched_yield);
	}
}

void ghi_tls_fork_parent(void)
{
	fetch_add_acq_rel(&forks_now, -1u);
}

static int note_counters(struct dl_phdr_info *i, size_t size, void *arg)
{
	unsigned long long *c = arg;
	c[0] = i->dlpi_adds;
	c[1] = i->dlpi_subs;
	return 1;
}

static int note_module(struct dl_phdr_info *i, size_t size, void *arg)
{
	struct module_table *table = arg;
	ptrdiff_t off = i->dlpi_tls_modid ? static_offset(i) : 0;
	uintptr_t data = ghi_tp_get() + (uintptr_t)off, libc_own = (uintptr_t)&errno;

	for (int p = 0; off && p < i->dlpi_phnum; p++) {
		const ElfW(Phdr) *h = &i->dlpi_phdr[p];
		if (h->p_type != PT_TLS)
			continue;
		struct tls_module m = {
		    .off = off,
		    .image = (void *)(i->dlpi_addr + h->p_vaddr),
		    .filesz = h->p_filesz,
		    .memsz = h->p_memsz,
		};
		if (libc_own >= data && libc_own < data + h->p_memsz)
			table->libc = m;
		else if (table->n < sizeof(table->mod) / sizeof(table->mod[0]))
			table->mod[table->n++] = m;
	}
	return 0;
}

static void refresh_dynamic(uintptr_t tcb)
{
	/* dtv[-1].counter is the capacity; a slot is {value, to_free}, value -1: not allocated. */
	struct dtv {
		void *val, *to_free;
	} *dtv = AT(tcb, HEAD_DTV, struct dtv *);
	size_t n = (size_t)dtv[-1].val;

	for (size_t i = 1; i <= n; i++)
		if (dtv[i].to_free) {
			free(dtv[i].to_free);
			dtv[i].to_free = NULL;
			dtv[i].val = (void *)-1;
		}
}

static void load_image(uintptr_t tcb, const struct tls_module *m)
{
	char *block = (char *)tcb + m->off;

	if (!m->memsz)
		return;
	memcpy(block, m->image, m->filesz);
	memset(block + m->filesz, 0, m->memsz - m->filesz);
}

void ghi_tls_modules_refresh(uintptr_t tcb, bool forked)
{
	unsigned long long seen[2] = {0, 0};

	ghi_tls_fork_not_now();
	dl_iterate_phdr(note_counters, seen);
	/* The loader's lock may be a long wait: not under ours. */
	bool stale =
	    load_relaxed(&modules.adds) != seen[0] || load_relaxed(&modules.subs) != seen[1];
	struct module_table *fresh = stale ? calloc(1, sizeof(*fresh)) : NULL;
	if (fresh)
		dl_iterate_phdr(note_module, fresh);
	ghi_tls_fork_again();
	ghi_lock(&modules_lock);
	if (fresh) {
		memcpy(modules.mod, fresh->mod, fresh->n * sizeof(fresh->mod[0]));
		modules.n = fresh->n;
		modules.libc = fresh->libc;
		modules.adds = seen[0];
		modules.subs = seen[1];
	}
	for (unsigned i = 0; i < modules.n; i++)
		load_image(tcb, &modules.mod[i]);
	if (forked)
		load_image(tcb, &modules.libc);
	ghi_unlock(&modules_lock);
	free(fresh);
	refresh_dynamic(tcb);
}

void ghi_tls_modules_after_fork(void)
{
	modules_lock = 0;
	loader_users = forks_now = 0;
	modules.adds = 0; /* it may have been half written */
}
