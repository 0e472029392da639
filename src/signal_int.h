/* What the files of signals share: see signal.h for the model.
 *
 * Owns: nothing.  signal.c: the program's actions, start.  signal_queue.c: queued signals.
 * signal_run.c: running handlers.  signal_route.c: which gthread gets what.  signal_mask.c: masks.
 * signal_cast.c: kicks and broadcasts.  Included by these only.
 */
#ifndef GHI_SIGNAL_INT_H
#define GHI_SIGNAL_INT_H

#include "src/signal.h"

#define BIT(sig) (1ull << ((sig)-1))
#define FAULTS	 (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGSYS))

struct ghi_siginfo_node {
	struct ghi_siginfo_node *next;
	uint32_t used;
	int sig;
	siginfo_t info;
};

/* signal.c */
bool ghi_sig_is_handler(const struct sigaction *a);
/* The action as it is to be run now; SA_RESETHAND takes effect. */
void ghi_sig_copy_action(int sig, struct sigaction *ret);

/* signal_queue.c: async-signal-safe */
struct ghi_siginfo_node *ghi_sig_node_new(int sig, const siginfo_t *info);
/* Taken from the queue of g (NULL: of nobody): another one of its kind may be queued again. */
void ghi_sig_node_free(struct ghi_gthread *g, struct ghi_siginfo_node *n);
void ghi_sig_push(struct ghi_siginfo_node **stack, struct ghi_siginfo_node *n);
/* Standard signals do not queue: false when one waits already. */
bool ghi_sig_enqueue(struct ghi_gthread *g, struct ghi_siginfo_node *n);
/* Everything on the stack, oldest first. */
struct ghi_siginfo_node *ghi_sig_take_all(struct ghi_siginfo_node **stack);
void ghi_sig_queue_reset(void);

/* signal_run.c: the kernel has set the mask for the handler and restores it afterwards; the books
 * follow. */
void ghi_sig_run_in_place(struct ghi_gthread *self, int sig, siginfo_t *info, void *uc);

/* signal_route.c */
void ghi_sig_on_signal(int sig, siginfo_t *info, void *uc);
void ghi_sig_route_reset(void);

/* signal_cast.c */
void ghi_sig_on_cast(int sig, siginfo_t *info, void *uc);
void ghi_sig_on_kick(int sig, siginfo_t *info, void *uc);
void ghi_sig_cast_reset(void);

/* signal_mask.c */
void ghi_sig_mask_reset(void);

#endif
