/* One mistake, in a thread among parked ones: an address sanitizer has to tell it, whoever runs the
 * thread.  The argument says which. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int silent[2];
static volatile int sink, one = 1;
static int *volatile kept;

__attribute__((noinline)) static void stack_overflow(void)
{
	char a[32];
	memset(a, 0, sizeof(a));
	sched_yield();
	sink += a[31 + one];
}

__attribute__((noinline)) static void left_scope(void)
{
	if (one) {
		int a[8] = {one};
		kept = a;
	}
	sched_yield();
	sink += *kept;
}

__attribute__((noinline)) static void leaves_address(void)
{
	int a[8] = {one};
	kept = a;
	sched_yield();
}

__attribute__((noinline)) static void after_return(void)
{
	leaves_address();
	sched_yield();
	sink += *kept;
}

static void heap_overflow(void)
{
	int *volatile p = malloc(40);
	sched_yield();
	sink += p[9 + one];
	free(p);
}

static void after_free(void)
{
	int *volatile p = malloc(40);
	free(p);
	sched_yield();
	sink += *p;
}

static void free_twice(void)
{
	void *volatile p = malloc(40);
	free(p);
	sched_yield();
	free(p);
}

/* The stack of a thread that is parked, from another one. */
static void others_stack(void)
{
	sink += kept[4 + one];
}

/* Of many sizes: some word that nobody uses any more may name one or the other. */
static void leak(void)
{
	for (size_t i = 1; i <= 50; i++)
		kept = malloc(i * 100);
	kept = NULL;
}

__attribute__((noinline)) static int recursion(int n)
{
	volatile char a[1000];
	memset((char *)a, n, sizeof(a));
	return one ? recursion(n + 1) + a[1] : 0;
}

static void too_deep(void)
{
	sink += recursion(0);
}

static void null_pointer(void)
{
	int *volatile p = NULL;
	sink += *p;
}

static void on_signal(int sig)
{
	volatile char a[16];
	memset((char *)a, sig, sizeof(a));
	sink += a[15 + one];
}

static void in_handler(void)
{
	signal(SIGUSR1, on_signal);
	pthread_kill(pthread_self(), SIGUSR1);
	sched_yield();
}

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = {{"stack_overflow", stack_overflow},
	     {"left_scope", left_scope},
	     {"after_return", after_return},
	     {"heap_overflow", heap_overflow},
	     {"after_free", after_free},
	     {"free_twice", free_twice},
	     {"others_stack", others_stack},
	     {"leak", leak},
	     {"too_deep", too_deep},
	     {"null_pointer", null_pointer},
	     {"in_handler", in_handler}};

static pthread_barrier_t begun;

static void *waits(void *arg)
{
	int a[4] = {1};
	char c;
	kept = a;
	pthread_barrier_wait(&begun);
	while (read(silent[0], &c, 1) == 1)
		;
	return arg;
}

static void *does(void *arg)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].name, arg) == 0)
			kinds[i].run();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;
	if (pipe(silent))
		return 3;
	pthread_barrier_init(&begun, NULL, 5);
	for (int i = 0; i < 4; i++)
		pthread_create(&t, NULL, waits, NULL);
	pthread_barrier_wait(&begun);
	pthread_create(&t, NULL, does, argc > 1 ? argv[1] : "");
	pthread_join(t, NULL);
	printf("end\n");
	return 0;
}
