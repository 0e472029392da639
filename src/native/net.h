/* What net_addr.c and net_dial.c share.
 *
 * Owns: nothing.
 */
#ifndef GHI_NATIVE_NET_H
#define GHI_NATIVE_NET_H

#include <greenhook/net.h>
#include <greenhook/task.h>
#include "src/native/until.h"

enum { GHI_NET_ADDRESSES = 16 }; /* of one host */

/* getaddrinfo needs a thread block of its own. */
#define GHI_NET_TASK GH_TASK_OWN_TLS

/* A path, or @name, as an address: 0, -EINVAL, -ENAMETOOLONG. */
int ghi_addr_unix(const char *path, gh_addr *ret);

#endif
