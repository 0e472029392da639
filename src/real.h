/* The few libc functions that src/ itself calls although hooks/ replaces them: addresses taken from
 * libc's own handle, so neither our hooks nor a sanitizer's interceptors see the runtime's calls.
 */
#ifndef GHI_REAL_H
#define GHI_REAL_H

#include <pthread.h>
#include <signal.h>
#include <time.h>

extern int (*ghi_real_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
				      void *);
extern void (*ghi_real_pthread_exit)(void *);
extern int (*ghi_real_pthread_setcancelstate)(int, int *);
extern int (*ghi_real_pthread_setcanceltype)(int, int *);
extern pid_t (*ghi_real_Fork)(void); /* NULL before glibc 2.34 */
extern int (*ghi_real_clock_gettime)(clockid_t, struct timespec *);
extern int (*ghi_real_sigaction)(int, const struct sigaction *, struct sigaction *);

#endif
