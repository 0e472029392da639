/* Options of the runtime, one table (config.def), read once from the environment.
 *
 * Owns: the values.  Called by: everything (reads), preload/init.c (ghi_config_load).
 */
#ifndef GHI_BASE_CONFIG_H
#define GHI_BASE_CONFIG_H

#include <stdint.h>

struct ghi_config {
#define OPT(field, var, def, min, max, help) uint64_t field;
#include "src/base/config.def"
#undef OPT
};
extern struct ghi_config ghi_config;
/* Where the report goes, absolute; empty: standard error. */
extern char ghi_report_path[4096];

/* Reads GREENHOOK_*; a bad value is named in one line on stderr and the default is used. */
void ghi_config_load(char **envp);
/* The value of an environment variable, or NULL. */
const char *ghi_config_lookup(char **envp, const char *name);

#endif
