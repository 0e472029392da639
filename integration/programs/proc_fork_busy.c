/* fork while other threads are inside malloc and stdio, again and again, also from children:
 * neither side finds a lock of libc's taken for ever, nor an atfork handler out of order. */
#include "check.h"
#include <sys/wait.h>

static int stop;
static int order, prepared[2], after[2];
static _Thread_local int in_tls;

static void prepare1(void)
{
	prepared[0] = ++order;
}
static void prepare2(void)
{
	prepared[1] = ++order;
}
static void parent1(void)
{
	after[0] = ++order;
}
static void parent2(void)
{
	after[1] = ++order;
}
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void take(void)
{
	pthread_mutex_lock(&lock);
	order = 0;
}
static void give(void)
{
	pthread_mutex_unlock(&lock);
}

static void *allocates(void *arg)
{
	void *kept[32] = {0};
	unsigned n = 0;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		free(kept[n % 32]);
		kept[n % 32] = malloc(16 + n * 37 % 5000);
		n++;
	}
	for (int i = 0; i < 32; i++)
		free(kept[i]);
	return NULL;
}

static void *prints(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		fprintf(arg, "line %d\n", in_tls++);
	return NULL;
}

static int ended(pid_t pid)
{
	int st;
	return waitpid(pid, &st, 0) == pid && WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static int works(FILE *f)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		t[i] = spawn(check_nothing, t);
	for (int i = 0; i < 4; i++)
		if (join(t[i]) != t)
			return 0;
	char *p = malloc(100000);
	memset(p, 1, 100000);
	free(p);
	return fprintf(f, "a line\n") == 7 && fflush(f) == 0;
}

static void *forks(void *arg)
{
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			int good = prepared[1] < prepared[0] && after[0] < after[1] && works(arg);
			pid_t grandchild = fork();
			if (grandchild == 0)
				_exit(works(arg) ? 3 : 4);
			_exit(good && ended(grandchild) == 3 ? 5 : 6);
		}
		QUIET(ended(pid) == 5);
	}
	return NULL;
}

int main(void)
{
	pthread_t a[2], p[2], t[3];
	FILE *f = fopen("/dev/null", "w");
	/* Handlers run one inside the other, and only one thread forks at a time here. */
	pthread_atfork(prepare1, parent1, parent1);
	pthread_atfork(prepare2, parent2, parent2);
	pthread_atfork(take, NULL, NULL);
	pthread_atfork(NULL, give, give);
	for (int i = 0; i < 2; i++) {
		a[i] = spawn(allocates, NULL);
		p[i] = spawn(prints, f);
	}
	for (int i = 0; i < 3; i++)
		t[i] = spawn(forks, f);
	for (int i = 0; i < 3; i++)
		join(t[i]);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++) {
		join(a[i]);
		join(p[i]);
	}
	return check_done();
}
