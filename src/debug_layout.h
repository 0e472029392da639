/* Where a debugger finds the gthreads: in a running process or in its core file.
 *
 * Owns: one exported, constant object that names addresses and offsets, as libthread_db's
 * _thread_db_ symbols do; so a debugger needs no debug information, and no version of ours but this
 * one's. Called by: nobody; read by preload/gdb/greenhook-gdb.py.
 *
 * New fields go to the end, `size` tells how many there are; a change of meaning is another
 * version.
 */
#ifndef GHI_DEBUG_LAYOUT_H
#define GHI_DEBUG_LAYOUT_H

#include <stdint.h>

struct ghi_debug_layout {
	uint32_t version, size; /* 1, bytes of this */
	const void *all;	/* where the pointer to the newest gthread is */
	const void *main;	/* the same of gthread 1, which is not in the list of all */
	const void *workers;	/* the same of the newest worker */
	const void *reasons;	/* array of char *, by g_reason */
	/* Offsets in a gthread. */
	uint32_t g_next, g_id, g_tid, g_name, g_flags, g_life, g_wake, g_reason, g_waits_for;
	uint32_t g_start, g_sp, g_switches, g_bytes;
	/* Offsets in a worker. */
	uint32_t w_next, w_current, w_tid;
	/* Offsets from g_sp of a gthread that does not run, and where its own rsp is. */
	uint32_t f_rip, f_rbp, f_rbx, f_r12, f_r13, f_r14, f_r15, f_size;
	uint32_t nreasons;
};
extern const struct ghi_debug_layout GREENHOOK_debug_layout;

#endif
