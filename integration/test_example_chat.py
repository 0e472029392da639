"""docs/examples/chat.c with 10,000 clients: every line reaches every client once, and in order per sender."""
import collections
import resource
import selectors

import pytest

from conftest import need_library
from examples import LIMIT, connect, server

CLIENTS, SPEAKERS, LINES = 10000, 10, 5


@pytest.fixture(autouse=True)
def built(programs):
    need_library()


@pytest.fixture
def descriptors():
    """Enough for the clients, which are in this process; the server raises its own limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CLIENTS + 100:
        pytest.skip(f"RLIMIT_NOFILE is {hard}, {CLIENTS} clients need more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Clients:
    def __init__(self, port):
        self.sockets = [connect(port) for _ in range(CLIENTS)]
        self.heard = [[] for _ in self.sockets]
        self.size = [0] * CLIENTS
        self.selector = selectors.DefaultSelector()
        for i, s in enumerate(self.sockets):
            self.selector.register(s, selectors.EVENT_READ, i)

    def listen(self, whom, size):
        """Until each of them has heard so many bytes; a limit only on silence."""
        missing = {i for i in whom if self.size[i] < size}
        while missing:
            events = self.selector.select(LIMIT)
            assert events, f"{len(missing)} clients wait in vain"
            for key, _ in events:
                i = key.data
                part = key.fileobj.recv(1 << 16)
                assert part, f"client {i} was sent away"
                self.heard[i].append(part)
                self.size[i] += len(part)
                if self.size[i] >= size:
                    missing.discard(i)

    def close(self):
        self.selector.close()
        for s in self.sockets:
            s.close()


@pytest.mark.parametrize("workers", [2, 8])
def test_ten_thousand_clients_hear_everything_once_and_in_order(workers, descriptors):
    with server("chat", workers) as (_, port):
        clients = Clients(port)
        # The server takes connections in their order: who hears the last one comes after all have joined.
        clients.sockets[-1].sendall(b"last\nall here\n")
        start = b"last: all here\n"
        clients.listen([CLIENTS - 1], len(start))
        speakers = range(0, CLIENTS, CLIENTS // SPEAKERS)
        for i in speakers:
            clients.sockets[i].sendall(b"c%04d\n" % i)
        for k in range(LINES):
            for i in speakers:
                clients.sockets[i].sendall(b"line %d\n" % k)
        said = [f"line {k}" for k in range(LINES)]
        clients.listen(range(CLIENTS), len(start) + SPEAKERS * LINES * len(b"c0000: line 0\n"))
        for i in range(CLIENTS):
            by = collections.defaultdict(list)
            for line in b"".join(clients.heard[i]).decode().splitlines():
                name, text = line.split(": ")
                by[name].append(text)
            assert by == {"last": ["all here"], **{f"c{n:04}": said for n in speakers}}, i
    for i, s in enumerate(clients.sockets):  # the server has ended, and has said no more
        assert s.recv(1 << 16) == b"", i
    clients.close()
