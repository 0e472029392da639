"""The gdb extension, with the real gdb: on a running process and on core files; it writes nothing."""
import re
import resource
import shutil
import subprocess
import time

import pytest

from conftest import ROOT, environment, killed_after, need_library

EXTENSION = ROOT / "preload" / "gdb" / "greenhook-gdb.py"
KINDS = {"waits_for_mutex": "mutex", "waits_for_rwlock": "rwlock", "waits_for_cond": "condition", "waits_for_sem": "semaphore",
         "waits_for_pipe": "read", "waits_in_accept": "accept", "waits_for_peer": "read", "waits_in_poll": "poll", "sleeps": "sleep",
         "joins": "join"}
LIMIT = 60

pytestmark = pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")


def gdb(*args, extension=True):
    first = ["-ex", f"source {EXTENSION}"] if extension else []
    done = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "set width 0", *map(str, args[:-1]), *first,
                           *[part for command in args[-1] for part in ("-ex", command)]],
                          capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL, errors="replace")
    return done.stdout


@pytest.fixture
def green(programs, tmp_path, monkeypatch):
    need_library()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    started = []

    def start(**env):
        process = subprocess.Popen([programs / "inspect", "each"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
                                   env=environment("green", 2, env), preexec_fn=allow_core)
        started.append(process)
        with killed_after(process):
            while (line := process.stdout.readline()) != "ready\n":
                assert line
        end = time.monotonic() + LIMIT
        while subprocess.run([ROOT / "build" / "greenhook", "dump", "--all", str(process.pid)], capture_output=True, text=True,
                             errors="replace", timeout=LIMIT).stdout.count("): parked in ") < 11:
            assert time.monotonic() < end
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def allow_core():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)


def check_list(text):
    """Ids by start function, of what `info greenthreads` printed."""
    ids = {}
    for start, reason in KINDS.items():
        match = re.search(rf"^ *(\d+) +\d+  .*parked in {reason}( 0x[0-9a-f]+)?, started as {start}$", text, re.M)
        assert match, f"{start}\n{text}"
        ids[start] = int(match[1])
    assert re.search(r"^ +1 +\d+  inspect +parked in read$", text, re.M)
    assert 'a "name"???' in text
    return ids


def check_backtraces(text):
    sections = re.split(r"^Green thread ", text, flags=re.M)[1:]
    assert len(sections) == 11
    for start in [*KINDS, "main"]:
        assert sum(re.search(rf"^#\d+ .*\b{start} \(", section, re.M) is not None for section in sections) == 1, start
    for section in sections:
        numbers = [int(number) for number in re.findall(r"^#(\d+)", section, re.M)]
        assert numbers == list(range(len(numbers))) and len(numbers) > 2


def test_on_a_running_process(green):
    process = green()
    registers = ["p/x $rip", "p/x $rsp", "p/x $rbp", "p/x $rbx"]
    text = gdb("-p", process.pid, [*registers, "echo ----\\n", "info greenthreads", "greenthread apply all bt", "echo ----\\n", *registers,
                                   "echo ----\\n", "bt", "echo ----\\n", "greenthread 1 bt", "greenthread 1 info frame", "greenthread 99999 bt"])
    before, said, after, plain, one = text.split("----\n")
    check_list(said)
    check_backtraces(said)
    values = re.findall(r"= (0x[0-9a-f]+)", before)
    assert len(values) == 4 and values == re.findall(r"= (0x[0-9a-f]+)", after)
    assert "ghi_worker_loop" in plain and "waits_" not in plain
    assert "in main (" in one
    # It goes on as if nothing had been.
    process.stdin.write("x")
    process.stdin.close()
    assert process.wait(timeout=LIMIT) == 0


def test_frames_can_be_selected(green):
    process = green()
    ids = check_list(gdb("-p", process.pid, ["info greenthreads"]))
    text = gdb("-p", process.pid, [f"greenthread {ids['joins']} frame function joins", f"greenthread {ids['sleeps']} frame apply all -q frame function",
                                   "greenthread apply all p *(unsigned long *)($rsp - 8) == (unsigned long)$rip"])
    assert re.search(r"^#\d+ .* joins \(arg=", text, re.M)
    assert len(re.findall(r"^\$\d+ = 1$", text, re.M)) == 11, "the stack pointer of each is above where it goes on"


def test_on_a_core_file(green, tmp_path):
    process = green(GREENHOOK_GUARD="mprotect")
    core = tmp_path / "core"
    subprocess.run(["gdb", "-nx", "-batch", "-p", str(process.pid), "-ex", f"gcore {core}"], capture_output=True, timeout=LIMIT, check=True)
    text = gdb(ROOT / "build" / "programs" / "inspect", core, ["info greenthreads", "greenthread apply all bt"])
    check_list(text)
    check_backtraces(text)


def test_on_a_core_file_of_the_kernel(green, tmp_path):
    pattern = open("/proc/sys/kernel/core_pattern").read().strip()
    if "/" in pattern or pattern.startswith("|"):
        pytest.skip(f"core files go elsewhere: {pattern}")
    process = green(GREENHOOK_CRASH_REPORT="0")
    process.send_signal(6)
    process.wait(timeout=LIMIT)
    cores = list(tmp_path.glob("core*"))
    if not cores:
        pytest.skip("this system writes no core file")
    text = gdb(ROOT / "build" / "programs" / "inspect", cores[0], ["info greenthreads", "greenthread apply all bt"])
    check_list(text)
    check_backtraces(text)


def test_a_program_without_greenhook(programs):
    text = subprocess.run(["gdb", "-nx", "-batch", "-ex", f"source {EXTENSION}", "-ex", "info greenthreads", programs / "inspect"],
                          capture_output=True, text=True, timeout=LIMIT)
    assert "does not run under greenhook" in text.stderr + text.stdout


def test_needs_no_symbols_but_the_exported(green, tmp_path):
    """A stripped library, as a distribution has it, with its extension where gdb loads it."""
    subprocess.run(["make", "-s", "install", f"PREFIX={tmp_path}/usr", "DESTDIR="], cwd=ROOT, check=True, capture_output=True, timeout=300)
    library = next(path for path in (tmp_path / "usr" / "lib").glob("libgreenhook.so*") if not path.is_symlink())
    subprocess.run(["strip", library], check=True)
    process = green(LD_PRELOAD=str(library))
    auto = tmp_path / "usr" / "share" / "gdb" / "auto-load"
    text = gdb("-iex", f"set auto-load scripts-directory {auto}", "-iex", f"set auto-load safe-path {auto}", "-p", process.pid,
               ["info greenthreads", "greenthread apply all bt"], extension=False)
    check_list(text)
    check_backtraces(text)
