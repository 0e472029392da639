/* Futexes without FUTEX_PRIVATE_FLAG: on memory of this process alone, as libstdc++ waits for
 * futures and semaphores, with more waiters than there are kernel threads to be had; and on memory
 * that another process, or the kernel itself, wakes from. */
#include "check.h"
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MANY 600

static int in_bss, in_data = 1, moved_from, *shared, woken;

static long futex(int *word, int op, int value, void *timeout_or_count, int *word2, int value3)
{
	return syscall(SYS_futex, word, op, value, timeout_or_count, word2, value3);
}

static void *wait_zero(void *arg)
{
	int *word = arg;
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0)
		futex(word, FUTEX_WAIT, 0, NULL, NULL, 0);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *wait_data(void *arg)
{
	while (__atomic_load_n(&in_data, __ATOMIC_SEQ_CST) == 1)
		futex(&in_data, FUTEX_WAIT, 1, NULL, NULL, 0);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *wait_once(void *arg)
{
	return (void *)futex(arg, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void set_and_wake(int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	futex(word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Half of them on one word, the others each on their own. */
static void more_than_kernel_threads(void)
{
	static pthread_t t[MANY];
	int *own = calloc(MANY, sizeof(*own)), on_stack = 0;

	MUST(own);
	woken = in_bss = 0;
	for (int i = 0; i < MANY; i++)
		t[i] = i % 3 ? spawn(wait_zero, i % 2 ? &in_bss : &own[i])
			     : spawn(i % 2 ? wait_data : wait_zero, &on_stack);
	usleep(200000); /* main parks too, and needs a kernel thread to go on */
	set_and_wake(&in_bss, 1);
	set_and_wake(&in_data, 2);
	set_and_wake(&on_stack, 1);
	for (int i = 0; i < MANY; i++)
		set_and_wake(&own[i], 1);
	for (int i = 0; i < MANY; i++)
		join(t[i]);
	in_data = 1;
	CHECK(woken == MANY);
	free(own);
}

/* Another process wakes, and counts whom. */
static pid_t waker(int *word, int n)
{
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		for (int done = 0; done < n; sched_yield())
			done += (int)futex(word, FUTEX_WAKE, n - done, NULL, NULL, 0);
		_exit(n);
	}
	return pid;
}

static int status_of(pid_t pid)
{
	int status = -1;
	MUST(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void by_another_process(void)
{
	pthread_t t[5];

	*shared = 0;
	for (int i = 0; i < 5; i++)
		t[i] = spawn(wait_once, shared);
	CHECK(status_of(waker(shared, 5)) == 5);
	for (int i = 0; i < 5; i++)
		QUIET(join(t[i]) == NULL);

	/* An address that was private is so no more. */
	int *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(page != MAP_FAILED);
	t[0] = spawn(wait_zero, page);
	usleep(10000);
	set_and_wake(page, 1);
	join(t[0]);
	MUST(mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0) == page);
	t[0] = spawn(wait_once, page);
	CHECK(status_of(waker(page, 1)) == 1);
	CHECK(join(t[0]) == NULL);
	munmap(page, 4096);
}

/* From a word of our own to one that others share. */
static void moved(void)
{
	pthread_t t[3];
	int done = 0;

	for (int i = 0; i < 3; i++)
		t[i] = spawn(wait_zero, &moved_from);
	while (done < 3) {
		done += (int)futex(&moved_from, FUTEX_CMP_REQUEUE, 0, (void *)1, shared, 0);
		sched_yield();
	}
	__atomic_store_n(&moved_from, 1, __ATOMIC_SEQ_CST);
	pid_t pid = fork();
	if (pid == 0) {
		futex(shared, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
		_exit(0);
	}
	status_of(pid);
	futex(&moved_from, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); /* who was not moved, but woken */
	for (int i = 0; i < 3; i++)
		join(t[i]);
	CHECK(moved_from == 1);
}

static void bad_addresses(void)
{
	int *bad = (int *)4096, fine = 0;
	CHECK_ERRNO(EFAULT, futex(bad, FUTEX_WAIT, 0, NULL, NULL, 0));
	CHECK_ERRNO(EFAULT, futex(bad, FUTEX_WAKE, 1, NULL, NULL, 0));
	CHECK_ERRNO(EFAULT, futex(bad, FUTEX_CMP_REQUEUE, 1, (void *)1, &fine, 0));
	CHECK_ERRNO(EFAULT, futex(&fine, FUTEX_CMP_REQUEUE, 1, (void *)1, bad, 0));
	CHECK_ERRNO(EFAULT, futex(&fine, FUTEX_WAKE_OP, 1, (void *)1, bad, 0));
	CHECK_ERRNO(EINVAL, futex(&fine, FUTEX_CMP_REQUEUE, -1, (void *)1, &fine, 0));
}

static int at_once(void *arg)
{
	return 0;
}

/* The kernel clears the word and wakes, when a thread of its own ends. */
static void by_the_kernel(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	static int tid = 1;
	MUST(clone(at_once, stack + sizeof(stack),
		   CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		       CLONE_SYSVSEM | CLONE_CHILD_CLEARTID,
		   NULL, NULL, NULL, &tid) > 0);
	for (int seen; (seen = __atomic_load_n(&tid, __ATOMIC_SEQ_CST));)
		futex(&tid, FUTEX_WAIT, seen, NULL, NULL, 0);
	CHECK(tid == 0);
}

int main(void)
{
	become_threaded();
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(shared != MAP_FAILED);
	more_than_kernel_threads();
	by_another_process();
	moved();
	bad_addresses();
	pid_t pid = fork();
	if (pid == 0) {
		become_threaded();
		more_than_kernel_threads();
		_exit(check_done());
	}
	CHECK(status_of(pid) == 0);
	by_the_kernel();
	return check_done();
}
