/* Ten thousand threads one after the other, then in batches: nothing leaks, nothing is mixed up. */
#include "check.h"

#define BATCH 500

static void *echo(void *arg)
{
	char buffer[64];
	snprintf(buffer, sizeof(buffer), "%ld", (long)(intptr_t)arg);
	char *copy = strdup(buffer);
	long n = atol(copy);
	free(copy);
	return (void *)n;
}

static long vm_size_kb(void)
{
	long kb = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmSize: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

int main(void)
{
	long sum = 0, before = 0;
	for (intptr_t i = 0; i < 10000; i++) {
		sum += (long)join(spawn(echo, (void *)i));
		if (i == 2000)
			before = vm_size_kb();
	}
	CHECK(sum == 9999L * 10000 / 2);
	/* 8,000 leaked stacks would be 64 GB; stay below 4 GB to allow any caching. */
	CHECK(vm_size_kb() - before < 4L << 20);

	sum = 0;
	for (int round = 0; round < 6; round++) {
		pthread_t t[BATCH];
		for (intptr_t i = 0; i < BATCH; i++)
			t[i] = spawn(echo, (void *)i);
		for (int i = 0; i < BATCH; i++)
			sum += (long)join(t[i]);
	}
	CHECK(sum == 6L * (BATCH - 1) * BATCH / 2);
	return check_done();
}
