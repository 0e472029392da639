/* Other spellings of hooks: no bodies.  From the ALIAS rows of hooks.def; pthread_cond_* answer
 * every symbol version because the library's names carry none. */
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
