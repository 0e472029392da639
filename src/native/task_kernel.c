/* Tasks on kernel threads of libc's, where there are no gthreads; see task_int.h.
 *
 * Owns: the list of those tasks.  Called by: task.c.  Must not know: gthreads.
 *
 * When the library is inert, or a thread that is not main's makes the first task while the runtime
 * sleeps.  Waits in the lot are cancelled through kwait.h; a wait in a plain call of libc's is not.
 */
#include <errno.h>
#include <pthread.h>

#include "src/native/hook.h"
#include "src/native/task_int.h"
#include "src/real.h"
#include "src/runtime.h"
#include "src/sanitizer.h"

static ghi_lock_t list_lock;
static gh_task *list;

static void unlist(gh_task *t)
{
	ghi_nosig_enter();
	ghi_lock(&list_lock);
	for (gh_task **p = &list; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	ghi_unlock(&list_lock);
	ghi_nosig_leave();
}

static void expired(struct ghi_kwait *k)
{
	gh_task *t = ghi_container(k->cancel_word, gh_task, cancel);
	ghi_nosig_enter();
	ghi_lock(&t->lock);
	ghi_task_cancel_locked(t, ETIMEDOUT);
	ghi_unlock(&t->lock);
	ghi_nosig_leave();
}

static void at_end(void *arg)
{
	gh_task *t = arg;
	ghi_task_ops.leaves(t);
	ghi_task_ops.left(t, t->result);
	unlist(t);
	ghi_tls.kwait = NULL;
	ghi_task_ops.ended(t, false);
}

static void *kernel_main(void *arg)
{
	gh_task *t = arg;
	struct ghi_kwait k = {.cancel_word = &t->cancel, .expired = expired};

	ghi_nosig_enter();
	ghi_lock(&t->lock);
	t->kernel = &k;
	k.deadline = t->deadline;
	ghi_unlock(&t->lock);
	ghi_nosig_leave();
	ghi_tls.kwait = &k;
	pthread_cleanup_push(at_end, t);
	t->result = t->fn(t->arg);
	pthread_cleanup_pop(1);
	return NULL;
}

int ghi_task_start_kernel(gh_task *t, const gh_task_opts *o)
{
	pthread_attr_t attr;
	pthread_t thread;
	if (ghi_runtime_atfork) /* with GREENHOOK=0 nobody else has */
		ghi_runtime_atfork();
	int r = t->group ? ghi_group_enter(t->group, t) : 0;

	if (r)
		return r;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (o->stack_size)
		pthread_attr_setstacksize(&attr, o->stack_size);
	ghi_nosig_enter();
	ghi_lock(&list_lock);
	t->next = list;
	list = t;
	ghi_unlock(&list_lock);
	ghi_nosig_leave();
	ghi_task_findable(t);
	r = ghi_sanitizer_create()(&thread, &attr, kernel_main, t);
	pthread_attr_destroy(&attr);
	if (r == 0)
		return 0;
	unlist(t);
	if (t->group) {
		ghi_group_leave(t, 0);
		ghi_group_ended(t->group);
	}
	return -EAGAIN;
}

void ghi_task_cancel_kernel_all(void)
{
	gh_task *self = ghi_task_running();
	ghi_nosig_enter();
	ghi_lock(&list_lock);
	for (gh_task *t = list; t; t = t->next) {
		if (t == self)
			continue;
		ghi_lock(&t->lock);
		ghi_task_cancel_locked(t, 0);
		ghi_unlock(&t->lock);
	}
	ghi_unlock(&list_lock);
	ghi_nosig_leave();
}

void ghi_task_kernel_after_fork(void)
{
	list_lock = 0;
	list = NULL;
}
