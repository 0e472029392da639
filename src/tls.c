/* Building and refreshing thread control blocks; see tls.h.  Every offset that glibc publishes for
 * debuggers is taken from there; the rest is ABI (the tcbhead_t prefix) or asked from the kernel.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/rseq.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#include "src/gthread.h"
#include "src/symtab.h"
#include "src/tls.h"
#include "src/tls_int.h"

struct ghi_libc ghi_libc = {.list = -1, .robust = -1};

enum { TSD_KEYS = 1024, TSD_LEVEL2 = 32, TSD_ROUNDS = 4 };

static struct ghi_symtab libpthread; /* open during the probe, before glibc 2.34 */

void *ghi_tls_symbol(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name);
	return p ? p : ghi_symtab_find(&libpthread, name);
}

/* Descriptors are uint32_t[3]: size in bits, number of elements, offset. */
ptrdiff_t ghi_tls_field(const char *name)
{
	uint32_t *d = ghi_tls_symbol(name);
	return d ? (ptrdiff_t)d[2] : -1;
}

static int probe(const char **ret_why)
{
	uintptr_t me = ghi_tp_get();
	void (*info)(size_t *, size_t *) =
	    (void (*)(size_t *, size_t *))ghi_tls_symbol("_dl_get_tls_static_info");
	uint32_t *size = ghi_tls_symbol("_thread_db_sizeof_pthread");

	ghi_libc.allocate_tls = (void *(*)(void *))ghi_tls_symbol("_dl_allocate_tls");
	if (!info || !ghi_libc.allocate_tls || !size) {
		*ret_why =
		    "this C library does not offer its TLS allocator (is it glibc 2.31 or newer?)";
		return -1;
	}
	info(&ghi_libc.tls_size, &ghi_libc.tls_align);
	ghi_libc.tcb_size = *size;
	ghi_libc.tid = ghi_tls_field("_thread_db_pthread_tid");
	ghi_libc.list = ghi_tls_field("_thread_db_pthread_list");
	ghi_libc.cancelhandling = ghi_tls_field("_thread_db_pthread_cancelhandling");
	ghi_libc.specific = ghi_tls_field("_thread_db_pthread_specific");
	if (ghi_libc.tid < 0 || ghi_libc.cancelhandling < 0 || ghi_libc.specific < 0) {
		*ret_why = "this C library does not describe struct pthread";
		return -1;
	}
	if (AT(me, ghi_libc.tid, int32_t) != sys_gettid() || AT(me, HEAD_SELF, uintptr_t) != me) {
		*ret_why = "struct pthread is not where this C library says";
		return -1;
	}
	ghi_libc.first_block = AT(me, ghi_libc.specific, char *) - (char *)me;
	ghi_libc.stack_user = ghi_tls_symbol("__stack_user"); /* before glibc 2.34 */
	char *rtld = ghi_tls_symbol("_rtld_global");
	ptrdiff_t user = ghi_tls_field("_thread_db_rtld_global__dl_stack_user");
	if (rtld && user >= 0)
		ghi_libc.stack_user = (struct ghi_list_t *)(rtld + user);
	ghi_libc.call_tls_dtors = (void (*)(void))ghi_tls_symbol("__call_tls_dtors");
	ghi_libc.ctype_init = (void (*)(void))ghi_tls_symbol("__ctype_init");
	ghi_libc.thread_freeres = (void (*)(void))ghi_tls_symbol("__libc_thread_freeres");
	ghi_libc.keys = ghi_tls_symbol("__pthread_keys");
	ghi_libc.res_close = (void (*)(void *))ghi_tls_symbol("__res_nclose");
	char *resp = ghi_tls_symbol("__resp");
	ghi_libc.resp_off = resp ? resp - (char *)me : 0;
	ptrdiff_t *rseq = ghi_tls_symbol("__rseq_offset");
	ghi_libc.rseq_off = rseq ? *rseq : 0;
	ghi_tls_modules_probe();
	ghi_libc.self_off = (char *)&ghi_tls.self - (char *)me;
	/* The kernel knows where the list of robust mutexes of this thread is; its place in struct
	 * pthread is nowhere else to be found. */
	char *head = NULL;
	size_t len;
	if (ghi_sys(SYS_get_robust_list, 0, &head, &len) == 0 && head > (char *)me &&
	    head < (char *)me + ghi_libc.tcb_size)
		ghi_libc.robust = head - (char *)me;
	return 0;
}

int ghi_tls_probe(const char **ret_why)
{
	if (!dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread"))
		ghi_symtab_open(&libpthread, "/libpthread"); /* if not, a symbol is missing */
	int r = probe(ret_why);
	ghi_symtab_close(&libpthread);
	return r;
}

/* What both a new and a recycled TCB need. */
static void fill_head(uintptr_t tcb, int32_t tid)
{
	uintptr_t me = ghi_tp_get();

	AT(tcb, HEAD_TCB, uintptr_t) = tcb;
	AT(tcb, HEAD_SELF, uintptr_t) = tcb;
	AT(tcb, HEAD_MULTIPLE, int) = 1;
	memcpy((char *)tcb + HEAD_COPY, (char *)me + HEAD_COPY, HEAD_COPY_END - HEAD_COPY);
	AT(tcb, ghi_libc.tid, int32_t) = tid;
	AT(tcb, ghi_libc.cancelhandling, int) = 0;
	AT(tcb, ghi_libc.specific, uintptr_t) = tcb + (uintptr_t)ghi_libc.first_block;
	if (ghi_libc.robust >= 0) {
		struct robust_list_head *mine = (void *)(me + (uintptr_t)ghi_libc.robust);
		struct robust_list_head *its = (void *)(tcb + (uintptr_t)ghi_libc.robust);
		((void **)its)[-1] = its; /* robust_prev */
		its->list.next = &its->list;
		its->futex_offset = mine->futex_offset;
		its->list_op_pending = NULL;
	}
	if (ghi_libc.rseq_off) /* not registered: sched_getcpu() must ask the kernel */
		AT(tcb, ghi_libc.rseq_off + 4, int32_t) = RSEQ_CPU_ID_REGISTRATION_FAILED;
}

static ghi_lock_t list_lock;

static void enlist(struct ghi_list_t *node, struct ghi_list_t *head)
{
	ghi_lock(&list_lock);
	node->prev = head;
	node->next = head->next;
	head->next->prev = node;
	store_release(&head->next, node);
	ghi_unlock(&list_lock);
}

void ghi_tls_after_fork(void)
{
	list_lock = 0;
	ghi_tls_modules_after_fork();
	if (ghi_libc.list < 0 || !ghi_libc.stack_user)
		return;
	/* libc has put the caller's block on the list of stacks that it made itself; the next fork
	 * would put it with the free ones, while it is one of ours. */
	struct ghi_list_t *node = (void *)(ghi_tp_get() + (uintptr_t)ghi_libc.list);
	node->next->prev = node->prev;
	node->prev->next = node->next;
	enlist(node, ghi_libc.stack_user);
}

int ghi_tls_build(uintptr_t tcb, int32_t tid)
{
	if (!ghi_libc.allocate_tls((void *)tcb))
		return -1;
	fill_head(tcb, tid);
	if (ghi_libc.list < 0)
		return 0;
	/* fork() unlinks every node in the child, dlopen() initialises IE-TLS by walking the list:
	 * each TCB joins it once and stays.  glibc walks forward under a lock that we cannot take,
	 * so the node is complete before one release store makes it visible. */
	struct ghi_list_t *node = (void *)(tcb + (uintptr_t)ghi_libc.list);
	if (ghi_libc.stack_user)
		enlist(node, ghi_libc.stack_user);
	else
		node->next = node->prev = node;
	return 0;
}

/* In a fork's child a gthread that is no more left its block in the middle of things: data of keys,
 * cleanup handlers, libc's flags.  What build() found zeroed is zeroed again. */
void ghi_tls_wipe(uintptr_t tcb)
{
	struct ghi_list_t *node = (void *)(tcb + (uintptr_t)ghi_libc.list), kept = {0};

	/* Blocks of keys beyond the first are not freed: their owner may have been about to. */
	if (ghi_libc.list >= 0)
		kept = *node;
	memset((char *)tcb + HEAD_COPY_END, 0, ghi_libc.tcb_size - HEAD_COPY_END);
	AT(tcb, HEAD_GSCOPE, int) = 0;
	if (ghi_libc.list >= 0)
		*node = kept;
}

bool ghi_tls_listed(uintptr_t tcb)
{
	struct ghi_list_t *head = ghi_libc.stack_user;
	if (ghi_libc.list < 0 || !head)
		return true; /* there is no list to be on */
	for (struct ghi_list_t *n = head->next; n != head; n = n->next)
		if (n == (void *)(tcb + (uintptr_t)ghi_libc.list))
			return true;
	return false;
}

void ghi_tls_enlist(uintptr_t tcb)
{
	enlist((void *)(tcb + (uintptr_t)ghi_libc.list), ghi_libc.stack_user);
}

void ghi_tls_refresh(uintptr_t tcb, int32_t tid, bool forked)
{
	ghi_tls_modules_refresh(tcb, forked);
	fill_head(tcb, tid);
}

void ghi_tls_enter(void *res_state)
{
	uintptr_t me = ghi_tp_get();

	uselocale(LC_GLOBAL_LOCALE);
	if (ghi_libc.ctype_init)
		ghi_libc.ctype_init();
	if (ghi_libc.resp_off && res_state) {
		/* Zeroed: "not initialised", the resolver reads its configuration at first use. */
		AT(me, ghi_libc.resp_off, void *) = res_state;
	}
	errno = 0;
	h_errno = 0;
}

/* What a thread has for one key. */
struct key_data {
	uintptr_t seq;
	void *data;
};

/* Of a block of keys from `first` on; true: there was something. */
static bool run_block(struct key_data *d, unsigned first)
{
	bool some = false;

	for (unsigned i = 0; i < TSD_LEVEL2; i++) {
		void *data = d[i].data;
		if (!data)
			continue;
		some = true;
		d[i].data = NULL;
		/* An even sequence number is a deleted key; one that differs, another key. */
		if (d[i].seq == ghi_libc.keys[first + i].seq && (d[i].seq & 1) &&
		    ghi_libc.keys[first + i].destr)
			ghi_libc.keys[first + i].destr(data);
	}
	return some;
}

static void run_tsd_destructors(uintptr_t me)
{
	struct key_data **level1 = (struct key_data **)(me + (uintptr_t)ghi_libc.specific);
	bool again = true;

	for (int round = 0; ghi_libc.keys && round < TSD_ROUNDS && again; round++) {
		again = false;
		for (unsigned i = 0; i < TSD_KEYS / TSD_LEVEL2; i++)
			if (level1[i])
				again |= run_block(level1[i], i * TSD_LEVEL2);
	}
	/* The first block lies in struct pthread, the others came from calloc in setspecific. */
	for (unsigned i = 1; i < TSD_KEYS / TSD_LEVEL2; i++)
		if (level1[i]) {
			free(level1[i]);
			level1[i] = NULL;
		}
	if (again && level1[0]) /* the last round may have left something */
		memset(level1[0], 0, TSD_LEVEL2 * sizeof(*level1[0]));
}

/* What __libc_thread_freeres would do and a recycled block must not show: a resolver's share of the
 * configuration, an error text of the loader that nobody asked for.  Malloc's cache stays. */
static void drop_libc_state(void)
{
	struct __res_state *res =
	    ghi_libc.resp_off ? AT(ghi_tp_get(), ghi_libc.resp_off, struct __res_state *) : NULL;
	if (res && res->nscount && ghi_libc.res_close) {
		ghi_libc.res_close(res);
		res->nscount = 0;
	}
	for (int i = 0; i < 2 && dlerror(); i++)
		; /* the second frees the text */
}

void ghi_tls_exit(void)
{
	if (ghi_libc.call_tls_dtors)
		ghi_libc.call_tls_dtors();
	run_tsd_destructors(ghi_tp_get());
	/* What those registered: libc forgets it with the block, which is not to go on to the next
	 * thread. */
	if (ghi_libc.call_tls_dtors)
		ghi_libc.call_tls_dtors();
	if (ghi_libc.thread_freeres)
		ghi_libc.thread_freeres();
	drop_libc_state();
}
