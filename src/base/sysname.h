/* Names of system calls.  Owns: the table, made from the kernel's headers at build time. */
#ifndef GHI_BASE_SYSNAME_H
#define GHI_BASE_SYSNAME_H

/* NULL: unknown. */
const char *ghi_sysname(long nr);

#endif
