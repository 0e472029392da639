/* Memory of tasks; see task_int.h.
 *
 * Owns: pages that are cut into tasks and never given back.  Called by: task.c.  Must not know:
 * what a task does.
 */
#include <string.h>
#include <sys/mman.h>

#include "src/native/hook.h"
#include "src/native/task_int.h"

enum { CHUNK = 64 << 10 };

static ghi_lock_t lock;
static gh_task *free_list;
static char *fresh, *fresh_end;

gh_task *ghi_task_alloc(void)
{
	ghi_nosig_enter();
	ghi_lock(&lock);
	gh_task *t = free_list;
	if (t) {
		free_list = t->next;
	} else {
		if (fresh == fresh_end) {
			long r = ghi_sys(SYS_mmap, NULL, CHUNK, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (!(r < 0 && r > -4096)) {
				fresh = (char *)r;
				fresh_end = fresh + CHUNK / sizeof(*t) * sizeof(*t);
			}
		}
		if (fresh != fresh_end) {
			t = (gh_task *)fresh;
			fresh += sizeof(*t);
		}
	}
	ghi_unlock(&lock);
	ghi_nosig_leave();
	if (t)
		memset(t, 0, sizeof(*t));
	return t;
}

void ghi_task_free(gh_task *t)
{
	ghi_nosig_enter();
	ghi_lock(&lock);
	t->next = free_list;
	free_list = t;
	ghi_unlock(&lock);
	ghi_nosig_leave();
}

void ghi_task_pool_after_fork(void)
{
	lock = 0; /* what somebody was about to take or give is lost */
	free_list = NULL;
	fresh = fresh_end = NULL;
}
