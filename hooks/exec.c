/* Becoming another program: execve and its family.
 *
 * Owns: the hooks on exec.  Called by: the program.  Must not know: how signals are queued.
 *
 * The kernel ends the other kernel threads, keeps the id of the process, and takes mask and pending
 * signals from the thread that calls.  The mask of a running gthread is its kernel thread's
 * already; what is queued for it has to move.
 */
#include <alloca.h>
#include <stdarg.h>

#include "hooks/hook.h"

extern char **environ;

struct exec {
	struct ghi_gthread *self;
	unsigned moved;
};

static struct exec before(struct ghi_gthread *self)
{
	struct exec e = {.self = self};
	if (self) {
		ghi_nosig_enter();
		e.moved = ghi_signal_to_kernel(self);
	}
	return e;
}

/* It failed, or we would not be here. */
static int after(const struct exec *e)
{
	if (e->self) {
		int saved = errno;
		ghi_signal_from_kernel(e->self, e->moved);
		ghi_nosig_leave();
		errno = saved;
	}
	return -1;
}

#define EXEC(call)                                                                                 \
	({                                                                                         \
		struct exec e_ = before(ghi_hook_self());                                          \
		(void)(call);                                                                      \
		after(&e_);                                                                        \
	})

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return EXEC(REAL(execve)(path, argv, envp));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return EXEC(REAL(execve)(path, argv, environ));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return EXEC(REAL(execvp)(file, argv));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return EXEC(REAL(execvpe)(file, argv, envp));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	return EXEC(REAL(fexecve)(fd, argv, envp));
}

EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	return EXEC(ghi_ret(ghi_sys_program(SYS_execveat, dir, path, argv, envp, flags)));
}

/* The arguments of execl and its like become a vector; `rest` is left behind the final NULL. */
#define VECTOR(argv, first, rest)                                                                  \
	do {                                                                                       \
		va_list count_;                                                                    \
		size_t n_ = 1;                                                                     \
		va_copy(count_, rest);                                                             \
		while (va_arg(count_, char *))                                                     \
			n_++;                                                                      \
		va_end(count_);                                                                    \
		(argv) = alloca((n_ + 1) * sizeof(char *));                                        \
		(argv)[0] = (char *)(first);                                                       \
		for (size_t i_ = 1; i_ <= n_; i_++)                                                \
			(argv)[i_] = va_arg(rest, char *);                                         \
	} while (0)

EXPORT int execl(const char *path, const char *arg, ...)
{
	char **argv;
	va_list rest;
	va_start(rest, arg);
	VECTOR(argv, arg, rest);
	va_end(rest);
	return execve(path, argv, environ);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	char **argv, **envp;
	va_list rest;
	va_start(rest, arg);
	VECTOR(argv, arg, rest);
	envp = va_arg(rest, char **);
	va_end(rest);
	return execve(path, argv, envp);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	char **argv;
	va_list rest;
	va_start(rest, arg);
	VECTOR(argv, arg, rest);
	va_end(rest);
	return execvp(file, argv);
}
