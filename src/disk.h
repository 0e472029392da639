/* Files by io_uring: a gthread parks while the disk works, where else it would hold its kernel
 * thread.
 *
 * Owns: the ring, the kernel thread that serves it, the requests in it.  Called by:
 * src/native/file.c (calls), monitor.c (makes the thread), runtime.c (fork).  Must not know: which
 * call asked, and when the ring is worth it.
 *
 * One kernel thread, the disk thread, submits all requests and takes all results, and makes those
 * who wait ready.  Not the workers themselves: the kernel finishes a request on the thread that
 * submitted it, and not before that thread is in no other call.  A worker may be in one that takes
 * for ever, and a call of the program's that it makes would end with EINTR whenever a disk answers
 * somebody else.
 *
 *   gthread                                     disk thread
 *   (D1) pushes its request (proto/bell.h)      (S1) takes, submits, sleeps in the kernel
 *   (D2) lock: done? else arms; unlock; parks   (S2) a result: lock; done = true; notifies; unlock
 *   (D3) woken: back to D2                      (S3) readies; the request is not touched again
 *
 * The request lies on the gthread's stack, which it does not leave before it saw `done` under the
 * lock: by then S2 is over, and no notify is on its way to some later park.  D2 arms before it
 * unlocks: S2 comes before, and D2 sees `done`, or after, and the notify finds it armed or parked.
 *
 * A signal leaves the gthread where it is, as a disk does natively: handlers run afterwards.  A
 * request to cancel it becomes one to the kernel, which ends what has not begun; the gthread goes
 * on when the kernel has answered both, so nobody writes into a buffer that was given back.
 *
 * What the ring does not do as the call itself does, it declines, and nothing has been done then.
 * It also declines all when the kernel or a filter refuses it, once or from some time on.
 */
#ifndef GHI_DISK_H
#define GHI_DISK_H

#include "src/gthread.h"

enum ghi_disk_op { GHI_DISK_READ, GHI_DISK_WRITE, GHI_DISK_FSYNC };

/* There is a ring to call; else one is made soon, if that can be. */
bool ghi_disk_ready(void);
/* By a gthread that may park, when there is one.  True: *ret has the result, -errno, or -ECANCELED, when a request to
 * the caller kept it from being done.  False: the caller has to make the call itself. */
bool ghi_disk_call(struct ghi_gthread *self, enum ghi_disk_op op, int fd, void *buf, size_t n,
		   int64_t at, long *ret);
/* By the monitor: makes the thread when it is wanted. */
void ghi_disk_look(uint64_t now);
void ghi_disk_after_fork(void);

#endif
