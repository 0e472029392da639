"""`greenhook trace`: what it writes is what Perfetto and chrome://tracing load, and true; and the probes in the library."""
import collections
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import LIBRARY, ROOT, environment, killed_after, need_library, thread_names, wait_for
from test_inspect import GREENHOOK, LIMIT, VERSION, dump_of, green, greenhook, python, socket_of  # noqa: F401

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
LOAD = """
import sys, threading, urllib.request, time
end = time.monotonic() + float(sys.argv[2])
def body():
    while time.monotonic() < end:
        assert urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=30).read() == b"ok"
threads = [threading.Thread(target=body) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
"""


def checked(path, pid, slots):
    """The file, after everything that the format asks for and that must be true of it."""
    trace = json.loads(open(path).read())
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"} and trace["displayTimeUnit"] == "ns"
    other = trace["otherData"]
    assert all(isinstance(value, str) for value in other.values())
    assert other["pid"] == str(pid) and other["version"] == VERSION and other["slots"] == str(slots)
    length = (int(other["end_ns"]) - int(other["begin_ns"])) / 1000
    # A track begins with who ran already, which is known when he stops.
    named, last, opened, waits = {}, collections.Counter(), {}, {}
    seconds = collections.Counter()
    for event in trace["traceEvents"]:
        phase, track = event["ph"], event.get("tid")
        assert event["pid"] == pid and phase in "MBEbei"
        if phase == "M":
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index") and set(event["args"]) <= {"name", "sort_index"}
            if event["name"] == "thread_name":
                assert track not in named
                named[track] = event["args"]["name"]
            continue
        assert track in named and isinstance(event["ts"], (int, float)) and event["ts"] <= length + 0.001
        key = ("id", event["id"]) if "id" in event else (phase == "i", track)
        assert last[key] <= event["ts"], (event, last[key])
        last[key] = event["ts"]
        if phase == "B":
            assert track not in opened and event["cat"] == "runs" and event["name"].endswith(f" {event['args']['gthread']}")
            opened[track] = event
        elif phase == "E":
            begin = opened.pop(track)
            seconds[track] += event["ts"] - begin["ts"]
            assert isinstance(event["args"]["then"], str) and event["args"]["then"]
        elif phase == "b":
            assert event["id"] not in waits and event["id"] == str(event["args"]["gthread"]) and event["cat"] == "gthread"
            waits[event["id"]] = event
        elif phase == "e":
            assert waits.pop(event["id"])["name"] == event["name"]
        else:
            assert event["s"] == "t" and event["name"] and event["args"]
    assert not opened and not waits
    assert sorted(n for n in named.values() if n.startswith("slot ")) == sorted(f"slot {i}" for i in range(slots))
    assert all(re.fullmatch(r"slot \d+|kernel thread \d+", name) for name in named.values())
    assert all(total <= length + 1 for total in seconds.values())
    return trace


def events(trace, phase, name=None):
    return [e for e in trace["traceEvents"] if e["ph"] == phase and (name is None or e["name"] == name)]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_server_under_load(runtime_dir, tmp_path, workers):
    need_library()
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "load.py").write_text(LOAD)
    out = tmp_path / "out.json"
    with subprocess.Popen([sys.executable, tmp_path / "server.py"], stdout=subprocess.PIPE, text=True,
                          env=environment("green", workers, None)) as server:
        with killed_after(server):
            port = server.stdout.readline().strip()
        load = subprocess.Popen([sys.executable, tmp_path / "load.py", port, "3"])
        try:
            wait_for(lambda: os.path.exists(socket_of(runtime_dir, server)))
            done = greenhook("trace", server.pid, "-d", "1.5", "-o", out)
            assert done.returncode == 0 and done.stdout == "", done.stderr
            # Others are answered meanwhile, and afterwards.
            assert greenhook("stats", server.pid).returncode == 0
            assert load.wait(timeout=2 * LIMIT) == 0
        finally:
            load.kill()
            load.wait()
            server.kill()
    trace = checked(out, server.pid, workers)
    assert trace["otherData"]["complete"] == "yes"
    assert events(trace, "i", "spawn") and events(trace, "i", "end") and events(trace, "i", "I/O event") and events(trace, "b", "runnable")
    reads = events(trace, "b", "read") + events(trace, "b", "poll") + events(trace, "b", "accept")
    assert reads and all("fd" in e["args"] for e in events(trace, "b", "read"))
    spawned = {e["args"]["gthread"] for e in events(trace, "i", "spawn")}
    ran = {e["args"]["gthread"] for e in events(trace, "B")}
    ended = {e["args"]["gthread"] for e in events(trace, "i", "end")}
    if trace["otherData"]["lost"] == "0":
        assert len(ended & spawned & ran) >= len(spawned) - 16


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_threads_that_wait_for_each_other(green, tmp_path, workers):
    process, _ = green("inspect", "turns", workers=workers)
    out = tmp_path / "out.json"
    done = greenhook("trace", "-d", "0.5", "-o", out, process.pid)
    assert done.returncode == 0, done.stderr
    trace = checked(out, process.pid, workers)
    waits = events(trace, "b", "semaphore")
    assert len(waits) > 20 and len({e["args"]["object"] for e in waits}) == 2 and len({e["id"] for e in waits}) == 2
    # Who woke it is the other one.
    woken = [e for e in events(trace, "e", "semaphore") if "args" in e]
    ids = {e["id"] for e in waits}
    assert woken and all({e["id"], str(e["args"]["by"])} == ids for e in woken)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_program_that_hangs(green, tmp_path, workers):
    """Nobody switches while it lasts: who computes is shown all the same."""
    process, _ = green("inspect", "hang", workers=workers, GREENHOOK_MAX_WORKERS="4")
    out = tmp_path / "out.json"
    done = greenhook("trace", process.pid, "-d", "0.5", "-o", out)
    assert done.returncode == 0, done.stderr
    trace = checked(out, process.pid, workers)
    ran = events(trace, "B")
    assert ran and len({e["args"]["gthread"] for e in ran}) <= 4
    ends = {(e["tid"]): e["ts"] for e in events(trace, "E")}
    assert max(ends.values()) >= 250000  # the process may have begun late


def test_one_that_is_blocked_in_the_kernel(green, tmp_path):
    """Its slot was taken long ago."""
    process, _ = green("blocked", "wait")
    wait_for(lambda: any(g["state"] == "blocked" for g in dump_of(process.pid)["gthreads"]))
    time.sleep(0.2)
    out = tmp_path / "out.json"
    done = greenhook("trace", process.pid, "-d", "0.3", "-o", out)
    assert done.returncode == 0, done.stderr
    trace = checked(out, process.pid, 2)
    begin, = [e for e in events(trace, "B") if e["args"]["gthread"] == 1]
    end, = [e for e in events(trace, "E") if e["tid"] == begin["tid"]]
    assert begin["tid"] > 1000 and begin["ts"] == 0 and end["ts"] >= 290000 and end["args"]["then"] == "the trace ends"


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_hand_offs(green, tmp_path, workers):
    """One stays in the kernel again and again: its slice goes on without the slot."""
    process, _ = green("inspect", "kernel", workers=workers)
    out = tmp_path / "out.json"
    done = greenhook("trace", process.pid, "-d", "0.5", "-o", out)
    assert done.returncode == 0, done.stderr
    trace = checked(out, process.pid, workers)
    taken = events(trace, "i", "hand-off: blocked")
    assert taken and all(e["tid"] <= workers for e in taken)
    goes_on = [e for e in events(trace, "B") if e["tid"] > 1000 and any(e["ts"] == t["ts"] for t in taken)]
    assert len(goes_on) == len(taken)
    assert [e for e in events(trace, "E") if e["args"]["then"] == "loses its slot"]


def test_a_program_of_the_native_api(green, tmp_path):
    process, _ = green(str(ROOT / "build" / "native" / "traced"))
    out = tmp_path / "out.json"
    done = greenhook("trace", process.pid, "-d", "0.5", "-o", out)
    assert done.returncode == 0, done.stderr
    trace = checked(out, process.pid, 2)
    assert events(trace, "b", "channel") and events(trace, "i", "spawn")


def test_the_second_tracer_is_told(green, tmp_path):
    process, _ = green("inspect", "each")
    with subprocess.Popen([GREENHOOK, "trace", str(process.pid), "-d", "20", "-o", tmp_path / "first.json"]) as first:
        wait_for(lambda: (tmp_path / "first.json").exists())
        second = greenhook("trace", process.pid, "-d", "1", "-o", tmp_path / "second.json")
        assert second.returncode == 125 and not (tmp_path / "second.json").exists()
        assert second.stderr == f"greenhook: process {process.pid}: it is being traced already, one trace at a time\n"
        # Whoever only asks is answered.
        assert greenhook("dump", process.pid).returncode == 0
        first.send_signal(signal.SIGINT)
        assert first.wait(timeout=LIMIT) == 0
    assert checked(tmp_path / "first.json", process.pid, 2)["otherData"]["complete"] == "no"


def is_traced(process):
    return "greenhook-trc" in thread_names(process.pid)


def test_a_tracer_that_dies(green, tmp_path):
    process, _ = green("inspect", "turns")
    with subprocess.Popen([GREENHOOK, "trace", str(process.pid), "-d", "600", "-o", tmp_path / "out.json"]) as tracer:
        wait_for(lambda: is_traced(process))
        tracer.kill()
    wait_for(lambda: not is_traced(process))
    done = greenhook("trace", process.pid, "-d", "0.1", "-o", tmp_path / "again.json")
    assert done.returncode == 0
    checked(tmp_path / "again.json", process.pid, 2)


def test_one_that_does_not_read_holds_nobody_up(green, runtime_dir):
    process, _ = green("inspect", "storm")
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(socket_of(runtime_dir, process))
        peer.send(b"trace 600000\n")
        wait_for(lambda: is_traced(process))
        for _ in range(3):
            assert greenhook("dump", process.pid).returncode == 0
        # After two seconds of a full socket it has ended.
        wait_for(lambda: not is_traced(process))


def test_a_traced_process_ends(green, tmp_path):
    process, _ = green("inspect", "turns")
    with subprocess.Popen([GREENHOOK, "trace", str(process.pid), "-d", "60", "-o", tmp_path / "out.json"], stderr=subprocess.PIPE, text=True) as tracer:
        wait_for(lambda: (tmp_path / "out.json").exists())
        process.kill()
        _, why = tracer.communicate(timeout=LIMIT)
    assert tracer.returncode == 125 and f"process {process.pid} ended before it had answered" in why
    checked(tmp_path / "out.json", process.pid, 2)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_again_and_again_under_load(green, tmp_path, workers):
    process, _ = green("inspect", "storm", workers=workers)
    for _ in range(6):
        done = greenhook("trace", process.pid, "-d", "0.003", "-o", tmp_path / "out.json")
        assert done.returncode == 0, done.stderr
        lost = checked(tmp_path / "out.json", process.pid, workers)["otherData"]["lost"]
        assert done.stderr == ("" if lost == "0" else f"greenhook: {lost} records were lost: they came faster than they could be copied\n")
    process.stdin.close()
    assert process.wait(timeout=LIMIT) == 0
    process.stdin = None


def test_a_process_that_forks_while_it_is_traced(runtime_dir, tmp_path):
    """The child is not traced, does not keep the tracer, and can be traced itself."""
    need_library()
    (tmp_path / "forks.py").write_text("""
import os, sys, threading, time
stop = []
def body():
    while not stop:
        time.sleep(0.001)
threads = [threading.Thread(target=body) for _ in range(8)]
[t.start() for t in threads]
print("ready", flush=True)
end = time.monotonic() + 4
children = []
while time.monotonic() < end:
    pid = os.fork()
    if pid == 0:
        t = threading.Thread(target=time.sleep, args=(0.3,))
        t.start()
        t.join()
        os._exit(0)
    children.append(pid)
    while len(children) > 4:
        assert os.waitpid(children.pop(0), 0)[1] == 0
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
stop.append(1)
[t.join() for t in threads]
""")
    with python(tmp_path / "forks.py") as process:
        assert process.stdout.readline() == "ready\n"
        for _ in range(5):
            done = greenhook("trace", process.pid, "-d", "0.3", "-o", tmp_path / "out.json")
            assert done.returncode == 0, done.stderr
            trace = checked(tmp_path / "out.json", process.pid, 2)
            assert events(trace, "b", "sleep")
        process.communicate(timeout=LIMIT)
        assert process.returncode == 0


@pytest.mark.parametrize("args", [[], ["1", "2"], ["x"], ["-d", "0", "1"], ["-d", "x", "1"], ["-d"], ["1", "-d", "nan"], ["1", "-d", "3601"],
                                  ["-o"], ["-o", "", "1"], ["--what", "1"]])
def test_wrong_arguments(args):
    done = greenhook("trace", *args)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("greenhook: trace: ")


def test_where_it_cannot_write(green):
    process, _ = green("inspect", "each")
    done = greenhook("trace", process.pid, "-d", "0.1", "-o", "/nonexistent/x")
    assert done.returncode == 125 and done.stderr == "greenhook: /nonexistent/x: No such file or directory\n"
    done = greenhook("trace", process.pid, "-d", "0.1", "-o", "/dev/full")
    assert done.returncode == 125 and "cannot write: No space left on device" in done.stderr


def test_the_probes(green):
    need_library()
    notes = subprocess.run(["readelf", "-n", LIBRARY], capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    found = re.findall(r"NT_STAPSDT .*\n\s+Provider: greenhook\n\s+Name: (\w+)\n\s+Location: (0x[0-9a-f]+), Base: (0x[0-9a-f]+), Semaphore: 0x0+\n\s+Arguments: (.*)", notes)
    arguments = {"spawn": 2, "park": 3, "ready": 1, "switch": 2, "handoff": 3, "event": 2}
    assert {name for name, *_ in found} == set(arguments)
    for name, where, base, text in found:
        assert len(text.split()) == arguments[name] and all(re.fullmatch(r"8@\S+", each) for each in text.split())
    sections = subprocess.run(["readelf", "-SW", LIBRARY], capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    base = re.search(r"\.stapsdt\.base\s+PROGBITS\s+([0-9a-f]+)", sections)[1]
    text = re.search(r"\.text\s+PROGBITS\s+([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)", sections)
    begin, size = int(text[1], 16), int(text[2], 16)
    assert all(int(found_base, 16) == int(base, 16) and begin <= int(where, 16) < begin + size for _, where, found_base, _ in found)


@pytest.mark.skipif(not os.path.exists("/usr/bin/gdb"), reason="needs gdb")
def test_gdb_stops_at_a_probe(green):
    process, _ = green("inspect", "turns")
    done = subprocess.run(["gdb", "-batch", "-nx", "-p", str(process.pid), "-ex", "break -probe-stap greenhook:park", "-ex", "continue",
                           "-ex", "printf \"park of %d for %d\\n\", $_probe_arg0, $_probe_arg1"],
                          capture_output=True, text=True, timeout=2 * LIMIT, stdin=subprocess.DEVNULL)
    match = re.search(r"park of (\d+) for (\d+)\n", done.stdout)
    assert match and int(match[1]) in (1, 2, 3) and int(match[2]) > 0, done.stdout + done.stderr
