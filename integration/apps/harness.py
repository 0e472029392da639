"""How the application tests start, watch, end and compare programs. Knows nothing about any particular program.

A workload is a function of a Mode that runs a program, checks every byte it gets, and returns what must be the same on
kernel threads and green: exit statuses, counts, checksums. agree() runs it and compares. Every wait has a limit, and
when one is reached the stacks of the program are part of the message.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
LIBRARY = os.path.abspath(os.environ.get("GREENHOOK_LIB", os.path.join(BUILD, "libgreenhook.so")))
COMMAND = os.path.join(BUILD, "greenhook")
PYTHON = "/usr/bin/python3"
READY_LIMIT_S, RUN_LIMIT_S, END_LIMIT_S, STACKS_LIMIT_S = 20, 40, 20, 30


DEFAULT = "as many as there are processors"


class Mode:
    """On kernel threads (workers is None) or green with that many workers."""

    def __init__(self, name, workers=None):
        self.name, self.workers = name, workers

    @property
    def green(self):
        return self.workers is not None

    def command(self, argv):
        return [COMMAND, "run", "--", *argv] if self.green else list(argv)

    def environment(self, preload=False):
        """preload is the other way in: every program below inherits the library, without the command."""
        env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("GREENHOOK_")}
        env["LC_ALL"] = "C"
        if self.green:
            # The caller's tuning reaches the green runs only.
            env.update({k: v for k, v in os.environ.items() if k.startswith("GREENHOOK_") and k != "GREENHOOK_LIB"})
            if self.workers != DEFAULT:
                env["GREENHOOK_WORKERS"] = str(self.workers)
            env["GREENHOOK_LIBRARY"] = LIBRARY
            if preload:
                env["LD_PRELOAD"] = LIBRARY
        return env


NATIVE = Mode("native")
MODES = [NATIVE, Mode("w1", 1), Mode("w2", 2), Mode("w8", 8)]
WORKLOADS = []  # (function, programs it needs), in the order of the files


def workload(*programs):
    """Registers a workload and the programs without which it is skipped."""
    def register(function):
        WORKLOADS.append((function, programs))
        return function
    return register


_native_results = {}  # workload -> result, or the exception that the native run ended with


def agree(function, programs, mode):
    """Runs a workload, natively once per session, and compares the two results."""
    for program in programs:
        if not find(program):
            pytest.skip(f"{program} is not installed")
    if mode.green and not (os.path.exists(LIBRARY) and os.path.exists(COMMAND)):
        pytest.skip("the green library is not built")
    if function not in _native_results:
        try:
            _native_results[function] = function(NATIVE)
        except Exception as error:
            _native_results[function] = error
    native = _native_results[function]
    if isinstance(native, Exception):
        raise AssertionError(f"the native run failed: {native}") from native
    if mode.green:
        green = function(mode)
        assert green == native, "green and native runs differ"


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def as_user(user, argv):
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *argv] if user else argv


@contextlib.contextmanager
def scratch():
    """A short path: the sockets of some programs live in it, and their names may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="gh-", dir="/tmp") as path:
        yield path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, limit_s, what):
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {limit_s} s"
        time.sleep(0.01)
    return value


def stacks(pid):
    """Where every kernel thread of a program that does not answer stands."""
    try:
        done = subprocess.run(["gdb", "-batch", "-p", str(pid), "-ex", "thread apply all bt 14"], capture_output=True, text=True,
                              timeout=STACKS_LIMIT_S, env=NATIVE.environment(), stdin=subprocess.DEVNULL)
        return done.stdout[-12000:]
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no stacks: {error}"


def end_group(proc):
    """Ends what we started and everything it started: it leads its own process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(proc.pid, signal.SIGKILL)
    proc.wait()


def run(mode, argv, limit_s=RUN_LIMIT_S, preload=False, input_bytes=None, cwd=None, expect=0):
    """Runs a program to its end and returns its output; a wrong status or a hang fails with all that is known."""
    green_argv = list(argv) if preload else mode.command(argv)
    with tempfile.TemporaryFile() as err:
        proc = subprocess.Popen(green_argv, stdin=subprocess.PIPE if input_bytes is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=err, env=mode.environment(preload), cwd=cwd, start_new_session=True)
        try:
            out, _ = proc.communicate(input_bytes, timeout=limit_s)
        except subprocess.TimeoutExpired:
            where = stacks(proc.pid)
            end_group(proc)
            raise AssertionError(f"{argv} ({mode.name}) was not finished after {limit_s} s\n{where}") from None
        err.seek(0)
        said = err.read().decode(errors="replace")[-2000:]
    assert expect is None or proc.returncode == expect, f"{argv} ({mode.name}): status {proc.returncode}\n{said}\n{out[-2000:]!r}"
    return out


class Server:
    """A program in the foreground. Leaving the block sends it SIGTERM; `status` is then its exit status.

    ready is a TCP port to connect to, a pattern in its output (with a group: the port), or a function. user is the name
    of whom it runs as, with that user's groups."""

    def __init__(self, mode, argv, ready, cwd=None, user=None):
        self.mode, self.argv, self.ready, self.cwd, self.user = mode, argv, ready, cwd, user
        self.port = ready if isinstance(ready, int) else None
        self.status = None

    def __enter__(self):
        self.output = tempfile.TemporaryFile()
        # `greenhook run` becomes the program by exec: one pid, one exit status.
        argv = as_user(self.user, self.mode.command(self.argv))
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
                                     env=self.mode.environment(), cwd=self.cwd, start_new_session=True)
        try:
            wait_until(self.is_ready, READY_LIMIT_S, f"{self.argv[0]} ready")
            if self.mode.green:
                with open(f"/proc/{self.proc.pid}/maps") as maps:
                    assert "libgreenhook" in maps.read(), f"{self.argv[0]} runs without the library"
        except BaseException as error:
            self.give_up(error)
        return self

    def is_ready(self):
        assert self.proc.poll() is None, f"{self.argv[0]} ended with status {self.proc.returncode} before it was ready"
        if callable(self.ready):
            return self.ready()
        if isinstance(self.ready, str):
            match = re.search(self.ready, self.text())
            self.port = int(match.group(1)) if match and match.re.groups else None
            return match
        try:
            socket.create_connection(("127.0.0.1", self.ready), 1).close()
            return True
        except OSError:
            return False

    def text(self):
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), size, 0).decode(errors="replace")

    def kernel_threads(self):
        return len(os.listdir(f"/proc/{self.proc.pid}/task"))

    def __exit__(self, kind, error, trace):
        if error:
            self.give_up(error)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.proc.pid, signal.SIGTERM)
        try:
            self.status = self.proc.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.give_up(AssertionError(f"still running {END_LIMIT_S} s after SIGTERM"))
        end_group(self.proc)

    def give_up(self, error):
        """Adds the stacks and the last output to whatever went wrong, then ends the program."""
        alive = self.proc.poll() is None
        where = stacks(self.proc.pid) if alive else f"it had ended with status {self.proc.returncode}"
        end_group(self.proc)
        raise AssertionError(f"{self.argv[0]} ({self.mode.name}): {error}\noutput: {self.text()[-3000:]}\n{where}") from error
