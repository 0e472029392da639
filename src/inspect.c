/* The list of gthreads; see inspect.h. */
#include <string.h>

#include "src/base/sysname.h"
#include "src/blocked.h"
#include "src/inspect.h"
#include "src/runtime.h"
#include "src/sched.h"

enum { ATTEMPTS = 3 };

enum state { PARKED, RUNNABLE, NEW, RUNNING, BLOCKED };
static const char *const state_names[] = {"parked", "runnable", "new", "running", "blocked"};

/* One gthread as it was at one time. */
static struct sample {
	uint64_t id;
	int32_t tid;
	uint32_t switches;
	char name[16];
	enum state state;
	int worker; /* kernel thread; 0: none */
	uint32_t reason;
	uint64_t parked_at, deadline;
	struct ghi_inspect_object object;
	struct ghi_inspect_stack stack;
} sample;

static struct ghi_worker *runs_on(const struct ghi_gthread *g)
{
	for (struct ghi_worker *w = ghi_worker_all(); w; w = w->all_next)
		if (load_acquire(&w->current) == g)
			return w;
	return NULL;
}

/* Its kernel thread sleeps in the kernel: where, by what that tells. */
static void look_into_kernel(struct sample *s)
{
	static struct ghi_episode e;

	e.tid = s->worker;
	ghi_blocked_where(&e);
	if (e.nr == GHI_UNSEEN_CALL || !e.pc)
		return;
	s->state = BLOCKED;
	const char *name = ghi_sysname(e.nr);
	if (e.nr < 0)
		ghi_format(s->object.detail, sizeof(s->object.detail), "page fault");
	else if (name)
		ghi_format(s->object.detail, sizeof(s->object.detail), "%s", name);
	else
		ghi_format(s->object.detail, sizeof(s->object.detail), "system call %d", e.nr);
	ghi_inspect_stack_from(e.pc, e.sp, e.bytes, e.stack, &s->stack);
}

static bool is_parked(const struct ghi_gthread *g)
{
	return (load_acquire(&g->wake) & GHI_WAKE_MASK) == GHI_WAKE_PARKED;
}

/* False: it moved meanwhile. */
static bool try_sample(const struct ghi_gthread *g, struct sample *s)
{
	uint32_t switches = load_acquire(&g->switches); /* (I1) */
	bool parked = is_parked(g);
	struct ghi_worker *w = parked ? NULL : runs_on(g);

	s->id = g->id;
	s->tid = g->tid;
	s->switches = switches;
	memcpy(s->name, g->name, sizeof(s->name));
	s->name[sizeof(s->name) - 1] = 0;
	s->worker = w ? load_relaxed(&w->tid) : 0;
	s->reason = parked ? load_relaxed(&g->reason) : GHI_PARK_NONE;
	s->parked_at = g->parked_at;
	s->deadline = parked ? g->deadline : GHI_NEVER;
	s->stack.n = 0;
	s->stack.shape = NULL;
	s->object.address = s->object.owner = 0;
	s->object.owner_tid = 0;
	s->object.detail[0] = 0;
	if (s->reason >= GHI_PARK_NREASONS)
		return false;
	if (w) {
		s->state = RUNNING;
		look_into_kernel(s);
		return load_acquire(&w->current) == g;
	}
	s->state = parked ? PARKED : switches ? RUNNABLE : NEW;
	if (parked)
		ghi_inspect_object(g, s->reason, (uintptr_t)load_relaxed(&g->waits_for),
				   &s->object);
	if (s->state != NEW)
		ghi_inspect_stack_of(g, &s->stack); /* (I2) */
	return is_parked(g) == parked && (parked || !runs_on(g)) &&
	       load_acquire(&g->switches) == switches; /* (I3) */
}

static void put_time(struct ghi_answer *a, uint64_t ns)
{
	ghi_answer_put(a, "\t%lu", (unsigned long)(ns / GHI_MS));
}

static void put_sample(struct ghi_answer *a, const struct ghi_gthread *g, const struct sample *s)
{
	uint64_t now = ghi_now();
	long stack = ghi_inspect_stack_number(a, &s->stack);
	uintptr_t start = g->flags & GHI_G_MAIN ? 0 : (uintptr_t)g->start;
	int module = ghi_inspect_module(a, start);

	ghi_answer_put(a, "g\t%lu\t%d\t", s->id, s->tid);
	ghi_answer_field(a, s->name, sizeof(s->name));
	ghi_answer_put(a, "\t%s\t", state_names[s->state]);
	ghi_answer_put(a, s->worker ? "%d" : "-", s->worker);
	ghi_answer_put(a, "\t");
	ghi_answer_field(a, s->state == PARKED ? ghi_reason_names[s->reason] : "", 64);
	ghi_answer_put(a, s->object.address ? "\t%lx" : "\t-", s->object.address);
	if (s->state == PARKED && now > s->parked_at)
		put_time(a, now - s->parked_at);
	else
		ghi_answer_put(a, "\t-");
	if (s->deadline != GHI_NEVER)
		put_time(a, s->deadline > now ? s->deadline - now : 0);
	else
		ghi_answer_put(a, "\t-");
	ghi_answer_put(a, s->object.owner ? "\t%lu" : "\t-", s->object.owner);
	ghi_answer_put(a, s->object.owner_tid ? "\t%d\t" : "\t-\t", s->object.owner_tid);
	ghi_inspect_put_code(a, start, module);
	ghi_answer_put(a, stack >= 0 ? "\t%ld" : "\t-", stack);
	ghi_answer_put(a, "\t%u\t", s->switches);
	ghi_answer_field(a, s->object.detail, sizeof(s->object.detail));
	ghi_answer_put(a, "\n");
}

/* True: there is one, and it was told. */
static bool tell(struct ghi_answer *a, struct ghi_gthread *g)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		uint32_t life = load_acquire(&g->life);
		if (life != GHI_LIFE_ALIVE && life != GHI_LIFE_EXITING)
			return false;
		if (try_sample(g, &sample) && load_acquire(&g->life) == life) {
			put_sample(a, g, &sample);
			return true;
		}
	}
	sample.state = RUNNING; /* it comes and goes */
	sample.worker = 0;
	sample.reason = GHI_PARK_NONE;
	sample.deadline = GHI_NEVER;
	sample.stack.n = 0;
	sample.stack.shape = NULL;
	sample.object.address = sample.object.owner = 0;
	sample.object.owner_tid = 0;
	sample.object.detail[0] = 0;
	put_sample(a, g, &sample);
	return true;
}

void ghi_inspect_dump(struct ghi_answer *a, unsigned long arg)
{
	struct ghi_gthread *main_thread = ghi_runtime_main();
	unsigned long told = 0;

	ghi_answer_put(a, "greenhook\t2\t" GREENHOOK_VERSION "\t%d\t%ld\t%u\n", sys_getpid(),
		       ghi_runtime_count(), ghi_worker_count());
	ghi_inspect_owners_begin();
	if (ghi_inspect_stacks_begin()) {
		if (main_thread)
			told += tell(a, main_thread);
		for (struct ghi_gthread *g = ghi_gthread_all(); g && !a->failed; g = g->all_next)
			if (g != main_thread && !(g->flags & (GHI_G_NATIVE | GHI_G_MAIN)))
				told += tell(a, g);
		ghi_answer_put(a, "end\t%lu\n", told);
	}
	ghi_inspect_stacks_end();
	ghi_inspect_owners_end();
}
