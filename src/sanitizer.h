/* The runtimes of sanitizers in the program (docs/sanitizers.md).
 *
 * Owns: their names, as weak references: the loader, or the linker of a program that the library is
 * part of, fills them in, and they are NULL where there is none.  Called by: life.c,
 * cancel.c, src/native/, hooks/thread.c.  Must not know: hooks, how anything waits.
 *
 * Each of them keeps its books of a thread in thread-local storage and in a key, and learns of
 * threads by a pthread_create of its own in front of ours.  A full gthread has a thread block and
 * is such a thread; a switch moves these books along, and needs no word to them.  So the switch
 * does not know of sanitizers, and what is here is off the hot paths.
 */
#ifndef GHI_SANITIZER_H
#define GHI_SANITIZER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHI_WEAK extern __attribute__((weak, visibility("default")))
GHI_WEAK void __asan_init(void);
GHI_WEAK void __asan_handle_no_return(void);
GHI_WEAK void __asan_unpoison_memory_region(const volatile void *lo, size_t bytes);
GHI_WEAK void *__asan_get_current_fake_stack(void);
GHI_WEAK void *__asan_addr_is_in_fake_stack(void *stack, void *at, void **lo, void **hi);
GHI_WEAK void __lsan_register_root_region(const void *lo, size_t bytes);
GHI_WEAK void __tsan_init(void);
GHI_WEAK void __tsan_acquire(void *at);
GHI_WEAK void __tsan_release(void *at);
GHI_WEAK void __msan_init(void);

/* The program's code keeps books per thread: it must run on threads that they know. */
extern bool ghi_sanitizer_present;
/* By the constructor. */
void ghi_sanitizer_init(void);

/* What makes a thread that they know: the program's pthread_create where there is one of theirs,
 * else libc's. */
typedef int (*ghi_create_fn)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
ghi_create_fn ghi_sanitizer_create(void);

/* A thread is about to be unwound by force, from here: its frames will not take back what they
 * marked. */
static inline void ghi_sanitizer_unwinds(void)
{
	if (__asan_handle_no_return)
		__asan_handle_no_return();
}

/* What one gthread did comes before what the other does next.  ThreadSanitizer sees this for
 * pthreads by itself. */
static inline void ghi_sanitizer_before(void *at)
{
	if (__builtin_expect(__tsan_release != NULL, 0))
		__tsan_release(at);
}
static inline void ghi_sanitizer_after(void *at)
{
	if (__builtin_expect(__tsan_acquire != NULL, 0))
		__tsan_acquire(at);
}

/* For __libc_start_main: what is to be called at the process's end instead of the loader's
 * function. */
void (*ghi_sanitizer_before_end(void (*loader_end)(void)))(void);
/* While the program has one thread: its signal mask was changed, or begins. */
void ghi_sanitizer_note_mask(void);
void ghi_sanitizer_set_mask(uint64_t mask);
/* When the runtime starts, maybe inside a pthread_create of theirs, which blocks all signals for
 * itself by a bare system call: the program's mask, where `now` is in force. */
uint64_t ghi_sanitizer_mask(uint64_t now);
/* On a gthread whose frames below were left by a jump or by unwinding. */
void ghi_sanitizer_unwound(char *stack_lo);

#endif
