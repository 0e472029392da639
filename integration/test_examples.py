"""The programs of docs/examples: each is compiled as a user would, and does what its first lines say."""
import contextlib
import os
import re
import selectors
import socket
import subprocess
import threading

import pytest

from conftest import ROOT, need_library
from examples import EXAMPLES, LIMIT, connect, server

@pytest.fixture(autouse=True)
def built(programs):
    need_library()


def talk(port, number, failures):
    try:
        with connect(port) as s:
            for i in range(20):
                said = f"client {number} line {i} ".encode() * (1 + i * 40)
                sender = threading.Thread(target=s.sendall, args=(said,))
                sender.start()
                heard = b""
                while len(heard) < len(said):
                    heard += s.recv(65536) or failures.append("end")
                sender.join()
                if heard != said:
                    failures.append(f"client {number} line {i}")
            s.shutdown(socket.SHUT_WR)
            if s.recv(1):
                failures.append("more")
    except Exception as e:  # noqa: BLE001
        failures.append(repr(e))


def echoed(port, n):
    """That many clients at once, each of which hears all that it said."""
    failures = []
    clients = [threading.Thread(target=talk, args=(port, i, failures)) for i in range(n)]
    for c in clients:
        c.start()
    for c in clients:
        c.join(LIMIT)
        assert not c.is_alive()
    assert not failures


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_echo_gives_back_what_it_gets(workers):
    with server("echo", workers) as (_, port):
        echoed(port, 30)


def test_examples_work_where_there_are_no_gthreads():
    with server("echo", 1, GREENHOOK="0") as (_, port):
        echoed(port, 5)
    with server("chat", 1, GREENHOOK="0") as (_, port):
        chat(port, 20, 5)


def test_echo_ends_though_a_client_stays():
    with server("echo", 2) as (_, port):
        stays = connect(port)
        stays.sendall(b"x")
        assert stays.recv(1) == b"x"
    assert stays.recv(1) == b""


def chat(port, clients, lines):
    """Everybody says so many lines; what each client heard, by sender."""
    sockets = [connect(port) for _ in range(clients)]
    # Who has got his own greeting is in the list of the hub.
    for i, s in enumerate(sockets):
        s.sendall(f"c{i}\nhere\n".encode())
    heard, rest = [{} for _ in sockets], [b""] * clients
    selector = selectors.DefaultSelector()
    for i, s in enumerate(sockets):
        selector.register(s, selectors.EVENT_READ, i)

    def listen(enough):
        missing = {i for i in range(clients) if not enough(heard[i], i)}
        while missing:
            events = selector.select(LIMIT)
            assert events, f"{len(missing)} clients wait in vain"
            for key, _ in events:
                i = key.data
                got = key.fileobj.recv(1 << 16)
                assert got, f"client {i} was sent away"
                *whole, rest[i] = (rest[i] + got).split(b"\n")
                for line in whole:
                    name, text = line.decode().split(": ")
                    heard[i].setdefault(name, []).append(text)
                if i in missing and enough(heard[i], i):
                    missing.discard(i)
    listen(lambda h, i: f"c{i}" in h)
    for k in range(lines):
        for i, s in enumerate(sockets[:20]):
            s.sendall(f"line {k}\n".encode())
    said = [f"line {k}" for k in range(lines)]
    speakers = min(clients, 20)
    listen(lambda h, i: sum(len([t for t in h.get(f"c{n}", []) if t != "here"]) for n in range(speakers)) >= speakers * lines)
    for i in range(clients):
        for n in range(speakers):
            assert [t for t in heard[i][f"c{n}"] if t != "here"] == said, f"client {i} of c{n}"
    for s in sockets:
        s.close()


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_chat_delivers_every_line_once_and_in_order(workers):
    with server("chat", workers) as (_, port):
        chat(port, 60, 10)
        chat(port, 3, 100)  # after the others have left


def test_chat_ends_while_clients_talk():
    with server("chat", 2) as (_, port):
        stay = [connect(port) for _ in range(20)]
        for s in stay:
            s.sendall(b"name\nhello\n")
        while b"hello" not in stay[0].recv(4096):
            pass
    for s in stay:
        with contextlib.suppress(ConnectionResetError):  # what it said last was not read
            while s.recv(4096):
                pass


def test_chat_sends_away_who_does_not_read():
    with server("chat", 2) as (_, port):
        silent, loud = connect(port), connect(port)
        silent.sendall(b"silent\nhere\n")
        assert silent.recv(100) == b"silent: here\n"
        loud.sendall(b"loud\n")
        said, heard, loud_text = 0, 0, b"x" * 400 + b"\n"
        loud.settimeout(LIMIT)
        for _ in range(400):
            loud.sendall(loud_text * 100)
            said += 100 * (len("loud: ") + len(loud_text))
            while heard < said:
                heard += len(loud.recv(1 << 20))
        silent.settimeout(LIMIT)
        got = 0
        with contextlib.suppress(ConnectionResetError):
            while part := silent.recv(1 << 20):
                got += len(part)
        assert got < said


def test_every_example_names_the_command_to_try_it():
    for path in (ROOT / "docs" / "examples").glob("*.c"):
        head = path.read_text().split("*/")[0]
        assert f"cc -O2 {path.name} -o {path.stem} $(pkg-config --cflags --libs greenhook)" in head, path
        assert f"./{path.stem}" in head, path


def test_every_example_compiles_without_further_options():
    for path in (ROOT / "docs" / "examples").glob("*.c"):
        done = subprocess.run(["gcc", "-fsyntax-only", "-Wall", "-Wextra", f"-I{ROOT}/include", path], capture_output=True, text=True, timeout=LIMIT)
        assert (done.returncode, done.stderr) == (0, ""), path


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_stress(workers):
    done = subprocess.run([EXAMPLES / "stress", "2", str(workers)], capture_output=True, text=True, timeout=2 * LIMIT,
                          env={**os.environ, "GREENHOOK_WORKERS": str(workers)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("every element came once\n")
    assert not re.search(r": 0\n", done.stdout), "a sort of thread that moved nothing"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_program_in_the_readme(tmp_path, workers):
    source = tmp_path / "square.c"
    source.write_text(re.search(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1))
    subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include", str(source), "-o", str(tmp_path / "square"),
                    f"-L{ROOT}/build", "-lgreenhook", f"-Wl,-rpath,{ROOT}/build"], check=True, timeout=LIMIT)
    done = subprocess.run([tmp_path / "square"], capture_output=True, text=True, timeout=LIMIT,
                          env={**os.environ, "GREENHOOK_WORKERS": str(workers)})
    assert (done.returncode, done.stdout) == (0, "1\n4\n9\n"), done.stderr
