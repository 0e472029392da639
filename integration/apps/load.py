"""What the load runs (servers.py) share: the list of loads, the clients that tell figures, the eyes on kernel threads.

A load is a function of a Mode and a number of seconds. It runs a server under load for that long, checks what came, and
returns an Outcome. Anything wrong is an AssertionError; the servers of harness.py add the stacks and the log.
"""
import collections
import contextlib
import glob
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .harness import BUILD, NATIVE, run, stacks, wait_until

# rate in `unit` per second, p99 in ms or None; threads: the most kernel threads seen; facts: the same natively and green.
Outcome = collections.namedtuple("Outcome", "rate unit p99 threads facts")
LOADS = []  # (name, function, programs it needs), in the order of the files
CLIENT_EXTRA_S = 60  # beyond the time of the load: opening thousands of connections, the last answers
STALL_LIMIT_S = 120


def load(name, *programs):
    def register(function):
        LOADS.append((name, function, programs))
        return function
    return register


def children(pid):
    """Every process below this one, zombies excluded: {pid: kernel threads}."""
    below, parents = {}, collections.defaultdict(list)
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path) as stat:
            text = stat.read()
            fields = text[text.rindex(")") + 2:].split()
            parents[int(fields[1])].append((int(text.split(" ", 1)[0]), fields[0], int(fields[17])))
    todo = [pid]
    while todo:
        for child, state, threads in parents.get(todo.pop(), []):
            todo.append(child)
            if state not in "ZX":
                below[child] = threads
    return below


class Watch:
    """Counts kernel threads of a process and all below it while the block runs; own=False leaves out the process itself.

    seen is a set that the numbers of the processes are added to."""

    def __init__(self, pid, own=True, seen=None):
        self.pid, self.own, self.peak, self.seen = pid, own, 0, seen if seen is not None else set()

    def __enter__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while True:
            below = children(self.pid)
            self.seen.update(below)
            count = sum(below.values())
            if self.own:
                with contextlib.suppress(OSError):
                    count += len(os.listdir(f"/proc/{self.pid}/task"))
            self.peak = max(self.peak, count)
            if self.over.wait(0.3):
                return

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()


def listening(port):
    """Does anybody listen there? For servers that would complain about a connection that only asks this."""
    with open("/proc/net/tcp") as f:
        return any(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in map(str.split, f))


def native_run(argv, limit_s, **options):
    """A native client: its output, its errors and its exit status, which the caller judges."""
    with tempfile.TemporaryFile() as err:
        proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, env=NATIVE.environment(), **options)
        try:
            out, _ = proc.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.communicate()
            raise AssertionError(f"{argv[0]} was not finished after {limit_s} s") from None
        err.seek(0)
        return out.decode(errors="replace"), err.read().decode(errors="replace"), proc.returncode


def webload(port, connections, seconds, *options):
    """Every answer is compared byte by byte. Returns (answers per second, p99 in ms)."""
    argv = [f"{BUILD}/bench/webload", "-p", str(port), "-c", str(connections), "-d", str(seconds), *options]
    out, err, status = native_run(argv, seconds + CLIENT_EXTRA_S)
    assert status == 0 and not err, f"webload: status {status}\n{out}{err}"
    told = json.loads(out)
    return told["answers_per_s"], told["p99_ms"]


@contextlib.contextmanager
def httpd():
    """What stands behind a proxy: the native thread-per-connection server of bench/. Yields its port."""
    proc = subprocess.Popen([f"{BUILD}/bench/httpd", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=NATIVE.environment())
    try:
        yield int(proc.stdout.readline().split()[-1])
    finally:
        proc.terminate()
        proc.wait(10)
        proc.stdout.close()


def repeat(mode, argv, seconds):
    """Runs a program again and again until the time is up, at least once. Returns (runs, seconds, the last output)."""
    started, runs = time.monotonic(), 0
    while runs == 0 or time.monotonic() - started < seconds:
        out = run(mode, argv, limit_s=STALL_LIMIT_S).decode()
        runs += 1
    return runs, time.monotonic() - started, out


def answers(path):
    with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(OSError):
        s.connect(path)
        return True
    return False


def own_left(known_shm, known_segments, seen):
    """What a finished run left behind, as text: processes, shared memory, sockets of the runtime's that answer.

    The name of one whose process was ended by a signal stays until `greenhook ps` finds it."""
    def look():
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = [f"process {pid}: {command_of(pid)}" for pid in children(os.getpid())]
        left += [f"/dev/shm/{name}" for name in shm_names() - known_shm]
        left += [f"System V segment {key}" for key, maker in segments().items() if key not in known_segments and maker in seen]
        return left + [path for path in glob.glob("/tmp/greenhook-*/*.sock")
                       if os.path.basename(path) in {f"{pid}.sock" for pid in seen} and answers(path)]
    try:
        wait_until(lambda: not look(), 5, "all gone")
        return ""
    except AssertionError:
        left = look()
        where = "".join(stacks(pid) for pid in list(children(os.getpid()))[:1])
        for pid in children(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return ("left behind: " + ", ".join(left) + "\n" + where) if left else ""


def command_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as f:
        return f.read().replace("\0", " ").strip()
    return "?"


def shm_names():
    return {name for name in os.listdir("/dev/shm") if not name.startswith("faults.")}


def segments():
    """id of each System V segment and who made it."""
    with open("/proc/sysvipc/shm") as f:
        return {int(fields[1]): int(fields[4]) for fields in (line.split() for line in list(f)[1:])}
