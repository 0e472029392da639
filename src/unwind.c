/* libunwind; see unwind.h.
 *
 * The local flavour (libunwind.so.8) walks the caller's own stack, also in a handler.  The general
 * one (libunwind-x86_64.so.8) asks for every word through an accessor: it walks the copy of a stack
 * whose thread goes on meanwhile, and everything else it reads through the kernel, which answers
 * where a pointer out of a torn copy would fault.
 */
#include <dlfcn.h>
#include <string.h>

#include "src/base/atomic.h"
#include "src/base/clock.h"
#include "src/base/report.h"
#include "src/helper.h"
#include "src/unwind.h"

#if defined(__x86_64__) && __has_include(<libunwind-x86_64.h>)
#include <libunwind-x86_64.h>

static struct {
	int (*init)(unw_cursor_t *, unw_context_t *, int);
	int (*step)(unw_cursor_t *);
	int (*get_reg)(unw_cursor_t *, int, unw_word_t *);
	int (*get_name)(unw_cursor_t *, char *, size_t, unw_word_t *);
} here; /* step: NULL, not there */

static struct {
	int (*init)(unw_cursor_t *, unw_addr_space_t, void *);
	int (*step)(unw_cursor_t *);
	int (*get_reg)(unw_cursor_t *, int, unw_word_t *);
	unw_accessors_t accessors; /* of its own address space, but for those below */
	int (*get_name)(unw_addr_space_t, unw_word_t, char *, size_t, unw_word_t *, void *);
	int (*get_save_loc)(unw_cursor_t *, int, unw_save_loc_t *);
	int (*search)(unw_addr_space_t, unw_word_t, unw_dyn_info_t *, unw_proc_info_t *, int,
		      void *);
	int (*find_by_loader)(unw_addr_space_t, unw_word_t, unw_proc_info_t *, int, void *);
	void (*flush)(unw_addr_space_t, unw_word_t, unw_word_t);
	unw_addr_space_t local, space; /* space: NULL, not there */
} copies;

enum { WORD = sizeof(unw_word_t) };

/* ---- the accessors of a copy ---------------------------------------------------------------- */

static int access_mem(unw_addr_space_t as, unw_word_t at, unw_word_t *val, int write, void *arg)
{
	const struct ghi_unwind_copy *c = arg;
	if (write)
		return -UNW_EREADONLYREG;
	if (at >= c->sp && at - c->sp <= c->bytes && c->bytes - (at - c->sp) >= WORD) {
		memcpy(val, c->stack + (at - c->sp), WORD);
		return 0;
	}
	return ghi_unwind_read(at, val, WORD) == WORD ? 0 : -UNW_EINVAL;
}

/* Does this return address stand behind a call? */
static bool is_call(const struct ghi_unwind_copy *c, unw_word_t ret)
{
	unsigned char b[8];
	unw_word_t word;
	if (ret < 4096 || access_mem(NULL, ret - 8, &word, 0, (void *)c) < 0)
		return false;
	memcpy(b, &word, sizeof(b));
	if (b[3] == 0xe8) /* call relative */
		return true;
	for (int at = 1; at < 7; at++) /* ff /2: call by register or memory */
		if (b[at] == 0xff && (b[at + 1] & 0x38) == 0x10)
			return true;
	return false;
}

/* The kernel does not tell rbp.  It is asked for when a function keeps its frame there and none
 * called by it has saved it: then it points to the first pair on the stack that looks like an older
 * rbp and a return address. */
static bool guess_frame(const struct ghi_unwind_copy *c, unw_word_t *ret)
{
	for (size_t at = 0; at + 2 * WORD <= c->bytes; at += WORD) {
		unw_word_t pair[2];
		memcpy(pair, c->stack + at, sizeof(pair));
		bool older = !pair[0] || (pair[0] > c->sp + at && pair[0] < c->sp + (8ul << 20));
		if (older && is_call(c, pair[1])) {
			*ret = c->sp + at;
			return true;
		}
	}
	return false;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *val, int write, void *arg)
{
	const struct ghi_unwind_copy *c = arg;
	if (write)
		return -UNW_EREADONLYREG;
	if (reg == UNW_REG_IP)
		*val = c->pc;
	else if (reg == UNW_REG_SP)
		*val = c->sp;
	else if (c->saved && reg == UNW_X86_64_RBX)
		*val = c->saved[GHI_SAVED_RBX];
	else if (c->saved && reg == UNW_X86_64_RBP)
		*val = c->saved[GHI_SAVED_RBP];
	else if (c->saved && reg >= UNW_X86_64_R12 && reg <= UNW_X86_64_R15)
		*val = c->saved[GHI_SAVED_R12 + reg - UNW_X86_64_R12];
	else if (reg == UNW_X86_64_RBP)
		return guess_frame(c, val) ? 0 : -UNW_EBADREG;
	else
		return -UNW_EBADREG;
	return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *val, int write,
			void *arg)
{
	return -UNW_EBADREG;
}

/* How to unwind at ip, by the table of its module.  The local flavour asks dl_iterate_phdr, which
 * waits for the loader's lock. */
static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need,
			  void *arg)
{
	struct {
		uint8_t version, frame_enc, count_enc, table_enc;
		int32_t frame;
		uint32_t count;
	} hdr;
	uintptr_t start, end, at;

	int known = ghi_unwind_table(ip, &start, &end, &at);
	if (known < 0)
		return copies.find_by_loader(as, ip, pi, need, arg);
	if (!known)
		return -UNW_ENOINFO;
	/* pcrel sdata4, udata4, datarel sdata4: what every linker writes */
	if (ghi_unwind_read(at, &hdr, sizeof(hdr)) < sizeof(hdr) || hdr.version != 1 ||
	    hdr.frame_enc != 0x1b || hdr.count_enc != 0x03 || hdr.table_enc != 0x3b)
		return -UNW_ENOINFO;
	unw_dyn_info_t di = {
	    .start_ip = start,
	    .end_ip = end,
	    .format = UNW_INFO_FORMAT_REMOTE_TABLE,
	    .u.rti = {.segbase = at, .table_len = hdr.count, .table_data = at + sizeof(hdr)}};
	return copies.search(as, ip, &di, pi, need, arg);
}

/* ---- opening -------------------------------------------------------------------------------- */

/* dlsym's answer, whose type is not that of functions. */
#define FIND(field, lib, name) (*(void **)(&(field)) = dlsym(lib, name))

static void open_here(void)
{
	void *lib = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		ghi_debug(1, "libunwind.so.8 is not there: reports will have no backtrace");
		return;
	}
	FIND(here.init, lib, "_ULx86_64_init_local2");
	FIND(here.get_reg, lib, "_ULx86_64_get_reg");
	FIND(here.get_name, lib, "_ULx86_64_get_proc_name");
	if (here.init && here.get_reg && here.get_name)
		FIND(here.step, lib, "_ULx86_64_step");
}

static void open_copies(void)
{
	unw_addr_space_t (*create)(unw_accessors_t *, int), *local;
	unw_accessors_t *(*accessors)(unw_addr_space_t);
	void *lib = dlopen("libunwind-x86_64.so.8", RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return;
	FIND(copies.init, lib, "_Ux86_64_init_remote");
	FIND(copies.step, lib, "_Ux86_64_step");
	FIND(copies.get_reg, lib, "_Ux86_64_get_reg");
	FIND(create, lib, "_Ux86_64_create_addr_space");
	FIND(accessors, lib, "_Ux86_64_get_accessors");
	FIND(local, lib, "_Ux86_64_local_addr_space");
	FIND(copies.get_save_loc, lib, "_Ux86_64_get_save_loc");
	FIND(copies.search, lib, "_Ux86_64_dwarf_search_unwind_table");
	FIND(copies.flush, lib, "_Ux86_64_flush_cache");
	int (*cache)(unw_addr_space_t, unw_caching_policy_t);
	FIND(cache, lib, "_Ux86_64_set_caching_policy");
	if (!copies.get_save_loc || !copies.search || !copies.flush || !cache)
		return;
	if (!copies.init || !copies.step || !copies.get_reg || !create || !accessors || !local)
		return;
	copies.local = *local;
	copies.accessors = *accessors(copies.local);
	copies.get_name = copies.accessors.get_proc_name;
	copies.find_by_loader = copies.accessors.find_proc_info;
	copies.accessors.find_proc_info = find_proc_info;
	copies.accessors.access_mem = access_mem;
	copies.accessors.access_reg = access_reg;
	copies.accessors.access_fpreg = access_fpreg;
	ghi_unwind_modules_open();
	unw_addr_space_t space = create(&copies.accessors, 0);
	cache(space, UNW_CACHE_GLOBAL);
	store_release(&copies.space, space);
}

/* dlopen waits for the loader's lock, which a program that hangs may hold for good. */
static uint32_t opening; /* 0: not begun, 1: in progress, 2: done */

static void *open_on_its_own(void *arg)
{
	open_copies();
	store_release(&opening, 2u);
	sys_futex_wake(&opening, 1);
	return arg;
}

void ghi_unwind_open_soon(void)
{
	uint64_t until = ghi_deadline_in(2 * GHI_SEC);
	struct timespec ts = ghi_ns_to_ts(until);
	uint32_t none = 0;

	if (copies.space)
		return;
	if (cas_acquire(&opening, &none, 1u) && ghi_helper_start(open_on_its_own))
		store_release(&opening, 0u);
	while (load_acquire(&opening) == 1 && ghi_now() < until)
		sys_futex_wait_until(&opening, 1, &ts);
}

void ghi_unwind_after_fork(void)
{
	if (opening == 1)
		opening = 0;
}

void ghi_unwind_open(bool want_copies)
{
	if (!here.step)
		open_here();
	if (want_copies && !copies.space)
		open_copies();
}

/* ---- walking -------------------------------------------------------------------------------- */

void ghi_unwind_here(ucontext_t *uc,
		     bool (*frame)(int n, uintptr_t ip, const char *name, uintptr_t off, void *arg),
		     void *arg)
{
	unw_cursor_t cursor;
	unw_word_t ip, last_sp = 0, sp, off;
	char name[256];

	if (!here.step) {
		frame(0, (uintptr_t)uc->uc_mcontext.gregs[REG_RIP], NULL, 0, arg);
		return;
	}
	if (here.init(&cursor, (unw_context_t *)uc, UNW_INIT_SIGNAL_FRAME) < 0)
		return;
	for (int n = 0;; n++) {
		if (here.get_reg(&cursor, UNW_REG_IP, &ip) < 0 || !ip)
			return;
		here.get_reg(&cursor, UNW_REG_SP, &sp);
		bool named = here.get_name(&cursor, name, sizeof(name), &off) >= 0;
		if (!frame(n, ip, named ? name : NULL, named ? off : 0, arg))
			return;
		if (n && sp == last_sp)
			return; /* no progress: a damaged stack */
		last_sp = sp;
		if (here.step(&cursor) <= 0)
			return;
	}
}

bool ghi_unwind_name_here(uintptr_t ip, char *ret_name, size_t size)
{
#if defined(__x86_64__)
	/* The name of an innermost frame that is there: the name needs nothing but its address. */
	ucontext_t uc;
	unw_cursor_t cursor;
	unw_word_t off;
	if (!here.step || getcontext(&uc) < 0)
		return false;
	uc.uc_mcontext.gregs[REG_RIP] = (greg_t)ip;
	return here.init(&cursor, (unw_context_t *)&uc, UNW_INIT_SIGNAL_FRAME) >= 0 &&
	       here.get_name(&cursor, ret_name, size, &off) >= 0 && off == 0;
#else
	return false;
#endif
}

int ghi_unwind_copy(const struct ghi_unwind_copy *c, uintptr_t *ret_ips, int max)
{
	unw_cursor_t cursor;
	unw_word_t ip;
	int n = 0;

	if (!copies.space || copies.init(&cursor, copies.space, (void *)c) < 0) {
		ret_ips[0] = c->pc;
		return 1;
	}
	do {
		if (copies.get_reg(&cursor, UNW_REG_IP, &ip) < 0 || !ip)
			break;
		ret_ips[n++] = ip;
	} while (n < max && copies.step(&cursor) > 0);
	return n;
}

/* By frame pointers, which this library is built with: at least who called it. */
static int frames_by_rbp(const struct ghi_unwind_copy *c, struct ghi_unwind_frame *ret, int max)
{
	uintptr_t fp = c->saved ? c->saved[GHI_SAVED_RBP] : 0, pair[2];
	int n = 0;

	ret[n++] = (struct ghi_unwind_frame){.ip = c->pc, .sp = c->sp};
	while (n < max && fp >= c->sp && fp - c->sp + sizeof(pair) <= c->bytes && !(fp % WORD)) {
		memcpy(pair, c->stack + (fp - c->sp), sizeof(pair));
		if (!is_call(c, pair[1]))
			break;
		ret[n++] = (struct ghi_unwind_frame){.ip = pair[1], .sp = fp + sizeof(pair)};
		if (pair[0] <= fp)
			break;
		fp = pair[0];
	}
	return n;
}

int ghi_unwind_frames(const struct ghi_unwind_copy *c, struct ghi_unwind_frame *ret, int max)
{
	unw_cursor_t cursor;
	unw_word_t ip, sp, fp;
	unw_save_loc_t loc;
	int n = 0;

	if (!load_acquire(&copies.space) || copies.init(&cursor, copies.space, (void *)c) < 0)
		return frames_by_rbp(c, ret, max);
	do {
		if (copies.get_reg(&cursor, UNW_REG_IP, &ip) < 0 || !ip ||
		    copies.get_reg(&cursor, UNW_REG_SP, &sp) < 0)
			break;
		bool has = copies.get_reg(&cursor, UNW_X86_64_RBP, &fp) >= 0 &&
			   copies.get_save_loc(&cursor, UNW_X86_64_RBP, &loc) >= 0 &&
			   loc.type == UNW_SLT_MEMORY;
		ret[n++] = (struct ghi_unwind_frame){ip, sp, fp, has ? loc.u.addr : 0};
		if (n > 1 && sp <= ret[n - 2].sp)
			break; /* no progress: a damaged stack */
	} while (n < max && copies.step(&cursor) > 0);
	return n;
}

void ghi_unwind_forget(void)
{
	if (copies.space)
		copies.flush(copies.space, 0, 0);
}

bool ghi_unwind_name(uintptr_t ip, char *ret_name, size_t size, uintptr_t *ret_off)
{
	unw_word_t off;
	if (!copies.get_name || copies.get_name(copies.local, ip, ret_name, size, &off, NULL) < 0)
		return false;
	*ret_off = off;
	return true;
}

#else /* built without it: only where a thread stands */

void ghi_unwind_open_soon(void)
{
}

void ghi_unwind_after_fork(void)
{
}

void ghi_unwind_open(bool copies)
{
}

void ghi_unwind_here(ucontext_t *uc,
		     bool (*frame)(int n, uintptr_t ip, const char *name, uintptr_t off, void *arg),
		     void *arg)
{
#if defined(__x86_64__)
	frame(0, (uintptr_t)uc->uc_mcontext.gregs[REG_RIP], NULL, 0, arg);
#endif
}

bool ghi_unwind_name_here(uintptr_t ip, char *ret_name, size_t size)
{
	return false;
}

int ghi_unwind_copy(const struct ghi_unwind_copy *c, uintptr_t *ret_ips, int max)
{
	ret_ips[0] = c->pc;
	return 1;
}

int ghi_unwind_frames(const struct ghi_unwind_copy *c, struct ghi_unwind_frame *ret, int max)
{
	ret[0] = (struct ghi_unwind_frame){.ip = c->pc, .sp = c->sp};
	return 1;
}

void ghi_unwind_forget(void)
{
}

bool ghi_unwind_name(uintptr_t ip, char *ret_name, size_t size, uintptr_t *ret_off)
{
	return false;
}
#endif
