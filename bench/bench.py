#!/usr/bin/python3
"""What does it cost, what does it gain? One question per function; every figure is from this run, modes in turn.

    bench/bench.py                 all questions, about a quarter of an hour; needs `make all programs bench-tasks`
    bench/bench.py hooks servers   some of them; -r 1 first: one round of each, a trial

hooks    what does a hooked call cost that does not park?                      (hookcost.c)
servers  a thread per connection against an epoll loop, all connections busy    (httpd.c, epolld.c, httpload.c)
peers    the HTTP server of docs/examples against the same in Go               (peers/http.go, wrk; skipped when missing)
alone    programs that need nothing from greenhook keep their speed             (nginx, redis, xz; skipped when missing)
disk     calls that wait for a disk: io_uring, hand-off, kernel threads          (disk.c)
tasks    yield, spawn, locks, channels, ... against Go, Tokio, Boost.Fiber, State Threads, kernel threads (tasks.py, tasks/, peers/)
scale    does an operation cost more the more threads there are?                (scale.py; with drawings)
goals    which of the goals are met, by what the questions before it said?      (goals.py)

Prints a table per question and writes build/bench/bench.json. A question that cannot be asked is named with the reason; a wrong
answer or status of any program ends the whole with status 1.
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import demo
import goals
import scale
import tasks
from demo import BUILD, Server, command, environment, fail, failures, guarded, print_machine, progress, run_json

ROUNDS = 5
GOAL_EXTRA_NS = 30


def in_turn(kinds, measure, rounds=None):
    """{kind: [figures]}: one of each kind per round, so that a drift of the machine hits all."""
    found = {kind: [] for kind in kinds}
    for number in range(rounds or ROUNDS):
        for kind in kinds:
            value = guarded(measure, kind)
            if value is not None:
                found[kind].append(value)
                progress(f"round {number + 1}, {kind}: {value if isinstance(value, str) else describe(value)}")
    return found


def describe(value):
    if isinstance(value, dict):
        return f"{value['requests_per_s']:,.0f}/s, p99 {value['p99_us'] / 1000:.1f} ms" if "p99_us" in value else f"{len(value)} figures"
    return f"{value:,.1f}"


def spread(values):
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} - {max(values):,.0f})"


def ratios(above, below):
    pairs = [a / b for a, b in zip(above, below)]
    return f"{statistics.median(pairs):.3f} ({min(pairs):.3f} - {max(pairs):.3f})" if pairs else "-"


# --- hooks -----------------------------------------------------------------------------------------------------

def hook_costs(mode):
    done = subprocess.run(command(mode, [os.path.join(BUILD, "bench/hookcost")]), capture_output=True, text=True, timeout=120, env=environment())
    return json.loads(done.stdout) if done.returncode == 0 else fail(f"hookcost ({mode}): status {done.returncode}: {done.stderr}")


def hooks():
    found = in_turn(["native", "green"], hook_costs)
    rows = []
    print(f"\n{'ns per call, least of all':26} {'native':>9} {'green':>9} {'more':>9}  goal: {GOAL_EXTRA_NS} more per call")
    for name in found["native"][0]:
        native, green = (min(run[name] for run in found[mode]) for mode in ("native", "green"))
        calls = 2 if "," in name and "ready" not in name and "nobody" not in name and "asked" not in name and "cached" not in name else 1
        met = (green - native) / calls <= GOAL_EXTRA_NS
        rows.append(dict(call=name, native=native, green=green, calls=calls, met=met))
        print(f"{name:26} {native:9.1f} {green:9.1f} {green - native:+9.1f}  {'met' if met else 'not met'}{' (two calls)' if calls == 2 else ''}")
    return rows


# --- servers ---------------------------------------------------------------------------------------------------

SERVERS = {"kernel threads": ("native", ["bench/httpd", "0"]), "green threads": ("green", ["bench/httpd", "0"]),
           "epoll, 1 thread": ("native", ["bench/epolld", "1"]), "epoll, 2 threads": ("native", ["bench/epolld", "2"])}


def load(kind, connections, seconds):
    mode, argv = SERVERS[kind]
    with Server(mode, [os.path.join(BUILD, argv[0]), *argv[1:]], r"listening on (\d+)", 0) as server:
        result = run_json(f"httpload on {kind}", [os.path.join(BUILD, "bench/httpload"), "-p", str(server.port), "-c", str(connections),
                          "-a", str(connections), "-d", str(seconds), "-w", "1"], seconds + 90)
    return result and dict(result, kernel_threads=server.peak_threads, rss_kib=server.peak_rss_kib)


def servers():
    rows = []
    for connections in 1000, 10000:
        progress(f"{connections:,} connections, all of them busy")
        found = in_turn(SERVERS, lambda kind: load(kind, connections, 3))
        rate = {kind: [r["requests_per_s"] for r in results] for kind, results in found.items()}
        best_loop = max(("epoll, 1 thread", "epoll, 2 threads"), key=lambda kind: statistics.median(rate[kind]))
        print(f"\n{connections:,} busy connections: {'requests/s':>22} {'p99 ms':>22} {'kernel threads':>15}")
        for kind, results in found.items():
            print(f"  {kind:22} {spread(rate[kind]):>30} {spread([r['p99_us'] / 1000 for r in results]):>22} {max(r['kernel_threads'] for r in results):>10,}")
        print(f"  green threads / {best_loop}: {ratios(rate['green threads'], rate[best_loop])}   goal: 0.90")
        print(f"  green threads / kernel threads: {ratios(rate['green threads'], rate['kernel threads'])}   goal at 10,000: 1.6")
        rows.append(dict(connections=connections, found=found, best_loop=best_loop))
    return rows


# --- programs to be left alone ---------------------------------------------------------------------------------

NGINX_CONF = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello\\n"; }} }} }}
"""


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process):
    import socket
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended at once")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args[0]} does not listen")


def served(mode, argv, port, client, pattern):
    process = subprocess.Popen(command(mode, argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    try:
        wait_for_port(port, process)
        done = subprocess.run(client, capture_output=True, text=True, timeout=120, env=environment())
        match = re.search(pattern, done.stdout)
        return float(match.group(1)) if done.returncode == 0 and match else fail(f"{client[0]} on {argv[0]} ({mode}): {done.stdout[-300:]}{done.stderr[-300:]}")
    finally:
        process.terminate()
        process.wait(20)


def nginx(mode):
    port = free_port()
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        conf = os.path.join(tmp, "nginx.conf")
        with open(conf, "w") as f:
            f.write(NGINX_CONF.format(dir=tmp, port=port))
        return served(mode, ["nginx", "-c", conf], port, ["wrk", "-t1", "-c50", "-d3s", f"http://127.0.0.1:{port}/"], r"Requests/sec:\s*([\d.]+)")


def redis(mode):
    port = str(free_port())
    with tempfile.TemporaryDirectory() as tmp:
        return served(mode, ["redis-server", "--port", port, "--save", "", "--dir", tmp], int(port),
                      ["redis-benchmark", "-p", port, "-t", "get", "-n", "150000", "-c", "50", "--csv"], r'"GET","([\d.]+)"')


def xz(mode):
    with open(shutil.which("gdb") or sys.executable, "rb") as f:
        data = f.read(6 << 20)
    start = time.monotonic()
    done = subprocess.run(command(mode, ["xz", "-3", "-c", "-T1"]), input=data, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120, env=environment())
    return 1000 / (time.monotonic() - start) if done.returncode == 0 else fail(f"xz ({mode}): status {done.returncode}: {done.stderr}")


def alone():
    rows = []
    for name, measure, needs in (("nginx, 50 connections, requests/s", nginx, ["nginx", "wrk"]),
                                 ("redis GET, 50 clients, requests/s", redis, ["redis-server", "redis-benchmark"]), ("xz -3, runs per 1000 s", xz, ["xz"])):
        missing = [program for program in needs if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")]
        if missing:
            print(f"{name}: skipped, {', '.join(missing)} not installed")
            continue
        progress(name)
        found = in_turn(["native", "green"], measure)
        rows.append(dict(name=name, found=found))
    print(f"\n{'left alone':36} {'native':>30} {'green':>30}  ratio, goal 0.99")
    for r in rows:
        print(f"{r['name']:36} {spread(r['found']['native']):>30} {spread(r['found']['green']):>30}  {ratios(r['found']['green'], r['found']['native'])}")
    return rows


# --- the same in Go --------------------------------------------------------------------------------------------

def asked(kind, connections):
    argv = [os.path.join(BUILD, "examples/http" if kind == "greenhook" else "bench/http-go"), "0"]
    with Server("native", argv, r"listening on 127\.0\.0\.1:(\d+)", 0) as server:
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", "-d3s", "--latency", f"http://127.0.0.1:{server.port}/"],
                              capture_output=True, text=True, timeout=120, env=environment())
        with open(f"/proc/{server.pid}/stat") as f:
            ticks = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        wrong = re.search(r"Socket errors.*|Non-2xx.*", done.stdout)
        if done.returncode != 0 or wrong:
            return fail(f"wrk on {kind}: {wrong.group() if wrong else done.stderr}")
        late, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout).groups()
        requests = int(re.search(r"(\d+) requests in", done.stdout).group(1))
        return dict(requests_per_s=float(re.search(r"Requests/sec:\s*([\d.]+)", done.stdout).group(1)),
                    requests_per_cpu_s=requests * os.sysconf("SC_CLK_TCK") / max(ticks, 1),
                    p99_us=float(late) * {"us": 1, "ms": 1e3, "s": 1e6}[unit])


def peers():
    missing = [program for program in ("go", "wrk") if not shutil.which(program)]
    if missing:
        print(f"\nthe same server in Go: skipped, {', '.join(missing)} not installed")
        return []
    go = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers/http.go")
    subprocess.run(["go", "build", "-o", os.path.join(BUILD, "bench/http-go"), go], check=True, timeout=300)
    rows = []
    for connections in 1, 64, 1000:
        progress(f"HTTP, {connections:,} connections")
        found = in_turn(["greenhook", "Go"], lambda kind: asked(kind, connections))
        rate, cheap = ({kind: [r[what] for r in results] for kind, results in found.items()} for what in ("requests_per_s", "requests_per_cpu_s"))
        print(f"\nHTTP, {connections:,} connections, load of the machine {os.getloadavg()[0]:.1f}")
        for kind, results in found.items():
            print(f"  {kind:10} requests/s {spread(rate[kind]):>26}   p99 us {spread([r['p99_us'] for r in results]):>24}")
        print(f"  greenhook / Go: {ratios(rate['greenhook'], rate['Go'])}   goal: 1; per second of the server's CPU: {ratios(cheap['greenhook'], cheap['Go'])}")
        rows.append(dict(connections=connections, found=found))
    return rows


# --- files -----------------------------------------------------------------------------------------------------

DISKS = {"kernel threads": ("native", {}), "hand-off": ("green", {"GREENHOOK_URING": "0"}), "io_uring": ("green", {})}


def on_disk(kind, what, threads):
    mode, extra = DISKS[kind]
    done = subprocess.run(command(mode, [os.path.join(BUILD, "bench/disk"), what, str(threads)]), capture_output=True, text=True, timeout=120,
                          env=dict(environment(), **extra))
    return json.loads(done.stdout) if done.returncode == 0 else fail(f"disk {what} {threads} ({kind}): status {done.returncode}: {done.stderr}")


def disk():
    rows = []
    for what, threads in [(what, threads) for what in ("read", "write", "fsync") for threads in (1, 16, 64, 256, 1000)]:
        progress(f"disk, {what}, {threads} threads")
        found = {kind: [] for kind in DISKS}
        for _ in range(ROUNDS):
            for kind in DISKS:
                result = guarded(lambda kind: on_disk(kind, what, threads), kind)
                if result is not None:
                    found[kind].append(result)
        rate = {kind: [r["calls_per_s"] for r in results] for kind, results in found.items()}
        print(f"\n{what}, {threads} threads: {'calls/s':>25} {'kernel threads':>20}")
        for kind, results in found.items():
            if results:
                print(f"  {kind:16} {spread(rate[kind]):>30} {max(r['kernel_threads'] for r in results):>10}")
        print(f"  io_uring / hand-off: {ratios(rate['io_uring'], rate['hand-off'])}; io_uring / kernel threads: {ratios(rate['io_uring'], rate['kernel threads'])}")
        rows.append(dict(what=what, threads=threads, found=found))
    return rows


QUESTIONS = {"hooks": hooks, "servers": servers, "peers": peers, "alone": alone, "disk": disk, "tasks": lambda: tasks.tasks(rounds=ROUNDS),
             "scale": lambda: scale.scale(rounds=min(ROUNDS, 3))}


def main():
    global ROUNDS
    argv = sys.argv[1:]
    if argv[:1] == ["-r"]:
        ROUNDS, argv = int(argv[1]), argv[2:]
    wanted = argv or [*QUESTIONS, "goals"]
    unknown = [name for name in wanted if name not in QUESTIONS and name != "goals"]
    if unknown:
        sys.exit(f"bench: no question {', '.join(unknown)}; there are {', '.join(QUESTIONS)}, goals")
    os.environ["PATH"] += ":/usr/sbin"
    print_machine()
    results = {name: QUESTIONS[name]() for name in wanted if name != "goals"}
    if "goals" in wanted:
        results["goals"] = goals.goals(results, ROUNDS)
    with open(os.path.join(BUILD, "bench", "bench.json"), "w") as f:
        json.dump(dict(results=results, failures=failures, limits=demo.limits()), f, indent=1)
    print(f"\nraw figures: {os.path.relpath(f.name)}; took {time.monotonic() - demo.START:.0f} s")
    if failures:
        sys.exit("bench: FAILED\n  " + "\n  ".join(failures))


if __name__ == "__main__":
    main()
