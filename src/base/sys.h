/* Every kernel call the runtime makes: raw system calls that return a result or -errno.
 *
 * Owns: the spelling of system calls.  Called by: src/ and hooks/.  Must not know: libc.  The
 * runtime never calls a libc name that hooks/ replaces, never touches errno, and scheduler code
 * runs on whatever thread-local storage happens to be current, so libc's wrappers are out of
 * bounds.
 */
#ifndef GHI_BASE_SYS_H
#define GHI_BASE_SYS_H

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>

#include "src/base/fault.h"
#include "src/base/sysnr.h"

static inline long ghi_sys6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#else
#error "greenhook: no system call convention for this CPU"
#endif
}

#define GHI_SYS_PICK(_1, _2, _3, _4, _5, _6, _7, name, ...) name
#define GHI_SYS1(n)					    ghi_sys6(n, 0, 0, 0, 0, 0, 0)
#define GHI_SYS2(n, a)					    ghi_sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define GHI_SYS3(n, a, b)				    ghi_sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define GHI_SYS4(n, a, b, c)				    ghi_sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define GHI_SYS5(n, a, b, c, d)				    ghi_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define GHI_SYS6_(n, a, b, c, d, e)                                                                \
	ghi_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define GHI_SYS7(n, a, b, c, d, e, f)                                                              \
	ghi_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define GHI_SYS_MAKE(...)                                                                          \
	GHI_SYS_PICK(__VA_ARGS__, GHI_SYS7, GHI_SYS6_, GHI_SYS5, GHI_SYS4, GHI_SYS3, GHI_SYS2,     \
		     GHI_SYS1)                                                                     \
	(__VA_ARGS__)
#ifdef GREENHOOK_FAULTS
#define GHI_SYS_NR(nr, ...) nr
#define ghi_sys(...)	    GHI_FAULT(GHI_FAULT_OWN, GHI_SYS_NR(__VA_ARGS__, 0), GHI_SYS_MAKE(__VA_ARGS__))
#define ghi_sys_program(...)                                                                       \
	GHI_FAULT(GHI_FAULT_PROGRAM, GHI_SYS_NR(__VA_ARGS__, 0), GHI_SYS_MAKE(__VA_ARGS__))
#else
/* ghi_sys(SYS_close, fd): -errno or the result.  A call of the runtime's own, which has an answer
 * to every error; ghi_sys_program is one that the program made, and gets the errors of. */
#define ghi_sys(...)	     GHI_SYS_MAKE(__VA_ARGS__)
#define ghi_sys_program(...) GHI_SYS_MAKE(__VA_ARGS__)
#endif

/* Macros, so that a fault is injected at whoever calls them (fault.h), to waits and wakes apart. */
#define GHI_SYS_FUTEX(which, ...)                                                                  \
	GHI_FAULT(GHI_FAULT_OWN, SYS_futex + which, GHI_SYS_MAKE(SYS_futex, __VA_ARGS__))
#define sys_futex_wait(word, val, timeout)                                                         \
	GHI_SYS_FUTEX(GHI_FAULT_WAIT, (uint32_t *){word}, FUTEX_WAIT | FUTEX_PRIVATE_FLAG,         \
		      (uint32_t){val}, (const struct timespec *){timeout})
/* deadline: absolute CLOCK_MONOTONIC, NULL: none. */
#define sys_futex_wait_until(word, val, deadline)                                                  \
	GHI_SYS_FUTEX(GHI_FAULT_WAIT, (uint32_t *){word}, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,  \
		      (uint32_t){val}, (const struct timespec *){deadline}, 0,                     \
		      FUTEX_BITSET_MATCH_ANY)
#define sys_futex_wake(word, n)                                                                    \
	GHI_SYS_FUTEX(GHI_FAULT_WAKE, (uint32_t *){word}, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, (int){n})
/* mask: the kernel's 64-bit signal set. */
#define sys_sigprocmask(how, set, old)                                                             \
	ghi_sys(SYS_rt_sigprocmask, how, (const uint64_t *){set}, (uint64_t *){old}, 8)

/* They never fail. */
static inline int sys_gettid(void)
{
	return (int)GHI_SYS_MAKE(SYS_gettid);
}

static inline int sys_getpid(void)
{
	return (int)GHI_SYS_MAKE(SYS_getpid);
}

#endif
