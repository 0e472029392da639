/* Modules inside: what module.c and module_load.c share.  docs/modules.md is the protocol.
 *
 * Owns: struct gh_module, struct gh_module_version.  Included by: src/native/module*.c.  Must not
 * know: tasks.
 */
#ifndef GHI_NATIVE_MODULE_H
#define GHI_NATIVE_MODULE_H

#include <greenhook/module.h>
#include <greenhook/sync.h>

#include "src/native/renew.h"

#define GHI_MODULE_MAGIC  0x656c646du
#define GHI_VERSION_MAGIC 0x6e737276u

struct gh_module_version {
	uint32_t magic;
	uint32_t refs;
	struct gh_module *module;
	void *object;			/* of dlopen */
	struct gh_module_def def;	/* a copy */
	void *state;			/* set by its start, before anybody sees the version */
	struct gh_module_version *heir; /* whom the state was handed to */
	struct gh_module_version *next; /* of the retired ones; under the module's lock */
	int64_t number;
};

struct gh_module {
	uint32_t magic;
	uint32_t refs;
	uint32_t interface;
	void *host;
	struct ghi_native_lock lock;
	struct gh_module_version *current; /* under the lock; looked at without by drain */
	struct gh_module_version *retired; /* under the lock */
	uint32_t count;			   /* versions in memory; drain waits on its address */
	gh_mutex loading;		   /* held while `current` is about to be changed */
	int32_t loader;			   /* who holds it */
	int64_t number;			   /* of the newest; under `loading` */
};

/* What a load is about, and what became of it. */
struct ghi_module_load {
	struct gh_module *module;
	const char *path;
	char *why;
	size_t size;
	struct gh_module_version *old; /* the one in use, for start */
	struct gh_module_version *made;
	int result;
	bool begun; /* it has `loading` */
};

/* A version out of a file, started, with nobody's reference: 0 and l->made, or -errno and the
 * reason in l->why.  Not on a light gthread. */
int ghi_module_make(struct ghi_module_load *l);
/* The reason is that the task ended in there: -ENOTRECOVERABLE. */
int ghi_module_gave_up(struct ghi_module_load *l);

#endif
