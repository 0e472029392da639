"""Differential tests: each program runs on kernel threads and as green threads and must agree.

    run(program, *args, mode='native'|'green', workers=N, env=, timeout=, stdin=)  one run
    agree(program, *args, workers=(1, 2, 8), status=0)          native once, green per worker count
    build_library(source, *flags)                               a small .so for programs that dlopen

GREENHOOK_LIB overrides the library under test. While it does not exist, the native half of each
test still runs and the green half is skipped.  UNDER is a command that green runs are started with
(`make memcheck`); they then have ten times as long.
"""
import collections
import contextlib
import difflib
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build" / "programs"
LIBRARY = pathlib.Path(os.environ.get("GREENHOOK_LIB", ROOT / "build" / "libgreenhook.so"))
# A hang is what the limit finds, not slowness: the slowest program needs about three seconds.
TIMEOUT_SECONDS = 30

Result = collections.namedtuple("Result", "status out err seconds")


def first_line(*command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
        return out.splitlines()[0] if out else "silent"
    except (OSError, subprocess.TimeoutExpired):
        return "missing"


def pytest_report_header(config):
    library = LIBRARY if LIBRARY.exists() else f"{LIBRARY} (missing: green halves are skipped)"
    return [
        f"kernel {platform.release()} {platform.machine()}, "
        f"{' '.join(platform.libc_ver())}, {len(os.sched_getaffinity(0))} usable CPUs",
        f"gcc: {first_line('gcc', '--version')}",
        f"gdb: {first_line('gdb', '--version')}",
        f"library: {library}",
    ]


@pytest.fixture(scope="session", autouse=True)
def no_core_files():
    """Some programs die of SIGSEGV on purpose."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


@pytest.fixture(scope="session")
def programs():
    """Folder of the compiled programs, brought up to date first."""
    sources = sorted((ROOT / "integration" / "programs").glob("*.c*"))
    targets = [f"build/programs/{source.stem}" for source in sources]
    header = (ROOT / "integration" / "programs" / "check.h").stat().st_mtime
    for target in map(ROOT.joinpath, targets):
        # The Makefile rule knows one source per program, not the header they share.
        if target.exists() and target.stat().st_mtime < header:
            target.unlink()
    made = subprocess.run(["make", "-s", "-j4", *targets], cwd=ROOT, capture_output=True,
                          text=True, timeout=600)
    assert made.returncode == 0, made.stdout + made.stderr
    return PROGRAMS


@pytest.fixture
def runtime_dir(tmp_path, monkeypatch):
    """A folder of the test's own for control sockets."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def wait_for(condition, seconds=TIMEOUT_SECONDS):
    """What it gives as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def thread_names(pid):
    """Of the kernel threads that a process has; some may end meanwhile."""
    names = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            names.append(pathlib.Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip())
    return names


@contextlib.contextmanager
def killed_after(process, seconds=2 * TIMEOUT_SECONDS):
    """Reading from a process that says nothing ends: it is killed then."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()


@pytest.fixture
def build_library(tmp_path):
    """Compile integration/programs/lib/<source> into a shared library and return its path."""
    def build(source, *flags):
        target = tmp_path / (pathlib.Path(source).stem + ".so")
        path = ROOT / "integration" / "programs" / "lib" / source
        subprocess.run(["gcc", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
                        *flags, "-o", str(target), str(path)], check=True, timeout=60)
        return target
    return build


def need_library():
    if not LIBRARY.exists():
        pytest.skip(f"the native half passed; {LIBRARY.name} is not built")


def environment(mode, workers, extra):
    env = {k: v for k, v in os.environ.items()
           if k != "LD_PRELOAD" and not k.startswith("GREENHOOK")}
    env["LC_ALL"] = "C"
    if mode == "green":
        env["LD_PRELOAD"] = str(LIBRARY.resolve())
        # Tuning of the library by the caller reaches green runs only; the library path is ours.
        env.update({k: v for k, v in os.environ.items()
                    if k.startswith("GREENHOOK_") and k != "GREENHOOK_LIB"})
        if workers is not None:
            env["GREENHOOK_WORKERS"] = str(workers)
    env.update(extra or {})
    return env


def stacks_of(pid):
    """Every thread's stack of a hung process, for the failure message."""
    if not shutil.which("gdb"):
        return "(no gdb: no stacks)"
    try:
        done = subprocess.run(
            ["gdb", "-batch", "-nx", "-p", str(pid), "-ex", "set pagination off",
             "-ex", "thread apply all bt 14"],
            capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        return "\n".join(line for line in done.stdout.splitlines() if line.strip())[-6000:]
    except subprocess.TimeoutExpired:
        return "(gdb did not finish)"


def end_group(process):
    """Kill what the program left running: it is the leader of its own session and group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.fixture
def run(programs):
    """Run one program in one mode; a hang fails the test with the stacks of all its threads."""
    def run_program(program, *args, mode="native", workers=None, env=None,
                    timeout=TIMEOUT_SECONDS, stdin=subprocess.DEVNULL):
        if mode == "green":
            need_library()
        path = programs / program if "/" not in str(program) else program
        command = [str(path), *map(str, args)]
        if mode == "green" and "UNDER" in os.environ:
            command = [*os.environ["UNDER"].split(), *command]
            timeout *= 10
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(mode, workers, env), start_new_session=True)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            stacks = stacks_of(process.pid)
            end_group(process)
            out, err = process.communicate()
            pytest.fail(
                f"{' '.join(command)} [{mode}, workers={workers}] hung for {timeout} s\n"
                f"--- stdout so far\n{out.decode(errors='replace')[-3000:]}"
                f"--- stderr so far\n{err.decode(errors='replace')[-3000:]}"
                f"--- stacks\n{stacks}", pytrace=False)
        finally:
            end_group(process)
        # No program of these but `stuck` comes to an end after that.
        assert str(program) == "stuck" or b"nothing can wake" not in err, err.decode(errors="replace")
        return Result(process.returncode, out.decode(errors="replace"),
                      err.decode(errors="replace"), time.monotonic() - started)
    return run_program


def difference(native, green):
    """What a green run did otherwise, as text; None when it agrees."""
    if (green.status, green.out) == (native.status, native.out):
        return None
    diff = "\n".join(difflib.unified_diff(native.out.splitlines(), green.out.splitlines(), "native", "green",
                                          lineterm="", n=1))
    return f"status {green.status} (native {native.status})\n{diff}\nstderr: {green.err[-2000:]}"


@pytest.fixture
def agree(run, request):
    """Native and green runs print the same and end the same way, with every worker count.

    `make conformance` (conformance.py) has a ledger: then everything is run again and again, and counted.
    """
    ledger = request.config.pluginmanager.get_plugin("ledger")

    def check(program, *args, workers=(1, 2, 8), status=0, **options):
        native = run(program, *args, mode="native", **options)
        assert native.status == status and not re.search(r"\bFAIL\b", native.out), (
            f"native run: status {native.status}, expected {status}\n{native.out}{native.err}")
        need_library()
        if ledger:
            problems = ledger.compare(run, native, program, args, workers, options)
        else:
            greens = [(count, run(program, *args, mode="green", workers=count, **options)) for count in workers]
            problems = [f"workers={count}: {difference(native, green)}" for count, green in greens
                        if difference(native, green)]
        if problems:
            pytest.fail(f"{program} {' '.join(map(str, args))} differs\n" + "\n".join(problems),
                        pytrace=False)
        return native
    return check
