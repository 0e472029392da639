/* What every gthread is doing, written to a peer of the control socket.
 *
 * Owns: nothing of the program's: it reads, on the control thread, while everybody runs on.
 * inspect.c: the list.  inspect_object.c: what is waited for.  inspect_stack.c: backtraces.
 * Called by: control.c.  Must not know: how it is shown.
 *
 * Nobody is stopped.  A gthread that is not running leaves its stack alone; so what was read of it
 * is true if it stood still from before the first read to after the last:
 *
 *   reader                                     gthread (and the worker that runs it)
 *   (I1) s = switches; wake word is PARKED,    (Z1) leaves its stack: switches+1
 *        or no worker's `current` is it        (Z2) PARKED
 *   (I2) reads its fields and stack            ...
 *   (I3) the same as I1, and switches == s     (Z3) NOTIFIED, or current = it
 *                                              (Z4) runs, and writes what I2 reads
 *
 * If I2 has read something of Z4, then I3 sees Z3 (loads and stores are in order on x86-64), or it
 * was Z1 again.  Three attempts, then it counts as running.  The memory of a gthread is never
 * unmapped; the stack that a program has given is read through the kernel.
 *
 * Lines, fields separated by tabs; numbers in decimal, addresses in hexadecimal; "-" for nothing:
 *
 *   greenhook 2 VERSION PID GTHREADS WORKERS
 *   m INDEX BASE PATH                      a module that the stacks below refer to
 *   s INDEX IP:MODULE IP:MODULE ...        a stack, innermost frame first
 *   g ID TID NAME STATE WORKER REASON OBJECT FOR LEFT OWNER OWNERTID START STACK SWITCHES DETAIL
 *   end GTHREADS                           the answer is complete
 *
 * STATE: parked, runnable, new (never ran), running, blocked (in the kernel).  WORKER: the kernel
 * thread.  FOR, LEFT: milliseconds.  SWITCHES: how often it
 * has left its stack; the same number later: it has not moved.  OWNER, OWNERTID: who holds what is
 * waited for, or is joined.
 */
#ifndef GHI_INSPECT_H
#define GHI_INSPECT_H

#include "src/answer.h"
#include "src/gthread.h"

/* "dump" */
void ghi_inspect_dump(struct ghi_answer *a, unsigned long arg);

/* inspect_object.c */
struct ghi_inspect_object {
	uintptr_t address; /* 0: none */
	uint64_t owner;	   /* id of the gthread that holds it or is joined; 0: not known */
	int32_t owner_tid; /* 0: nobody, or not known */
	char detail[512];
};
/* What g waits for, by its reason and waits_for as they were read. */
void ghi_inspect_object(const struct ghi_gthread *g, uint32_t reason, uintptr_t waits_for,
			struct ghi_inspect_object *ret);
/* The tid of who holds a mutex, of who writes under a read-write lock, or is joined; 0: nobody, or
 * not known. */
int32_t ghi_inspect_owner(uint32_t reason, uintptr_t waits_for);
/* 0 where nothing can be read. */
int32_t ghi_inspect_word(uintptr_t at);
/* Before and after a list. */
void ghi_inspect_owners_begin(void);
void ghi_inspect_owners_end(void);
uint64_t ghi_inspect_id_of(int32_t tid);

/* inspect_stack.c */
enum { GHI_INSPECT_FRAMES = 64 };
struct ghi_inspect_stack {
	int n;
	uint64_t hash;
	struct ghi_inspect_shape *shape; /* the known one that it matched; NULL: none */
	uintptr_t ips[GHI_INSPECT_FRAMES];
};
bool ghi_inspect_stacks_begin(void);
void ghi_inspect_stacks_end(void);
/* The stack of one that is not running. */
void ghi_inspect_stack_of(const struct ghi_gthread *g, struct ghi_inspect_stack *ret);
/* Of a kernel thread that is in the kernel, from what that tells. */
void ghi_inspect_stack_from(uintptr_t pc, uintptr_t sp, size_t bytes, const char *copy,
			    struct ghi_inspect_stack *ret);
/* Its number in this answer; says what it is when it is new. */
long ghi_inspect_stack_number(struct ghi_answer *a, const struct ghi_inspect_stack *s);
/* Copies its frames, innermost first; how many. */
int ghi_inspect_stack_ips(const struct ghi_inspect_stack *s, uintptr_t *ret);
/* "IP:MODULE" */
void ghi_inspect_put_code(struct ghi_answer *a, uintptr_t ip, int module);
int ghi_inspect_module(struct ghi_answer *a, uintptr_t ip);

#endif
