/* A real glibc thread control block for every gthread.
 *
 * Owns: everything we know about this libc (offsets from its own thread_db descriptors, entry
 * points found by dlsym), building and refreshing a TCB with its static TLS.  Called by: gthread.c,
 * runtime.c.  Must not know: scheduling.
 *
 * The recipe and the table of defects a bare TCB has are in docs/design.md, "A gthread's own TLS".
 */
#ifndef GHI_TLS_H
#define GHI_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghi_libc {
	size_t tls_size; /* static TLS and struct pthread together, bytes */
	size_t tls_align;
	size_t tcb_size; /* struct pthread */
	ptrdiff_t tid;	 /* offsets in struct pthread */
	ptrdiff_t list;	 /* -1: this libc has no list we can join */
	ptrdiff_t cancelhandling;
	ptrdiff_t specific;
	ptrdiff_t first_block; /* what specific[0] points to */
	ptrdiff_t robust;      /* -1: unknown */
	ptrdiff_t self_off;    /* of ghi_tls.self, from the thread pointer */
	ptrdiff_t resp_off;    /* of __resp; 0: none */
	ptrdiff_t rseq_off;    /* 0: no rseq */
	struct ghi_list_t {
		struct ghi_list_t *next, *prev;
	} * stack_user; /* head of glibc's list of user-stack threads, or NULL */
	void *(*allocate_tls)(void *);
	void (*call_tls_dtors)(void);
	void (*ctype_init)(void);
	void (*thread_freeres)(void);
	void (*res_close)(void *);
	struct { /* struct pthread_key_struct of nptl */
		uintptr_t seq;
		void (*destr)(void *);
	} * keys; /* 1024 of them, or NULL */
};
extern struct ghi_libc ghi_libc;

/* Finds all of it; 0, or -1 with *ret_why set to a clause that says what is missing. */
int ghi_tls_probe(const char **ret_why);
/* Builds TLS and TCB in fresh zeroed memory whose struct pthread lies at tcb.  0 or -1. */
int ghi_tls_build(uintptr_t tcb, int32_t tid);
/* Makes a used TCB as good as new: every module's TLS except libc's own (it holds malloc's cache).
 * forked: its owner was lost in a fork, perhaps inside malloc; then libc's as well, as a native
 * child loses the caches of the threads that it does not have. */
void ghi_tls_refresh(uintptr_t tcb, int32_t tid, bool forked);
/* In a fork's child, for a block that somebody may have been in. */
void ghi_tls_wipe(uintptr_t tcb);
/* Is it on libc's list of threads with a stack of their own?  Puts it there. */
bool ghi_tls_listed(uintptr_t tcb);
void ghi_tls_enlist(uintptr_t tcb);
/* Around what a fork must not cut in two: the inside of the loader, a descriptor that is on its way
 * into the table of ours.  Short; waits for forks in progress. */
void ghi_tls_fork_not_now(void);
/* The same for whom nobody may wait long: false, not now. */
bool ghi_tls_fork_not_now_try(void);
void ghi_tls_fork_again(void);
/* Around a fork, in the parent: nobody of ours is between those two meanwhile. */
void ghi_tls_fork_prepare(void);
void ghi_tls_fork_parent(void);
/* In a fork's child: nobody else holds the locks any more. */
void ghi_tls_after_fork(void);
/* On the new gthread itself, first thing: ctype tables, locale, errno, resolver state. */
void ghi_tls_enter(void *res_state);
/* On an ending gthread: C++ thread_local and TSD destructors, as start_thread() orders them. */
void ghi_tls_exit(void);

#endif
