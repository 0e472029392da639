/* Sending signals: to one thread, to the process. */
#include "hooks/hook.h"

static siginfo_t info_of(int sig, int code, union sigval v)
{
	siginfo_t info = {.si_signo = sig, .si_code = code};
	info.si_pid = sys_getpid();
	info.si_uid = (uid_t)ghi_sys_program(SYS_getuid);
	if (code == SI_QUEUE)
		info.si_value = v;
	return info;
}

static const union sigval no_value;

EXPORT int pthread_kill(pthread_t t, int sig)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_kill)(t, sig);
	siginfo_t info = info_of(sig, SI_TKILL, no_value);
	return ghi_signal_send(g, sig, &info);
}

EXPORT int pthread_sigqueue(pthread_t t, int sig, const union sigval v)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_sigqueue)(t, sig, v);
	siginfo_t info = info_of(sig, SI_QUEUE, v);
	return ghi_signal_send(g, sig, &info);
}

EXPORT int raise(int sig)
{
	struct ghi_gthread *self = ghi_self();
	if (!self)
		return REAL(raise)(sig);
	siginfo_t info = info_of(sig, SI_TKILL, no_value);
	return (int)ghi_ret(-ghi_signal_send(self, sig, &info));
}

EXPORT pid_t gettid(void)
{
	struct ghi_gthread *self = ghi_self();
	return self ? self->tid : sys_gettid();
}

EXPORT int tgkill(pid_t pid, pid_t tid, int sig)
{
	struct ghi_gthread *g = pid == sys_getpid() ? ghi_gthread_by_tid(tid) : NULL;
	if (!g)
		return (int)ghi_ret(ghi_sys_program(SYS_tgkill, pid, tid, sig));
	siginfo_t info = info_of(sig, SI_TKILL, no_value);
	return (int)ghi_ret(-ghi_signal_send(g, sig, &info));
}

/* A signal that the caller sends to its own process and that runs on the caller has run when the
 * call returns; the kernel would choose any kernel thread that accepts it. */
EXPORT int kill(pid_t pid, int sig)
{
	HOOK_ENTER(self, REAL(kill)(pid, sig));
	pid = ghi_process_of_thread(pid);
	if (pid == sys_getpid()) {
		siginfo_t info = info_of(sig, SI_USER, no_value);
		int r = ghi_signal_send_process(self, sig, &info);
		if (r)
			return (int)ghi_ret(r < 0 ? r : 0);
	}
	return (int)ghi_ret(ghi_sys_program(SYS_kill, pid, sig));
}

EXPORT int sigqueue(pid_t pid, int sig, const union sigval v)
{
	HOOK_ENTER(self, REAL(sigqueue)(pid, sig, v));
	siginfo_t info = info_of(sig, SI_QUEUE, v);
	pid = ghi_process_of_thread(pid);
	int r = pid == sys_getpid() ? ghi_signal_send_process(self, sig, &info) : 0;
	if (r)
		return (int)ghi_ret(r < 0 ? r : 0);
	return (int)ghi_ret(ghi_sys_program(SYS_rt_sigqueueinfo, pid, sig, &info));
}
