/* Slow path of the runtime's own lock: spin for about as long as a critical section, then sleep. */
#include "src/base/lock.h"

int ghi_lock_spin = 100; /* 0 on one CPU, set by runtime.c */

void ghi_lock_slow(ghi_lock_t *l)
{
	for (int i = 0; i < ghi_lock_spin; i++) {
		uint32_t free = 0;
		if (load_relaxed(l) == 0 && cas_acquire(l, &free, 1u))
			return;
		cpu_relax();
	}
	while (xchg_acq_rel(l, 2u) != 0)
		sys_futex_wait(l, 2, NULL);
}
