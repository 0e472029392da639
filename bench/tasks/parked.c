/* What does a parked task cost: memory, to make, to wake?  The pages that its creation touches for
 * the first time are touched by a plain loop before, for comparison.
 *
 *   parked [WORKERS [TASKS]]
 */
#include <sys/mman.h>
#include "bench/tasks/tasks.h"

static struct lock lock;
static struct cond go;
static long parked, awake, tasks;
static int open_now;

static void *parks(void *arg)
{
	lock_take(&lock);
	parked++;
	while (!open_now)
		cond_wait(&go, &lock);
	awake++;
	lock_give(&lock);
	return arg;
}

static void until(long *count)
{
	for (;;) {
		lock_take(&lock);
		long now = *count;
		lock_give(&lock);
		if (now == tasks)
			return;
		task_yield();
	}
}

/* ns that as many pages take which nobody has touched, each in an area of 64 KiB, as stacks lie. */
static double touch(long pages)
{
	long step = 65536, room = pages * step;
	char *at = (char *)mmap(NULL, (size_t)room, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(at != MAP_FAILED, "mmap");
	madvise(at, (size_t)room, MADV_NOHUGEPAGE);
	uint64_t start = now_ns();
	for (long i = 0; i < pages; i++)
		at[i * step] = 1;
	double took = (double)(now_ns() - start);
	munmap(at, (size_t)room);
	return took;
}

static void *body(void *arg)
{
	task *t = (task *)calloc((size_t)tasks, sizeof *t);

	must(t != NULL, "calloc");
	for (long i = 0; i < tasks; i += 512)
		((volatile task *)t)[i] = t[i];
	lock_init(&lock), cond_init(&go);
	touch(2 * tasks); /* a virtual machine gets its memory from the host at the first touch */
	double page = touch(2 * tasks) / (2.0 * (double)tasks);
	long before = rss_bytes();
	uint64_t start = now_ns();
	for (long i = 0; i < tasks; i++)
		t[i] = task_start(parks, NULL);
	until(&parked);
	double made = (double)(now_ns() - start);
	long bytes = rss_bytes() - before;
	double pages = page * (double)bytes / (double)sysconf(_SC_PAGESIZE);

	start = now_ns();
	lock_take(&lock);
	open_now = 1;
	cond_broadcast(&go);
	lock_give(&lock);
	until(&awake);
	double woken = (double)(now_ns() - start);
	for (long i = 0; i < tasks; i++)
		task_join(t[i]);
	figure("parked, bytes each", (double)bytes / (double)tasks);
	figure("parked, ns to make each", made / (double)tasks);
	figure("parked, made / pages touched", made / pages);
	figure("parked, ns to wake each", woken / (double)tasks);
	free(t);
	return arg;
}

int main(int argc, char **argv)
{
	tasks = number(argc, argv, 2, 10000);
	tasks_run((int)number(argc, argv, 1, 1), body, NULL);
	puts("}");
	return 0;
}
