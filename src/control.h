/* The control socket: answers questions about this process.
 *
 * Owns: a Unix socket DIR/PID.sock, where DIR is $XDG_RUNTIME_DIR/greenhook or
 * /tmp/greenhook-UID, mode 0700 and the user's own; and the kernel thread that answers.
 * control_socket.c: the socket.  control.c: the thread and the requests.  Called by: runtime.c
 * (open, fork), poller.c (knock), monitor.c (look, collect), preload/init.c (end).  Must not know:
 * how answers come about.
 *
 * While nobody asks there is only the socket, in the poller's set.  Somebody who connects is an
 * event there (knock); the monitor then makes the thread, which ends when nobody came for two
 * seconds.  Where nobody polls, because every kernel thread is held up, the monitor looks at the
 * socket itself, four times a second.  With GREENHOOK_REPORT the thread is there from the start.
 *
 * One request at a time: a line; the answer ends with the connection.  Only the user of this
 * process and root are answered.  What a peer does not send or does not read within two seconds it
 * does not get; nobody but this thread waits for it.
 */
#ifndef GHI_CONTROL_H
#define GHI_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/* When the runtime starts, before the second thread: the socket, where that is allowed. */
void ghi_control_open(void);
/* The thread, for as long as the process lives. */
void ghi_control_start(void);
/* From the poller: somebody connects. */
void ghi_control_knock(void);
/* There is something to tell (deadlock.h): the thread is made, or comes by. */
void ghi_control_errand(void);
/* By the monitor, at each of its looks. */
void ghi_control_look(uint64_t now);
/* From any kernel thread: collect what is known about blocked calls soon. */
void ghi_control_collect(void);
/* At exit: the socket's name goes. */
void ghi_control_end(void);
void ghi_control_after_fork(void);

/* control_socket.c */
/* The descriptor that listens, or -1. */
int ghi_control_socket(void);
/* That number is still our socket: a program may close every number that it does not know. */
bool ghi_control_socket_ours(void);
/* The next peer with its time limits set, or -errno. */
int ghi_control_accept(void);
void ghi_control_hang_up(int fd);
bool ghi_control_socket_open(void);
void ghi_control_socket_forget(void);

#endif
