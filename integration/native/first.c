/* A program that is linked with the library and not preloaded: one copy of the runtime, and its
 * pthreads are green. */
#include <dirent.h>
#include <dlfcn.h>
#include <greenhook.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../programs/check.h"

static int kernel_threads(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/task");
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void *sleeps(void *arg)
{
	(void)arg;
	gh_sleep(GH_MS(30));
	return NULL;
}

int main(void)
{
	CHECK(gh_version() == GREENHOOK_VERSION_NUMBER);
	gh_time before = gh_now();
	CHECK(gh_after(0) >= before && gh_after(GH_FOREVER) == GH_FOREVER);
	gh_time past = gh_after(-1);
	CHECK(past < gh_now() && gh_after(GH_FOREVER - 1) == GH_FOREVER);
	CHECK(gh_sleep(GH_MS(5)) == 0 && gh_now() - before >= GH_MS(5));
	CHECK(gh_start() == 0 && gh_start() == 0);
	CHECK(gh_sleep(-1) == 0 && gh_sleep_until(0) == 0 && gh_sleep_until(-5) == 0);
	pthread_t t[100];
	for (int i = 0; i < 100; i++)
		t[i] = spawn(sleeps, NULL);
	gh_yield();
	CHECK(kernel_threads() < 20);
	for (int i = 0; i < 100; i++)
		join(t[i]);

	/* Every file that holds the runtime, by its symbol. */
	FILE *f = fopen("/proc/self/maps", "r");
	char line[1024], last[1024] = "";
	int files = 0;
	while (fgets(line, sizeof(line), f)) {
		char *name = strstr(line, "libgreenhook");
		if (name && strcmp(name, last)) {
			files++;
			strcpy(last, name);
		}
	}
	fclose(f);
	printf("copies of the shared library: %d\n", files);
	return check_done();
}
