/* The only way hooks block: one place that combines what is waited for, a deadline, signals and
 * cancellation.
 *
 * Owns: parking on descriptors, on time, on several descriptors at once.  (Waiting on an address is
 * lot.h.)  Called by: hooks.  Must not know: which libc call asked.
 *
 * All of them return 0 to try again, or -ETIMEDOUT, -EINTR (a handler of the program is due; it
 * runs when the hook leaves the runtime), -ECANCELED (the caller must act on it), -EBADF (closed
 * while waiting), or another -errno of the registration.
 */
#ifndef GHI_WAIT_H
#define GHI_WAIT_H

#include <poll.h>

#include "src/fdtab.h"

/* Waits until seq[dir] of fd moves away from `seq`.  -EPERM: fd is always ready (a file). */
int ghi_wait_fd(struct ghi_gthread *self, int fd, int dir, uint32_t seq, uint64_t deadline,
		enum ghi_reason why);
/* The same for a set: returns 0 when something may have happened on any of them. `seqs` holds, per
 * entry, the counters read before the caller's own poll(0). */
struct ghi_pollset {
	unsigned n;
	unsigned joined; /* the first of them that ghi_wait_set_leave has to see */
	bool one;	 /* an event is for one such waiter, who passes it on (ghi_fd_pass_on) */
	struct ghi_pollset_fd {
		int fd;
		uint8_t dirs;
		uint32_t seq[2];
		struct ghi_fd_waiter waiter;
	} fds[];
};
int ghi_wait_set(struct ghi_gthread *self, struct ghi_pollset *set, uint64_t deadline);
/* Its two halves, around a park that also waits for other things.  Armed by the caller.  False:
 * something may have happened already, do not sleep.  May bring *deadline nearer, where a
 * descriptor has to be asked again soon. */
bool ghi_wait_set_join(struct ghi_gthread *self, struct ghi_pollset *set, uint64_t *deadline);
void ghi_wait_set_leave(struct ghi_pollset *set);
/* Sleeps: -ETIMEDOUT when the deadline has come. */
int ghi_wait_until(struct ghi_gthread *self, uint64_t deadline, enum ghi_reason why);

/* Parks, armed, with an optional deadline: what ended it (enum ghi_wakeup). */
uint32_t ghi_wait_park_until(struct ghi_gthread *self, uint64_t deadline);
/* -errno for a wake-up; 0 for those that mean "try again". */
int ghi_wait_result(uint32_t wakeup);
/* Arms and looks at signals and cancellation; non-zero: disarmed again, do not park. */
int ghi_wait_arm(struct ghi_gthread *self, enum ghi_reason why, const void *object);
/* The same for waits that are no cancellation points: only handlers keep it from parking. */
int ghi_wait_arm_uncancellable(struct ghi_gthread *self, enum ghi_reason why, const void *object);

#endif
