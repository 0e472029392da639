/* libunwind; see unwind.h.
 *
 * The local flavour (libunwind.so.8) walks the caller's own stack, also in a handler.  The general
 * one (libunwind-x86_64.so.8) asks for every word through an accessor: it walks the copy of a stack
 * whose thread goes on meanwhile, and everything else it reads through the kernel, which answers
 * where a pointer out of a torn copy would fault.
 */
#include <dlfcn.h>
#include <string.h>
#include <sys/uio.h>

#include "src/base/report.h"
#include "src/base/sys.h"
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
	struct iovec to = {val, WORD}, from = {(void *)at, WORD}; // NOLINT: an address of ours
	long n = ghi_sys(SYS_process_vm_readv, sys_getpid(), &to, 1, &from, 1, 0);
	return n == WORD ? 0 : -UNW_EINVAL;
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
	if (!copies.init || !copies.step || !copies.get_reg || !create || !accessors || !local)
		return;
	copies.local = *local;
	copies.accessors = *accessors(copies.local);
	copies.get_name = copies.accessors.get_proc_name;
	copies.accessors.access_mem = access_mem;
	copies.accessors.access_reg = access_reg;
	copies.accessors.access_fpreg = access_fpreg;
	copies.space = create(&copies.accessors, 0);
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

bool ghi_unwind_name(uintptr_t ip, char *ret_name, size_t size, uintptr_t *ret_off)
{
	unw_word_t off;
	if (!copies.get_name || copies.get_name(copies.local, ip, ret_name, size, &off, NULL) < 0)
		return false;
	*ret_off = off;
	return true;
}

#else /* built without it: only where a thread stands */

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

int ghi_unwind_copy(const struct ghi_unwind_copy *c, uintptr_t *ret_ips, int max)
{
	ret_ips[0] = c->pc;
	return 1;
}

bool ghi_unwind_name(uintptr_t ip, char *ret_name, size_t size, uintptr_t *ret_off)
{
	return false;
}
#endif
