/* What the files of the native API share.
 *
 * Owns: nothing.  Called by: src/native/ only.  Must not know: hooks.
 */
#ifndef GHI_NATIVE_H
#define GHI_NATIVE_H

#include <greenhook/base.h>
#include "src/base/clock.h"

/* A point in time of the API as a deadline of the runtime, where 0 is past. */
static inline uint64_t ghi_native_deadline(gh_time at)
{
	return at == GH_FOREVER ? GHI_NEVER : at < 0 ? 0 : (uint64_t)at;
}

/* In a fork's child, chan.c: what all channels share. */
void ghi_native_chan_after_fork(void);
/* The same, renew.c and memory.c. */
void ghi_native_renew_after_fork(void);
void ghi_native_memory_after_fork(void);
/* The same, disk.c. */
void ghi_native_disk_after_fork(void);

#endif
