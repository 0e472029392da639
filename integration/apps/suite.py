"""What CPython programs do with threads, once each; prints facts that do not depend on the order."""
import concurrent.futures
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

LIMIT = 20


def two_thousand_threads():
    lock, gate, count = threading.Lock(), threading.Event(), [0]

    def body():
        gate.wait(LIMIT)
        with lock:
            count[0] += 1
    threads = [threading.Thread(target=body) for _ in range(2000)]
    for t in threads:
        t.start()
    alive = threading.active_count()
    gate.set()
    for t in threads:
        t.join(LIMIT)
    print("threads", alive, count[0], threading.active_count())
    print("ids differ", len({t.native_id for t in threads}), len({t.ident for t in threads}) > 0)


def locks():
    cond, items, got = threading.Condition(), [], []

    def taker():
        with cond:
            while not items:
                cond.wait(LIMIT)
            got.append(items.pop())
    threads = [threading.Thread(target=taker) for _ in range(50)]
    for t in threads:
        t.start()
    for i in range(50):
        with cond:
            items.append(i)
            cond.notify()
    for t in threads:
        t.join(LIMIT)
    print("condition", sorted(got) == list(range(50)))
    lock = threading.Lock()
    lock.acquire()
    print("timed out", lock.acquire(timeout=0.05), threading.Event().wait(0.02))
    barrier, passed = threading.Barrier(8), []
    threads = [threading.Thread(target=lambda: passed.append(barrier.wait(LIMIT)))
               for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(LIMIT)
    print("barrier", sorted(passed))
    rlock = threading.RLock()
    with rlock, rlock:
        print("recursive", rlock._is_owned())
    sem, local = threading.BoundedSemaphore(3), threading.local()
    local.x = "main"
    peak, now, guard = [0], [0], threading.Lock()

    def limited(i):
        local.x = i
        with sem:
            with guard:
                now[0] += 1
                peak[0] = max(peak[0], now[0])
            time.sleep(0.002)
            with guard:
                now[0] -= 1
        return local.x == i
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        print("local", all(pool.map(limited, range(60))), local.x, peak[0] <= 3)


def timers():
    fired = queue.Queue()
    timers = [threading.Timer(0.01 * (5 - i), fired.put, [i]) for i in range(5)]
    cancelled = threading.Timer(LIMIT, fired.put, ["never"])
    cancelled.start()
    for t in timers:
        t.start()
    print("timers", sorted(fired.get(timeout=LIMIT) for _ in range(5)))
    cancelled.cancel()
    cancelled.join(LIMIT)
    print("cancelled", cancelled.is_alive(), fired.empty())


def processes():
    def child(i):
        done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.stdout.write("
                               f"sys.stdin.read() * 2); sys.exit({i})"],
                              input=f"<{i}>", capture_output=True, text=True, timeout=LIMIT)
        return done.returncode, done.stdout
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print("subprocess", list(pool.map(child, range(8))))
    sleeper = subprocess.Popen(["sleep", "100"])
    try:
        sleeper.wait(0.05)
    except subprocess.TimeoutExpired:
        sleeper.terminate()
    print("terminated", sleeper.wait(LIMIT))
    print("shell", os.system("exit 3") >> 8, subprocess.getoutput("echo out"))
    pid = os.fork()
    if pid == 0:
        t = threading.Thread(target=lambda: os._exit(7))
        t.start()
        t.join(LIMIT)
        os._exit(1)
    print("fork", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def signals():
    seen = []
    signal.signal(signal.SIGUSR1, lambda *_: seen.append(threading.current_thread().name))
    threads = [threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))]
    threads[0].start()
    threads[0].join(LIMIT)
    until = time.monotonic() + LIMIT
    while not seen and time.monotonic() < until:
        time.sleep(0.001)
    print("handler ran in", seen)
    signal.signal(signal.SIGALRM, lambda *_: seen.append("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(0.2)
    print("alarm", seen[1:])
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    asker = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR2))
    asker.start()
    print("sigwait", signal.sigwait([signal.SIGUSR2]).name)
    asker.join(LIMIT)


def sockets():
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    server.settimeout(LIMIT)

    def serve():
        for _ in range(100):
            connection = server.accept()[0]
            threading.Thread(target=echo, args=(connection,)).start()

    def echo(connection):
        with connection, connection.makefile("rwb") as f:
            f.write(f.readline())

    def ask(i):
        with socket.create_connection(server.getsockname(), timeout=LIMIT) as s:
            s.sendall(b"%d\n" % i)
            return int(s.makefile().readline())
    accepter = threading.Thread(target=serve)
    accepter.start()
    with concurrent.futures.ThreadPoolExecutor(25) as pool:
        print("echo", sum(pool.map(ask, range(100))))
    accepter.join(LIMIT)
    a, b = socket.socketpair()
    a.settimeout(0.02)
    try:
        a.recv(1)
    except TimeoutError:
        print("recv timed out")
    threading.Timer(0.02, b.send, [b"x"]).start()
    print("select", select.select([a], [], [], LIMIT)[0] == [a])
    with tempfile.TemporaryFile() as f:
        f.write(b"x" * 100000)
        f.seek(0)
        print("file", len(f.read()))


for part in (two_thousand_threads, locks, timers, processes, signals, sockets):
    part()
    sys.stdout.flush()
print("done")
