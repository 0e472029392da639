"""Thread-per-connection servers in other languages: their runtimes bring their own locks, signals and stack checks.

All speak one protocol (a line comes back as it was) and hand every line through a queue to four workers, so the answers
depend on mutexes and condition variables as well as on sockets. Fifty connections are open at once.
"""
import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile

import pytest

from .clients import echo_all
from .harness import HERE, NATIVE, Server, run, workload

CONNECTIONS, LINES = 50, 30
# Green: workers, spares and helpers, but not a kernel thread per connection. A JVM's own threads are green as well.
KERNEL_THREADS_MAX = 30


@functools.cache
def built(*command):
    """Compiles once for all modes. Returns the folder that @ stands for in the command."""
    folder = tempfile.mkdtemp(prefix="gh-built-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run(NATIVE, [word.replace("@", folder) for word in command], limit_s=60)
    return folder


def source(name):
    return os.path.join(HERE, name)


def serve(mode, argv, says_count):
    with Server(mode, argv, r"listening on (\d+)") as server:
        def look():
            if mode.green:
                count = server.kernel_threads()
                assert count <= KERNEL_THREADS_MAX, f"{count} kernel threads for {CONNECTIONS} connections: not green"
        lines = echo_all(server.port, CONNECTIONS, LINES, look)
        assert lines == CONNECTIONS * LINES
    text = server.text()
    assert "connection:" not in text and "Exception" not in text and "panicked" not in text, text
    if says_count:
        assert re.search(rf"^served {lines}$", text, re.MULTILINE), text
    return server.status


@workload("java", "javac")
def java_echo(mode):
    folder = built("javac", "-d", "@", source("EchoServer.java"))
    return serve(mode, ["java", "-Xmx128m", "-XX:+UseSerialGC", "-cp", folder, "EchoServer"], True)


@functools.cache
def rustc():
    """A compiler that answers: a version manager's stand-in without a toolchain is found first and does not."""
    for command in ("rustc", "/usr/bin/rustc"):
        if shutil.which(command) and subprocess.run([command, "--version"], capture_output=True).returncode == 0:
            return command
    pytest.skip("no rustc here has a toolchain")


@workload("rustc")
def rust_echo(mode):
    folder = built(rustc(), "--edition", "2021", "-O", "-o", "@/server", source("echo_server.rs"))
    return serve(mode, [f"{folder}/server"], False)


@workload("g++")
def cxx_echo(mode):
    folder = built("g++", "-std=c++20", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", "@/server", source("echo_server.cc"))
    return serve(mode, [f"{folder}/server"], True)
