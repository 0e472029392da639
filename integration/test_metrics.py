"""GREENHOOK_METRICS: an HTTP endpoint with what `greenhook stats --prometheus` prints."""
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from conftest import ROOT, environment, killed_after, need_library, wait_for
from test_inspect import GREENHOOK, LIMIT, dump_of, green, greenhook, python  # noqa: F401


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


@pytest.fixture
def served(green):
    """A program with the endpoint on; the process and the port."""
    def start(*command, workers=2, host="127.0.0.1", family=socket.AF_INET, **env):
        port = free_port(family, host.strip("[]"))
        process, _ = green(*(command or ("inspect", "each")), workers=workers, GREENHOOK_METRICS=f"{host}:{port}", **env)
        return process, port
    return start


def raw(port, request, host="127.0.0.1", timeout=LIMIT):
    """Everything that comes back until the end of the connection."""
    with socket.create_connection((host, port), timeout=timeout) as s:
        s.sendall(request)
        got = b""
        while piece := s.recv(65536):
            got += piece
        return got


def split(answer):
    head, body = answer.split(b"\r\n\r\n", 1)
    status, *headers = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in headers)
    assert int(headers["Content-Length"]) == len(body) and headers["Connection"] == "close"
    return status, headers, body.decode()


def get(port, target="/metrics", **options):
    return split(raw(port, f"GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode(), **options))


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_same_as_the_command_prints(served, workers):
    process, port = served(workers=workers)
    wait_for(lambda: 'reason="semaphore"} 1\n' in get(port)[2])
    status, headers, body = get(port)
    assert status == "HTTP/1.1 200 OK" and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    printed = greenhook("stats", "--prometheus", process.pid).stdout
    def shape(text):
        return [line if line.startswith("#") else line.rsplit(" ", 1)[0] for line in text.splitlines()]
    assert shape(body) == shape(printed) and body.endswith("\n")
    assert all(re.fullmatch(r"# (HELP|TYPE) .*|\w+\{[^{}]*\} \d+", line) for line in body.splitlines())
    assert f'greenhook_alive{{pid="{process.pid}"}} 11\n' in body and f'slot="{workers - 1}"' in body


def test_counters_grow(served):
    process, port = served("inspect", "turns")
    def switches():
        return sum(int(n) for n in re.findall(r"^greenhook_switches_total\{.*\} (\d+)$", get(port)[2], re.M))
    first = switches()
    wait_for(lambda: switches() > first + 100)


@pytest.mark.parametrize("request_,status", [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
    (b"GET /metricsx HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
    (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "404 Not Found"),
    (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"),
    (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed"),
    (b"get /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed"),
    (b"GET /metrics HTTP/1.1\r\n\r\n", "400 Bad Request"),
    (b"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400 Bad Request"),
    (b"GET /metrics HTTP/1.1\r\nHost x\r\n\r\n", "400 Bad Request"),
    (b"GET /metrics HTTP/1.1\r\nHo st: x\r\n\r\n", "400 Bad Request"),
    (b"GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n", "400 Bad Request"),
    (b"GET  /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
    (b"GET metrics HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
    (b"GET /metrics\r\n\r\n", "400 Bad Request"),
    (b"G\0T /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
    (b"\r\n\r\n", "400 Bad Request"),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
    (b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"Host: x\r\n\r\n", "400 Bad Request"),
    (b"GET /metrics?name=x HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n", "200 OK"),
    (b"GET /metrics HTTP/1.0\r\n\r\n", "200 OK"),
])
def test_everything_else(served, request_, status):
    _, port = served()
    line, headers, body = split(raw(port, request_))
    assert line == f"HTTP/1.1 {status}"
    assert (headers.get("Allow") == "GET") == status.startswith("405")
    assert status.startswith("200") or body == status + "\n"
    assert get(port)[0] == "HTTP/1.1 200 OK"


def test_fuzzed_requests(served):
    """Whatever a peer sends, it is answered or hung up on, and the next one is served."""
    process, port = served()
    rng = random.Random(4711)
    words = [b"GET", b" ", b"/metrics", b" HTTP/1.1", b"\r\n", b"Host: x", b"\r\n\r\n", b"\n", b"\0", b":", b"\xff", b"%s%n", b"x" * 3000, b"?"]
    for _ in range(150):
        text = b"".join(rng.choices(words, k=rng.randrange(12))) if rng.randrange(4) else rng.randbytes(rng.choice([1, 10, 8191, 8192, 8193, 20000]))
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as s:
            try:
                for i in range(0, len(text), 1 + rng.randrange(len(text) + 1)):
                    s.sendall(text[i:i + 1000])
                s.shutdown(socket.SHUT_WR)
                got = s.recv(100000) if rng.randrange(3) else b"HTTP/1.1 "
                assert got == b"" or got.startswith(b"HTTP/1.1 ")
            except (ConnectionResetError, BrokenPipeError):
                pass
    assert get(port)[0] == "HTTP/1.1 200 OK" and len(dump_of(process.pid)["gthreads"]) == 11


def test_ipv6(served):
    try:
        free_port(socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("no IPv6 here")
    _, port = served(host="[::1]", family=socket.AF_INET6)
    assert get(port, host="::1")[0] == "HTTP/1.1 200 OK"


def test_peers_that_stall_hold_nobody_up(served):
    """Neither the program nor, for long, the next one who asks."""
    process, port = served("inspect", "turns")
    stalled = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    stalled[0].sendall(b"GET /metrics HT")
    assert greenhook("stats", process.pid).returncode == 0
    started = time.monotonic()
    assert get(port)[0] == "HTTP/1.1 200 OK"
    assert time.monotonic() - started < 15
    for s in stalled:
        s.close()


def test_many_at_once_under_load(served):
    process, port = served("inspect", "storm")
    wrong = []
    def body():
        for _ in range(20):
            if get(port)[0] != "HTTP/1.1 200 OK":
                wrong.append(1)
    threads = [threading.Thread(target=body) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and process.poll() is None


def test_curl(served):
    _, port = served()
    done = subprocess.run(["curl", "-sS", "--max-time", str(LIMIT), f"http://127.0.0.1:{port}/metrics"], capture_output=True, text=True, timeout=2 * LIMIT)
    assert done.returncode == 0 and "greenhook_parks_total" in done.stdout, done.stderr


def test_a_port_that_is_taken(run):
    need_library()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        native = run("thread_basic")
        done = run("thread_basic", mode="green", workers=2, env={"GREENHOOK_METRICS": f"127.0.0.1:{port}"})
    assert (done.status, done.out) == (native.status, native.out)
    assert done.err == f"greenhook: GREENHOOK_METRICS=127.0.0.1:{port}: somebody else listens there; going on without metrics\n"


@pytest.mark.parametrize("value", ["x", "9100", ":9100", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:+1", "0.0.0.0:9100",
                                   "192.0.2.1:9100", "[::]:9100", "[::1:9100", "localhost:9100", "127.0.0.1:9100x", "1" * 100 + ":1"])
def test_addresses_that_are_refused(run, value):
    need_library()
    done = run("thread_basic", mode="green", workers=2, env={"GREENHOOK_METRICS": value})
    assert done.status == 0
    assert done.err == (f"greenhook: GREENHOOK_METRICS={value} is not a loopback address and a port, such as 127.0.0.1:9100; "
                        "going on without metrics\n")


def test_off_by_default(green):
    process, _ = green("inspect", "each")
    names = [open(f"/proc/{process.pid}/task/{tid}/comm").read() for tid in os.listdir(f"/proc/{process.pid}/task")]
    assert "greenhook-met\n" not in names


def test_a_fork_does_not_keep_it(runtime_dir, tmp_path):
    """The child has no endpoint of its own, and does not keep its parent's port."""
    need_library()
    port = free_port()
    script = tmp_path / "forks.py"
    script.write_text("""
import os, sys, threading, time
t = threading.Thread(target=time.sleep, args=(0.01,)); t.start(); t.join()
pid = os.fork()
if pid == 0:
    t = threading.Thread(target=time.sleep, args=(60,)); t.start()
    print(os.getpid(), flush=True)
    t.join()
print("parent", flush=True)
sys.stdin.read()
os._exit(0)
""")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment("green", 2, {"GREENHOOK_METRICS": f"127.0.0.1:{port}"})) as process:
        with killed_after(process):
            said = {process.stdout.readline().strip() for _ in range(2)}
            child = int((said - {"parent"}).pop())
            assert f'pid="{process.pid}"' in get(port)[2]
            process.stdin.close()
            process.stdin = None
            process.wait(timeout=LIMIT)
            with pytest.raises(ConnectionRefusedError):
                get(port)
            os.kill(child, 9)
            assert process.stderr.read() == ""
