/* Locks in a fork's child; see renew.h. */
#include "src/native/hook.h"
#include "src/native/native.h"
#include "src/native/renew.h"

uint32_t ghi_native_generation;
static ghi_lock_t renewing;

void ghi_native_lock_renew(struct ghi_native_lock *l, void (*renew)(void *), void *object)
{
	uint32_t now = load_relaxed(&ghi_native_generation);

	ghi_nosig_enter();
	ghi_lock(&renewing);
	if (load_relaxed(&l->generation) != now) {
		l->word = 0;
		if (renew)
			renew(object);
		store_release(&l->generation, now);
	}
	ghi_unlock(&renewing);
	ghi_nosig_leave();
}

void ghi_native_renew_after_fork(void)
{
	ghi_native_generation++;
	renewing = 0; /* another thread of a child that forks may have had it */
}
