/* pthread_atfork: prepare in reverse order, parent and child in order; a lock held around the fork
 * by the handlers is usable in both; malloc and stdio work in the child. */
#include "check.h"
#include <sys/wait.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char order[32];
static int stop;

static void prepare1(void)
{
	strcat(order, "1");
}
static void prepare2(void)
{
	strcat(order, "2");
	pthread_mutex_lock(&mutex);
}
static void parent1(void)
{
	strcat(order, "a");
}
static void parent2(void)
{
	strcat(order, "b");
	pthread_mutex_unlock(&mutex);
}
static void child1(void)
{
	strcat(order, "x");
}
static void child2(void)
{
	strcat(order, "y");
	pthread_mutex_unlock(&mutex);
}

static void *use_everything(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		pthread_mutex_lock(&mutex);
		free(malloc(1000));
		pthread_mutex_unlock(&mutex);
		fprintf(arg, "%d", 5);
	}
	return NULL;
}

static void *forks(void *arg)
{
	for (int i = 0; i < 20; i++) {
		*order = 0;
		pid_t pid = fork();
		if (pid == 0) {
			int good = !strcmp(order, "21xy");
			good &= pthread_mutex_trylock(&mutex) == 0;
			free(malloc(100000));
			char text[20];
			snprintf(text, sizeof(text), "%d", getpid());
			_exit(good && atoi(text) == getpid() ? 7 : 8);
		}
		int status;
		QUIET(!strcmp(order, "21ab"));
		QUIET(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[4];
	FILE *null = fopen("/dev/null", "w");
	CHECK_RC(0, pthread_atfork(prepare1, parent1, child1));
	CHECK_RC(0, pthread_atfork(prepare2, parent2, child2));
	for (int i = 0; i < 4; i++)
		t[i] = spawn(use_everything, null);
	join(spawn(forks, NULL));
	forks(NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 4; i++)
		join(t[i]);
	return check_done();
}
