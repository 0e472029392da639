"""Runs a program of docs/examples as a server, for the tests of what it does."""
import contextlib
import os
import re
import signal
import socket
import subprocess

from conftest import ROOT, killed_after

EXAMPLES = ROOT / "build" / "examples"
LIMIT = 60


class Example:
    def __init__(self, process, port):
        self.process, self.port, self.said = process, port, None

    def stop(self):
        """SIGTERM; what it said at its end, which is a good one."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self):
        if self.said is None:
            self.said, _ = self.process.communicate(timeout=LIMIT)
            assert self.process.returncode == 0, self.said
            assert self.said.endswith("ended\n"), self.said
        return self.said


@contextlib.contextmanager
def example(name, *args, workers=2, **env):
    """Starts build/examples/NAME, which says where it listens, and ends it, by SIGTERM if the test did not."""
    process = subprocess.Popen([EXAMPLES / name, *map(str, args)], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "GREENHOOK_WORKERS": str(workers), **env})
    try:
        with killed_after(process):
            line = process.stdout.readline()
        started = Example(process, int(re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line).group(1)))
        yield started
        if started.said is None:
            started.stop()
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def server(name, workers, **env):
    """The same for those that say nothing but "ended" at their end."""
    with example(name, workers=workers, **env) as e:
        yield e.process, e.port
        assert e.stop() == "ended\n"


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=LIMIT)


class Answers:
    """Reads answers from a socket, one after the other."""

    def __init__(self, sock):
        self.sock, self.rest = sock, b""

    def more(self):
        part = self.sock.recv(1 << 20)
        self.rest += part
        return part

    def next(self, head=False):
        """(status, fields, body), or None at the end, which is between two answers."""
        while b"\r\n\r\n" not in self.rest:
            if not self.more():
                assert not self.rest, "cut in a head"
                return None
        top, _, self.rest = self.rest.partition(b"\r\n\r\n")
        line, *fields = top.decode().split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        fields = {name.lower(): value for name, value in (f.split(": ", 1) for f in fields)}
        n = 0 if head or status in ("100", "304") else int(fields["content-length"])
        while len(self.rest) < n:
            assert self.more(), "cut in a body"
        body, self.rest = self.rest[:n], self.rest[n:]
        return int(status), fields, body


def ask(port, *requests, half_close=False):
    """All answers to what is sent on one connection."""
    with connect(port) as s:
        for r in requests:
            s.sendall(r)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        answers = Answers(s)
        return list(iter(answers.next, None))
