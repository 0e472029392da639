/* Prints how many kernel threads the process has while 500 pthreads wait. Not a differential
 * program: it is the proof that a green run really is green. */
#include "check.h"
#include <dirent.h>
#include <semaphore.h>

#define N 500
static sem_t ready, go;

static void *waits(void *arg)
{
	sem_post(&ready);
	sem_wait(&go);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	int kernel_threads = 0;
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	for (int i = 0; i < N; i++)
		t[i] = spawn(waits, NULL);
	for (int i = 0; i < N; i++)
		sem_wait(&ready);
	DIR *d = opendir("/proc/self/task");
	MUST(d != NULL);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		kernel_threads += e->d_name[0] != '.';
	closedir(d);
	printf("%d\n", kernel_threads);
	for (int i = 0; i < N; i++)
		sem_post(&go);
	for (int i = 0; i < N; i++)
		join(t[i]);
	return 0;
}
