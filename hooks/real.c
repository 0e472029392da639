/* Fills real.* from libc's own handle, and the few addresses src/ needs; see hook.h.
 *
 * May run before any constructor of ours: another library's constructor may call a hook first.
 * dlsym may allocate, and the program's allocator may lock: our locks need nothing from real.*, so
 * that re-entry is harmless, and two threads that fill the table write the same values.
 */
#include <dlfcn.h>

#include "hooks/hook.h"
#include "src/real.h"

struct ghi_real real;

void *ghi_real_find(const char *name)
{
	static void *libc, *libpthread, *librt;
	/* The other two hold functions of threads, message queues and aio before glibc 2.34.  Where
	 * one is not loaded, each try to find it searches the file system: once. */
	if (!libc) {
		libpthread = dlopen("libpthread.so.0", RTLD_LAZY | RTLD_NOLOAD);
		librt = dlopen("librt.so.1", RTLD_LAZY | RTLD_NOLOAD);
		libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	}
	void *f = libc ? dlsym(libc, name) : NULL;
	if (!f && libpthread)
		f = dlsym(libpthread, name);
	if (!f && librt)
		f = dlsym(librt, name);
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
	if (load_relaxed(&self->yield_please))
		ghi_yield();
}
