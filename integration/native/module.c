/* Modules that are replaced while they run.
 *
 *   module DIR            DIR has v1.so ... v3.so, on.so and the bad ones of test_native_module.py
 *   module DIR stress N   N loads by two threads under traffic of all sorts of threads
 *   module DIR park N     N loads of each of three modules at once, whose code waits in the loader
 */
#include "rc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/handler.h"

static char dir[200], file[256];
static int before;
static struct host host;
static gh_module *module;

static void pause_yield(void)
{
	gh_yield();
}

static const char *in_dir(const char *name)
{
	snprintf(file, sizeof(file), "%s/%s", dir, name);
	return file;
}

/* Lines of /proc/self/maps about versions that are in memory. */
static int mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;
	MUST(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:") && strstr(line, ".so") && strstr(line, "r-xp");
	fclose(f);
	return n;
}

static int answer(int n)
{
	gh_module_version *v = gh_module_acquire(module);
	const struct calls *c = gh_module_calls(v);
	int r = c ? c->handle(&host, gh_module_state(v), n) : -1;
	gh_module_release(v);
	return r;
}

static void misuse(void)
{
	char why[8] = "xxxxxxx";
	int other = 0;
	RC(-EINVAL, gh_module_load(NULL, "x", why, sizeof(why)));
	RC(-EINVAL, gh_module_load((gh_module *)&other, "x", NULL, 0));
	RC(-EINVAL, gh_module_load(module, NULL, NULL, 0));
	RC(-EINVAL, gh_module_unload(NULL));
	RC(-ENOENT, gh_module_unload(module));
	RC(-EINVAL, gh_module_drain(NULL, 0));
	RC(-EINVAL, gh_module_count(NULL));
	RC(0, gh_module_count(module));
	RC(0, gh_module_free(NULL));
	RC(-EINVAL, gh_module_free((gh_module *)&other));
	RC(0, gh_module_release(NULL));
	RC(-EINVAL, gh_module_release((gh_module_version *)&other));
	CHECK(!gh_module_acquire(NULL) && errno == EINVAL);
	CHECK(!gh_module_acquire(module) && errno == ENOENT);
	CHECK(!gh_module_calls(NULL) && errno == EINVAL);
	CHECK(!gh_module_state(NULL) && errno == EINVAL);
	CHECK(!gh_module_symbol(NULL, "x") && errno == EINVAL);
	CHECK(gh_module_number(NULL) == -EINVAL && gh_module_current(NULL) == -EINVAL);
	RC(-EINVAL, gh_module_go(NULL, NULL, NULL, NULL));
}

static void bad(const char *name, int want, const char *said)
{
	char why[512] = "old";
	int r = gh_module_load(module, in_dir(name), why, sizeof(why));
	check_report(r == want && strstr(why, said) && strstr(why, dir), name, why, __LINE__, 0);
	QUIET(answer(1) == 1001 && gh_module_count(module) == 1);
}

static void *many_bad(void *arg)
{
	(void)arg;
	bad("missing.so", -ENOENT, "cannot open");
	bad(".", -ENOEXEC, "regular");
	bad("text.so", -ENOEXEC, "ELF");
	bad("empty.so", -ENOEXEC, "ELF");
	bad("machine.so", -ENOEXEC, "machine");
	bad("program", -ENOEXEC, "");
	bad("undefined.so", -ENOEXEC, "nobody_has_this");
	bad("noentry.so", -EPROTO, "gh_module_entry");
	bad("interface.so", -EPROTO, "interface 8");
	bad("refuse.so", -EXDEV, "start refused");
	char name[32];
	for (int i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "cut%d.so", i);
		bad(name, -ENOEXEC, "");
	}
	return NULL;
}

/* A start that ends the task that it runs on: the caller lives, and the module is not stuck. */
static void *many_ends(void *arg)
{
	bad("exits.so", -ENOTRECOVERABLE, "ended the task");
	if (arg)
		bad("panics.so", -ENOTRECOVERABLE, "ended the task");
	bad("refuse.so", -EXDEV, "start refused");
	return many_ends;
}

static void ends(void)
{
	for (unsigned flags = 0; flags < 8; flags++) {
		bool recover = flags & GH_TASK_RECOVER;
		void *ret = NULL;
		if (flags & GH_TASK_DETACHED)
			continue;
		gh_task *t = gh_task_spawn(many_ends, recover && gh_start() == 0 ? &host : NULL,
					   &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = flags});
		RC(0, gh_task_join(t, &ret));
		CHECK(ret == many_ends);
	}
}

/* An end that ends its task: its version is counted off all the same, and its heir gets its turn.
 */
static void ends_of_ends(void)
{
	static const char *const names[] = {"leaves.so", "leaves_on.so", "v1.so"};
	gh_module_version *oldest = NULL;
	RC(0, gh_module_unload(module));
	RC(0, gh_module_drain(module, gh_after(GH_S(10))));
	int ended = host.ended, owners = host.owners;
	for (int i = 0; i < 3; i++) {
		RC(0, gh_module_load(module, in_dir(names[i]), NULL, 0));
		if (!i)
			oldest = gh_module_acquire(module);
	}
	RC(3, gh_module_count(module));
	RC(0, gh_module_release(oldest));
	RC(0, gh_module_drain(module, gh_after(GH_S(10))));
	RC(1, gh_module_count(module));
	CHECK(host.ended == ended + 2 && host.owners == owners + 1 && answer(1) == 1001);
}

static void life(void)
{
	struct host *h = &host;
	char why[64] = "old";
	RC(0, gh_module_load(module, in_dir("v1.so"), why, sizeof(why)));
	CHECK(!*why && answer(1) == 1001);
	RC(0, gh_module_drain(module, 0));
	many_bad(NULL);
	gh_task *t = gh_task_spawn(many_bad, NULL, NULL);
	RC(0, gh_task_join(t, NULL));
	CHECK(mapped() == 1);

	gh_module_version *v = gh_module_acquire(module);
	int (*version)(void) = (int (*)(void))gh_module_symbol(v, "exported_by_handler");
	CHECK(version && version() == 1);
	CHECK(!gh_module_symbol(v, "handle") && errno == ENOENT);
	CHECK(gh_module_number(v) == 1 && gh_module_current(v) == 1);
	RC(0, gh_module_load(module, in_dir("v2.so"), NULL, 0));
	CHECK(gh_module_number(v) == 1 && gh_module_current(v) == 0 && version() == 1);
	CHECK(answer(1) == 2001 && gh_module_count(module) == 2 && mapped() == 2);
	RC(-ETIMEDOUT, gh_module_drain(module, 0));
	RC(-ETIMEDOUT, gh_module_drain(module, gh_after(GH_MS(10))));
	RC(0, gh_module_release(v));
	RC(0, gh_module_drain(module, gh_after(GH_S(10))));
	CHECK(mapped() == 1 && h->started == 2 && h->ended == 1);

	/* The same path again is another version. */
	RC(0, gh_module_load(module, in_dir("v2.so"), NULL, 0));
	RC(0, gh_module_drain(module, gh_after(GH_S(10))));
	CHECK(h->started == 3 && h->ended == 2 && mapped() == 1);

	/* A state that is handed on: whoever made it goes first, and the last one frees it. */
	h->owners = 0;
	gh_module_version *second = gh_module_acquire(module);
	struct state *s = gh_module_state(second);
	RC(0, gh_module_load(module, in_dir("on.so"), NULL, 0));
	gh_module_version *third = gh_module_acquire(module);
	CHECK(gh_module_state(third) == s && s->handed == 1 && s->version == 2);
	RC(0, gh_module_load(module, in_dir("on.so"), NULL, 0));
	RC(0, gh_module_load(module, in_dir("v1.so"), NULL, 0));
	gh_module_release(third);
	CHECK(gh_module_count(module) == 4 && s->alive && h->ended == 2 && h->owners == 0);
	gh_module_release(second);
	RC(0, gh_module_drain(module, gh_after(GH_S(10))));
	CHECK(h->ended == 5 && h->owners == 1 && mapped() == 1);

	/* A task that is the module's from its first function on. */
	v = gh_module_acquire(module);
	const struct calls *c = gh_module_calls(v);
	RC(-EINVAL, gh_module_go(v, NULL, NULL, NULL));
	RC(-EINVAL, gh_module_go(v, c->run, h, &(gh_task_opts){0}));
	RC(0, gh_module_go(v, c->run, h, NULL));
	RC(0, gh_module_unload(module));
	RC(-ENOENT, gh_module_unload(module));
	gh_module_release(v);
	CHECK(!gh_module_acquire(module) && errno == ENOENT);
	RC(0, gh_module_drain(module, gh_after(GH_S(10))));
	CHECK(h->runs == 1 && mapped() == 0 && h->started == h->ended &&
	      gh_module_count(module) == 0);
	RC(0, gh_module_load(module, in_dir("v1.so"), NULL, 0));
	ends(); /* what had begun stays in memory */
	ends_of_ends();
	RC(0, gh_module_unload(module));
	RC(0, gh_module_drain(module, gh_after(GH_S(10))));
	before = mapped();
}

/* Whoever forks has the version that it has, and can load another one. */
static void *forks(void *arg)
{
	(void)arg;
	RC(0, gh_module_load(module, in_dir("v1.so"), NULL, 0));
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int r = answer(1) != 1001 || gh_module_load(module, in_dir("v3.so"), NULL, 0) ||
			answer(1) != 3001 || gh_module_drain(module, gh_after(GH_S(10))) ||
			mapped() != before + 1;
		_exit(r);
	}
	int status = -1;
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	return NULL;
}

/* ---- stress --------------------------------------------------------------------------------- */

static int stop, served, loads;

static void *traffic(void *arg)
{
	for (int n = (int)(intptr_t)arg; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); n++) {
		gh_module_version *v = gh_module_acquire(module);
		if (!v) {
			gh_yield();
			continue;
		}
		const struct calls *c = gh_module_calls(v);
		int r = c->handle(&host, gh_module_state(v), n % 1000);
		QUIET(r == c->version * 1000 + n % 1000);
		if (n % 7 == 0)
			QUIET(gh_module_go(v, c->run, &host, NULL) == 0);
		gh_module_release(v);
		__atomic_add_fetch(&served, 1, __ATOMIC_RELAXED);
		if (n % 16 == 0)
			gh_yield();
	}
	return NULL;
}

static void *loader(void *arg)
{
	static const char *const names[] = {"v1.so", "v2.so", "on.so",
					    "v3.so", "on.so", "refuse.so"};
	int n = (int)(intptr_t)arg;
	char name[256], why[256];
	for (int i = 0; i < n; i++) {
		const char *which = names[(unsigned)i % 6];
		snprintf(name, sizeof(name), "%s/%s", dir, which);
		int r = gh_module_load(module, name, why, sizeof(why));
		int want = strcmp(which, "refuse.so") ? 0 : -EXDEV;
		check_report(r == want, "load", why, __LINE__, 1);
		__atomic_add_fetch(&loads, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void stress(int n)
{
	enum { TASKS = 24, THREADS = 4 };
	gh_task *t[TASKS], *l[2];
	pthread_t p[THREADS];
	RC(0, gh_module_load(module, in_dir("v1.so"), NULL, 0));
	for (intptr_t i = 0; i < TASKS; i++) {
		gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = i % 3 == 0 ? GH_TASK_OWN_TLS : 0};
		MUST((t[i] = gh_task_spawn(traffic, (void *)i, &o)));
	}
	for (intptr_t i = 0; i < THREADS; i++)
		MUST(!pthread_create(&p[i], NULL, traffic, (void *)(i + 100)));
	l[0] = gh_task_spawn(loader, (void *)(intptr_t)(n / 2), NULL);
	l[1] = gh_task_spawn(loader, (void *)(intptr_t)(n / 2),
			     &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = GH_TASK_OWN_TLS});
	for (int i = 0; i < 2; i++)
		RC(0, gh_task_join(l[i], NULL));
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < TASKS; i++)
		QRC(0, gh_task_join(t[i], NULL));
	for (int i = 0; i < THREADS; i++)
		QUIET(pthread_join(p[i], NULL) == 0);
	RC(0, gh_module_unload(module));
	RC(0, gh_module_drain(module, gh_after(GH_S(60))));
	CHECK(loads == n / 2 * 2 && served > 0 && host.runs > 0);
	CHECK(mapped() == 0 && gh_module_count(module) == 0);
	CHECK(host.started == host.ended && host.wrong == 0);
}

static void *parks(void *arg)
{
	gh_module *m = gh_module_new(INTERFACE_OF_TESTS, &host);
	char name[256], why[256];
	snprintf(name, sizeof(name), "%s/park.so", dir);
	for (int i = 0; i < (int)(intptr_t)arg; i++) {
		int r = gh_module_load(m, name, why, sizeof(why));
		check_report(r == 0, "load", why, __LINE__, 1);
		gh_module_version *v = gh_module_acquire(m);
		QUIET(gh_module_symbol(v, "exported_by_handler") != NULL);
		QRC(0,
		    gh_module_go(v, ((const struct calls *)gh_module_calls(v))->run, &host, NULL));
		QRC(0, gh_module_release(v));
	}
	QRC(0, gh_module_unload(m));
	QRC(0, gh_module_drain(m, gh_after(GH_S(60))));
	QRC(0, gh_module_free(m));
	return NULL;
}

static void park(int n)
{
	gh_task *t[3];
	for (int i = 0; i < 3; i++)
		MUST((t[i] = gh_task_spawn(
			  parks, (void *)(intptr_t)n,
			  &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = i ? 0 : GH_TASK_OWN_TLS})));
	for (int i = 0; i < 3; i++)
		RC(0, gh_task_join(t[i], NULL));
	CHECK(mapped() == 0 && host.started == 3 * n && host.ended == 3 * n && host.runs == 3 * n);
}

int main(int argc, char **argv)
{
	MUST(argc > 1);
	snprintf(dir, sizeof(dir), "%s", argv[1]);
	host.pause = pause_yield;
	MUST((module = gh_module_new(INTERFACE_OF_TESTS, &host)));
	if (argc > 3 && !strcmp(argv[2], "park")) {
		park(atoi(argv[3]));
	} else if (argc > 3) {
		stress(atoi(argv[3]));
	} else {
		misuse();
		life();
		gh_task *t = gh_task_spawn(forks, NULL, NULL);
		RC(0, gh_task_join(t, NULL));
	}
	RC(0, gh_module_free(module));
	RC(-EINVAL, gh_module_release((gh_module_version *)dir));
	return check_done();
}
