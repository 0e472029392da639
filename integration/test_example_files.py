"""docs/examples/files.c: which bytes of which files, and no way out of the directory."""
import contextlib
import email.utils
import os
import random
import shutil
import socket
import subprocess
import threading

import pytest

from conftest import need_library, wait_for
from examples import LIMIT, Answers, ask, connect, example

SIZE = 100000
DATA = random.Random(1).randbytes(SIZE)


@pytest.fixture(autouse=True)
def built(programs):
    need_library()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "data").write_bytes(DATA)
    (root / "nothing").write_bytes(b"")
    (root / "a b%c.txt").write_text("name")
    (root / "sub" / "index.html").write_text("index")
    (root / ".hidden").write_text("hidden")
    (root / "inside").symlink_to("sub/index.html")
    (root / "sub" / "up").symlink_to("../data")
    (root / "outside").symlink_to("../secret")
    (root / "absolute").symlink_to(root / "data")
    (root / "proc").symlink_to("/proc/self/root/etc/passwd")
    (root / "loop").symlink_to("loop")
    (root / "away").symlink_to("..")
    os.mkfifo(root / "fifo")
    return root


def get(port, target, *fields, method="GET"):
    request = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode("latin-1")
    with connect(port) as s:
        s.sendall(request)
        answers = Answers(s)
        answer = answers.next(head=method == "HEAD")
        s.shutdown(socket.SHUT_WR)
        assert answers.next() is None
        return answer


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_what_is_there_is_served_and_nothing_else(folder, workers):
    with example("files", folder, workers=workers) as e:
        for target, status, body in (
                ("/data", 200, DATA), ("/data?x=/../y", 200, DATA), ("//data", 200, DATA), ("/nothing", 200, b""),
                ("/a%20b%25c.txt", 200, b"name"), ("/sub/", 200, b"index"), ("/inside", 200, b"index"), ("/sub/up", 200, DATA),
                ("/sub/%75p", 200, DATA), ("http://x/data", 200, DATA),
                ("/", 404, None), ("/x", 404, None), ("/data/", 404, None), ("/data/x", 404, None), ("/sub/empty/", 404, None),
                ("/../secret", 404, None), ("/sub/../../secret", 404, None), ("/%2e%2e/secret", 404, None), ("/%2E./secret", 404, None),
                ("/..%2fsecret", 404, None), ("/sub/..%2f..%2fsecret", 404, None), ("/sub%2f..%2f../secret", 404, None),
                ("/..\\secret", 404, None), ("/sub//../../secret", 404, None), ("/.hidden", 404, None), ("/sub/../data", 404, None),
                ("/outside", 404, None), ("/absolute", 404, None), ("/proc", 404, None), ("/loop", 404, None), ("/away/secret", 404, None),
                ("/fifo", 404, None), ("/%00", 400, None), ("/data%00.html", 400, None), ("/%", 400, None), ("/%4", 400, None),
                ("/%zz", 400, None), ("*", 400, None), ("data", 400, None), ("/" + "x" * 5000, 414, None), ("/" + "x" * 300, 404, None)):
            got = get(e.port, target)
            assert got[0] == status, target
            assert body is None or got[2] == body, target
        for target, location in ("/sub", "/sub/"), ("//sub?x", "/sub/"), ("/s%75b", "/s%75b/"):
            status, fields, _ = get(e.port, target)
            assert (status, fields["location"]) == (301, location)
        assert get(e.port, "/data", method="POST")[0] == 405
        assert get(e.port, "/data", method="BREW")[0] == 501
        status, fields, _ = get(e.port, "/data", method="HEAD")
        assert (status, fields["content-length"]) == (200, str(SIZE))



RANGES = {
    "0-0": [(0, 1)], "0-": [(0, SIZE)], "5-9": [(5, 5)], "99999-": [(SIZE - 1, 1)], "99990-200000": [(SIZE - 10, 10)], "-1": [(SIZE - 1, 1)],
    "-200000": [(0, SIZE)], "-99999999999999999999999": [(0, SIZE)], "0-99999999999999999999999": [(0, SIZE)],
    "0-9,20-29": [(0, 10), (20, 10)], "0-9, 100000-, -5": [(0, 10), (SIZE - 5, 5)], " 7-7\t,\t8-8 ": [(7, 1), (8, 1)], "0-9,0-9": [(0, 10), (0, 10)],
    "100000-": [], "-0": [], "100000-100001,-0": [], "99999999999999999999999-": [],
    # Not to be understood: the whole.
    "": None, "-": None, "9-5": None, "5": None, "a-b": None, "0-1,": None, "0-1 2-3": None, "0--1": None, "--5": None, ",".join(["0-0"] * 17): None,
}


def test_ranges(folder):
    with example("files", folder) as e:
        for text, ranges in RANGES.items():
            status, fields, body = get(e.port, "/data", f"Range: bytes={text}")
            if ranges is None:
                assert (status, body) == (200, DATA), text
            elif not ranges:
                assert (status, fields["content-range"]) == (416, f"bytes */{SIZE}"), text
            elif len(ranges) == 1:
                (first, n), = ranges
                assert (status, body) == (206, DATA[first:first + n]), text
                assert fields["content-range"] == f"bytes {first}-{first + n - 1}/{SIZE}"
            else:
                assert status == 206, text
                boundary = fields["content-type"].removeprefix("multipart/byteranges; boundary=").encode()
                first, *parts, last = body.split(b"\r\n--" + boundary)
                assert (first, last) == (b"", b"--\r\n"), text
                assert len(parts) == len(ranges), text
                for part, (first, n) in zip(parts, ranges):
                    head, _, data = part.partition(b"\r\n\r\n")
                    assert f"\r\nContent-Range: bytes {first}-{first + n - 1}/{SIZE}".encode() in head, text
                    assert data == DATA[first:first + n], text
        assert get(e.port, "/data", "Range: lines=0-1")[0] == 200
        assert get(e.port, "/nothing", "Range: bytes=0-")[0] == 416
        assert get(e.port, "/data", "Range: bytes=0-1", method="HEAD")[0] == 200


def test_dates(folder):
    with example("files", folder) as e:
        date = get(e.port, "/data")[1]["last-modified"]
        at = email.utils.parsedate_to_datetime(date).timestamp()
        assert at == int((folder / "data").stat().st_mtime)
        for since, status in ((at, 304), (at + 100, 304), (at - 1, 200)):
            got = get(e.port, "/data", "If-Modified-Since: " + email.utils.formatdate(since, usegmt=True))
            assert (got[0], got[2]) == (status, DATA if status == 200 else b"")
        assert get(e.port, "/data", "If-Modified-Since: yesterday")[0] == 200
        assert get(e.port, "/data", "Range: bytes=1-1", f"If-Range: {date}")[0] == 206
        old = email.utils.formatdate(at - 1, usegmt=True)
        assert get(e.port, "/data", "Range: bytes=1-1", f"If-Range: {old}")[0] == 200
        both = [a[0] for a in ask(e.port, f"GET /data HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: {date}\r\n\r\n".encode() * 2, half_close=True)]
        assert both == [304, 304]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_large_files_to_many(folder, workers):
    big = random.Random(2).randbytes(8 << 20)
    (folder / "big").write_bytes(big)
    wrong = []

    def client():
        try:
            if get(e.port, "/big")[2] != big:
                wrong.append("bytes")
        except Exception as x:  # noqa: BLE001
            wrong.append(repr(x))

    with example("files", folder, workers=workers) as e:
        # The server ends while somebody has not read all.
        late = connect(e.port)
        late.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        answers = Answers(late)
        answers.more()
        clients = [threading.Thread(target=client) for _ in range(10)]
        for c in clients:
            c.start()
        for c in clients:
            c.join(LIMIT)
        assert not wrong
        stopper = threading.Thread(target=e.stop)
        stopper.start()
        assert answers.next()[2] == big
        assert answers.next() is None
        stopper.join(LIMIT)
        late.close()
        assert e.said == "answered 11, cancelled 0, stuck 0\nended\n"


def opened_by(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def test_clients_that_stop_reading_and_files_that_shrink(folder):
    (folder / "big").write_bytes(bytes(64 << 20))
    with example("files", folder, 0, 1) as e:
        with connect(e.port) as stops:
            stops.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: str(folder / "big") in opened_by(e.process.pid))
            # It is sent away after a second: the file is closed.
            wait_for(lambda: str(folder / "big") not in opened_by(e.process.pid))
            got = 0
            with pytest.raises(ConnectionError):
                while True:
                    part = stops.recv(1 << 20)
                    if not part:
                        raise ConnectionError
                    got += len(part)
            assert got < 64 << 20
        with connect(e.port) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            s.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            answers = Answers(s)
            answers.more()
            os.truncate(folder / "big", 1000)
            with pytest.raises((AssertionError, ConnectionError)):
                answers.next()


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_curl(folder):
    with example("files", folder) as e:
        url = f"http://127.0.0.1:{e.port}"

        def curl(*args):
            return subprocess.run(["curl", "-sS", "--max-time", str(LIMIT), *args], capture_output=True, check=True, timeout=2 * LIMIT).stdout
        assert curl(url + "/data") == DATA
        assert curl("-r", "10-19", url + "/data") == DATA[10:20]
        assert curl("-r", "-20", url + "/data") == DATA[-20:]
        assert curl("-L", url + "/sub") == b"index"
        assert curl("--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", url + "/../secret") == b"404"
        assert curl("-z", str(folder / "data"), "-o", "/dev/null", "-w", "%{http_code}", url + "/data") == b"304"
