/* The poller: epoll, edge-triggered, one registration per descriptor.
 *
 * Owns: the epoll instance, its timerfd (deadlines while everybody sleeps) and eventfd (wake-up of
 * the worker that sleeps in it), arming descriptors.  Called by: sched.c (poll), worker.c (sleep,
 * kick), wait.c (arm), timer.c.  Fires into fdtab.c.  Must not know: hooks, gthreads.
 *
 * Sleep and new deadlines (the timerfd plays the alarm clock):
 *   a timer is started                          the worker that sleeps
 *   (D1) insert into a heap                     (L1) sleeping = 1
 *   (D2) fence                                  (L2) fence
 *   (D3) sleeping and earlier than armed?       (L3) minimum over all heaps
 *   (D4) arm the timerfd                        (L4) arm the timerfd; epoll_wait
 * Either D3 sees L1 or L3 sees D1, so the timerfd is armed for the earliest deadline.
 */
#ifndef GHI_POLLER_H
#define GHI_POLLER_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* The runtime's own numbers lie below this, where RLIMIT_NOFILE allows. */
enum { GHI_POLLER_FDS = 4096 };

/* Moves a descriptor of the runtime's (or passes an error on) out of the way: the program expects
 * the lowest free numbers for its own.  The new number, or the old one when there is no room. */
int ghi_poller_move_up(long fd);
/* The same, and it counts as the runtime's own until ghi_poller_drop closes it. */
int ghi_poller_adopt(long fd);
void ghi_poller_drop(int fd);
/* 0, or -errno with *ret_what naming what could not be made. */
int ghi_poller_init(const char **ret_what);
/* The name of a system call that the poller is refused; NULL: none. */
const char *ghi_poller_needs(void);
/* Registers fd for every event, tagged with its generation.  0, -EPERM (always ready), -errno. */
int ghi_poller_arm(int fd, uint32_t generation);
/* Registers whatever fd is now, for some directions; an edge that is there already counts anew. */
int ghi_poller_rearm(int fd, uint32_t generation, unsigned dirs);
/* Forgets fd explicitly; only needed while another descriptor of the same file stays open. */
void ghi_poller_disarm(int fd);
/* Fires events; returns their number.  timeout_ms: 0, or -1 to sleep until one comes. */
int ghi_poller_poll(int timeout_ms);
/* Sleeps until an event, a deadline or ghi_poller_kick; fires events and timers. */
void ghi_poller_sleep(void);
/* How often somebody went to sleep in it. */
uint64_t ghi_poller_sleeps(void);
void ghi_poller_kick(void);
void ghi_poller_timer_added(uint64_t deadline);
/* By the monitor, which must not sleep for long while this is true: a kick was given and is not
 * read.  Where that lasts the eventfd is gone, closed by the program with a system call of its own,
 * and so is the kick; the sleeper gets a signal. */
bool ghi_poller_watch(uint64_t now);
/* By the monitor before it sleeps without a limit: so too when the set of the sleeper is gone, and
 * with it what would end its sleep. */
void ghi_poller_look_after(void);
/* Watches for signals of `set` pending in the kernel (ghi_signal_waiters_look); 0 or -errno. */
int ghi_poller_signals(uint64_t set);
/* A listener of the runtime's: the next who connects is told to ghi_control_knock, once.  0 or
 * -errno.
 */
int ghi_poller_listen(int fd);
bool ghi_poller_owns(int fd);
/* In a fork's child: drops the inherited descriptors without touching the parent's set. */
void ghi_poller_after_fork(void);

#endif
