/* Fills real.* with the addresses of libc's own functions, and the few that src/ needs; see hook.h.
 *
 * May run before any constructor of ours: another library's constructor may call a hook first, also
 * the program's allocator, in the middle of anything.  Looking up allocates nothing and calls no
 * hook; two threads that fill the table write the same values.
 */
#include "hooks/hook.h"
#include "src/dynsym.h"
#include "src/real.h"

struct ghi_real real;

void *ghi_real_find(const char *name)
{
	/* The other two hold functions of threads, message queues and aio before glibc 2.34. */
	static const char *const files[] = {"libc.so.6", "libpthread.so.0", "librt.so.1"};
	static struct ghi_dynsym libs[3];
	void *f = NULL;
	for (int i = 0; i < 3 && !f; i++) {
		if (!libs[i].base) {
			struct ghi_dynsym d;
			ghi_dynsym_open(&d, files[i]);
			libs[i] = d;
		}
		f = ghi_dynsym_find(&libs[i], name);
	}
	return f;
}

void ghi_real_load(void)
{
#define HOOK(family, ret, name, params, args, kind, note)                                          \
	if (!real.name)                                                                            \
		real.name = (ret(*) params)ghi_real_find(#name);
#define ALIAS(family, name, target, note)
#include "hooks/hooks.def"
#undef HOOK
#undef ALIAS
	ghi_real_pthread_create = real.pthread_create;
	ghi_real_pthread_exit = real.pthread_exit;
	ghi_real_pthread_setcancelstate = real.pthread_setcancelstate;
	ghi_real_pthread_setcanceltype = real.pthread_setcanceltype;
	ghi_real_Fork = real._Fork;
	ghi_real_sigaction = real.sigaction;
	ghi_real_clock_gettime = real.clock_gettime;
}

void ghi_hook_attention(struct ghi_gthread *self)
{
	/* A light one may have been called by libc, where it must not switch; light.c asks. */
	if (load_relaxed(&self->yield_please) & GHI_YIELD_ASKED && !(self->flags & GHI_G_LIGHT))
		ghi_yield();
}

int ghi_hook_eintr(void)
{
	struct ghi_gthread *self = ghi_self();
	return self && self->task && ghi_cancel_requested(self) ? ECANCELED : EINTR;
}
