/* greenhook: green threads for unmodified pthread programs.
 *
 * A program needs this header for nothing: `greenhook run ./program`, or LD_PRELOAD, is all.  This
 * release offers no functions to call.  The native API (light threads, channels, inspection) comes
 * in a later one; its names will begin with gh_ and GH_.
 *
 * C99 and C++.
 */
#ifndef GREENHOOK_H
#define GREENHOOK_H

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header.  Before 1.0 a change of MINOR may break what was compiled against it.
 */
#define GREENHOOK_VERSION_MAJOR 0
#define GREENHOOK_VERSION_MINOR 1
#define GREENHOOK_VERSION_PATCH 0

/* The same as text, "MAJOR.MINOR.PATCH". */
#define GREENHOOK_VERSION_STRING "0.1.0"

#ifdef __cplusplus
}
#endif

#endif
