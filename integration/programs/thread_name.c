/* Thread names: set, get, of oneself and of others, too long, prctl. */
#include "check.h"
#include <semaphore.h>
#include <sys/prctl.h>

static sem_t ready, go;

static void *named(void *arg)
{
	char name[32];
	snprintf(name, sizeof(name), "worker-%d", (int)(intptr_t)arg);
	QUIET(pthread_setname_np(pthread_self(), name) == 0);
	sem_post(&ready);
	sem_wait(&go);
	char now[32];
	QUIET(pthread_getname_np(pthread_self(), now, sizeof(now)) == 0 && !strcmp(now, name));
	return NULL;
}

static void *inherits(void *arg)
{
	pthread_getname_np(pthread_self(), arg, 32);
	return NULL;
}

static void *uses_prctl(void *arg)
{
	char name[32] = "";
	prctl(PR_SET_NAME, "by-prctl");
	pthread_getname_np(pthread_self(), name, sizeof(name));
	QUIET(!strcmp(name, "by-prctl"));
	memset(name, 0, sizeof(name));
	prctl(PR_GET_NAME, name);
	QUIET(!strcmp(name, "by-prctl"));
	return NULL;
}

int main(void)
{
	char name[32];
	pthread_t t[20];

	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	CHECK_RC(0, pthread_getname_np(pthread_self(), name, sizeof(name)));
	printf("main is %s\n", name);
	CHECK_RC(ERANGE, pthread_setname_np(pthread_self(), "sixteen characte"));
	CHECK_RC(ERANGE, pthread_getname_np(pthread_self(), name, 15));
	CHECK_RC(0, pthread_setname_np(pthread_self(), "fifteen charact"));
	join(spawn(inherits, name));
	CHECK(!strcmp(name, "fifteen charact"));

	for (intptr_t i = 0; i < 20; i++)
		t[i] = spawn(named, (void *)i);
	for (int i = 0; i < 20; i++)
		sem_wait(&ready);
	for (int i = 0; i < 20; i++) {
		char expected[32];
		snprintf(expected, sizeof(expected), "worker-%d", i);
		QUIET(pthread_getname_np(t[i], name, sizeof(name)) == 0);
		QUIET(!strcmp(name, expected));
	}
	for (int i = 0; i < 20; i++)
		sem_post(&go);
	for (int i = 0; i < 20; i++)
		join(t[i]);
	join(spawn(uses_prctl, NULL));
	pthread_getname_np(pthread_self(), name, sizeof(name));
	CHECK(!strcmp(name, "fifteen charact"));
	return check_done();
}
