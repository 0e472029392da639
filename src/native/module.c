/* Modules and who uses which version; see include/greenhook/module.h and docs/modules.md.
 *
 * Owns: references to versions, the current one, unloading.  Called by: programs.  Must not know:
 * what is in a file.
 */
#include <dlfcn.h>
#include <errno.h>
#include <greenhook/sched.h>
#include <limits.h>

#include "src/lot.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/native/module.h"
#include "src/native/task_int.h"
#include "src/native/until.h"

static const gh_task_opts own_block = {
    .size = sizeof(own_block), .name = "gh_module", .flags = GH_TASK_OWN_TLS};

static bool good(const gh_module *m)
{
	return m && (uintptr_t)m % sizeof(void *) == 0 &&
	       load_acquire(&m->magic) == GHI_MODULE_MAGIC;
}

static bool good_version(const gh_module_version *v)
{
	return v && (uintptr_t)v % sizeof(void *) == 0 &&
	       load_acquire(&v->magic) == GHI_VERSION_MAGIC;
}

/* In a fork's child: whoever was loading is not there. */
static void renew(void *arg)
{
	gh_module *m = arg;
	m->loading = (gh_mutex)GH_MUTEX_INIT;
	m->loader = 0;
}

static void lock(gh_module *m)
{
	ghi_native_lock(&m->lock, renew, m);
}

static void unlock(gh_module *m)
{
	ghi_native_unlock(&m->lock);
}

static void unref(gh_module *m)
{
	if (fetch_add_acq_rel(&m->refs, (uint32_t)-1) == 1)
		ghi_free(m);
}

/* ---- unloading ------------------------------------------------------------------------------ */

static void release(gh_module_version *v);

static void *end_main(void *arg)
{
	gh_module_version *v = arg;

	gh_task_shield();
	if (v->def.end)
		v->def.end(v->module->host, v->heir ? NULL : v->state);
	gh_blocking_begin();
	dlclose(v->object);
	gh_blocking_end();
	return NULL;
}

/* Also when `end` ended the task: the object, which was to be closed after it, stays. */
static void ended(void *arg, bool failed)
{
	gh_module_version *v = arg;
	gh_module *m = v->module;

	if (v->heir)
		release(v->heir);
	ghi_free(v);
	fetch_add_acq_rel(&m->count, (uint32_t)-1);
	ghi_lot_wake(&m->count, INT_MAX, 0, NULL, NULL);
	unref(m);
}

static void retire(gh_module *m, gh_module_version *v)
{
	lock(m);
	v->next = m->retired;
	m->retired = v;
	unlock(m);
}

/* Without memory for a task they stay where they are until the next time.  The caller has m. */
static void sweep(gh_module *m)
{
	gh_task_opts o = own_block;
	gh_task *t;

	o.flags |= GH_TASK_DETACHED;
	for (;;) {
		lock(m);
		gh_module_version *v = m->retired;
		if (v)
			m->retired = v->next;
		unlock(m);
		if (!v)
			return;
		if (ghi_task_start(&(struct ghi_task_start){.fn = end_main,
							    .arg = v,
							    .opts = &o,
							    .at_end = ended,
							    .no_deadline = true},
				   &t)) {
			retire(m, v);
			return;
		}
	}
}

/* (A2) */
static void release(gh_module_version *v)
{
	gh_module *m = v->module;

	if (fetch_add_acq_rel(&v->refs, (uint32_t)-1) != 1)
		return;
	store_release(&v->magic, 0u);
	fetch_add_relaxed(&m->refs, 1u); /* another sweeper may take it, and the module along */
	retire(m, v);
	sweep(m);
	unref(m);
}

int gh_module_release(gh_module_version *v)
{
	if (!v)
		return 0;
	if (!good_version(v))
		return GHI_BAD(v, "version of a module");
	release(v);
	return 0;
}

/* ---- use ------------------------------------------------------------------------------------ */

/* (A1) */
gh_module_version *gh_module_acquire(gh_module *m)
{
	if (!good(m)) {
		errno = -GHI_BAD(m, "module");
		return NULL;
	}
	lock(m);
	gh_module_version *v = m->current;
	if (v)
		fetch_add_relaxed(&v->refs, 1u);
	unlock(m);
	if (!v)
		errno = ENOENT;
	return v;
}

struct runner {
	gh_module_version *v;
	gh_fn fn;
	void *arg;
};

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	return r->fn(r->arg);
}

static void runner_end(void *arg, bool failed)
{
	struct runner *r = arg;
	release(r->v);
	ghi_free(r);
}

int gh_module_go(gh_module_version *v, gh_fn fn, void *arg, const gh_task_opts *opts)
{
	gh_task_opts o;
	gh_task *t;

	if (!good_version(v))
		return GHI_BAD(v, "version of a module");
	if (!fn)
		return GHI_NULL("function");
	int rc = ghi_task_read_opts(opts, &o);
	if (rc)
		return rc;
	o.size = sizeof(o);
	o.flags |= GH_TASK_DETACHED;
	struct runner *r = ghi_malloc(sizeof(*r));
	if (!r)
		return -EAGAIN;
	*r = (struct runner){v, fn, arg};
	fetch_add_relaxed(&v->refs, 1u);
	rc = ghi_task_start(
	    &(struct ghi_task_start){.fn = runner_main, .arg = r, .opts = &o, .at_end = runner_end},
	    &t);
	if (rc) {
		release(v);
		ghi_free(r);
	}
	return rc;
}

const void *gh_module_calls(gh_module_version *v)
{
	if (good_version(v))
		return v->def.calls;
	errno = -GHI_BAD(v, "version of a module");
	return NULL;
}

void *gh_module_symbol(gh_module_version *v, const char *name)
{
	if (!good_version(v) || !name) {
		errno = name ? -GHI_BAD(v, "version of a module") : -GHI_NULL("name");
		return NULL;
	}
	void *at = dlsym(v->object, name);
	if (!at)
		errno = ENOENT;
	return at;
}

void *gh_module_state(gh_module_version *v)
{
	if (good_version(v))
		return v->state;
	errno = -GHI_BAD(v, "version of a module");
	return NULL;
}

int64_t gh_module_number(gh_module_version *v)
{
	return good_version(v) ? v->number : GHI_BAD(v, "version of a module");
}

int gh_module_current(gh_module_version *v)
{
	return good_version(v) ? load_relaxed(&v->module->current) == v
			       : GHI_BAD(v, "version of a module");
}

/* ---- change --------------------------------------------------------------------------------- */

/* Alone with what is to become of `current`; 0 or -EDEADLK. */
static int begin(gh_module *m)
{
	int32_t me = ghi_native_owner();

	lock(m); /* which makes it new in a fork's child */
	bool again = m->loader == me;
	unlock(m);
	if (again)
		return GHI_MISUSE(-EDEADLK, "the start of a module loads or frees the same module");
	gh_mutex_lock(&m->loading);
	store_relaxed(&m->loader, me);
	return 0;
}

static void finish(gh_module *m)
{
	store_relaxed(&m->loader, 0);
	gh_mutex_unlock(&m->loading);
}

/* (S2), (S3) */
static gh_module_version *put(gh_module *m, gh_module_version *v)
{
	lock(m);
	gh_module_version *old = m->current;
	store_release(&m->current, v);
	unlock(m);
	ghi_lot_wake(&m->count, INT_MAX, 0, NULL, NULL); /* who drains counts without the new one */
	return old;
}

static void load(struct ghi_module_load *l)
{
	gh_module *m = l->module;

	if ((l->result = begin(m)))
		return;
	l->begun = true;
	l->old = m->current; /* its reference is the module's, which nobody else takes away */
	if ((l->result = ghi_module_make(l)) == 0) { /* (S1) */
		gh_module_version *v = l->made;
		v->number = ++m->number;
		if (l->old && v->state && v->state == l->old->state) {
			fetch_add_relaxed(&v->refs, 1u);
			l->old->heir = v;
		}
		put(m, v);
	}
	l->begun = false;
	finish(m);
	if (l->result == 0 && l->old)
		release(l->old);
	sweep(m);
}

static void *load_main(void *arg)
{
	gh_task_shield();
	load(arg);
	return NULL;
}

/* Also when a function of the shared object ended the task: what is there of it stays. */
static void loaded(void *arg, bool failed)
{
	struct ghi_module_load *l = arg;

	if (!l->begun)
		return;
	l->result = ghi_module_gave_up(l);
	finish(l->module);
}

int gh_module_load(gh_module *m, const char *path, char *why, size_t size)
{
	struct ghi_module_load l = {.module = m, .path = path, .why = why, .size = why ? size : 0};
	gh_task *self = ghi_task_running(), *t;
	gh_task_opts o = own_block;

	if (l.size)
		*why = 0;
	if (!good(m))
		return GHI_BAD(m, "module");
	if (!path)
		return GHI_NULL("path");
	if (!self) {
		load(&l);
		return l.result;
	}
	/* The loader's lock belongs to a thread block, which a light one has not for itself.  And
	 * the end of a task in the middle of it must not be the caller's. */
	o.flags |= self->recover ? GH_TASK_RECOVER : 0;
	if (ghi_task_start(
		&(struct ghi_task_start){
		    .fn = load_main, .arg = &l, .opts = &o, .at_end = loaded, .no_deadline = true},
		&t))
		return -EAGAIN;
	gh_task_shield();
	gh_task_join(t, NULL);
	gh_task_unshield();
	return l.result;
}

static int take_out(gh_module *m)
{
	int r = begin(m);
	if (r)
		return r;
	gh_module_version *old = put(m, NULL);
	finish(m);
	if (old)
		release(old);
	sweep(m);
	return old ? 0 : -ENOENT;
}

int gh_module_unload(gh_module *m)
{
	return good(m) ? take_out(m) : GHI_BAD(m, "module");
}

/* ---- life ----------------------------------------------------------------------------------- */

gh_module *gh_module_new(uint32_t interface, void *host)
{
	gh_module *m = ghi_zalloc(sizeof(*m));
	if (!m) {
		errno = ENOMEM;
		return NULL;
	}
	m->refs = 1;
	m->interface = interface;
	m->host = host;
	ghi_native_lock_init(&m->lock);
	store_release(&m->magic, GHI_MODULE_MAGIC);
	return m;
}

static bool others(void *arg)
{
	gh_module *m = arg;
	return load_acquire(&m->count) > (load_acquire(&m->current) != NULL);
}

int gh_module_drain(gh_module *m, gh_time at)
{
	if (!good(m))
		return GHI_BAD(m, "module");
	struct ghi_lot_wait w = {.key = &m->count,
				 .validate = others,
				 .arg = m,
				 .deadline = ghi_native_deadline(at),
				 .why = GHI_PARK_COND};
	int r = 0;

	sweep(m);
	while (others(m) && r != -ETIMEDOUT && r != -ECANCELED)
		r = ghi_lot_wait(&w);
	return others(m) ? r : 0;
}

int gh_module_count(gh_module *m)
{
	return good(m) ? (int)load_acquire(&m->count) : GHI_BAD(m, "module");
}

int gh_module_free(gh_module *m)
{
	if (!m)
		return 0;
	if (!good(m))
		return GHI_BAD(m, "module");
	int r = take_out(m);
	if (r == -EDEADLK)
		return r;
	store_release(&m->magic, 0u);
	unref(m);
	return 0;
}
