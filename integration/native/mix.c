/* Light tasks, tasks with storage of their own, pthreads and kernel threads over the same channels
 * and locks: every element arrives once, and in order per sender.
 *
 * Usage: mix [SECONDS]; 0, the default: each case once. */
#include <ctype.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>

#include "rc.h"

enum { SENDERS = 12, RECEIVERS = 9, ELEMENTS = 400, KINDS = 4 };

struct element {
	int sender, number;
	uint64_t pad[2];
};
GH_CHAN_DEFINE(elements, struct element);

static elements chan, side;
static gh_chan *done;
static gh_mutex lock = GH_MUTEX_RECURSIVE_INIT;
static gh_sem tokens;
static gh_barrier start;
static gh_once once;
static uint64_t seen[SENDERS], held;
static int prepared;

static uint32_t rnd(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	return *s ^= *s << 5;
}

static void prepare(void *arg)
{
	gh_yield();
	prepared++;
}

/* What of libc looks into the thread block: the locale. */
static void use_libc(void)
{
	char text[32];
	snprintf(text, sizeof(text), "%.2f", 1.5);
	QUIET(!strcmp(text, "1.50") && strtod("2.25", NULL) == 2.25);
	QUIET(isalpha('x') && !isalpha('1') && toupper('a') == 'A');
}

static void *sender(void *arg)
{
	int me = (int)(intptr_t)arg;
	uint32_t s = (uint32_t)me * 7 + 1;
	QUIET(gh_barrier_wait(&start) >= 0);
	gh_once_do(&once, prepare, NULL);
	QUIET(prepared == 1);
	if (me % KINDS != 2) /* libc knows nothing of a raw thread */
		use_libc();
	for (int i = 1; i <= ELEMENTS; i++) {
		struct element e = {.sender = me, .number = i};
		gh_sem_wait(&tokens);
		for (int r = -1; r < 0;) {
			gh_case c[] = {GH_SEND(chan.chan, &e), GH_AT(gh_after(rnd(&s) % 30000))};
			switch (rnd(&s) % 3) {
			case 0:
				r = elements_send(chan, e);
				break;
			case 1:
				r = elements_send_until(chan, e, gh_after(rnd(&s) % 30000));
				QUIET(r == 0 || r == -ETIMEDOUT);
				break;
			default:
				r = gh_select(c, 2);
				QUIET(r == 0 || r == 1);
				r = r == 0 ? c[0].result : -1;
			}
		}
		gh_sem_post(&tokens);
		if (i % 50 == 0) { /* and something beside it, which no order is promised to */
			struct element x = {.sender = -1};
			QUIET(elements_send(side, x) == 0);
		}
	}
	QUIET(gh_chan_send(done, NULL) == 0);
	return NULL;
}

static void *receiver(void *arg)
{
	uint32_t s = (uint32_t)(uintptr_t)arg * 13 + 5;
	int last[SENDERS] = {0};
	elements a = chan, b = side;
	QUIET(gh_barrier_wait(&start) >= 0);
	gh_once_do(&once, prepare, NULL);
	while (a.chan || b.chan) {
		struct element e, f;
		gh_case c[] = {GH_RECV(a.chan, &e), GH_RECV(b.chan, &f),
			       GH_AT(gh_after(rnd(&s) % 100000))};
		int r = gh_select(c, 3);
		QUIET(r >= 0 && r <= 2);
		if (r == 2)
			continue;
		if (c[r].result == -EPIPE) {
			if (r)
				b.chan = NULL;
			else
				a.chan = NULL;
			continue;
		}
		QUIET(c[r].result == 0);
		if (r == 1) {
			QUIET(f.sender == -1);
			continue;
		}
		QUIET(e.sender >= 0 && e.sender < SENDERS && e.number > last[e.sender]);
		last[e.sender] = e.number;
		gh_mutex_lock(&lock);
		gh_mutex_lock(&lock);
		QUIET(held++ == 0);
		seen[e.sender] += (uint64_t)e.number;
		if (rnd(&s) % 16 == 0)
			gh_yield();
		QUIET(--held == 0);
		gh_mutex_unlock(&lock);
		gh_mutex_unlock(&lock);
	}
	return NULL;
}

/* ---- four sorts of threads
 * ------------------------------------------------------------------------ */

extern void *_dl_allocate_tls(void *);

/* A thread of the kernel's that libc knows nothing of; its memory is used again. */
struct raw {
	char *stack, *tcb;
	int tid;
	void *(*fn)(void *);
	void *arg;
};
static struct raw raws[SENDERS + RECEIVERS];

static int raw_main(void *arg)
{
	struct raw *r = arg;
	r->fn(r->arg);
	return 0;
}

static void raw_start(struct raw *r, void *(*fn)(void *), void *arg)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			  CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	if (!r->stack) {
		r->stack =
		    mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *block =
		    mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		MUST(r->stack != MAP_FAILED && block != MAP_FAILED);
		r->tcb = _dl_allocate_tls(block + (1 << 15));
		((void **)r->tcb)[0] = ((void **)r->tcb)[2] = r->tcb;
		memcpy(r->tcb + 0x28, (char *)pthread_self() + 0x28, 16);
	}
	r->fn = fn;
	r->arg = arg;
	r->tid = -1;
	MUST(clone(raw_main, r->stack + (1 << 18), flags, r, &r->tid, r->tcb, &r->tid) > 0);
}

static struct {
	int kind;
	gh_task *task;
	pthread_t thread;
	struct raw *raw;
} members[SENDERS + RECEIVERS];

static void begin(int i, void *(*fn)(void *), intptr_t arg)
{
	gh_task_opts own = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_OWN_TLS};
	members[i].kind = i % KINDS;
	switch (i % KINDS) {
	case 0:
		members[i].task = gh_task_spawn(fn, (void *)arg, NULL);
		MUST(members[i].task);
		break;
	case 1:
		members[i].thread = spawn(fn, (void *)arg);
		break;
	case 2:
		members[i].raw = &raws[i];
		raw_start(&raws[i], fn, (void *)arg);
		break;
	default:
		members[i].task = gh_task_spawn(fn, (void *)arg, &own);
		MUST(members[i].task);
	}
}

static void end(int i)
{
	if (members[i].kind == 1)
		join(members[i].thread);
	else if (members[i].kind == 2)
		while (__atomic_load_n(&members[i].raw->tid, __ATOMIC_ACQUIRE))
			gh_sleep(GH_US(200));
	else
		QUIET(gh_task_join(members[i].task, NULL) == 0);
}

static void round_of(size_t capacity)
{
	chan = elements_new(capacity);
	side = elements_new(0);
	done = gh_chan_new(0, 0);
	once = (gh_once)GH_ONCE_INIT;
	prepared = 0;
	memset(seen, 0, sizeof(seen));
	gh_sem_init(&tokens, 5);
	gh_barrier_init(&start, SENDERS + RECEIVERS);
	for (int i = 0; i < SENDERS; i++)
		begin(i, sender, i);
	for (int i = 0; i < RECEIVERS; i++)
		begin(SENDERS + i, receiver, i);
	for (int i = 0; i < SENDERS; i++)
		QUIET(gh_chan_recv(done, NULL) == 0);
	elements_close(chan);
	elements_close(side);
	for (int i = 0; i < SENDERS + RECEIVERS; i++)
		end(i);
	for (int i = 0; i < SENDERS; i++)
		QUIET(seen[i] == (uint64_t)ELEMENTS * (ELEMENTS + 1) / 2);
	gh_barrier_destroy(&start);
	elements_unref(chan);
	elements_unref(side);
	gh_chan_unref(done);
}

int main(int argc, char **argv)
{
	static const size_t capacities[] = {0, 1, 5, GH_CHAN_UNBOUNDED};
	gh_time until = gh_after(GH_S(argc > 1 ? atoi(argv[1]) : 0));
	int rounds = 0;

	MUST(gh_start() == 0);
	do
		for (int i = 0; i < 4; i++)
			round_of(capacities[i]);
	while (rounds++, gh_now() < until && !check_failures);
	fprintf(stderr, "%d rounds\n", rounds);
	return check_done();
}
