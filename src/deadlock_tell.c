/* What is printed about a ring; see deadlock.h. */
#include <string.h>

#include "src/deadlock.h"
#include "src/inspect.h"
#include "src/tls.h"
#include "src/unwind.h"

static void print_frame(int n, uintptr_t ip, bool is_return)
{
	char name[256], path[256];
	uintptr_t off = 0, base = 0;

	ghi_tls_fork_not_now();
	const void *module = ghi_unwind_module(ip - is_return, &base);
	bool named = ghi_unwind_name(ip - is_return, name, sizeof(name), &off);
	path[0] = 0;
	if (module)
		ghi_unwind_module_path(module, path, sizeof(path));
	ghi_tls_fork_again();
	const char *slash = strrchr(path, '/');
	ghi_print("    #%d %s+0x%lx (%s+0x%lx)\n", n, named ? name : "?",
		  named ? off + is_return : 0, slash ? slash + 1 : path, ip - base);
}

static bool is_ours(uintptr_t ip)
{
	uintptr_t base, mine;
	const void *module = ghi_unwind_module(ip, &base);
	return module && module == ghi_unwind_module((uintptr_t)is_ours, &mine);
}

void ghi_deadlock_print_stack(const struct ghi_inspect_stack *s)
{
	static uintptr_t ips[GHI_INSPECT_FRAMES];
	int from = 0, n = ghi_inspect_stack_ips(s, ips);

	while (from + 1 < n && is_ours(ips[from + 1]))
		from++;
	for (int i = from; i < n && !(i > from && is_ours(ips[i])); i++)
		print_frame(i - from, ips[i], i > 0);
}

static void print_stack(const struct ghi_gthread *g)
{
	static struct ghi_inspect_stack s;
	ghi_inspect_stack_of(g, &s);
	ghi_deadlock_print_stack(&s);
}

void ghi_deadlock_print(const struct ghi_deadlock_edge *ring, unsigned length)
{
	bool for_good = true;
	for (unsigned i = 0; i < length; i++)
		for_good &= ring[i].only_owner;
	ghi_say("deadlock: %u gthreads wait for each other%s", length,
		for_good ? ", for good" : "");
	bool stacks = ghi_inspect_stacks_begin();
	for (unsigned i = 0; i < length; i++) {
		const struct ghi_deadlock_edge *e = &ring[i];
		const struct ghi_deadlock_edge *next = &ring[(i + 1) % length];
		ghi_print("greenhook: gthread %lu \"%s\" waits for ", e->id, e->g->name);
		if (e->reason == GHI_PARK_JOIN)
			ghi_print("the end of gthread %lu\n", next->id);
		else
			ghi_print("the %s at 0x%lx, held by gthread %lu\n",
				  ghi_reason_names[e->reason], e->waits_for, next->id);
		if (stacks)
			print_stack(e->g);
	}
	ghi_inspect_stacks_end();
}
