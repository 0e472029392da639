/* Correct code of the kinds that an address sanitizer keeps books of: frames that are left by
 * return, jump, exit, cancellation and handlers, stacks that are used again, blocks that only a
 * parked thread's stack names.  Built with -fsanitize=address it prints one line per kind, and
 * nothing is reported. */
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static __thread volatile int sink;
static volatile int always = 1;

static void must(int r)
{
	if (r) {
		printf("error %d\n", r);
		_exit(3);
	}
}

static void *joined(pthread_t t)
{
	void *ret;
	must(pthread_join(t, &ret));
	return ret;
}

/* Uses much of the stack in frames of several arrays, whose surroundings are poisoned. */
__attribute__((noinline)) static int deep(int n)
{
	char a[200], b[100];
	char *c = alloca(64 + (size_t)n);
	memset(a, n, sizeof(a));
	memset(b, n, sizeof(b));
	memset(c, n, 64 + (size_t)n);
	sink += a[n] + b[n] + c[n];
	return n ? deep(n - 1) + 1 : 0;
}

__attribute__((noinline)) static void yield_deep(int n)
{
	volatile char a[64];
	memset((char *)a, n, sizeof(a));
	if (n)
		yield_deep(n - 1);
	else
		sched_yield();
	sink += a[n];
}

/* ---- jumps over frames ------------------------------------------------------------------------
 */

__attribute__((noinline)) static void jump_out(jmp_buf to, int n)
{
	char a[300];
	memset(a, n, sizeof(a));
	sink += a[n];
	if (n)
		jump_out(to, n - 1);
	sched_yield();
	if (always)
		longjmp(to, 7);
}

static void *jumps(void *arg)
{
	jmp_buf here;
	volatile long count = 0;
	for (volatile int i = 0; i < 20; i++) {
		if (setjmp(here) == 0)
			jump_out(here, 10);
		count++;
		sink += deep(30);
	}
	(void)arg;
	return (void *)count;
}

/* ---- ends of all kinds: the next thread gets the stack -----------------------------------------
 */

__attribute__((noinline)) static void exit_deep(int n)
{
	char a[500];
	memset(a, n, sizeof(a));
	sink += a[n];
	if (n)
		exit_deep(n - 1);
	if (always)
		pthread_exit((void *)5);
}

static void *exits(void *arg)
{
	(void)arg;
	exit_deep(20);
	return NULL;
}

__attribute__((noinline)) static void wait_deep(int fd, int n)
{
	char a[500];
	memset(a, n, sizeof(a));
	sink += a[n];
	if (n)
		wait_deep(fd, n - 1);
	else if (read(fd, a, sizeof(a)) >= 0)
		abort();
}

static int silent[2];

static void *is_cancelled(void *arg)
{
	(void)arg;
	wait_deep(silent[0], 20);
	return NULL;
}

static void *returns(void *arg)
{
	sink += deep(50);
	yield_deep(5);
	return arg;
}

static void reuse(void)
{
	long sum = 0;
	for (int i = 0; i < 100; i++) {
		pthread_t t[3];
		must(pthread_create(&t[0], NULL, returns, (void *)1));
		must(pthread_create(&t[1], NULL, exits, NULL));
		must(pthread_create(&t[2], NULL, jumps, NULL));
		for (int k = 0; k < 3; k++)
			sum += (long)joined(t[k]);
	}
	printf("reused: %ld\n", sum);
}

/* gcc's runtime reports this one natively, unless frames lie apart (detect_stack_use_after_return).
 */
static void cancelled(void)
{
	int ended = 0;
	for (int i = 0; i < 100; i++) {
		pthread_t t[3];
		for (int k = 0; k < 3; k++)
			must(pthread_create(&t[k], NULL, k & 1 ? returns : is_cancelled, NULL));
		must(pthread_cancel(t[0]));
		must(pthread_cancel(t[2]));
		for (int k = 0; k < 3; k++)
			ended += joined(t[k]) == PTHREAD_CANCELED;
	}
	printf("cancelled: %d\n", ended);
}

/* ---- handlers on parked and computing threads ---------------------------------------------------
 */

static pthread_barrier_t begun;
static int handled;

__attribute__((noinline)) static void on_signal(int sig)
{
	char a[400];
	memset(a, sig, sizeof(a));
	sink += a[3] + deep(5);
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

static sigjmp_buf out[8];
static __thread int mine;

static void on_jump(int sig)
{
	char a[400];
	memset(a, sig, sizeof(a));
	sink += a[3];
	siglongjmp(out[mine], 1);
}

static void *parked(void *arg)
{
	char buf[100], c;
	stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536}, old;
	mine = (int)(long)arg;
	if (mine & 1)
		must(sigaltstack(&alt, &old));
	memset(buf, 1, sizeof(buf));
	pthread_barrier_wait(&begun);
	if (read(silent[0], &c, 1) != 1) /* SA_RESTART */
		abort();
	if (sigsetjmp(out[mine], 1) == 0) {
		pthread_barrier_wait(&begun);
		while (read(silent[0], &c, 1) == 1)
			;
	}
	sink += deep(40) + buf[5];
	if (mine & 1)
		must(sigaltstack(&old, NULL));
	free(alt.ss_sp);
	return arg;
}

static void handlers(void)
{
	struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK},
			 b = {.sa_handler = on_jump};
	pthread_t t[8];
	sigaction(SIGUSR1, &a, NULL);
	sigaction(SIGUSR2, &b, NULL);
	pthread_barrier_init(&begun, NULL, 9);
	for (long i = 0; i < 8; i++)
		must(pthread_create(&t[i], NULL, parked, (void *)i));
	pthread_barrier_wait(&begun);
	for (int k = 0; k < 20; k++)
		for (int i = 0; i < 8; i++) {
			int before = __atomic_load_n(&handled, __ATOMIC_SEQ_CST);
			must(pthread_kill(t[i], SIGUSR1));
			while (__atomic_load_n(&handled, __ATOMIC_SEQ_CST) == before)
				sched_yield();
		}
	if (write(silent[1], "12345678", 8) != 8)
		abort();
	pthread_barrier_wait(&begun);
	for (int i = 0; i < 8; i++)
		must(pthread_kill(t[i], SIGUSR2));
	long sum = 0;
	for (int i = 0; i < 8; i++)
		sum += (long)joined(t[i]);
	printf("handlers: %d, jumped out: %ld\n", handled, sum);
}

/* ---- stacks that the program gives -------------------------------------------------------------
 */

static void given(void)
{
	enum { SIZE = 256 << 10 };
	char *stack = aligned_alloc(4096, SIZE);
	pthread_attr_t a;
	long sum = 0;
	for (int i = 0; i < 20; i++) {
		pthread_t t;
		pthread_attr_init(&a);
		must(pthread_attr_setstack(&a, stack, SIZE));
		must(pthread_create(&t, &a, i & 1 ? returns : exits, (void *)1));
		sum += (long)joined(t);
		pthread_attr_destroy(&a);
	}
	memset(stack, 0, SIZE); /* nothing of it is poisoned any more */
	free(stack);
	printf("given stacks: %ld\n", sum);
}

/* ---- values per thread, their destructors -------------------------------------------------------
 */

static pthread_key_t key;
static int destroyed;

static void destroy(void *p)
{
	char a[100];
	memset(a, 1, sizeof(a));
	sink += a[7] + deep(10);
	free(p);
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_SEQ_CST);
}

static void *has_value(void *arg)
{
	must(pthread_setspecific(key, malloc(40)));
	sched_yield();
	return arg;
}

static void values(void)
{
	pthread_t t[100];
	must(pthread_key_create(&key, destroy));
	for (int i = 0; i < 100; i++)
		must(pthread_create(&t[i], NULL, has_value, NULL));
	for (int i = 0; i < 100; i++)
		joined(t[i]);
	printf("destroyed: %d\n", destroyed);
}

/* ---- a fork in a thread
 * --------------------------------------------------------------------------- */

static void *forks(void *arg)
{
	char a[100];
	int status;
	memset(a, 1, sizeof(a));
	pid_t child = fork();
	if (child == 0) {
		pthread_t t;
		must(pthread_create(&t, NULL, returns, (void *)1));
		long r = (long)joined(t);
		sink += a[5] + deep(20);
		_exit(r == 1 ? 4 : 5);
	}
	if (waitpid(child, &status, 0) != child)
		abort();
	(void)arg;
	return (void *)(long)WEXITSTATUS(status);
}

/* ---- blocks that only a parked thread's stack names
 * ------------------------------------------------ */

static void *holds(void *arg)
{
	char *p[3] = {calloc(1, 100), calloc(1, 1000), strdup("held")};
	char c;
	pthread_setspecific(key, malloc(40));
	pthread_barrier_wait(arg);
	while (read(silent[0], &c, 1) == 1)
		;
	sink += p[0][0] + p[1][0] + p[2][0];
	return p[0];
}

static pthread_barrier_t all;

static void held(void)
{
	pthread_t t;
	must(pthread_key_create(&key, free));
	pthread_barrier_init(&all, NULL, 51);
	for (int i = 0; i < 50; i++)
		must(pthread_create(&t, NULL, holds, &all));
	pthread_barrier_wait(&all);
	printf("held\n");
}

/* ---- many at once ------------------------------------------------------------------------------
 */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static int open_now, waiting;

__attribute__((noinline)) static long queue_up(int n)
{
	volatile char a[100];
	memset((char *)a, n, sizeof(a));
	if (n)
		return queue_up(n - 1) + a[n] - n;
	pthread_mutex_lock(&gate);
	waiting++;
	while (!open_now)
		pthread_cond_wait(&opened, &gate);
	pthread_mutex_unlock(&gate);
	return 1;
}

static void *queues_up(void *arg)
{
	(void)arg;
	return (void *)queue_up(10);
}

static void many(void)
{
	enum { MANY = 1000 };
	static pthread_t t[MANY];
	long sum = 0;
	for (int i = 0; i < MANY; i++)
		must(pthread_create(&t[i], NULL, queues_up, NULL));
	pthread_mutex_lock(&gate);
	open_now = 1;
	pthread_cond_broadcast(&opened);
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < MANY; i++)
		sum += (long)joined(t[i]);
	printf("many: %ld\n", sum);
}

/* ---- until its input ends -----------------------------------------------------------------------
 */

static void stays(void)
{
	pthread_t t[20];
	char c;
	for (int i = 0; i < 20; i++)
		must(pthread_create(&t[i], NULL, queues_up, NULL));
	for (int all = 0; !all; sched_yield()) {
		pthread_mutex_lock(&gate);
		all = waiting == 20;
		pthread_mutex_unlock(&gate);
	}
	puts("waits");
	fflush(stdout);
	while (read(0, &c, 1) == 1)
		;
}

static void forked(void)
{
	pthread_t t;
	must(pthread_create(&t, NULL, forks, NULL));
	printf("forked: %ld\n", (long)joined(t));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} kinds[] = {{"reuse", reuse}, {"cancelled", cancelled}, {"handlers", handlers},
		     {"given", given}, {"values", values},	 {"forked", forked},
		     {"many", many},   {"stays", stays},	 {"held", held}};
	must(pipe(silent));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		for (int k = 1; k < argc; k++)
			if (strcmp(argv[k], kinds[i].name) == 0)
				kinds[i].run();
	return 0;
}
