"""The clients of the application tests: they run on kernel threads inside the test and check every byte."""
import contextlib
import functools
import hashlib
import http.server
import os
import random
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from .harness import NATIVE

CLIENT_LIMIT_S = 25


def make_files(folder):
    """Files whose sizes meet the edges of buffers, and one of 5 MB. Returns name -> bytes; the same in every run."""
    rng = random.Random(20240229)
    files = {f"file-{size}": rng.randbytes(size) for size in (0, 1, 1460, 65536, 100001, 5000000)}
    os.makedirs(folder, exist_ok=True)
    for name, body in files.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(body)
    return files


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass


class _Backend(http.server.ThreadingHTTPServer):
    request_queue_size = 128


@contextlib.contextmanager
def backend(folder):
    """What stands behind a proxy under test: an HTTP server inside this process. Yields its port."""
    server = _Backend(("127.0.0.1", 0), functools.partial(_QuietHandler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def curl_all(base, files, *options, clients=20):
    """Fetches every file by `clients` curls at a time, at least once per client, and compares the bytes."""
    names = sorted(files)
    names = [names[i % len(names)] for i in range(max(clients, len(names)))]

    def fetch(name):
        done = subprocess.run(["curl", "-sS", "--fail", "--noproxy", "", "--max-time", str(CLIENT_LIMIT_S), *options, f"{base}/{name}"],
                              capture_output=True, timeout=CLIENT_LIMIT_S + 5, env=NATIVE.environment(), stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"curl {name}: status {done.returncode}: {done.stderr.decode()}"
        assert done.stdout == files[name], f"curl {name}: {len(done.stdout)} bytes came, not the {len(files[name])} of the file"

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(fetch, names))
    return len(names)


def echo_all(port, connections=50, lines=30, while_open=None):
    """Holds all connections open at once; on each sends lines of many lengths and wants each back unchanged.

    while_open is called when every connection has been answered once. Returns the number of lines."""
    everybody_open = threading.Barrier(connections + 1, timeout=CLIENT_LIMIT_S)
    looked = threading.Barrier(connections + 1, timeout=CLIENT_LIMIT_S)

    def converse(number):
        rng = random.Random(number)
        with socket.create_connection(("127.0.0.1", port), CLIENT_LIMIT_S) as sock, sock.makefile("rb") as answers:
            sock.settimeout(CLIENT_LIMIT_S)
            for i in range(lines):
                length = 100000 if i == 1 else rng.choice((0, 1, 10, 100, 1000, 5000))
                text = (f"{number}.{i}:".encode() + rng.randbytes(length).replace(b"\n", b"+")) + b"\n"
                sock.sendall(text)
                back = answers.readline()
                assert back == text, f"connection {number}, line {i}: {back[:80]!r} came back for {text[:80]!r}"
                if i == 0:
                    everybody_open.wait()
                    looked.wait()
            sock.shutdown(socket.SHUT_WR)
            assert answers.read() == b"", f"connection {number}: more bytes than were sent"

    with ThreadPoolExecutor(connections) as pool:
        futures = [pool.submit(converse, number) for number in range(connections)]
        try:
            everybody_open.wait()
            if while_open:
                while_open()
            looked.wait()
        except BaseException:
            everybody_open.abort()
            looked.abort()
            # The first conversation that went wrong says more than a broken barrier.
            for future in futures:
                if (error := future.exception()) and not isinstance(error, threading.BrokenBarrierError):
                    raise error
            raise
        for future in futures:
            future.result()
    return connections * lines
