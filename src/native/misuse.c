/* Mistakes of the caller; see misuse.h and gh_debug(). */
#include <errno.h>
#include <greenhook/base.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include "src/base/atomic.h"
#include "src/base/report.h"
#include "src/native/misuse.h"

int gh_debug(int on)
{
	return (int)__atomic_exchange_n(&ghi_config.debug, (uint64_t)(on != 0), __ATOMIC_RELAXED);
}

int ghi_misuse(const char *function, int err, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!load_relaxed(&ghi_config.debug))
		return err;
	va_start(ap, fmt);
	ghi_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	ghi_say("*** %s: %s", function, text);
	abort();
}

int ghi_misuse_handle(const char *function, const void *handle, const char *what)
{
	if (!handle)
		return ghi_misuse(function, -EINVAL, "the %s is NULL", what);
	return ghi_misuse(function, -EINVAL,
			  "%p is no %s: it was given up (joined, closed, freed), or never was one",
			  handle, what);
}
