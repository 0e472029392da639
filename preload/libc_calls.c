/* libc_calls.c: which of libc's own calls could be redirected to the hooks on this system.
 *
 * Owns: that one question, asked of the C library that the command itself runs on, which is the
 * program's too unless that brings its own loader.  Called by: doctor.c.  Nothing is changed: it
 * reads the entries and judges them as the library does at the program's first thread.
 */
#include "preload/cli.h"

#include <dlfcn.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "src/detour.h"

void libc_calls_print(void)
{
	static const struct {
		const char *name;
		int nr;
	} list[] = {
#define DETOUR(name, nr) {#name, nr},
#include "hooks/detours.def"
#undef DETOUR
	    {"__lll_lock_wait_private", SYS_futex},
	    {"__lll_lock_wake_private", SYS_futex},
	};
	enum { N = sizeof(list) / sizeof(list[0]) };
	struct ghi_detour d[N];
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	int good = 0;

	for (int i = 0; i < N; i++) {
		const void *entry = libc ? dlsym(libc, list[i].name) : NULL;
		/* A target close by: the library is loaded next to libc. */
		d[i] = (struct ghi_detour){.name = list[i].name, .nr = list[i].nr, .to = entry};
		ghi_detour_plan(&d[i], entry, ghi_detour_size(libc, list[i].name, entry));
		good += !d[i].why;
	}
	printf("  calls libc makes itself: %d of %d functions can be redirected\n", good, N);
	for (int i = 0; i < N; i++)
		if (d[i].why)
			printf("    not %s: %s\n", d[i].name, d[i].why);
}
