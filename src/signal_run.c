/* Running the program's handlers; see signal.h.
 *
 * A handler always runs in a frame of the kernel's: what is queued for a gthread is sent to its own
 * kernel thread when it is due, in the kernel's order, so registers, masks, nesting and default
 * actions are the kernel's.  All signals are blocked when the kernel enters ghi_sig_on_signal(),
 * until the handler's own mask is set here.
 *
 * Frames of handlers that want an alternate stack, and of faults, come on the worker's.  Such a
 * frame is moved to where the program expects it, the gthread's alternate stack or the stack that
 * was interrupted, since the gthread may park in the handler and go on on another worker.  For the
 * same reason the frame's stack_t, which sigreturn(2) puts in force, is rewritten on the way out.
 */
#include <errno.h>
#include <string.h>
#include <ucontext.h>

#include "src/base/copy.h"
#include "src/cancel.h"
#include "src/sched.h"
#include "src/signal_int.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static bool within(const stack_t *s, const char *sp)
{
	return s->ss_sp && sp > (char *)s->ss_sp && sp <= (char *)s->ss_sp + s->ss_size;
}

static bool is_program(const struct ghi_gthread *self)
{
	return self && !(self->flags & GHI_G_NATIVE);
}

/* ---- the alternate stack in a frame ---------------------------------------------------------- */

/* What the program finds there: its own. */
static void show_altstack(struct ghi_gthread *self, ucontext_t *uc)
{
	uc->uc_stack.ss_sp = self->altstack_sp;
	uc->uc_stack.ss_size = self->altstack_size;
	uc->uc_stack.ss_flags = self->altstack_sp ? self->altstack_flags : SS_DISABLE;
	if (self->altstack_flags & (int)SS_AUTODISARM) {
		self->altstack_sp = NULL;
		self->altstack_size = 0;
	}
}

/* sigreturn(2) restores it, and what the handler made of it. */
static void take_altstack(struct ghi_gthread *self, const ucontext_t *uc)
{
	bool none = uc->uc_stack.ss_flags & SS_DISABLE;
	self->altstack_sp = none ? NULL : uc->uc_stack.ss_sp;
	self->altstack_size = none ? 0 : uc->uc_stack.ss_size;
	self->altstack_flags = uc->uc_stack.ss_flags & (int)SS_AUTODISARM;
}

/* ---- on the way through the kernel ----------------------------------------------------------- */

/* Out of room in the kernel's queue, or refused: tgkill() needs none, and the node holds the
 * information. */
static void send_here(struct ghi_gthread *self, int sig, const siginfo_t *info)
{
	int pid = sys_getpid(), tid = self->worker->tid;
	if (ghi_sys(SYS_rt_tgsigqueueinfo, pid, tid, sig, info) < 0)
		ghi_sys(SYS_tgkill, pid, tid, sig);
}

static void send_late(struct ghi_gthread *self)
{
	for (struct ghi_siginfo_node *n; (n = self->sig.late);) {
		self->sig.late = n->next;
		n->next = self->sig.batch;
		self->sig.batch = n;
		self->sig.in_place |= BIT(n->sig);
		send_here(self, n->sig, &n->info);
	}
}

/* ---- one handler ------------------------------------------------------------------------------
 */

static void call_handler(const struct sigaction *act, int sig, siginfo_t *info, void *uc)
{
	/* The kernel passes all three, whatever the flags say. */
	((void (*)(int, siginfo_t *, void *))act->sa_sigaction)(sig, info, uc);
}

/* The books follow what sigreturn will do.  All signals stay blocked until then, except in the loop
 * that runs what is queued, which nothing interrupts but its own handlers. */
static void leave_frame(ucontext_t *uc, bool bottom)
{
	struct ghi_gthread *self;
	uint64_t after;
	bool looping;

	sys_sigprocmask(SIG_SETMASK, &ghi_sig_everything, NULL);
	ghi_cancel_leave_window(uc);
	self = ghi_self(); /* NULL: a fork's child, which the kernel's values suit */
	if (!self)
		return;
	looping = self->sig.looping;
	for (;;) {
		memcpy(&after, &uc->uc_sigmask, sizeof(after)); /* the handler may edit it */
		after &= ~UNBLOCKABLE;
		memcpy(&uc->uc_sigmask, &after, sizeof(after));
		if (self->handler_sp)
			ghi_sig_note_outer(self, after);
		else
			ghi_signal_note_mask(self, after);
		/* What was queued meanwhile and is open again.  Below the whole batch the loop that
		 * sent it looks: a queue must not become a tower of frames. */
		if (bottom || !ghi_signal_due(self))
			break;
		self->sig.looping = true;
		ghi_signal_run_pending();
		sys_sigprocmask(SIG_SETMASK, &ghi_sig_everything, NULL);
		if (!ghi_self())
			return;
	}
	self->sig.looping = looping;
	ghi_sig_worker_altstack(self->worker, &uc->uc_stack);
}

static void on_frame(int sig, void *info, void *context)
{
	struct ghi_gthread *self = ghi_self();
	ucontext_t *uc = context;
	struct sigaction act;
	uint64_t before, during, add;
	bool fault = (BIT(sig) & FAULTS) && ((siginfo_t *)info)->si_code > 0;

	memcpy(&before, &uc->uc_sigmask, sizeof(before));
	ghi_sig_copy_action(sig, &act);
	if (!ghi_sig_is_handler(&act)) {
		/* Changed a moment ago.  A fault happens again by itself. */
		if (!ghi_sig_is_ignored(sig, &act) && !fault)
			ghi_sys(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), sig, info);
		if (is_program(self))
			ghi_sig_worker_altstack(self->worker, &uc->uc_stack);
		return;
	}
	memcpy(&add, &act.sa_mask, sizeof(add));
	during = (before | add | (act.sa_flags & SA_NODEFER ? 0 : BIT(sig))) & ~UNBLOCKABLE;
	if (!is_program(self)) {
		sys_sigprocmask(SIG_SETMASK, &during, NULL);
		call_handler(&act, sig, info, uc);
		return;
	}
	bool bottom = self->sig.at_bottom;
	self->sig.at_bottom = false;
	uint32_t ran =
	    self->sig_ran |
	    ((act.sa_flags & SA_RESTART) ? GHI_SIG_RAN : GHI_SIG_RAN | GHI_SIG_RAN_NORESTART);
	if (self->sig.restore) { /* sigsuspend(2): back to the mask before the call */
		self->sig.restore = false;
		before = self->sig.saved;
		memcpy(&uc->uc_sigmask, &before, sizeof(before));
	}
	show_altstack(self, uc);
	ghi_sig_mask_book(self, during);
	self->sig_ran = ran; /* it may leave by siglongjmp */
	bool looping = self->sig.looping;
	self->sig.looping = false;
	/* The rest of a batch comes now, before any handler's code: it is pending on this kernel
	 * thread.  A kick, which would run more, is let in when that is done. */
	if (!self->sig.in_place)
		send_late(self);
	add = during | BIT(GHI_SIG_KICK);
	sys_sigprocmask(SIG_SETMASK, &add, NULL);
	sys_sigprocmask(SIG_SETMASK, &during, NULL);
	void *outer = self->handler_sp;
	self->handler_sp = context;
	call_handler(&act, sig, info, uc);
	self = ghi_self();
	if (self) {
		self->handler_sp = outer;
		self->sig_ran = ran; /* a wait in the handler clears it */
		self->sig.looping = looping;
		take_altstack(self, uc);
	}
	leave_frame(uc, bottom);
}

#if defined(__x86_64__)
/* How much of the stack above the frame belongs to it: the floating-point state is last. */
static size_t frame_size(const char *frame, const siginfo_t *info, const ucontext_t *uc)
{
	const char *fp = (const char *)uc->uc_mcontext.fpregs;
	uint32_t magic, size;

	if (!fp)
		return (size_t)((const char *)(info + 1) - frame);
	memcpy(&magic, fp + 464, sizeof(magic)); /* struct _fpx_sw_bytes */
	memcpy(&size, fp + 468, sizeof(size));
	return (size_t)(fp - frame) + (magic == 0x46505853 /* FP_XSTATE_MAGIC1 */ ? size : 512);
}

static _Noreturn void move_frame(struct ghi_gthread *self, bool onstack, int sig, siginfo_t *info,
				 ucontext_t *uc)
{
	stack_t alt = {.ss_sp = self->altstack_sp, .ss_size = self->altstack_size};
	char *frame = (char *)uc - sizeof(void *); /* return address, ucontext, siginfo, fp state */
	size_t size = frame_size(frame, info, uc);
	char *sp = (char *)uc->uc_mcontext.gregs[REG_RSP] - 128;

	if (onstack && alt.ss_sp && !within(&alt, sp + 128))
		sp = (char *)alt.ss_sp + alt.ss_size;
	char *to = sp - size;
	to -= ((uintptr_t)to - (uintptr_t)frame) & 63; /* fp state wants its alignment kept */
	ptrdiff_t by = to - frame;
	ghi_copy_raw(to, frame, size);
	uc = (ucontext_t *)((char *)uc + by);
	info = (siginfo_t *)((char *)info + by);
	if (uc->uc_mcontext.fpregs)
		uc->uc_mcontext.fpregs = (void *)((char *)uc->uc_mcontext.fpregs + by);
	ghi_ctx_enter_frame(to, on_frame, sig, info, uc);
}
#endif

void ghi_sig_deliver(int sig, siginfo_t *info, void *uc)
{
#if defined(__x86_64__)
	struct ghi_gthread *self = ghi_self();
	if (is_program(self)) {
		stack_t here;
		ghi_sig_worker_altstack(self->worker, &here);
		if (within(&here, uc))
			move_frame(self, ghi_sig_action_of(sig).sa_flags & SA_ONSTACK, sig, info,
				   uc);
	}
#endif
	on_frame(sig, info, uc);
}

/* ---- what is queued ---------------------------------------------------------------------------
 */

/* Takes what the kernel would deliver at once: frame upon frame, each with the mask of the one
 * below, at most one of each number.  Sends it to this kernel thread, where all signals are blocked
 * afterwards.  How many.
 *
 * What was sent to the thread comes first, by number, then what was sent to the process.  The
 * kernel takes all of one queue by number, and none may be left there behind another one's mask; so
 * the second kind is sent when the last of the first has its frame (send_late). */
static int send_due(struct ghi_gthread *self)
{
	uint64_t mask = self->sigmask;
	bool to_thread = false; /* some of the first kind are on their way to a handler */
	int sent = 0;

	for (uint64_t due, own; (due = ghi_sig_collect(self) & ~mask);) {
		own = due & self->sig.own[GHI_TO_THREAD].bits;
		struct ghi_siginfo_node *n =
		    ghi_sig_pick(self, BIT(ghi_sig_first(own ? own : due)));
		struct sigaction act = ghi_sig_action_of(n->sig);
		uint64_t add = 0;
		siginfo_t info = n->info;
		int sig = n->sig;

		if (ghi_sig_is_ignored(sig, &act)) {
			ghi_sig_node_free(self, n);
			continue;
		}
		if (!sent++)
			sys_sigprocmask(SIG_SETMASK, &ghi_sig_everything, NULL);
		mask |= BIT(sig);
		if (!ghi_sig_is_handler(&act)) {
			ghi_sig_node_free(self, n);
		} else {
			memcpy(&add, &act.sa_mask, sizeof(add));
			mask |= add;
			bool later = n->shared && to_thread;
			struct ghi_siginfo_node **list = later ? &self->sig.late : &self->sig.batch;
			n->next = *list;
			*list = n;
			if (later)
				continue;
			to_thread = !n->shared;
			self->sig.in_place |= BIT(sig);
		}
		send_here(self, sig, &info);
	}
	self->sig.bottom = sent != 0;
	/* A handler may leave by siglongjmp: the rest is for the bracket after that. */
	if (sent && (ghi_sig_collect(self) & ~self->sigmask))
		store_relaxed(&self->sig_pending, 1u);
	return sent;
}

void ghi_signal_run_pending(void)
{
	struct ghi_gthread *self = ghi_self();
	if (!self) {
		ghi_signal_let_go();
		return;
	}
	int saved_errno = errno, sent;
	bool outer = self->sig.looping; /* false, but for an inner frame of a batch */

	do {
		/* What comes now finds us at it already, since many kicks must not become a tower
		 * of frames, and is seen by the condition below. */
		self->sig.looping = true;
		ghi_tls.nosig++;
		store_relaxed(&self->sig_pending, 0u);
		fence_seq_cst(); /* before the queue is looked at: with (G2) */
		ghi_sig_pass_on(self);
		sent = send_due(self);
		__asm__ volatile("" ::: "memory");
		ghi_tls.nosig--;
		if (sent) { /* the handlers run now */
			sys_sigprocmask(SIG_SETMASK, &self->sigmask, NULL);
			if (self->sig.in_place || self->sig.late) /* it became ignored on its way */
				ghi_sig_drop_batch(self);
		}
		self->sig.looping = outer;
		__asm__ volatile("" ::: "memory");
	} while (sent || load_relaxed(&self->sig_pending));
	errno = saved_errno;
	if (ghi_cancel_async(self)) {
		self->sig.looping = false;
		sys_sigprocmask(SIG_SETMASK, &self->sigmask, NULL);
		ghi_cancel_point(self);
	}
	if (!ghi_self()) /* a fork's child: the next wait starts the runtime (runtime.h) */
		store_relaxed(&self->sig_pending, 1u);
	if (load_relaxed(ghi_cancel_word(self)) & GHI_CANCEL_REQUESTED) /* for the next point */
		store_relaxed(&self->sig_pending, 1u);
}
