/* Signals at full speed: threads that park in every way, compute, mask, wait for signals and fault,
 * while others send to them and to the process. Real-time signals arrive exactly as often as they
 * were sent, in order; every thread ends. Argument: rounds (default 80). */
#include "check.h"
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { TARGETS = 24, SENDERS = 4, KINDS = 8 };

static struct target {
	pthread_t thread;
	int kind, last, received, disorder, standard, pair[2];
	int sent; /* by its sender alone */
	sem_t sem;
	char *page;
} targets[TARGETS];
static __thread struct target *me;
static __thread sigjmp_buf env;
static int over, rounds = 80, process_sent, process_got, faults;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void count(int value)
{
	if (value != me->last + 1)
		me->disorder++;
	me->last = value;
	__atomic_add_fetch(&me->received, 1, __ATOMIC_SEQ_CST);
}

static void on_rt(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	if (me)
		count(info->si_value.sival_int);
	if (me && me->received % 16 == 0)
		usleep(10);
	errno = saved;
}

static void on_standard(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	if (me)
		me->standard++;
	errno = saved;
}

static void on_process(int number, siginfo_t *info, void *context)
{
	__atomic_add_fetch(&process_got, 1, __ATOMIC_SEQ_CST);
}

/* Mends the page and returns to the instruction; parks meanwhile. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	usleep(20);
	mprotect(me->page, 4096, PROT_READ | PROT_WRITE);
	__atomic_add_fetch(&faults, 1, __ATOMIC_SEQ_CST);
	errno = saved;
}

static int ended(void)
{
	return __atomic_load_n(&over, __ATOMIC_SEQ_CST);
}

static void *target_main(void *arg)
{
	sigset_t rt;
	siginfo_t info;
	char byte;
	stack_t alternate = {.ss_sp = malloc(65536), .ss_size = 65536};
	struct timespec ms = {.tv_nsec = 1000000};
	me = arg;
	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN + 1);
	sigaddset(&rt, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &rt, NULL);
	sigdelset(&rt, SIGUSR1);
	if (me->kind % 2)
		sigaltstack(&alternate, NULL);
	while (!ended()) {
		switch (me->kind) {
		case 0:
			sem_timedwait(&me->sem, &ms);
			break;
		case 1:
			if (read(me->pair[0], &byte, 1) < 0)
				QUIET(errno == EINTR);
			break;
		case 2:
			sched_yield();
			break;
		case 3:
			for (volatile int i = 0; i < 2000; i++)
				;
			break;
		case 4:
			pthread_sigmask(SIG_BLOCK, &rt, NULL);
			if (sigtimedwait(&rt, &info, &ms) > 0)
				count(info.si_value.sival_int);
			break;
		case 5:
			pthread_sigmask(SIG_BLOCK, &rt, NULL);
			nanosleep(&ms, NULL);
			pthread_sigmask(SIG_UNBLOCK, &rt, NULL);
			break;
		case 6:
			pthread_mutex_lock(&mutex);
			pthread_cond_timedwait(&cond, &mutex, &ms);
			pthread_mutex_unlock(&mutex);
			break;
		case 7:
			mprotect(me->page, 4096, PROT_NONE);
			*(volatile char *)me->page = 1;
			if (sigsetjmp(env, 1) == 0)
				siglongjmp(env, 1);
			break;
		}
	}
	/* What is left. */
	pthread_sigmask(SIG_BLOCK, &rt, NULL);
	ms.tv_nsec = 0;
	while (sigtimedwait(&rt, &info, &ms) > 0)
		count(info.si_value.sival_int);
	alternate.ss_flags = SS_DISABLE;
	sigaltstack(&alternate, NULL);
	free(alternate.ss_sp);
	return NULL;
}

static void *sender_main(void *arg)
{
	int first = (int)(intptr_t)arg;
	for (int r = 0; r < rounds; r++)
		for (int i = first; i < TARGETS; i += SENDERS) {
			struct target *t = &targets[i];
			int rc = pthread_sigqueue(t->thread, SIGRTMIN + 1,
						  (union sigval){.sival_int = t->sent + 1});
			if (rc == 0)
				t->sent++;
			else
				QUIET(rc == EAGAIN);
			pthread_kill(t->thread, SIGUSR1);
			if (r % 4 == 0) {
				sem_post(&t->sem);
				if (t->kind == 1 && send(t->pair[1], "x", 1, MSG_DONTWAIT) < 0)
					QUIET(errno == EAGAIN);
			}
			if (r % 8 == 0) {
				__atomic_add_fetch(&process_sent, 1, __ATOMIC_SEQ_CST);
				MUST(sigqueue(getpid(), SIGRTMIN + 2,
					      (union sigval){.sival_int = 1}) == 0);
			}
			if (r % 16 == 0)
				usleep(50);
		}
	return NULL;
}

static void handle(int number, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction a = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};
	MUST(sigaction(number, &a, NULL) == 0);
}

int main(int argc, char **argv)
{
	pthread_t senders[SENDERS];
	int wrong = 0;
	sigset_t rt;
	if (argc > 1)
		rounds = atoi(argv[1]);
	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN + 1);
	sigaddset(&rt, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &rt, NULL); /* until a thread knows itself */
	handle(SIGRTMIN + 1, on_rt, SA_RESTART | SA_ONSTACK);
	handle(SIGRTMIN + 2, on_process, SA_RESTART);
	handle(SIGUSR1, on_standard, 0);
	handle(SIGSEGV, on_fault, SA_ONSTACK);
	for (int i = 0; i < TARGETS; i++) {
		targets[i].kind = i % KINDS;
		sem_init(&targets[i].sem, 0, 0);
		MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, targets[i].pair) == 0);
		targets[i].page =
		    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		targets[i].thread = spawn(target_main, &targets[i]);
	}
	for (intptr_t i = 0; i < SENDERS; i++)
		senders[i] = spawn(sender_main, (void *)i);
	for (int i = 0; i < SENDERS; i++)
		join(senders[i]);
	__atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < TARGETS; i++) {
		if (targets[i].kind == 1)
			MUST(write(targets[i].pair[1], "x", 1) == 1);
		join(targets[i].thread);
		if (targets[i].received != targets[i].sent || targets[i].disorder) {
			printf("target %d: sent %d received %d out of order %d\n", i,
			       targets[i].sent, targets[i].received, targets[i].disorder);
			wrong++;
		}
		QUIET(targets[i].standard > 0);
	}
	CHECK(wrong == 0);
	for (int i = 0; i < 2000 && process_got < process_sent; i++)
		sleep_ms(5);
	CHECK(process_got == process_sent);
	CHECK(faults > 0);
	return check_done();
}
