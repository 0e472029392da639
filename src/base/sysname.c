/* See sysname.h; the Makefile makes sysname.inc. */
#include <stddef.h>
#include <sys/syscall.h>

#include "src/base/sysname.h"

static const char *const names[] = {
#define NAME(name) [SYS_##name] = #name,
#include "gen/sysname.inc"
#undef NAME
};

const char *ghi_sysname(long nr)
{
	return nr >= 0 && nr < (long)(sizeof(names) / sizeof(*names)) ? names[nr] : NULL;
}
