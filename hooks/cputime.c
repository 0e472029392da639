/* CPU-time clocks of threads. */
#include "hooks/hook.h"

EXPORT int pthread_getcpuclockid(pthread_t t, clockid_t *c)
{
	struct ghi_gthread *g = ghi_hook_gthread_of(t);
	if (!g)
		return REAL(pthread_getcpuclockid)(t, c);
	*c = CLOCK_PROCESS_CPUTIME_ID;
	return 0;
}
