/* Pins every libc symbol that moved in glibc 2.34 to the version it had before, so that a library
 * built here loads on glibc 2.31.  Force-included in every object of the library (Makefile). */
#if defined(__x86_64__) && !defined(GHI_NO_SYMVER)
__asm__(".symver __pthread_register_cancel, __pthread_register_cancel@GLIBC_2.3.3");
__asm__(".symver _pthread_cleanup_push, _pthread_cleanup_push@GLIBC_2.2.5");
__asm__(".symver _pthread_cleanup_pop, _pthread_cleanup_pop@GLIBC_2.2.5");
__asm__(".symver __pthread_unregister_cancel, __pthread_unregister_cancel@GLIBC_2.3.3");
__asm__(".symver dladdr, dladdr@GLIBC_2.2.5");
__asm__(".symver dladdr1, dladdr1@GLIBC_2.3.3");
__asm__(".symver dlerror, dlerror@GLIBC_2.2.5");
__asm__(".symver dlclose, dlclose@GLIBC_2.2.5");
__asm__(".symver dlinfo, dlinfo@GLIBC_2.3.3");
__asm__(".symver dlopen, dlopen@GLIBC_2.2.5");
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");
__asm__(".symver pthread_attr_getaffinity_np, pthread_attr_getaffinity_np@GLIBC_2.3.4");
__asm__(".symver pthread_attr_getguardsize, pthread_attr_getguardsize@GLIBC_2.2.5");
__asm__(".symver pthread_attr_getstack, pthread_attr_getstack@GLIBC_2.2.5");
__asm__(".symver pthread_attr_getstacksize, pthread_attr_getstacksize@GLIBC_2.2.5");
__asm__(".symver pthread_attr_setaffinity_np, pthread_attr_setaffinity_np@GLIBC_2.3.4");
__asm__(".symver pthread_attr_setguardsize, pthread_attr_setguardsize@GLIBC_2.2.5");
__asm__(".symver pthread_attr_setstack, pthread_attr_setstack@GLIBC_2.2.5");
__asm__(".symver pthread_attr_setstacksize, pthread_attr_setstacksize@GLIBC_2.2.5");
__asm__(".symver pthread_barrierattr_getpshared, pthread_barrierattr_getpshared@GLIBC_2.3.3");
__asm__(".symver pthread_getattr_default_np, pthread_getattr_default_np@GLIBC_2.18");
__asm__(".symver sem_init, sem_init@GLIBC_2.2.5");
#endif

/* A light gthread may go on on another thread block, with another errno, wherever it parks.  libc
 * declares the function that finds errno `const`, and compilers then keep its result; under this
 * name they call it each time. */
#if !defined(__ASSEMBLER__)
#include <errno.h>
extern int *ghi_errno_location(void) __asm__("__errno_location");
#undef errno
#define errno (*ghi_errno_location())
#endif
