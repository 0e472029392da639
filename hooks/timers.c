/* timer_create for one thread: SIGEV_THREAD_ID with a virtual id, and SIGEV_THREAD, whose threads
 * are gthreads.  libc makes the latter on a kernel thread of its own that calls past the hooks. The
 * other kinds, and alarm and setitimer, signal the process and are the kernel's.
 *
 * A helper gthread, made with the first such timer and all signals blocked, starts the threads: one
 * for each time the kernel notifies, with the attributes copied when the timer was made.
 */
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/hook.h"
#include "src/signal_timer.h"

struct notification {
	void (*fn)(union sigval);
	union sigval value;
};

/* What a SIGEV_THREAD timer needs beyond its record, by the same index; never freed. */
struct service {
	struct ghi_sigtimer *timer;
	uint32_t use, due;
	struct notification what;
	pthread_attr_t attr;
	struct service *next;
};

static struct {
	int pid; /* of the process it runs in: a fork leaves it behind */
	sem_t due;
	struct service *all; /* pushed only */
} helper;

static void *run_notification(void *arg)
{
	struct notification n = *(struct notification *)arg;
	free(arg);
	n.fn(n.value);
	return NULL;
}

static void start_threads(struct service *s)
{
	pthread_t t;
	struct notification *n = malloc(sizeof(*n));
	if (!n)
		return; /* nobody to tell, as in libc */
	*n = s->what;
	if (pthread_create(&t, &s->attr, run_notification, n))
		free(n);
}

static void *helper_main(void *arg)
{
	for (;;) {
		while (sem_wait(&helper.due) < 0)
			;
		for (struct service *s = load_acquire(&helper.all); s; s = s->next)
			if (load_relaxed(&s->due)) {
				uint32_t due = fetch_and_acq_rel(&s->due, 0u);
				/* What came together is one notification and its overrun. */
				if (due && s->timer && s->use == load_acquire(&s->timer->use))
					start_threads(s);
			}
	}
	return arg;
}

/* By the monitor. */
static void notify(struct ghi_sigtimer *t, uint32_t n)
{
	struct service *s = t->service;
	store_release(&s->due, n);
	sem_post(&helper.due);
}

static int start_helper(struct ghi_gthread *self)
{
	pthread_t t;
	int r = 0;
	if (helper.pid != sys_getpid()) { /* none yet in this process */
		uint64_t mask = self->sigmask;
		pthread_attr_t attr;
		sem_init(&helper.due, 0, 0);
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attr, 64 << 10);
		ghi_signal_set_mask(self, ~0ull); /* the helper and its threads inherit it */
		r = pthread_create(&t, &attr, helper_main, NULL);
		ghi_signal_set_mask(self, mask);
		pthread_attr_destroy(&attr);
		helper.pid = r ? 0 : sys_getpid();
	}
	return r;
}

/* The parts of the attributes that libc copies. */
static void copy_attr(pthread_attr_t *to, const pthread_attr_t *from)
{
	pthread_attr_init(to);
	if (from) {
		size_t size, guard;
		void *addr;
		int sched;
		struct sched_param p;
		pthread_attr_getguardsize(from, &guard);
		pthread_attr_setguardsize(to, guard);
		if (((const int *)from)[2] & 8) { /* ATTR_FLAG_STACKADDR of the ABI's flags */
			pthread_attr_getstack(from, &addr, &size);
			pthread_attr_setstack(to, addr, size);
		} else if (pthread_attr_getstacksize(from, &size) == 0) {
			pthread_attr_setstacksize(to, size);
		}
		if (pthread_attr_getschedpolicy(from, &sched) == 0)
			pthread_attr_setschedpolicy(to, sched);
		if (pthread_attr_getschedparam(from, &p) == 0)
			pthread_attr_setschedparam(to, &p);
		if (pthread_attr_getinheritsched(from, &sched) == 0)
			pthread_attr_setinheritsched(to, sched);
	}
	pthread_attr_setdetachstate(to, PTHREAD_CREATE_DETACHED);
}

static struct service *service_new(const struct sigevent *ev)
{
	struct service *s = load_acquire(&helper.all);
	while (s && s->timer && s->use == load_acquire(&s->timer->use))
		s = s->next; /* in use; a deleted timer's is taken again */
	bool fresh = !s;
	if (fresh && !(s = calloc(1, sizeof(*s))))
		return NULL;
	if (!fresh)
		pthread_attr_destroy(&s->attr);
	s->timer = NULL;
	s->due = 0;
	s->what = (struct notification){ev->sigev_notify_function, ev->sigev_value};
	copy_attr(&s->attr, ev->sigev_notify_attributes);
	if (fresh) {
		s->next = helper.all;
		store_release(&helper.all, s);
	}
	return s;
}

static int thread_timer(struct ghi_gthread *self, clockid_t clock, const struct sigevent *ev)
{
	struct ghi_sigtimer like = {.notify = notify}, *t;
	int r;

	static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&making);
	if (start_helper(self)) {
		r = -EAGAIN;
	} else if (!(like.service = service_new(ev))) {
		r = -ENOMEM;
	} else if ((r = ghi_sigtimer_new(clock, &like, &t)) >= 0) {
		struct service *s = like.service;
		s->use = t->use;
		s->timer = t;
	}
	pthread_mutex_unlock(&making);
	return r;
}

EXPORT int timer_create(clockid_t clock, struct sigevent *ev, timer_t *ret)
{
	struct ghi_sigtimer like = {0}, *t;
	int id;

	struct ghi_gthread *caller = ghi_self();
	if (caller && (id = (int)ghi_cputime_own_clock(caller, &clock)) < 0)
		return (int)ghi_ret(id);
	if (!ev || (ev->sigev_notify != SIGEV_THREAD && ev->sigev_notify != SIGEV_THREAD_ID))
		return REAL(timer_create)(clock, ev, ret);
	if (ev->sigev_notify == SIGEV_THREAD)
		ghi_runtime_ensure(); /* its threads are gthreads from the first */
	HOOK_ENTER(self, REAL(timer_create)(clock, ev, ret));
	if (ev->sigev_notify == SIGEV_THREAD) {
		id = thread_timer(self, clock, ev);
	} else {
		like.g = ghi_gthread_by_tid(ev->_sigev_un._tid);
		if (!like.g)
			return REAL(timer_create)(clock, ev, ret);
		if (ev->sigev_signo < 1 || ev->sigev_signo >= GHI_NSIG)
			return (int)ghi_ret(-EINVAL);
		like.g_id = like.g->id;
		like.signo = ev->sigev_signo;
		like.value = ev->sigev_value;
		id = ghi_sigtimer_new(clock, &like, &t);
	}
	if (id < 0)
		return (int)ghi_ret(id);
	*ret = (timer_t)(intptr_t)id; /* libc's functions take the kernel's numbers */
	return 0;
}

EXPORT int timer_delete(timer_t id)
{
	struct ghi_sigtimer *t = (intptr_t)id >= 0 ? ghi_sigtimer_of((int)(intptr_t)id) : NULL;
	return t ? (int)ghi_ret(ghi_sigtimer_delete(t)) : REAL(timer_delete)(id);
}

EXPORT int timer_getoverrun(timer_t id)
{
	struct ghi_sigtimer *t = (intptr_t)id >= 0 ? ghi_sigtimer_of((int)(intptr_t)id) : NULL;
	return t && t->g ? t->last_overrun : REAL(timer_getoverrun)(id);
}
