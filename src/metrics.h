/* The metrics endpoint: GREENHOOK_METRICS=127.0.0.1:PORT answers `GET /metrics` as `greenhook stats
 * --prometheus` prints it.
 *
 * Owns: a listening socket on a loopback address, and the kernel thread that serves it for as long
 * as the process lives.  metrics.c: the socket, the thread, HTTP.  metrics_text.c: the text.
 * Called by: runtime.c.  Must not know: how the numbers come about.
 *
 * One connection at a time, each for at most two seconds, one request, then it is closed.  Nobody
 * but this thread waits for a peer.  Whoever may connect to the loopback address may read: it is
 * off unless it is asked for, and in privileged programs.  A fork's child does not have it.
 */
#ifndef GHI_METRICS_H
#define GHI_METRICS_H

#include <stdbool.h>
#include <stddef.h>

/* When the runtime starts. */
void ghi_metrics_start(void);
void ghi_metrics_after_fork(void);

/* metrics_text.c */
enum { GHI_METRICS_BYTES = 256 << 10 };
/* The length. */
size_t ghi_metrics_text(char *buf, size_t size);

#endif
