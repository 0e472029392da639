/* greenhook: green threads.
 *
 * Unmodified pthread programs need this header for nothing: `greenhook run ./program`, or
 * LD_PRELOAD, is all.  It is for code that wants more than pthreads: tasks that cost 4 KiB, groups,
 * cancellation, futures, channels.  Link with `pkg-config --cflags --libs greenhook`; such a
 * program needs no preload, and its pthreads are green as well.
 *
 * `pkg-config --libs greenhook-static` puts the library into the program (libgreenhook.a).  The
 * program is linked dynamically with libc all the same: with gcc -static it does not link, whatever
 * pkg-config --static says.
 *
 * The rules that hold for all functions (errors, time, cancellation) are in greenhook/base.h.
 * C11 and C++17.
 */
#ifndef GREENHOOK_H
#define GREENHOOK_H

#include <greenhook/base.h>
#include <greenhook/chan.h>
#include <greenhook/error.h>
#include <greenhook/file.h>
#include <greenhook/future.h>
#include <greenhook/group.h>
#include <greenhook/memory.h>
#include <greenhook/module.h>
#include <greenhook/net.h>
#include <greenhook/panic.h>
#include <greenhook/sched.h>
#include <greenhook/sync.h>
#include <greenhook/task.h>
#include <greenhook/timer.h>

#endif
