/* Headers that declare the types in hooks.def. */
#ifndef GHI_HOOK_TYPES_H
#define GHI_HOOK_TYPES_H

#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

typedef void *(*ghi_start_fn)(void *);
typedef void (*ghi_void_fn)(void);
typedef void (*ghi_handler_fn)(int);
typedef int (*ghi_main_fn)(int, char **, char **);

#endif
