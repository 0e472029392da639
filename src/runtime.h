/* Start and stop of the runtime, fork.
 *
 * Owns: the life of the whole.  States: DORMANT until the first pthread_create (hooks go straight
 * to libc), RUNNING, INERT (something essential is missing: said once, libc's threads are used).
 * Called by: preload/init.c (load), hooks/thread.c (start), hooks/process.c (fork).
 */
#ifndef GHI_RUNTIME_H
#define GHI_RUNTIME_H

#include "src/gthread.h"

/* True when gthreads can be made; starts the runtime on the first call, on the main thread. */
bool ghi_runtime_ensure(void);
/* Gthread 1, or NULL while dormant. */
struct ghi_gthread *ghi_runtime_main(void);
extern struct ghi_gthread *ghi_runtime_main_gthread; /* for debuggers */
/* The main gthread has called pthread_exit, others go on. */
void ghi_runtime_alive(int delta);
/* Gthreads that have not ended, main included. */
long ghi_runtime_count(void);
/* Those that were ever made. */
unsigned long ghi_runtime_spawned(void);
/* Around fork(): no handler of the program runs between the first and the other two.  In the child
 * everything but the caller is gone and the runtime is dormant. */
void ghi_runtime_fork_prepare(void);
void ghi_runtime_fork_parent(void);
void ghi_runtime_fork_child(void);
/* A fork's child came back, out of the handler that forked, into a hook that wants to park: the
 * runtime starts again, with self as its main. */
void ghi_runtime_revive(struct ghi_gthread *self);
bool ghi_runtime_running(void);
/* The process that the runtime was started in, or a fork of it that made threads again. */
int ghi_runtime_pid(void);
/* Set before the start (NULL: nothing).  on_start is called while the process has one thread,
 * on_inert when there will be no gthreads after all. */
extern void (*ghi_runtime_on_start)(void), (*ghi_runtime_on_inert)(void);
/* Sees to it that forks are noticed; for who needs it where nothing was started (NULL: nothing). */
extern void (*ghi_runtime_atfork)(void);
/* libc's threads are used, for good. */
bool ghi_runtime_inert(void);

#endif
