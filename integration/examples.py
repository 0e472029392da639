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
