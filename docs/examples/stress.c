/* A stress test: tasks, pthreads and kernel threads over the same channels, locks and pipes.
 *
 *   cc -O2 stress.c -o stress $(pkg-config --cflags --libs greenhook) -ldl
 *   ./stress 300                                seconds; 2, the default, is a short try
 *   GREENHOOK_WORKERS=8 ./stress 300 4711       more kernel threads, and the rounds of that seed
 *
 * Usage: stress [SECONDS [SEED]].
 *
 *   producers --> in --> relays --+--> out  --> sinks       channels, of some capacity
 *                                 +--> pipe --> readers     plain read() and write()
 *
 * Who is which sort of thread changes with each round.  Relays that are tasks are cancelled and
 * replaced all the time: what they hold they pass on, what they have not received stays where it
 * is.  Each element has to arrive once; a round that stands still for 30 s ends the program.
 */
#include <dlfcn.h>
#include <greenhook.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PRODUCERS = 9, RELAYS = 6, SINKS = 5, READERS = 4, ELEMENTS = 1000 };
enum kind { LIGHT, FULL, PTHREAD, KERNEL, KINDS };
static const char *const kind_names[] = {"light tasks", "tasks", "pthreads", "kernel threads"};

struct element {
	int producer, number;
};
GH_CHAN_DEFINE(elements, struct element);

struct member {
	enum kind kind;
	gh_task *task;
	pthread_t thread;
	uint32_t random;
};

static elements in, out;
static int pipe_ends[2];
static gh_mutex lock = GH_MUTEX_INIT;
static uint64_t arrived, sum[PRODUCERS];	/* under the lock */
static unsigned char seen[PRODUCERS][ELEMENTS]; /* the same */
static uint64_t total, moved_by[KINDS], cancelled;

static void check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "stress: %s\n", what);
		abort();
	}
}

static uint32_t rnd(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	return *s ^= *s << 5;
}

/* ---- four sorts of threads ---------------------------------------------------------------------
 */

/* libc's own, which greenhook stands in front of: these threads are the kernel's. */
static int (*kernel_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static int (*kernel_join)(pthread_t, void **);

static void find_libc(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY);
	check(libc, "no libc");
	*(void **)&kernel_create = dlsym(libc, "pthread_create");
	*(void **)&kernel_join = dlsym(libc, "pthread_join");
	check(kernel_create && kernel_join, "no threads in libc");
}

static void start(struct member *m, uint32_t *s, gh_fn fn)
{
	gh_task_opts own = {.size = GH_TASK_OPTS_SIZE, .flags = GH_TASK_OWN_TLS};

	m->kind = rnd(s) % KINDS;
	m->random = rnd(s) | 1;
	switch (m->kind) {
	case LIGHT:
	case FULL:
		m->task = gh_task_spawn(fn, m, m->kind == FULL ? &own : NULL);
		check(m->task, "cannot spawn");
		break;
	case PTHREAD:
		check(pthread_create(&m->thread, NULL, fn, m) == 0, "cannot create a pthread");
		break;
	default:
		check(kernel_create(&m->thread, NULL, fn, m) == 0, "cannot create a kernel thread");
	}
}

static void join(struct member *m)
{
	switch (m->kind) {
	case LIGHT:
	case FULL:
		check(gh_task_join(m->task, NULL) == 0, "cannot join a task");
		break;
	case PTHREAD:
		check(pthread_join(m->thread, NULL) == 0, "cannot join a pthread");
		break;
	default:
		check(kernel_join(m->thread, NULL) == 0, "cannot join a kernel thread");
	}
}

/* ---- what they do ------------------------------------------------------------------------------
 */

static int send_somehow(elements to, struct element e, uint32_t *s)
{
	gh_case wait[] = {GH_SEND(to.chan, &e), GH_AT(gh_after(rnd(s) % 50000))};
	int r;

	switch (rnd(s) % 4) {
	case 0:
		return elements_send(to, e);
	case 1:
		return elements_send_until(to, e, gh_after(rnd(s) % 50000));
	case 2:
		if ((r = elements_send_try(to, e)) == -EAGAIN)
			gh_yield();
		return r;
	default:
		r = gh_select(wait, 2);
		return r == 0 ? wait[0].result : r == 1 ? -ETIMEDOUT : r;
	}
}

static void send_surely(elements to, struct element e, uint32_t *s)
{
	int r;
	while ((r = send_somehow(to, e, s)) < 0)
		check(r == -EAGAIN || r == -ETIMEDOUT, "an element cannot be sent");
}

static int producer_number;

static void *producer(void *arg)
{
	struct member *m = arg;
	struct element e = {.producer = __atomic_fetch_add(&producer_number, 1, __ATOMIC_RELAXED)};
	for (e.number = 0; e.number < ELEMENTS; e.number++)
		send_surely(in, e, &m->random);
	return NULL;
}

static void *relay(void *arg)
{
	struct member *m = arg;
	struct element e;
	uint64_t moved = 0;
	int r;

	while ((r = rnd(&m->random) % 2 ? elements_recv(in, &e)
					: elements_recv_until(in, &e, gh_after(20000))) == 0 ||
	       r == -ETIMEDOUT) {
		if (r)
			continue;
		gh_task_shield(); /* it is ours: no request to end may keep us from passing it on */
		if (rnd(&m->random) % 4)
			send_surely(out, e, &m->random);
		else
			check(write(pipe_ends[1], &e, sizeof(e)) == sizeof(e), "cannot write");
		gh_task_unshield();
		moved++;
	}
	check(r == -EPIPE || r == -ECANCELED, "nothing can be received");
	__atomic_add_fetch(&moved_by[m->kind], moved, __ATOMIC_RELAXED);
	return (void *)(intptr_t)(r == -ECANCELED);
}

static void take(struct element e)
{
	check(e.producer >= 0 && e.producer < PRODUCERS && e.number >= 0 && e.number < ELEMENTS,
	      "an element that nobody sent");
	gh_mutex_lock(&lock);
	check(!seen[e.producer][e.number]++, "an element came twice");
	sum[e.producer] += (uint64_t)e.number;
	__atomic_store_n(&arrived, arrived + 1, __ATOMIC_RELAXED);
	gh_mutex_unlock(&lock);
}

static void *sink(void *arg)
{
	struct member *m = arg;
	struct element e;
	while (elements_recv(out, &e) == 0) {
		take(e);
		if (rnd(&m->random) % 64 == 0)
			gh_sleep(GH_US(100));
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct element e;
	(void)arg;
	while (read(pipe_ends[0], &e, sizeof(e)) == sizeof(e))
		take(e);
	return NULL;
}

/* ---- rounds ------------------------------------------------------------------------------------
 */

/* Ends relays that are tasks, one after the other, and starts others for them. */
static void replace_relays(struct member *relays, uint32_t *s)
{
	void *was;

	for (int i = 0; i < RELAYS; i++) {
		if (relays[i].kind > FULL)
			continue;
		check(gh_task_cancel(relays[i].task) == 0, "cannot cancel");
		check(gh_task_join(relays[i].task, &was) == 0, "cannot join what was cancelled");
		cancelled += was != NULL;
		start(&relays[i], s, relay);
	}
}

static void round_of(uint32_t *s)
{
	static const size_t capacities[] = {0, 1, 7, 100, GH_CHAN_UNBOUNDED};
	static struct member producers[PRODUCERS], relays[RELAYS], sinks[SINKS], readers[READERS];
	uint64_t before = 0;
	gh_time moved_at = gh_now();

	in = elements_new(capacities[rnd(s) % 5]);
	out = elements_new(capacities[rnd(s) % 5]);
	check(in.chan && out.chan && gh_pipe(pipe_ends) == 0, "no channels");
	producer_number = 0;
	arrived = 0;
	memset(sum, 0, sizeof(sum));
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < SINKS; i++)
		start(&sinks[i], s, sink);
	for (int i = 0; i < READERS; i++)
		start(&readers[i], s, reader);
	for (int i = 0; i < RELAYS; i++)
		start(&relays[i], s, relay);
	for (int i = 0; i < PRODUCERS; i++)
		start(&producers[i], s, producer);
	for (;;) {
		uint64_t now = __atomic_load_n(&arrived, __ATOMIC_RELAXED);
		if (now == (uint64_t)PRODUCERS * ELEMENTS)
			break;
		check(now != before || gh_now() - moved_at < GH_S(30), "nothing moves any more");
		if (now != before)
			moved_at = gh_now();
		before = now;
		gh_sleep(GH_MS(2));
		replace_relays(relays, s);
	}
	for (int i = 0; i < PRODUCERS; i++)
		join(&producers[i]);
	elements_close(in);
	for (int i = 0; i < RELAYS; i++)
		join(&relays[i]);
	elements_close(out);
	close(pipe_ends[1]);
	for (int i = 0; i < SINKS; i++)
		join(&sinks[i]);
	for (int i = 0; i < READERS; i++)
		join(&readers[i]);
	close(pipe_ends[0]);
	for (int i = 0; i < PRODUCERS; i++)
		check(sum[i] == (uint64_t)ELEMENTS * (ELEMENTS - 1) / 2, "an element is missing");
	total += arrived;
	elements_unref(in);
	elements_unref(out);
}

int main(int argc, char **argv)
{
	gh_time until = gh_after(GH_S(argc > 1 ? atoi(argv[1]) : 2));
	uint32_t s = argc > 2 ? (uint32_t)atoi(argv[2]) | 1 : 1;
	uint64_t rounds = 0;

	find_libc();
	do
		round_of(&s);
	while (rounds++, gh_now() < until);
	printf("rounds %llu, elements %llu, relays cancelled %llu\n", (unsigned long long)rounds,
	       (unsigned long long)total, (unsigned long long)cancelled);
	for (int k = 0; k < KINDS; k++)
		printf("moved by %s: %llu\n", kind_names[k], (unsigned long long)moved_by[k]);
	printf("every element came once\n");
	return 0;
}
