/* What the system must permit. */
#ifndef GHI_NEEDS_H
#define GHI_NEEDS_H

#include <stdbool.h>

/* Makes each system call that the runtime cannot do without, in a form that does nothing; the name
 * of the first that is refused, or NULL.  After the poller was made, before there is a second
 * thread. */
const char *ghi_needs(void);

/* Go's runtime is in the process, as the program's or a library's: it sets the signal stack, the
 * mask and the handlers of kernel threads by system calls of its own, and is lost when a thread
 * goes on on another. */
bool ghi_needs_kernel_threads(void);

#endif
