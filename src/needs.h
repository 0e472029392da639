/* What the system must permit. */
#ifndef GHI_NEEDS_H
#define GHI_NEEDS_H

/* Makes each system call that the runtime cannot do without, in a form that does nothing; the name
 * of the first that is refused, or NULL.  After the poller was made, before there is a second
 * thread. */
const char *ghi_needs(void);

#endif
