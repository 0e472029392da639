/* The control thread: answers questions about this process, at a socket.
 *
 * Owns: a kernel thread, a Unix socket DIR/PID.sock, where DIR is $XDG_RUNTIME_DIR/greenhook or
 * /tmp/greenhook-UID, mode 0700 and the user's own.  Called by: runtime.c (start, fork), monitor.c
 * (collect), preload/init.c (end).  Must not know: how answers come about.
 *
 * It exists only while there is something to ask for (GREENHOOK_REPORT).  One request at a time: a
 * line; the answer ends with the connection.  Only the user of this process and root are answered.
 * What a peer does not send or does not read within two seconds it does not get; nobody but this
 * thread waits for it.
 */
#ifndef GHI_CONTROL_H
#define GHI_CONTROL_H

#include <stdbool.h>

/* Starts the thread, and the socket where that is allowed. */
void ghi_control_start(void);
/* From any kernel thread: collect what is known about blocked calls soon. */
void ghi_control_collect(void);
/* At exit: the socket's name goes. */
void ghi_control_end(void);
void ghi_control_after_fork(void);

#endif
