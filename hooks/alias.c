/* Other spellings of hooks: no bodies.  From the ALIAS rows of hooks.def; pthread_cond_* answer
 * every symbol version because the library's names carry none, and dlvsym, which insists on the
 * version, because they are there a second time. */
#include "hooks/hook.h"

/* An alias must be in the same object as its target, so each is one jump to the target's address.
 */
#if defined(__x86_64__)
#define JUMP(name, target)                                                                         \
	__asm__(".globl " #name "\n.type " #name ", @function\n" #name ":\n\tjmp " #target         \
		"@PLT\n"                                                                           \
		".size " #name ", . - " #name "\n");
#endif
#define HOOK(family, ret, name, params, args, kind, note)
#define ALIAS(family, name, target, note) JUMP(name, target)
__asm__(".text");
#include "hooks/hooks.def"

/* dlvsym(RTLD_NEXT, name, version), as in the runtimes of sanitizers, passes over names without a
 * version.  libc has two pthread_cond_*, so these are what such callers ask for by version. */
#ifndef GREENHOOK_STATIC
#define VERSIONED(name)                                                                            \
	JUMP(ghi_v_##name, name)                                                                   \
	__asm__(".symver ghi_v_" #name ", " #name "@GLIBC_2.3.2, remove\n")
VERSIONED(pthread_cond_wait);
VERSIONED(pthread_cond_timedwait);
VERSIONED(pthread_cond_signal);
VERSIONED(pthread_cond_broadcast);
#endif
