"""docs/examples/proxy.c and crawl.c: what passes through, what is fetched, and what ends them."""
import collections
import contextlib
import os
import socket
import subprocess
import threading

import pytest

from conftest import need_library
from examples import EXAMPLES, LIMIT, connect, example

WORKERS = [1, 2, 8]


@pytest.fixture(autouse=True)
def built(programs):
    need_library()


@contextlib.contextmanager
def listening(handle):
    """A server in this process: handle(socket) in a thread per connection."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    threads = []

    def accept():
        with contextlib.suppress(OSError):
            while True:
                s, _ = listener.accept()
                s.settimeout(LIMIT)
                threads.append(threading.Thread(target=handle, args=(s,)))
                threads[-1].start()
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for t in [acceptor, *threads]:
            t.join(LIMIT)
            assert not t.is_alive()


def read_all(s):
    return b"".join(iter(lambda: s.recv(1 << 16), b""))


# ---- the proxy --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", WORKERS)
def test_both_directions_end_on_their_own(workers):
    """Each side sends much, and says that it ends before it has read all."""
    there, back = os.urandom(3 << 20), os.urandom(3 << 20)
    got = []

    def handle(s):
        with s:
            sender = threading.Thread(target=lambda: (s.sendall(back), s.shutdown(socket.SHUT_WR)))
            sender.start()
            got.append(read_all(s))
            sender.join(LIMIT)

    with listening(handle) as port, example("proxy", "127.0.0.1", port, workers=workers) as e:
        def client():
            with connect(e.port) as s:
                sender = threading.Thread(target=lambda: (s.sendall(there), s.shutdown(socket.SHUT_WR)))
                sender.start()
                assert read_all(s) == back
                sender.join(LIMIT)
                fine.append(1)
        fine = []
        clients = [threading.Thread(target=client) for _ in range(10)]
        for c in clients:
            c.start()
        for c in clients:
            c.join(LIMIT)
        assert len(fine) == 10
        assert e.stop() == "cut 0\nended\n"
    assert got == [there] * 10


def test_a_direction_goes_on_after_the_other_has_ended():
    def handle(s):
        with s:
            s.shutdown(socket.SHUT_WR)  # the server ends first
            heard.append(read_all(s))
    heard = []
    with listening(handle) as port, example("proxy", "127.0.0.1", port) as e, connect(e.port) as s:
        assert s.recv(1) == b""
        s.sendall(b"still here")
        s.shutdown(socket.SHUT_WR)
    assert heard == [b"still here"]


def test_who_does_not_read_slows_down_who_writes():
    done = threading.Event()

    def handle(s):
        with s:
            done.wait(LIMIT)
            total.append(len(read_all(s)))
    total = []
    with listening(handle) as port, example("proxy", "127.0.0.1", port) as e, connect(e.port) as s:
        s.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200 << 20:
                sent += s.send(bytes(1 << 16))
        with open(f"/proc/{e.process.pid}/status") as f:
            kib = int(next(line for line in f if line.startswith("VmRSS")).split()[1])
        assert kib < 100 << 10
        done.set()
        s.shutdown(socket.SHUT_WR)
        s.settimeout(LIMIT)
        assert s.recv(1) == b""
    assert total == [sent]


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_reset_reaches_the_other_side(side):
    seen = []
    server_goes, client_gone = threading.Event(), threading.Event()

    def reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()

    def expect_reset(s):
        try:
            seen.append(s.recv(10))
        except ConnectionResetError:
            seen.append("reset")

    def handle(s):
        with s:
            assert s.recv(1) == b"x"
            server_goes.set()
            if side == "server":
                reset(s)
            else:
                expect_reset(s)
                client_gone.set()

    with listening(handle) as port, example("proxy", "127.0.0.1", port) as e:
        with connect(e.port) as s:
            s.sendall(b"x")
            assert server_goes.wait(LIMIT)
            if side == "client":
                reset(s)
                assert client_gone.wait(LIMIT)
            else:
                expect_reset(s)
        assert seen == ["reset"]
        assert e.stop() == "cut 0\nended\n"


def test_nobody_there_and_an_end_that_cuts():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with example("proxy", "127.0.0.1", port) as e:
        with contextlib.suppress(ConnectionResetError), connect(e.port) as s:  # also while it connects
            assert s.recv(1) == b""
    through = threading.Event()

    def handle(s):
        with s, contextlib.suppress(ConnectionResetError):
            s.recv(1)
            through.set()
            read_all(s)

    with listening(handle) as port, example("proxy", "127.0.0.1", port) as e, connect(e.port) as s:
        s.sendall(b"x")
        assert through.wait(LIMIT)
        assert e.stop() == "cut 1\nended\n"
        with pytest.raises(ConnectionResetError):
            s.recv(1)


# ---- the crawler ------------------------------------------------------------------------------------------

def crawl(*args, workers=2):
    done = subprocess.run([EXAMPLES / "crawl", *map(str, args)], capture_output=True, text=True, timeout=2 * LIMIT,
                          env={**os.environ, "GREENHOOK_WORKERS": str(workers)})
    *pages, last = done.stdout.splitlines()
    return done.returncode, dict(p.split(": ", 1) for p in pages), last, len(pages)


@pytest.mark.parametrize("workers", WORKERS)
def test_every_page_is_fetched_once(workers, tmp_path):
    count = 150
    for i in range(count):
        links = "".join(f'<a href="/p{(i * k + k) % count}.html#x">' for k in range(1, 8))
        (tmp_path / f"p{i}.html").write_text(links + ("<a href='/not-this'>" if i % 2 else '<a href="http://example.org/">'))
    (tmp_path / "p7.html").write_text('<a href="/private/x.html"> <a href="/missing.html?a=b"> <a href="/p1.html">')
    (tmp_path / "robots.txt").write_text("User-agent: *\nDisallow: /private/\n")
    reached, ways = {0}, [0]
    while ways:
        i = ways.pop()
        for n in ([1] if i == 7 else [(i * k + k) % count for k in range(1, 8)]):
            if n not in reached:
                reached.add(n)
                ways.append(n)
    assert 7 in reached
    with example("files", tmp_path, workers=workers) as e:
        status, pages, last, lines = crawl("127.0.0.1", e.port, "/p0.html", workers=workers)
        assert set(pages) == {f"/p{i}.html" for i in reached} | {"/private/x.html", "/missing.html"}
        assert lines == len(pages)
        assert pages["/private/x.html"] == "not allowed"
        assert pages["/missing.html"].startswith("404, ")
        assert (status, last) == (2, f"fetched {len(reached)}, failed 1")
        assert crawl("127.0.0.1", e.port, "/p0.html", 5, 2)[::2] == (0, "fetched 5, failed 0")
    assert crawl("127.0.0.1", e.port, "/p0.html")[0] == 2


@pytest.mark.parametrize("workers", WORKERS)
def test_only_so_many_at_once_and_only_so_long(workers):
    lock, now, most, asked = threading.Lock(), [0], [0], collections.Counter()
    full = threading.Event()

    def handle(s):
        """Robots at once, the first page at once; of the others the first three answer when all of them are there."""
        with s:
            path = s.recv(1000).split()[1].decode()
            with lock:
                asked[path] += 1
            if path == "/":
                body = "".join(f'<a href="/{i}">' for i in range(40))
            else:
                body = ""
                if path != "/robots.txt":
                    with lock:
                        now[0] += 1
                        most[0] = max(most[0], now[0])
                        if now[0] == 3:
                            full.set()
                    assert full.wait(LIMIT)
                    with lock:
                        now[0] -= 1
            s.sendall(f"HTTP/1.1 200 OK\r\n\r\n{body}".encode())

    with listening(handle) as port:
        assert crawl("127.0.0.1", port, "/", 1000, 3, workers=workers)[::2] == (0, "fetched 41, failed 0")
    assert most[0] == 3
    assert set(asked.values()) == {1}

    gone = threading.Event()
    with listening(lambda s: (s.recv(1000), gone.wait(LIMIT), s.close())) as port:
        status, pages, last, _ = crawl("127.0.0.1", port, "/", 10, 10, 1, workers=workers)
        gone.set()
    assert (status, pages, last) == (3, {"/": "Connection timed out"}, "fetched 0, failed 1")
