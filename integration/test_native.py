"""The native API: programs of integration/native/, linked with the library instead of preloaded.

    native(program, *args, workers=N, env=, timeout=)      one run: must say "done" and exit 0
    every(program, *args)                                   with 1, 2 and 8 workers
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
NATIVE = BUILD / "native"
HOOK_NAMES = ("pthread_create", "read", "__libc_start_main")


@pytest.fixture
def native(run):
    def run_native(program, *args, workers=None, **options):
        env = dict(options.pop("env", {}))
        if workers:
            env["GREENHOOK_WORKERS"] = str(workers)
        done = run(str(NATIVE / program), *args, env=env, **options)
        assert done.status == 0 and not re.search(r"\bFAIL\b", done.out) and "done" in done.out, (
            f"{program}, workers={workers}: status {done.status}\n{done.out[-4000:]}{done.err[-2000:]}")
        return done
    return run_native


@pytest.fixture
def every(native):
    def run_every(program, *args, workers=(1, 2, 8), **options):
        return [native(program, *args, workers=n, **options) for n in workers]
    return run_every


def symbols(path, *options):
    out = subprocess.run(["nm", *options, str(path)], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()
            if len(line.split()) == 3 and line.split()[-2] in "TDBRVWi"}


def hook_names():
    text = (ROOT / "hooks" / "hooks.def").read_text()
    return set(re.findall(r"^HOOK\([^,]+,[^,]+(?:\([^)]*\))?, (\w+),", text, re.M)) | set(
        re.findall(r"^ALIAS\(\w+, (\w+),", text, re.M))


def test_linking_is_enough(every):
    for done in every("first"):
        assert "copies of the shared library: 1" in done.out


def test_the_static_library_brings_everything(every):
    for done in every("first.static"):
        assert "copies of the shared library: 0" in done.out


def test_run_does_not_load_it_twice(run):
    for program, copies in ("first", 1), ("first.static", 0):
        done = run(str(BUILD / "greenhook"), "run", "--workers", "2", NATIVE / program)
        assert done.status == 0 and f"copies of the shared library: {copies}\ndone" in done.out, done


def test_a_preloaded_copy_leaves_the_linked_one_alone(native):
    preload = {"LD_PRELOAD": str(BUILD / "libgreenhook.so")}
    assert "copies of the shared library: 1" in native("first", env=preload).out
    native("first.static", env=preload)


def test_only_the_api_and_the_hooks_are_visible():
    for path, options in ((BUILD / "libgreenhook.so", ["-D", "--defined-only"]),
                          (BUILD / "libgreenhook.a", ["-g", "--defined-only"])):
        seen = {name for name in symbols(path, *options) if not name.startswith("DW.ref.")}
        seen.discard("GREENHOOK_debug_layout")  # for debuggers
        assert "gh_version" in seen and seen.issuperset(HOOK_NAMES)
        assert {name for name in seen if not name.startswith("gh_")} <= hook_names(), path


def test_install_and_pkg_config(tmp_path):
    done = subprocess.run(["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"], cwd=ROOT,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    env = {**os.environ, "PKG_CONFIG_PATH": f"{tmp_path}/usr/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": str(tmp_path)}
    installed = f"{tmp_path}/usr/lib"

    def flags(*options):
        return subprocess.run(["pkg-config", *options], env=env, capture_output=True, text=True, check=True).stdout.split()

    def link(*options):
        return subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-o", tmp_path / "first", ROOT / "integration/native/first.c",
                               *options], capture_output=True, text=True, timeout=60)
    shared = flags("--cflags", "--libs", "greenhook")
    private = flags("--static", "--cflags", "--libs", "greenhook")
    replaced = [f"{installed}/libgreenhook.a" if f == "-lgreenhook" else f for f in private]
    # libdir is not below the sysroot for pkg-config: only -L and -I are.
    archive = [f"{tmp_path}{f}" if f.startswith("/usr/") else f for f in flags("--cflags", "--libs", "greenhook-static")]
    assert f"{installed}/libgreenhook.a" in archive
    for copies, how in (1, shared), (1, private), (0, replaced), (0, archive):
        linked = link(*how)
        assert linked.returncode == 0, linked.stderr
        done = subprocess.run([tmp_path / "first"], env={**os.environ, "LD_LIBRARY_PATH": installed},
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and f"copies of the shared library: {copies}\n" in done.stdout, (how, done.stdout)
    # What the description, the manual and limitations.md say of programs without libc's loader.
    for how in private, archive:
        assert link("-static", *how).returncode != 0
    for module in "greenhook", "greenhook-static":
        said = re.search(r"^Description: (.*)", (tmp_path / f"usr/lib/pkgconfig/{module}.pc").read_text(), re.M).group(1)
        assert re.search(r"\b(not|never)\b.* with -static\b", said), said


def test_tasks_with_thread_local_storage_of_their_own(every):
    every("task", "own")


def test_tasks_on_kernel_threads(native):
    native("task", env={"GREENHOOK": "0"})


def test_groups_and_futures(every, native):
    every("group")
    native("group", env={"GREENHOOK": "0"})


def test_errors_say_what_happened_and_where(every, native):
    every("error", timeout=60)
    native("error", env={"GREENHOOK": "0"}, timeout=60)


# The stack was copied by memcpy, which is the sanitizer's there.
def test_errors_in_a_program_with_address_sanitizer(tmp_path):
    (tmp_path / "p.c").write_text("""
#include <greenhook.h>
#include <string.h>
static void *makes(void *arg)
{
	char before[100], after[100];
	memset(before, 1, sizeof(before));
	memset(after, 2, sizeof(after));
	gh_error *e = gh_error_new(-EIO, "%.*s", 3, (char *)arg);
	return before[1] + after[1] == 3 ? e : NULL;
}
int main(void)
{
	void *e;
	int r = gh_task_join(gh_task_spawn(makes, "abcdef", &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = GH_TASK_OWN_TLS}), &e);
	if (r || strcmp(gh_error_message(e), "abc"))
		return 1;
	gh_error_unref(e);
	gh_error_unref(makes("xyz"));
	return 0;
}
""")
    made = subprocess.run(["gcc", "-std=gnu11", "-fsanitize=address", "-g", "-I", ROOT / "include", "-o", tmp_path / "p", tmp_path / "p.c",
                           f"-L{BUILD}", "-lgreenhook", f"-Wl,-rpath,{BUILD}"], capture_output=True, text=True, timeout=120)
    if made.returncode and "asan" in made.stderr:
        pytest.skip("no libasan")
    assert made.returncode == 0, made.stderr
    done = subprocess.run([tmp_path / "p"], capture_output=True, text=True, timeout=60, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 0, done.stderr


def test_a_program_s_allocator(every, native):
    every("memory")
    native("memory", env={"GREENHOOK": "0"})


def test_objects_lie_where_the_program_wants_them():
    for source in (ROOT / "src/native").glob("*.[ch]"):
        if source.name != "memory.c":
            assert not re.search(r"(?<!\w)(malloc|calloc|realloc|free|strdup|asprintf)\(", source.read_text()), source


def test_timers_call_functions(every, native):
    every("timer")
    native("timer", env={"GREENHOOK": "0"})


# A setgid waited for ever for the kernel's own threads in the process (iou-wrk-), which block all signals.
@pytest.mark.parametrize("ring", ["0", "1", "2"])
def test_files_have_the_same_answers_with_and_without_io_uring(every, ring):
    few = {"GREENHOOK_MAX_WORKERS": "16"} if ring == "1" else {}  # so that some calls go there and some do not
    outputs = {done.out for done in every("disk", env={"GREENHOOK_URING": ring, **few}, timeout=120)}
    assert len(outputs) == 1


# A shutdown in the child woke tasks of the parent's, and locks of groups and futures stayed locked there.
def test_a_fork_s_child_uses_what_others_were_using(every, native):
    every("fork", timeout=120)
    native("fork", env={"GREENHOOK": "0"}, timeout=120)


def test_mistakes_are_errors(every, native):
    every("misuse")
    native("misuse", env={"GREENHOOK": "0"})


def test_mistakes_end_a_debug_run_with_a_text(run, tmp_path):
    listed = [line.split("\t") for line in run(str(NATIVE / "misuse"), "list").out.splitlines() if "\t" in line]
    assert len(listed) > 40
    for n, text in listed:
        done = run(str(NATIVE / "misuse"), n, env={"GREENHOOK_DEBUG": "1", "GREENHOOK_WORKERS": "2"})
        assert done.status == -6 and f"greenhook: *** gh_" in done.err and text in done.err, (text, done)
    program = tmp_path / "misuse"
    subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-DGH_DEBUG", "-I", ROOT / "include", "-o", program, ROOT / "integration/native/misuse.c",
                    f"-L{BUILD}", "-lgreenhook", "-pthread", f"-Wl,-rpath,{BUILD}"], check=True, timeout=120)
    done = run(str(program), "0")
    assert done.status == -6 and listed[0][1] in done.err, done
    assert "compiled with GH_DEBUG" in run(str(program), "1000").out


def test_all_sorts_of_threads_share_channels_and_locks(every):
    every("mix")


def test_every_function_has_a_complete_manual_page(tmp_path):
    exported = {n for n in symbols(BUILD / "libgreenhook.so", "-D", "--defined-only") if n.startswith("gh_")}
    made = subprocess.run(["/usr/bin/python3", ROOT / "docs" / "man3.py", tmp_path, "0"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert {page.stem for page in tmp_path.glob("*.3")} == exported
    for page in tmp_path.glob("*.3"):
        said = subprocess.run(["groff", "-man", "-ww", "-z", page], capture_output=True, text=True).stderr
        assert not said, f"{page.name}: {said}"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    made = tmp_path_factory.mktemp("man3")
    subprocess.run(["/usr/bin/python3", ROOT / "docs/man3.py", made, "0"], check=True, timeout=60)

    def shown(name):
        """The page as a terminal of 120 columns shows it, without the margin."""
        done = subprocess.run(["groff", "-man", "-ww", "-rLL=120n", "-Tutf8", "-P-cbou", made / f"{name}.3"],
                              capture_output=True, text=True, check=True)
        assert not done.stderr, done.stderr
        return [line.strip() for line in done.stdout.replace("\u2010", "-").splitlines()]
    return shown


def test_examples_in_manual_pages_keep_their_lines(page):
    at = page("gh_select").index("gh_case c[] = {GH_RECV(jobs, &job), GH_READABLE(fd), GH_AT(gh_after(GH_S(1)))};")
    assert page("gh_select")[at + 1] == "switch (gh_select(c, 3)) ..."


@pytest.mark.parametrize("name, lines", [
    ("gh_select", ["typedef struct gh_case {", "} gh_case;", "#define GH_SEND(chan, element) /* initialises a gh_case */",
                   "#define GH_RECV(chan, element) /* initialises a gh_case */", "#define GH_S(n) ((gh_time)(n)*1000000000)"]),
    ("gh_select_try", ["typedef struct gh_case {", "#define GH_AT(time) /* initialises a gh_case */"]),
    ("gh_task_spawn", ["typedef void *(*gh_fn)(void *arg);", "typedef struct gh_task_opts {", "size_t stack_size; /* bytes of address space, committed as they are used */",
                       "#define GH_TASK_OWN_TLS 2u /* thread-local storage of its own, as a pthread has */",
                       "#define GH_TASK_OPTS_SIZE sizeof(gh_task_opts)"]),
    ("gh_group_new", ["#define GH_GROUP_CANCEL_ON_ERROR 1u /* the first failure cancels the other members */"]),
    ("gh_group_spawn", ["typedef int (*gh_group_fn)(void *arg);", "typedef struct gh_task_opts {"]),
    ("gh_mutex_init", ["typedef struct gh_mutex { ... } gh_mutex;", "GH_MUTEX_CHECKED = 1,   /* -EDEADLK and -EPERM instead of a hang */"]),
    ("gh_net_set", ["GH_NET_BROADCAST = 6, /* 0 or 1: datagrams to all */"]),
    ("gh_chan_new", ["#define GH_CHAN_UNBOUNDED SIZE_MAX", "#define GH_CHAN_DEFINE(name, type)"]),
    ("gh_proc_spawn", ["typedef struct gh_proc_opts {", "#define GH_PROC_OPTS_INIT /* initialises a gh_proc_opts */"]),
    ("gh_stats", ["struct gh_stats {"]),
    ("gh_addr_text", ["typedef struct gh_addr {", "#define GH_ADDR_TEXT 128"]),
])
def test_manual_pages_show_the_types_and_macros_of_a_function(page, name, lines):
    shown = page(name)
    assert set(lines) <= set(shown), set(lines) - set(shown)
    assert shown.index(lines[0]) < shown.index("Link with -lgreenhook.")


def test_manual_pages_show_nothing_that_does_not_belong(page):
    assert not [line for line in page("gh_yield") if line.startswith(("#define", "typedef"))]
    assert not [line for line in page("gh_mutex_init") if "opaque" in line or "GH_COND" in line]


@pytest.mark.parametrize("damage, complaint", [
    (("Parks: no.", ""), "Parks"),
    ((" * Since: 0.2", ""), "Since"),
    (("ns: a length in nanoseconds.", "A length."), "parameter ns"),
    (("Returns: a gh_time", "Gives a gh_time"), "Returns"),
])
def test_an_incomplete_comment_is_found(tmp_path, damage, complaint):
    (tmp_path / "docs").mkdir()
    (tmp_path / "include/greenhook").mkdir(parents=True)
    (tmp_path / "docs/man3.py").write_text((ROOT / "docs/man3.py").read_text())
    text = (ROOT / "include/greenhook/base.h").read_text()
    at = text.index("/* The point in time that is")
    assert damage[0] in text[at:]
    (tmp_path / "include/greenhook/base.h").write_text(text[:at] + text[at:].replace(*damage, 1))
    made = subprocess.run(["/usr/bin/python3", tmp_path / "docs/man3.py", tmp_path / "out"], capture_output=True, text=True)
    assert made.returncode == 1 and "gh_after" in made.stderr and complaint in made.stderr, made.stderr


@pytest.mark.parametrize("compiler", ["gcc", "g++", "clang", "clang++"])
def test_headers_compile_alone(tmp_path, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    language, standards = ("c++", ["c++17"]) if compiler.endswith("++") else ("c", ["c11", "c17"])
    headers = [ROOT / "include/greenhook.h", *(ROOT / "include/greenhook").glob("*.h")]
    for header in headers:
        for standard in standards:
            source = f"#include <{header.relative_to(ROOT / 'include')}>\n#include <{header.relative_to(ROOT / 'include')}>\nint main(void) {{ return 0; }}\n"
            done = subprocess.run([compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                                   "-fsyntax-only", "-I", ROOT / "include", "-"], input=source, capture_output=True, text=True)
            assert done.returncode == 0, f"{header.name} {standard}: {done.stderr}"


@pytest.mark.parametrize("compiler, language", [("gcc", "c11"), ("clang", "c17"), ("g++", "c++17"), ("clang++", "c++17")])
def test_macros_are_for_both_languages(tmp_path, compiler, language):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    done = subprocess.run([compiler, "-x", language.rstrip("0123456789"), f"-std={language}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                           "-I", ROOT / "include", "-o", tmp_path / "macros", ROOT / "integration/native/lib/macros.c", "-x", "none",
                           BUILD / "libgreenhook.so"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    subprocess.run([tmp_path / "macros"], check=True, timeout=30, env={**os.environ, "LD_LIBRARY_PATH": str(BUILD)})


# ---- light gthreads ------------------------------------------------------------------------------------


def test_tasks(every):
    """They are light, unless they ask for thread-local storage of their own."""
    every("task")


def test_what_a_light_task_shares_and_what_not(every):
    every("light", timeout=60)


def test_light_tasks_full_ones_and_kernel_threads_together(every):
    every("light", "together", "4", timeout=60)


def test_a_parked_light_task_takes_a_page_and_little_more(native):
    """One page of stack, with the struct; the handle; its share of the page tables."""
    each = int(re.search(r"bytes per task: (\d+)", native("light", "memory", "100000", timeout=120).out).group(1))
    assert 4096 < each <= 4.3 * 1024 + 100


def test_stack_overflow_in_a_light_task_is_reported(run):
    done = run(str(NATIVE / "light"), "overflow")
    assert done.status == -11 and "stack overflow" in done.err and "recurse" in done.err, done


# Functions that look at the address of the thread block, and why that is right although light gthreads
# share their worker's: nothing in them parks between the look and the use.
LOOKS_AT_THE_BLOCK = {
    "entry": "the helper's first code: a kernel thread of libc's",
    "enter_block": "the start, on main",
    "fakes_of": "signals blocked; nothing parks before it is put back",
    "fill_head": "makes a block out of the creator's",
    "ghi_hold": "a light gthread is not in the list",
    "ghi_held_drop": "signals deferred; a light gthread is not in the list",
    "ghi_held_jump": "signals deferred; a light gthread is not in the list",
    "ghi_lot_after_fork": "in a fork's child",
    "ghi_lot_wait": "only when the caller is no gthread",
    "ghi_robust_lend": "one section under a lock",
    "ghi_robust_take_back": "one section under a lock",
    "ghi_runtime_ensure": "the start, on main",
    "ghi_selftest": "in a child process",
    "ghi_tls_after_fork": "in a fork's child",
    "ghi_tls_enter": "never on a light gthread",
    "ghi_tls_exit": "never on a light gthread",
    "ghi_tls_probe": "the start, on main",
    "ghi_vfork_begin": "the kernel thread runs nothing else until the child has gone",
    "join": "only when the caller is no gthread",
    "note_module": "lists the loaded modules, parks never",
    "pthread_getattr_np": "compares it with the argument",
}


def test_no_function_keeps_an_address_in_the_thread_block():
    """What was found through %fs before a park belongs to another kernel thread's gthread after it."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", BUILD / "libgreenhook.so"], capture_output=True,
                          text=True, check=True).stdout
    name, found = None, {}
    for line in text.splitlines():
        start = re.match(r"[0-9a-f]+ <([\w.]+)>:", line)
        name = start.group(1).split(".")[0] if start else name
        if re.search(r"\b(mov|add|lea)\s+%fs:0x0(,|$)", line):
            found.setdefault(name, line)
    assert set(found) <= set(LOOKS_AT_THE_BLOCK), {k: v for k, v in found.items() if k not in LOOKS_AT_THE_BLOCK}
    assert set(found) >= {"fill_head", "ghi_tls_exit"}, "the pattern finds nothing any more"


def test_errno_is_looked_for_each_time():
    """libc declares __errno_location const; under that declaration a compiler calls it once per function."""
    with_const = re.compile(r"__errno_location.*__attribute_const__")
    header = (ROOT / "src/base/symver.h").read_text()
    assert "ghi_errno_location" in header and not with_const.search(header)
    for source in [*ROOT.glob("src/**/*.c"), *ROOT.glob("hooks/*.c")]:
        assert "__errno_location" not in source.read_text(), source


# ---- panics, faults, counters ----------------------------------------------------------------------------


def test_the_report_of_a_fault_in_a_task(run):
    """Its function is named though nobody exports it, and an overflow comes with the way out."""
    for workers in "1", "2", "8":
        done = run(str(NATIVE / "panic"), "end", "3", env={"GREENHOOK_WORKERS": workers})
        assert done.status == -11 and "started as fails_in_task (0x" in done.err
        assert re.search(r"greenhook: stack overflow: \d+ KiB used of \d+ KiB; gh_task_opts.stack_size gives a task more\n", done.err)
        done = run(str(NATIVE / "panic"), "end", "1", env={"GREENHOOK_WORKERS": workers})
        assert done.status == -11 and "started as fails_in_task (0x" in done.err and "overflow" not in done.err


def test_a_panic_or_a_fault_may_end_the_task_alone(every):
    """An overflow was reported by several at once, one of which parked on the alternate stack that the next one used."""
    for done in every("panic", timeout=60):
        assert 'panic in task "panic": number 7' in done.err and "stack overflow" in done.err


def test_otherwise_it_ends_the_process(run):
    for args, status, said in ((("main",), -6, "*** panic: in main"),
                               (("end", "0"), -6, "number 7"),
                               (("end", "1"), -11, "SIGSEGV"),
                               (("end", "2"), -8, "SIGFPE"),
                               (("end", "3"), -11, "stack overflow"),
                               (("twice", "0"), -6, "again")):
        done = run(str(NATIVE / "panic"), *args, env={"GREENHOOK_WORKERS": "2"})
        assert done.status == status and said in done.err, (args, done)


def test_cxx_in_light_tasks(native, tmp_path):
    program = tmp_path / "cxx"
    subprocess.run(["g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", ROOT / "include",
                    "-o", program, ROOT / "integration/native/cxx.cc", f"-L{BUILD}", "-lgreenhook", f"-Wl,-rpath,{BUILD}"],
                   check=True, timeout=120)
    for workers in 1, 2, 8:
        native(program, workers=workers)


# A group's members were never freed, a future whose function ended by gh_task_exit never set, a wake-up of an event lost.
def test_tasks_that_are_left_in_the_middle(every):
    every("corners")


# A select on descriptors did not see the deadline, what was started during a shutdown was not cancelled, and a shutdown
# that had counted a task that was refused afterwards was not told.
def test_ends_of_tasks_on_kernel_threads(native):
    native("corners", "end", env={"GREENHOOK": "0"})


# Plain waits did not expect a cancellation where there is no gthread.
def test_cancelled_in_plain_waits_on_kernel_threads(native):
    native("corners", "kernel")


# ---- priorities, pinning, budget, a group's policy ------------------------------------------------------------


def test_priorities_and_ageing(every):
    for done in every("prio"):
        assert 'panic in task "prio": in a group that recovers' in done.err


def test_pinned_to_a_slot(every):
    every("prio", "pin")
    # Woken by whoever makes them runnable, not by the monitor's next look.
    every("prio", "pin", env={"GREENHOOK_MONITOR_US": "100000"})


def test_priorities_and_pinning_at_once(every):
    every("prio", "stress", "3", timeout=120)


def test_whoever_waits_for_what_has_not_begun_lets_it_run(every, native):
    every("handover", timeout=120)
    native("handover", env={"GREENHOOK": "0"}, timeout=120)


def test_others_have_turns_while_two_hand_over_to_each_other(every):
    every("handover", "turns", timeout=120)


def test_hand_over_stress(every):
    every("handover", "stress", "3", timeout=120)


def test_priorities_where_tasks_are_kernel_threads(native):
    native("prio", "kernel", env={"GREENHOOK": "0"})


def test_the_policy_of_a_group_is_its_members(run):
    done = run(str(NATIVE / "prio"), "end", env={"GREENHOOK_WORKERS": "2"})
    assert done.status == -6 and "in a group that recovers" in done.err and "some checks" not in done.out
