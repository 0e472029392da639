/* Running the program's handlers, at once or when the runtime is left; see signal.h. */
#include <errno.h>
#include <string.h>
#include <ucontext.h>

#include "src/cancel.h"
#include "src/sched.h"
#include "src/signal_int.h"

struct call {
	struct sigaction act;
	int sig;
	siginfo_t *info;
	void *uc;
};

static void call_handler(void *arg)
{
	struct call *c = arg;
	if (c->act.sa_flags & SA_SIGINFO)
		c->act.sa_sigaction(c->sig, c->info, c->uc);
	else
		c->act.sa_handler(c->sig);
}

static bool on_altstack(const struct ghi_gthread *g, const char *sp)
{
	return sp > (char *)g->altstack_sp && sp <= (char *)g->altstack_sp + g->altstack_size;
}

/* Calls the handler, on the gthread's alternate stack when it asked for one, on `below` (the
 * interrupted stack) when the kernel put us elsewhere, or right here. */
static void call_on_its_stack(struct ghi_gthread *self, struct call *c, char *below)
{
	char here;
	if (self && (c->act.sa_flags & SA_ONSTACK) && self->altstack_sp &&
	    !on_altstack(self, below ? below : &here))
		ghi_ctx_call_on((char *)self->altstack_sp + self->altstack_size, call_handler, c);
	else if (below)
		ghi_ctx_call_on(below, call_handler, c);
	else
		call_handler(c);
}

/* The kernel has set the mask for the handler and restores it afterwards; the books follow. */
void ghi_sig_run_in_place(struct ghi_gthread *self, int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct call c = {.sig = sig, .info = info, .uc = uc};
	char *below = NULL;

	ghi_sig_copy_action(sig, &c.act);
	if (!ghi_sig_is_handler(&c.act))
		return;
#if defined(__x86_64__)
	if (BIT(sig) & FAULTS) /* these arrive on the worker's alternate stack */
		below = (char *)uc->uc_mcontext.gregs[REG_RSP] - 128;
#endif
	if (!self || (self->flags & GHI_G_NATIVE)) {
		call_handler(&c);
		return;
	}
	self->sig_ran |=
	    (c.act.sa_flags & SA_RESTART) ? GHI_SIG_RAN : GHI_SIG_RAN | GHI_SIG_RAN_NORESTART;
	uint64_t before, during;
	memcpy(&before, &uc->uc_sigmask, sizeof(before));
	sys_sigprocmask(SIG_BLOCK, NULL, &during);
	self->sigmask = self->worker->kmask = during;
	call_on_its_stack(self, &c, below);
	memcpy(&before, &uc->uc_sigmask, sizeof(before)); /* the handler may edit it */
	sys_sigprocmask(SIG_SETMASK, &before, NULL);	  /* it may have parked and moved */
	store_relaxed(&self->sigmask, before);
	self->worker->kmask = before;
	/* What was queued meanwhile and is open again. */
	fence_seq_cst(); /* (U1) */
	if (load_relaxed(&self->sigq) && ghi_signal_due(self))
		ghi_signal_run_pending();
}

static void run_queued(struct ghi_gthread *self, struct ghi_siginfo_node *n)
{
	struct call c = {.sig = n->sig};
	siginfo_t info = n->info;
	ucontext_t uc;
	uint64_t add, old = self->sigmask;
	int saved_errno = errno;

	ghi_sig_node_free(self, n);
	ghi_sig_copy_action(c.sig, &c.act);
	if (!ghi_sig_is_handler(&c.act)) {
		if (c.act.sa_handler == SIG_DFL) /* the default action, by the kernel itself */
			ghi_sys(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), c.sig, &info);
		return;
	}
	memset(&uc, 0, sizeof(uc));
	memcpy(&uc.uc_sigmask, &old, sizeof(old));
	uc.uc_stack.ss_flags = SS_DISABLE;
	c.info = &info;
	c.uc = &uc;
	memcpy(&add, &c.act.sa_mask, sizeof(add));
	if (!(c.act.sa_flags & SA_NODEFER))
		add |= BIT(c.sig);
	self->sig_ran |=
	    (c.act.sa_flags & SA_RESTART) ? GHI_SIG_RAN : GHI_SIG_RAN | GHI_SIG_RAN_NORESTART;
	uint32_t ran = self->sig_ran; /* a nested wait in the handler resets it */
	ghi_signal_set_mask(self, old | add);
	call_on_its_stack(self, &c, NULL);
	self = ghi_self();
	ghi_signal_set_mask(self, old);
	self->sig_ran |= ran;
	errno = saved_errno;
}

void ghi_signal_run_pending(void)
{
	struct ghi_gthread *self = ghi_self();

	for (;;) {
		store_relaxed(&self->sig_pending, 0u);
		struct ghi_siginfo_node *n = ghi_sig_take_all(&self->sigq), *next, *first = NULL;
		for (; n; n = next) {
			next = n->next;
			if (!first && !(self->sigmask & BIT(n->sig)))
				first = n;
			else
				ghi_sig_push(&self->sigq, n);
		}
		if (!first)
			break;
		run_queued(self, first); /* one at a time: the handler may leave by siglongjmp */
	}
	if (ghi_cancel_async(self))
		ghi_cancel_point(self);
	if (load_relaxed(ghi_cancel_word(self)) & GHI_CANCEL_REQUESTED) /* for the next point */
		store_relaxed(&self->sig_pending, 1u);
}
