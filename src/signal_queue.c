/* Queued signals: nodes and the queues they wait in; see signal.h.  All of it is async-signal-safe.
 */
#include <string.h>

#include "src/signal_int.h"

enum { NODES = 2048 };

static struct ghi_siginfo_node nodes[NODES];
static uint32_t next_node;

struct ghi_siginfo_node *ghi_sig_node_new(int sig, const siginfo_t *info)
{
	for (int tries = 0; tries < NODES; tries++) {
		struct ghi_siginfo_node *n = &nodes[fetch_add_relaxed(&next_node, 1u) % NODES];
		uint32_t free = 0;
		if (!cas_acquire(&n->used, &free, 1u))
			continue;
		n->sig = sig;
		if (info)
			n->info = *info;
		else
			memset(&n->info, 0, sizeof(n->info));
		n->info.si_signo = sig;
		return n;
	}
	return NULL;
}

/* Taken from the queue of g (NULL: of nobody): another one of its kind may be queued again. */
void ghi_sig_node_free(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	if (g)
		fetch_and_acq_rel(&g->sig_std, ~BIT(n->sig));
	store_release(&n->used, 0u);
}

void ghi_sig_push(struct ghi_siginfo_node **stack, struct ghi_siginfo_node *n)
{
	struct ghi_siginfo_node *seen = load_relaxed(stack);
	do
		n->next = seen;
	while (!cas_release(stack, &seen, n));
}

/* Standard signals do not queue: false when one waits already. */
bool ghi_sig_enqueue(struct ghi_gthread *g, struct ghi_siginfo_node *n)
{
	if (n->sig < 32 && (fetch_or_acq_rel(&g->sig_std, BIT(n->sig)) & BIT(n->sig))) {
		ghi_sig_node_free(NULL, n);
		return false;
	}
	ghi_sig_push(&g->sigq, n);
	return true;
}

/* Everything on the stack, oldest first. */
struct ghi_siginfo_node *ghi_sig_take_all(struct ghi_siginfo_node **stack)
{
	struct ghi_siginfo_node *n = xchg_acq_rel(stack, (struct ghi_siginfo_node *)NULL);
	struct ghi_siginfo_node *out = NULL;
	while (n) {
		struct ghi_siginfo_node *next = n->next;
		n->next = out;
		out = n;
		n = next;
	}
	return out;
}

void ghi_signal_drop_queued(struct ghi_gthread *self)
{
	struct ghi_siginfo_node *n = ghi_sig_take_all(&self->sigq), *next;
	for (; n; n = next) {
		next = n->next;
		ghi_sig_node_free(self, n);
	}
}

uint64_t ghi_signal_queued(struct ghi_gthread *g)
{
	uint64_t set = 0;
	for (struct ghi_siginfo_node *n = load_acquire(&g->sigq); n; n = n->next)
		set |= BIT(n->sig);
	return set;
}

int ghi_signal_take(struct ghi_gthread *self, uint64_t want, siginfo_t *ret_info)
{
	struct ghi_siginfo_node *n = ghi_sig_take_all(&self->sigq), *next;
	int sig = 0;
	for (; n; n = next) {
		next = n->next;
		if (!sig && (want & BIT(n->sig))) {
			sig = n->sig;
			*ret_info = n->info;
			ghi_sig_node_free(self, n);
		} else {
			ghi_sig_push(&self->sigq, n);
		}
	}
	return sig;
}

bool ghi_signal_due(struct ghi_gthread *self)
{
	return (ghi_signal_queued(self) & ~self->sigmask) != 0;
}

void ghi_sig_queue_reset(void)
{
	for (int i = 0; i < NODES; i++)
		nodes[i].used = 0;
}
