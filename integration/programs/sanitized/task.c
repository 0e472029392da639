/* Tasks of the native API under a sanitizer: correct ones, or with an argument one mistake. */
#include <greenhook.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int one = 1;
static int *volatile kept;
static gh_chan *chan;
static gh_mutex lock = GH_MUTEX_INIT;
static long counted, unlocked;

__attribute__((noinline)) static int deep(int n)
{
	volatile char a[100];
	memset((char *)a, n, sizeof(a));
	if (n % 8 == 0)
		gh_yield();
	return n ? deep(n - 1) + a[n] - n + 1 : 0;
}

__attribute__((noinline)) static void ends_deep(int n)
{
	volatile char a[200];
	memset((char *)a, n, sizeof(a));
	if (n)
		ends_deep(n - 1);
	if (one)
		gh_task_exit((void *)(long)(a[n] + 1 - n));
}

__attribute__((noinline)) static void jumps(jmp_buf to, int n)
{
	volatile char a[200];
	memset((char *)a, n, sizeof(a));
	if (n)
		jumps(to, n - 1);
	if (one)
		longjmp(to, a[n] + 1 - n);
}

static void *works(void *arg)
{
	jmp_buf here;
	long r = deep(30);
	if (setjmp(here) == 0)
		jumps(here, 20);
	for (int i = 0; i < 10; i++) {
		gh_mutex_lock(&lock);
		counted++;
		gh_mutex_unlock(&lock);
	}
	if ((long)arg & 1)
		ends_deep(20);
	return (void *)(r + deep(20) - 49);
}

static void *sends(void *arg)
{
	for (int i = 0; i < 50; i++) {
		char *text = malloc(20);
		snprintf(text, 20, "number %d", i);
		gh_chan_send(chan, &text);
	}
	return arg;
}

static void *waits(void *arg)
{
	char *text[2] = {strdup("only here"), malloc(30)};
	int n = 1;

	gh_chan_send(arg, &n);
	gh_chan_recv(chan, &text[1]);
	return text[0];
}

__attribute__((noinline)) static void leaves_address(void)
{
	int a[8] = {one};
	kept = a;
	gh_yield();
}

static void *mistakes(void *arg)
{
	volatile char a[16];
	int *volatile p = malloc(40);
	memset((char *)a, 0, sizeof(a));
	gh_yield();
	if (strcmp(arg, "stack") == 0)
		one += a[15 + one];
	leaves_address();
	if (strcmp(arg, "return") == 0)
		one += *kept;
	free(p);
	gh_yield();
	if (strcmp(arg, "free") == 0)
		one += *p;
	for (size_t i = 1; i <= 50 && strcmp(arg, "leak") == 0; i++)
		p = malloc(i * 100);
	p = NULL;
	return NULL;
}

static void *races(void *arg)
{
	for (int i = 0; i < 1000; i++)
		unlocked++;
	return arg;
}

static int program(int argc, char **argv)
{
	long sum = 0;
	size_t bytes = 0;
	void *r;
	chan = gh_chan_new(sizeof(char *), 4);
	if (argc > 1 && strcmp(argv[1], "race") == 0) {
		gh_task *a = gh_task_spawn(races, NULL, NULL),
			*b = gh_task_spawn(races, NULL, NULL);
		gh_task_join(a, NULL);
		gh_task_join(b, NULL);
		return 0;
	}
	if (argc > 1) {
		gh_task_join(gh_task_spawn(mistakes, argv[1], NULL), NULL);
		printf("end\n");
		return 0;
	}
	for (int round = 0; round < 50; round++) {
		gh_task *t[8];
		for (long i = 0; i < 8; i++)
			t[i] = gh_task_spawn(works, (void *)i, NULL);
		for (int i = 0; i < 8; i++)
			if (gh_task_join(t[i], &r) == 0)
				sum += (long)r;
	}
	printf("worked: %ld, counted: %ld\n", sum, counted);
	gh_task *t = gh_task_spawn(sends, NULL, NULL);
	for (int i = 0; i < 50; i++) {
		char *text;
		gh_chan_recv(chan, &text);
		bytes += strlen(text);
		free(text);
	}
	gh_task_join(t, NULL);
	printf("received: %zu\n", bytes);
	gh_chan *begun = gh_chan_new(sizeof(int), 0);
	for (int i = 0; i < 20; i++) {
		int n;
		gh_go(waits, begun, NULL);
		gh_chan_recv(begun, &n);
	}
	printf("waiting\n");
	gh_chan_unref(begun);
	return 0;
}

int main(int argc, char **argv)
{
	return program(argc, argv);
}
