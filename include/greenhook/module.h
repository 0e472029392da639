/* greenhook/module.h: shared objects that are replaced while the program runs.
 *
 * A module is "the handler, whatever version it has at the moment":
 *
 *   1. gh_module_new(), then gh_module_load() with the path of a shared object;
 *   2. around each use gh_module_acquire() and gh_module_release(), or gh_module_go() for a task
 *      that runs the module's code;
 *   3. gh_module_load() again with the new file: who acquires from now on gets the new version, and
 *      the old one is unloaded when the last one has released it;
 *   4. gh_module_free(), in the end.
 *
 * The shared object defines gh_module_entry:
 *
 *   const gh_module_def gh_module_entry = {GH_MODULE_DEF_SIZE, .interface = 1, .calls = &my_calls};
 */
#ifndef GREENHOOK_MODULE_H
#define GREENHOOK_MODULE_H

#include <greenhook/task.h>

/* A module, opaque. */
typedef struct gh_module gh_module;

/* One version of a module, in memory, opaque. */
typedef struct gh_module_version gh_module_version;

/* What a shared object says of itself, for gh_module_load(); fields that are zero mean nothing. */
typedef struct gh_module_def {
	size_t size;	    /* sizeof(gh_module_def), always: the structure may grow */
	uint32_t interface; /* which version of the program's interface it was made for */
	const char *name;   /* of this version, for people */
	const void *calls;  /* a table of functions, as program and module agreed */
	/* Before the version is used.  host: of gh_module_new(); old: the state of the version in
	 * use, or NULL; *state: NULL, to be set to this version's state.  0, or a negative errno:
	 * it is not taken, and the old one stays.  The old one's tasks run meanwhile.  Called by a
	 * task, gh_module_load() has another one run it.  With *state = old the state is handed on:
	 * it belongs to the new version. */
	int (*start)(void *host, void *old, void **state);
	/* When nobody uses the version any more, before it is unloaded; state: NULL when it was
	 * handed on.  On a task of its own. */
	void (*end)(void *host, void *state);
} gh_module_def;

/* const gh_module_def gh_module_entry = {GH_MODULE_DEF_SIZE, .interface = 1}; */
#define GH_MODULE_DEF_SIZE sizeof(gh_module_def)

GH_BEGIN_DECLS

/* Defined by each shared object; not by the program. */
GH_API extern const gh_module_def gh_module_entry;

/* Makes a module, which has no version yet.
 *
 * interface: the program's number for what it expects of a shared object; those whose
 * gh_module_entry says another one are refused.  host: handed to the functions of the module;
 * greenhook does not look at it.
 *
 * Returns: a module, for gh_module_free(), or NULL with errno
 *   ENOMEM  no memory
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API gh_module *gh_module_new(uint32_t interface, void *host);

/* Loads a shared object as the new version of a module.
 *
 * The file is copied into memory first, so it may be overwritten or removed afterwards, and the
 * same path gives what is there now.  Its constructors and the start of its gh_module_entry run
 * before anybody sees the version; then it takes the place of the one in use, which is unloaded as
 * soon as nobody has it any more (gh_module_release).  When anything fails the version in use stays
 * as it was.  Two loads of a module come one after the other.
 *
 * path: of the file.  why: NULL, or room for size bytes: what failed, in words, ended by a zero; an
 * empty text on success.
 *
 * Returns: 0, or
 *   -EINVAL  not a module, or path is NULL
 *   -ENOENT  there is no such file
 *   -EACCES  it may not be read
 *   -ETXTBSY  it was changed while it was read
 *   -ENOEXEC  it is no shared object for this machine, is cut off, or the loader refuses it
 *   -EPROTO  it has no gh_module_entry, or one for another interface
 *   -EDEADLK  the caller is a start function of this very module
 *   -ENOTRECOVERABLE  its start ended the task (gh_task_exit; a panic or a fault, where the caller
 *            is one of GH_TASK_RECOVER); what it made until then stays in memory
 *   -ENOMEM  no memory
 *   -EAGAIN  no memory for the task that does it when a task calls
 *   other negative values: what the start of the module returned, or what open(2) or read(2) may
 *            give for the file
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: dlopen(3), Erlang's code:load_file
 * Since: 0.2
 */
GH_API int gh_module_load(gh_module *module, const char *path, char *why, size_t size);

/* Takes the current version of a module out of use.
 *
 * It is unloaded when nobody has it any more; the module has no version then, until the next
 * gh_module_load().
 *
 * Returns: 0, or
 *   -EINVAL  not a module
 *   -ENOENT  it has no version
 *   -EDEADLK  the caller is a start function of this very module
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_module_unload(gh_module *module);

/* Waits until all versions of a module but the current one have been unloaded.
 *
 * at: nanoseconds of CLOCK_MONOTONIC; past: looks once.
 *
 * Returns: 0, or
 *   -EINVAL  not a module
 *   -ETIMEDOUT  some are still in use
 *   -ECANCELED  the calling task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_module_drain(gh_module *module, gh_time at);

/* How many versions of a module are in memory, with the current one.
 *
 * Returns: a number, or
 *   -EINVAL  not a module
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_module_count(gh_module *module);

/* Takes the current version out of use and gives up the module.
 *
 * NULL is fine.  Does not wait for those who use a version: what they acquired stays until they
 * release it.
 *
 * Returns: 0, or
 *   -EINVAL  not a module
 *   -EDEADLK  the caller is a start function of this very module
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes (once).  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_module_free(gh_module *module);

/* Takes the current version of a module for use.
 *
 * Until it is released it stays in memory, whatever is loaded meanwhile.
 *
 * Returns: a version, for gh_module_release(), or NULL with errno
 *   EINVAL  not a module
 *   ENOENT  it has no version
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API gh_module_version *gh_module_acquire(gh_module *module);

/* Gives a version back.
 *
 * NULL is fine.  With the last one of a version that is not current any more it is unloaded, by a
 * task of its own.  Not to be called by the module's own code, which may be gone on the return: a
 * task that runs such code from its beginning is started by gh_module_go().
 *
 * Returns: 0, or
 *   -EINVAL  not a version
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_module_release(gh_module_version *version);

/* Starts a detached task that runs code of a version.
 *
 * It runs fn(arg), and has the version until it has ended, however it ends, with all that it
 * deferred.  What fn returns is not looked at.  The caller has version acquired during the call.
 * arg belongs to the caller and the task; opts: as in gh_go().
 *
 * Returns: 0, or
 *   -EINVAL  not a version, fn is NULL, opts->size is 0, or an option has no meaning; no such slot
 *   -E2BIG  opts->size is larger than this library knows, and what it does not know is set
 *   -EBUSY  GH_TASK_PINNED, and the caller has a kernel thread of its own (gh_own_thread)
 *   -EAGAIN  there is no memory for it, or, where tasks are kernel threads, no more of them
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: gh_go(3)
 * Since: 0.2
 */
GH_API int gh_module_go(gh_module_version *version, gh_fn fn, void *arg, const gh_task_opts *opts);

/* The table of functions of a version.
 *
 * version: acquired by the caller.
 *
 * Returns: the field calls of its gh_module_entry, good until it is released; NULL with errno
 *   EINVAL  not a version
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API const void *gh_module_calls(gh_module_version *version);

/* The address of a symbol of a version.
 *
 * version: acquired by the caller.  name: of a function or variable that the shared object, or one
 * that it was linked with, exports.
 *
 * Returns: an address, good until it is released; NULL with errno
 *   EINVAL  not a version, or name is NULL
 *   ENOENT  none of them exports such a name
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: dlsym(3)
 * Since: 0.2
 */
GH_API void *gh_module_symbol(gh_module_version *version, const char *name);

/* The state that the start of a version has set.
 *
 * version: acquired by the caller.
 *
 * Returns: the state, NULL if it has none; NULL with errno
 *   EINVAL  not a version
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API void *gh_module_state(gh_module_version *version);

/* Which version this is.
 *
 * version: acquired by the caller.
 *
 * Returns: 1 for the first that the module took, 2 for the second, and so on, or
 *   -EINVAL  not a version
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API int64_t gh_module_number(gh_module_version *version);

/* Is this version the current one?
 *
 * For those who have one for long: they may want to end their connection and let it go.
 *
 * version: acquired by the caller.
 *
 * Returns: 1: yes, 0: another one took its place, or
 *   -EINVAL  not a version
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API int gh_module_current(gh_module_version *version);

GH_END_DECLS

#endif
