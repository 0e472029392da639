"""Programs built with a sanitizer: what it does not report natively it does not report green, and its finds are found.

The programs are in programs/sanitized; they are built here, by each compiler that the machine has. docs/sanitizers.md
"""
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import LIBRARY, ROOT, environment, killed_after, need_library

SOURCES = ROOT / "integration" / "programs" / "sanitized"
BUILD = ROOT / "build"
WORKERS = (1, 2, 8)
# The second is for the tests' time only: names of functions cost a process each.
OPTIONS = {"ASAN_OPTIONS": "symbolize=0", "LSAN_OPTIONS": "symbolize=0", "TSAN_OPTIONS": "atexit_sleep_ms=0:symbolize=0"}
AFTER_RETURN = {**OPTIONS, "ASAN_OPTIONS": "symbolize=0:detect_stack_use_after_return=1"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """build(source, compiler, sanitizer): the program; skips where there is no such compiler or runtime."""
    folder, known = tmp_path_factory.mktemp("sanitized"), {}

    def build(source, compiler, sanitizer, *flags):
        key = (source, compiler, sanitizer)
        if key not in known:
            target = folder / "-".join(key)
            tool = compiler if source.endswith(".c") else {"gcc": "g++", "clang": "clang++"}[compiler]
            if not shutil.which(tool):
                pytest.skip(f"no {tool}")
            made = subprocess.run([tool, "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread", f"-fsanitize={sanitizer}",
                                   "-o", target, SOURCES / source, *flags], capture_output=True, text=True, timeout=120)
            if made.returncode and re.search(r"cannot find|no such file", made.stderr, re.I):
                pytest.skip(f"{tool} has no runtime for -fsanitize={sanitizer}")
            assert made.returncode == 0, made.stderr
            known[key] = target
        return known[key]
    return build


@pytest.fixture(params=["gcc", "clang"])
def compiler(request):
    return request.param


def start(program, *args, workers=None, env=OPTIONS, **options):
    """workers: green with that many."""
    if not workers:
        return subprocess.Popen([program, *args], env=environment("native", None, env), text=True, **options)
    need_library()
    env = environment("green", workers, env)
    del env["LD_PRELOAD"]  # `greenhook run` knows what must come before the library
    env["GREENHOOK_LIBRARY"] = str(LIBRARY)
    return subprocess.Popen([BUILD / "greenhook", "run", program, *args], env=env, text=True, **options)


def run(program, *args, **options):
    """(status, stdout, stderr)"""
    with killed_after(start(program, *args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)) as process:
        out, err = process.communicate()
        return process.returncode, out, err


def agree(program, *args, **options):
    native = run(program, *args, **options)
    assert native[0] == 0 and native[2] == "", native
    for workers in WORKERS:
        green = run(program, *args, workers=workers, **options)
        assert green == native, f"{workers} workers: {green}"


# ---- AddressSanitizer and LeakSanitizer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", [OPTIONS, AFTER_RETURN], ids=["", "after_return"])
def test_correct_programs_are_not_reported(built, compiler, env):
    """The last, memory that only the stack of a parked thread names, was a leak."""
    agree(built("clean.c", compiler, "address"), "reuse", "handlers", "given", "values", "many", "forked", "held", env=env)


def test_stacks_of_cancelled_threads_are_used_again(built, compiler):
    """clang's reported the first function on one; gcc's does so natively."""
    program = built("clean.c", compiler, "address")
    agree(program, "cancelled", env=AFTER_RETURN)
    for workers in WORKERS:
        assert run(program, "cancelled", workers=workers) == (0, "cancelled: 200\n", "")


def test_exceptions(built, compiler):
    agree(built("cxx.cc", compiler, "address"), env=AFTER_RETURN)


def kind(result):
    """What was reported, in the words of the report."""
    return result[0], result[1], re.findall(r"^==\d+==ERROR: (\w+: [\w-]+(?: [a-z-]+)?)", result[2], re.M)


@pytest.mark.parametrize("mistake", ["stack_overflow", "left_scope", "after_return", "heap_overflow", "after_free", "free_twice", "others_stack",
                                     "leak", "too_deep", "null_pointer", "in_handler"])
def test_mistakes_are_reported(built, compiler, mistake):
    program = built("wrong.c", compiler, "address")
    native = run(program, mistake, env=AFTER_RETURN)
    assert native[0] != 0 and kind(native)[2], native
    for workers in WORKERS:
        assert kind(run(program, mistake, workers=workers, env=AFTER_RETURN)) == kind(native)


def test_a_report_tells_function_and_thread(built, compiler):
    program = built("wrong.c", compiler, "address")
    err = run(program, "after_free", workers=2, env={})[2]
    assert re.search(r"READ of size 4 at \S+ thread T\d", err) and re.search(r"#0 .* in after_free .*wrong\.c", err)
    assert re.search(r"#1 .* in does .*wrong\.c", err) and re.search(r"created by T0", err)


def test_the_leak_sanitizer_alone(built, compiler):
    agree(built("clean.c", compiler, "leak"), "reuse", "given", "values", "held")
    program = built("wrong.c", compiler, "leak")
    for workers in (None, *WORKERS):
        status, _, err = run(program, "leak", workers=workers)
        assert status == 23 and "detected memory leaks" in err


def test_a_dump_is_no_report(built, compiler, runtime_dir):
    """Stacks were copied by memcpy, which is the sanitizer's there: the process ended with stack-buffer-overflow."""
    process = start(built("clean.c", compiler, "address"), "stays", workers=2, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with killed_after(process):
        assert process.stdout.readline() == "waits\n"
        for _ in range(3):
            dump = subprocess.run([BUILD / "greenhook", "dump", str(process.pid)], capture_output=True, text=True, timeout=60)
            assert dump.returncode == 0 and "queue_up" in dump.stdout, dump
        assert process.communicate() == ("", "") and process.returncode == 0


# ---- MemorySanitizer, of clang alone ------------------------------------------------------------------------------------------------


def test_the_memory_sanitizer(built):
    """Its pthread_create, and clang 15's of all sanitizers, blocks all signals by a bare system call: the first one left main
    with that mask for good."""
    agree(built("clean.c", "clang", "memory"), "reuse", "cancelled", "handlers", "given", "values", "forked")
    agree(built("races.c", "clang", "memory"))


# ---- tasks of the native API --------------------------------------------------------------------------------------------------------


def native_api(built, compiler, sanitizer):
    return built("task.c", compiler, sanitizer, f"-I{ROOT / 'include'}", f"-L{BUILD}", "-lgreenhook", f"-Wl,-rpath,{BUILD}")


def tasks(program, *args, workers, env=OPTIONS):
    return run(program, *args, env={**env, "GREENHOOK_WORKERS": str(workers)})


def test_tasks(built, compiler):
    """A sanitizer knows pthreads only; a task begins as one."""
    program = native_api(built, compiler, "address")
    for workers in WORKERS:
        for env in (OPTIONS, AFTER_RETURN):
            assert tasks(program, workers=workers, env=env) == (0, "worked: 400, counted: 4000\nreceived: 440\nwaiting\n", "")
        for mistake, report in {"stack": "stack-buffer-overflow", "return": "stack-use-after-return", "free": "heap-use-after-free",
                                "leak": "detected memory leaks"}.items():
            status, _, err = tasks(program, mistake, workers=workers, env=AFTER_RETURN)
            assert status and report in err, (mistake, err)


# ---- ThreadSanitizer ----------------------------------------------------------------------------------------------------------------


def test_what_is_no_race_is_not_reported(built, compiler):
    agree(built("races.c", compiler, "thread"))


def test_a_race_is_reported(built, compiler):
    program = built("races.c", compiler, "thread")
    for workers in (None, *WORKERS):
        status, out, err = run(program, "race", workers=workers)
        assert status == 66 and out == "raced\n" and err.count("WARNING: ThreadSanitizer: data race") == 1, err


def test_tasks_and_the_thread_sanitizer(built, compiler):
    """It knew neither tasks, where it crashed, nor what orders them."""
    program = native_api(built, compiler, "thread")
    for workers in WORKERS:
        assert tasks(program, workers=workers) == (0, "worked: 400, counted: 4000\nreceived: 440\nwaiting\n", "")
        status, _, err = tasks(program, "race", workers=workers)
        assert status == 66 and err.count("WARNING: ThreadSanitizer: data race") == 1, err
