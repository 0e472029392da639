/* What kind of thing a descriptor is, and whether it is ready now.
 *
 * Owns: nothing.  Called by: hooks (io.c, socket.c, ...), src/native/.  Must not know: who waits.
 */
#ifndef GHI_FDKIND_H
#define GHI_FDKIND_H

#include "src/fdtab.h"

/* The kind of a socket made with these; flags in type are ignored. */
enum ghi_fd_kind ghi_fd_socket_kind(int domain, int type);
/* Asked once; the entry remembers. */
void ghi_fd_classify(int fd, struct ghi_fd *e);
/* Readiness of one direction right now. */
bool ghi_fd_ready_now(int fd, int dir);

/* SO_RCVTIMEO or SO_SNDTIMEO in ns; 0: none. */
uint64_t ghi_fd_socket_timeout(int fd, int dir);

#endif
