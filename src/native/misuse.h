/* Mistakes of the caller: an error, or, with GREENHOOK_DEBUG=1, the end with a clear text.
 *
 * Owns: nothing.  Called by: src/native/, where a function refuses what it was given.  Must not
 * know: objects.
 */
#ifndef GHI_NATIVE_MISUSE_H
#define GHI_NATIVE_MISUSE_H

/* err; or says "function: text" and aborts, whose report has the caller's frames. */
int ghi_misuse(const char *function, int err, const char *fmt, ...)
    __attribute__((cold, noinline, format(printf, 3, 4)));
/* -EINVAL for a handle that is none. */
int ghi_misuse_handle(const char *function, const void *handle, const char *what)
    __attribute__((cold, noinline));

#define GHI_MISUSE(err, ...)  ghi_misuse(__func__, err, __VA_ARGS__)
#define GHI_NULL(what)	      ghi_misuse(__func__, -EINVAL, "the " what " is NULL")
#define GHI_BAD(handle, what) ghi_misuse_handle(__func__, handle, what)
#define GHI_OUTSIDE()	      ghi_misuse(__func__, -EPERM, "the caller is no task")

#endif
