"""docs/examples/http.c against raw sockets, Python's client, curl and wrk."""
import array
import concurrent.futures
import contextlib
import fcntl
import http.client
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from conftest import need_library, wait_for
from examples import LIMIT, Answers, ask, connect, example

WORKERS = [1, 2, 8]
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def built(programs):
    need_library()


def post(body, *fields):
    return b"\r\n".join([b"POST /echo HTTP/1.1", b"Host: x", *fields, b"", body])


def chunked(*chunks, trailer=b""):
    return b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n" + trailer + b"\r\n"


BAD = {
    "no version": (b"GET /\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "CR in a line": (b"GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n", 400),
    "zero in a line": (b"GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n", 400),
    "no path": (b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "other scheme": (b"GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "space before colon": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\nHost: x\r\nbla\r\n\r\n", 400),
    "folded": (b"GET / HTTP/1.1\r\nHost: x\r\na: b\r\n c\r\n\r\n", 400),
    "bad method": (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "bad version": (b"GET / HTTP/1.x\r\nHost: x\r\n\r\n", 400),
    "bad protocol": (b"GET / HTTQ/1.1\r\nHost: x\r\n\r\n", 400),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400),
    "length and coding": (post(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "two lengths": (post(b"12", b"Content-Length: 1", b"Content-Length: 2"), 400),
    "negative length": (post(b"12", b"Content-Length: -2"), 400),
    "signed length": (post(b"12", b"Content-Length: +2"), 400),
    "empty length": (post(b"12", b"Content-Length:"), 400),
    "coding in 1.0": (b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x"), 400),
    "chunk without size": (post(b"\r\nx\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), 400),
    "chunk of bad size": (post(b"1x\r\nx\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), 400),
    "chunk too long": (post(b"1\r\nxy\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), 400),
    "chunk line without end": (post(b"1;" + b"x" * 300, b"Transfer-Encoding: chunked"), 400),
    "unknown coding": (post(b"", b"Transfer-Encoding: gzip, chunked"), 501),
    "body too large": (post(b"", b"Content-Length: 1048577"), 413),
    "body beyond numbers": (post(b"", b"Content-Length: 99999999999999999999999"), 413),
    "chunk too large": (post(b"100001\r\n", b"Transfer-Encoding: chunked"), 413),
    "chunk beyond numbers": (post(b"fffffffffffffffffffff\r\n", b"Transfer-Encoding: chunked"), 413),
    "target too long": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "line without end": (b"G" * 9000, 414),
    "field too long": (b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"x" * 8192 + b"\r\n\r\n", 431),
    "too many fields": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 64 + b"\r\n", 431),
    "other expectation": (post(b"", b"Expect: magic"), 417),
    "other version": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
}
GOOD = {
    "method": (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    "method of others": (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "path": (b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "whole URL": (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "whole URL without path": (b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "query": (b"GET /?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "an empty line first": (b"\r\n" + GET, 200),
    "1.2": (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 200),
    "spaces around values": (b"POST /echo HTTP/1.1\r\nhOST:x\r\ncontent-LENGTH:\t 2 \r\n\r\nab", 200),
    "body of a GET": (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200),
    "trailers and extensions": (post(b"3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", b"Transfer-Encoding: chunked"), 200),
    "as many fields as may be": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 63 + b"\r\n", 200),
}


@pytest.mark.parametrize("workers", WORKERS)
def test_what_is_no_request_is_answered_and_ends_the_connection(workers):
    with example("http", workers=workers) as e:
        for name, (request, status) in BAD.items():
            answers = ask(e.port, GET + request, b"", half_close=True)
            assert [a[0] for a in answers] == [200, status], name
            assert answers[1][1]["connection"] == "close", name
        for name, (request, status) in GOOD.items():
            answers = ask(e.port, request + GET, half_close=True)
            assert [a[0] for a in answers] == [status, 200], name
            assert "connection" not in answers[0][1], name


def test_connections_are_kept_as_asked():
    with example("http") as e:
        for request, kept in ((GET, True), (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n", False),
                              (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: te, close\r\n\r\n", False),
                              (b"GET / HTTP/1.0\r\n\r\n", False), (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True)):
            assert len(ask(e.port, request, GET, half_close=True)) == 1 + kept, request
        with connect(e.port) as s:
            s.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
            answers = Answers(s)
            assert answers.next(head=True)[1]["content-length"] == "13"
            status, fields, body = answers.next()
            assert (status, body) == (200, b"hello, world\n")
            assert time.strptime(fields["date"], "%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize("workers", WORKERS)
def test_pipelined_requests_are_answered_in_order(workers):
    bodies = [b"%d " % i * (i * 7 % 900) for i in range(300)]
    with example("http", workers=workers) as e:
        requests = [post(chunked(b, b"+"), b"Transfer-Encoding: chunked") if i % 3 else
                    post(b + b"+", b"Content-Length: %d" % (len(b) + 1)) for i, b in enumerate(bodies)]
        with connect(e.port) as s:
            sender = threading.Thread(target=s.sendall, args=(b"".join(requests),))
            sender.start()
            answers = Answers(s)
            for b in bodies:
                assert answers.next()[::2] == (200, b + b"+")
            sender.join(LIMIT)


def received(s):
    """Has the other side's kernel all that was sent?"""
    left = array.array("i", [1])
    fcntl.ioctl(s, 0x5411, left)  # SIOCOUTQ
    return not left[0]


@pytest.mark.parametrize("workers", WORKERS)
def test_a_request_may_be_cut_anywhere(workers):
    request = post(chunked(b"abc", b"\r\n\r\n", trailer=b"a: b\r\n"), b"Transfer-Encoding: chunked", b"X: y")
    with example("http", workers=workers) as e, contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(e.port)) for _ in range(len(request) + 1)]
        for cut, s in enumerate(sockets):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(request[:cut])
        wait_for(lambda: all(map(received, sockets)))
        for cut, s in enumerate(sockets):
            s.sendall(request[cut:])
        for cut, s in enumerate(sockets):
            assert Answers(s).next()[::2] == (200, b"abc\r\n\r\n"), cut
        for i in range(len(request)):
            s.sendall(request[i:i + 1])
        assert Answers(s).next()[::2] == (200, b"abc\r\n\r\n")


def test_a_client_that_sends_no_more_hears_all_answers():
    with example("http") as e:
        slow = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
        assert [a[2] for a in ask(e.port, GET, slow, GET, half_close=True)] == [b"hello, world\n", b"at last\n", b"hello, world\n"]
        assert ask(e.port, GET[:10], half_close=True) == []
        assert ask(e.port, post(b"ab", b"Content-Length: 5"), half_close=True) == []
        assert ask(e.port, half_close=True) == []


def test_expectations():
    with example("http") as e, connect(e.port) as s:
        answers = Answers(s)
        for _ in range(2):
            s.sendall(post(b"", b"Content-Length: 3", b"Expect: 100-continue"))
            assert answers.next()[0] == 100
            s.sendall(b"abc")
            assert answers.next()[::2] == (200, b"abc")
        # The body is there already, or will not be wanted.
        s.sendall(post(b"abc", b"Content-Length: 3", b"Expect: 100-continue"))
        assert answers.next()[::2] == (200, b"abc")
        s.sendall(post(b"", b"Content-Length: 3000000", b"Expect: 100-continue"))
        assert answers.next()[0] == 413
        assert answers.next() is None


def test_slow_clients_are_sent_away():
    with example("http", 0, 1) as e:
        parts = [GET[:20], post(b"ab", b"Content-Length: 5"), post(b"5\r\nab", b"Transfer-Encoding: chunked")]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for (answer,) in pool.map(lambda part: ask(e.port, part), parts):
                assert (answer[0], answer[1]["connection"]) == (408, "close")
        # A byte now and then does not make it last.
        with connect(e.port) as s:
            with contextlib.suppress(ConnectionError):
                for byte in GET * 100:
                    s.sendall(bytes([byte]))
                    time.sleep(0.1)
                    s.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        assert s.recv(12) == b"HTTP/1.1 408"
                        break
                    s.setblocking(True)
                else:
                    raise AssertionError("nobody minds")
        # One that does not read its answers.
        with connect(e.port) as s:
            body = post(b"x" * 1000000, b"Content-Length: 1000000")
            with pytest.raises(ConnectionError):
                for _ in range(100):
                    s.sendall(body)
        assert len(ask(e.port, GET, half_close=True)) == 1


def test_python_client():
    with example("http") as e:
        c = http.client.HTTPConnection("127.0.0.1", e.port, timeout=LIMIT)
        for i in range(100):
            body = b"%d" % i * i * 50
            c.request("POST", "/echo", body=iter([body[:50], body[50:]]) if i % 2 else body, encode_chunked=True,
                      headers={"Transfer-Encoding": "chunked"} if i % 2 else {})
            if i == 0:
                first = c.sock
            answer = c.getresponse()
            assert (answer.status, answer.read()) == (200, body)
        assert c.sock is first
        c.request("HEAD", "/")
        assert c.getresponse().read() == b""


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_curl(tmp_path):
    data = tmp_path / "data"
    data.write_bytes(bytes(range(256)) * 3000)

    def curl(*args, of="%{http_code} %{num_connects} "):
        done = subprocess.run(["curl", "-sS", "--max-time", str(LIMIT), "-w", of, "-o", tmp_path / "out", *args],
                              capture_output=True, text=True, timeout=2 * LIMIT)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), (tmp_path / "out").read_bytes()

    with example("http") as e:
        url = f"http://127.0.0.1:{e.port}"
        assert curl(url) == ("200 1", b"hello, world\n")
        assert curl(url, "-o", "/dev/null", url + "/x", "-o", "/dev/null", url + "/slow")[0].split() == ["200", "1", "404", "0", "200", "0"]
        assert curl("--http1.0", url) == ("200 1", b"hello, world\n")
        assert curl("-I", url)[0] == "200 1"
        assert curl("--data-binary", f"@{data}", url + "/echo") == ("200 1", data.read_bytes())
        assert curl("-T", str(data), url + "/echo") == ("200 1", data.read_bytes())
        assert curl("-H", "Transfer-Encoding: chunked", "-T", str(data), url + "/echo") == ("200 1", data.read_bytes())
        assert curl("-H", "Expect: 100-continue", "--expect100-timeout", "30", "-T", str(data), url + "/echo", of="%{http_code}")[0] == "200"
        assert curl("-X", "BREW", url)[0] == "501 1"


@pytest.mark.skipif(not shutil.which("wrk"), reason="no wrk")
@pytest.mark.parametrize("workers", WORKERS)
def test_wrk(workers):
    with example("http", workers=workers) as e:
        done = subprocess.run(["wrk", "-t1", "-c100", "-d1", f"http://127.0.0.1:{e.port}/"], capture_output=True, text=True, timeout=LIMIT)
        assert "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
        asked = int(re.search(r"(\d+) requests in", done.stdout).group(1))
        assert asked > 0
        answered = int(re.match(r"answered (\d+),", e.stop()).group(1))
        # Each connection may have one on the way when wrk stops.
        assert asked <= answered <= asked + 100


def test_where_there_are_no_gthreads():
    with example("http", workers=1, GREENHOOK="0") as e:
        assert len(ask(e.port, GET * 10, half_close=True)) == 10


class Client(threading.Thread):
    """Asks again and again, until it is told not to or nobody listens."""

    def __init__(self, port, keeps, pipelined=1):
        super().__init__()
        self.port, self.keeps, self.pipelined, self.answers, self.problem = port, keeps, pipelined, 0, None
        self.start()

    def connection(self):
        """False: the server ends."""
        sent = 0
        try:
            s = connect(self.port)
        except (ConnectionRefusedError, ConnectionResetError):
            return False
        with s:
            answers = Answers(s)
            while True:
                try:
                    s.sendall(GET * self.pipelined)
                    got = []
                    for _ in range(self.pipelined):
                        got.append(answers.next())
                except ConnectionResetError:
                    # The kernel had taken the connection, the server had not.
                    assert sent == 0 and not answers.rest, "reset"
                    return False
                assert got and None not in got, "a request was not answered"
                assert {g[0] for g in got} == {200}
                sent += 1
                self.answers += len(got)
                if "connection" in got[-1][1]:
                    assert answers.next() is None
                    return False
                if not self.keeps:
                    return True

    def run(self):
        try:
            while self.connection():
                pass
        except Exception as e:  # noqa: BLE001
            self.problem = repr(e)


@pytest.mark.parametrize("workers", WORKERS)
def test_the_end_under_load_loses_no_request(workers):
    with example("http", workers=workers) as e:
        clients = [Client(e.port, keeps=i % 3 > 0, pipelined=1 + 4 * (i % 3 == 2)) for i in range(30)]
        wait_for(lambda: all(c.answers > 20 or c.problem for c in clients))
        idle = [connect(e.port) for _ in range(5)]
        said = e.stop()
        for c in clients:
            c.join(LIMIT)
        assert [c.problem for c in clients] == [None] * len(clients)
        assert said == f"answered {sum(c.answers for c in clients)}, cancelled 0, stuck 0\nended\n"
        for s in idle:
            assert s.recv(1) == b""


def test_the_end_waits_for_who_is_served_but_not_for_ever():
    with example("http") as e, connect(e.port) as slow, connect(e.port) as never:
        never.sendall(post(b"ab", b"Content-Length: 5", b"Expect: 100-continue"))
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        # Both are being served once a later one was.
        assert len(ask(e.port, GET, half_close=True)) == 1
        assert e.stop() == "answered 2, cancelled 1, stuck 0\nended\n"
        answers = Answers(slow)
        assert answers.next()[2] == b"at last\n"
        assert answers.next() is None
        assert never.recv(100) == b""
