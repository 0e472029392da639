/* The version, time, starting the runtime; see include/greenhook/base.h.
 *
 * Owns: nothing.  Called by: programs.  Must not know: tasks.
 */
#include <errno.h>

#include <greenhook/base.h>
#include "src/base/clock.h"
#include "src/native/native.h"
#include "src/runtime.h"

int *gh_errno_location(void)
{
	return ghi_errno_location();
}

int gh_version(void)
{
	return GREENHOOK_VERSION_NUMBER;
}

gh_time gh_now(void)
{
	return (gh_time)ghi_now();
}

gh_time gh_after(gh_time ns)
{
	gh_time now = gh_now();
	return ns >= GH_FOREVER - now ? GH_FOREVER : now + ns;
}

int gh_start(void)
{
	if (ghi_runtime_ensure())
		return 0;
	return ghi_runtime_inert() ? -EPERM : -EAGAIN;
}
