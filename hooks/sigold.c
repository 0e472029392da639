/* The signal functions of System V and 4.2BSD.  libc builds them on calls of its own that do not
 * come here, so each is built again on the hooks. */
#include <string.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* all of them are */
#include "hooks/hook.h"

#define HOLD ((ghi_handler_fn)2) /* SIG_HOLD */

static int only(sigset_t *s, int sig)
{
	sigemptyset(s);
	return sigaddset(s, sig);
}

EXPORT ghi_handler_fn sigset(int sig, ghi_handler_fn h)
{
	struct sigaction a = {.sa_handler = h}, was;
	sigset_t set, old;

	if (!ghi_signal_taken_over)
		return REAL(sigset)(sig, h);
	if (only(&set, sig) < 0)
		return SIG_ERR;
	if (h == HOLD) {
		if (sigprocmask(SIG_BLOCK, &set, &old) < 0)
			return SIG_ERR;
		if (sigismember(&old, sig))
			return HOLD;
		return sigaction(sig, NULL, &was) < 0 ? SIG_ERR : was.sa_handler;
	}
	if (sigaction(sig, &a, &was) < 0 || sigprocmask(SIG_UNBLOCK, &set, &old) < 0)
		return SIG_ERR;
	return sigismember(&old, sig) ? HOLD : was.sa_handler;
}

EXPORT int sighold(int sig)
{
	sigset_t set;
	HOOK_ENTER(self, REAL(sighold)(sig));
	(void)self;
	return only(&set, sig) < 0 ? -1 : sigprocmask(SIG_BLOCK, &set, NULL);
}

EXPORT int sigrelse(int sig)
{
	sigset_t set;
	HOOK_ENTER(self, REAL(sigrelse)(sig));
	(void)self;
	return only(&set, sig) < 0 ? -1 : sigprocmask(SIG_UNBLOCK, &set, NULL);
}

EXPORT int sigignore(int sig)
{
	struct sigaction a = {.sa_handler = SIG_IGN};
	return sigaction(sig, &a, NULL);
}

static void old_set(sigset_t *s, int mask)
{
	memset(s, 0, sizeof(*s));
	memcpy(s, &mask, sizeof(mask));
}

static int old_mask(const sigset_t *s)
{
	int mask;
	memcpy(&mask, s, sizeof(mask));
	return mask;
}

EXPORT int __sigpause(int sig_or_mask, int is_sig)
{
	sigset_t set;
	HOOK_ENTER(self, REAL(__sigpause)(sig_or_mask, is_sig));
	(void)self;
	if (!is_sig)
		old_set(&set, sig_or_mask);
	else if (sigprocmask(0, NULL, &set) < 0 || sigdelset(&set, sig_or_mask) < 0)
		return -1;
	return sigsuspend(&set);
}

#undef sigpause
EXPORT int ghi_bsd_sigpause(int mask) __asm__("sigpause");
EXPORT int ghi_bsd_sigpause(int mask)
{
	return __sigpause(mask, 0);
}

EXPORT int __xpg_sigpause(int sig)
{
	return __sigpause(sig, 1);
}

static int old_change(int how, int mask)
{
	sigset_t set, old;
	old_set(&set, mask);
	return sigprocmask(how, &set, &old) < 0 ? -1 : old_mask(&old);
}

EXPORT int sigblock(int mask)
{
	HOOK_ENTER(self, REAL(sigblock)(mask));
	(void)self;
	return old_change(SIG_BLOCK, mask);
}

EXPORT int sigsetmask(int mask)
{
	HOOK_ENTER(self, REAL(sigsetmask)(mask));
	(void)self;
	return old_change(SIG_SETMASK, mask);
}

EXPORT int siggetmask(void)
{
	HOOK_ENTER(self, REAL(siggetmask)());
	(void)self;
	return old_change(SIG_BLOCK, 0);
}
