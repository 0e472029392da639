#!/usr/bin/python3
"""The main job, measured: the same unmodified programs on kernel threads and under `greenhook run`, side by side.

Three workloads: python3 -m http.server under wrk; a thread-per-connection C server that holds 10,000 keep-alive
connections; a program that creates as many pthreads as it can. This file owns how they are started, checked and
printed; the programs are httpd.c, httpload.c and manythreads.c. Every figure comes from this run; any wrong answer,
failed exit or thread that did not run green ends the demo with a non-zero status.

    make demo                     about a minute
    bench/demo.py --quick         a few seconds, small loads
    bench/demo.py --mode native   only the baseline, without the library
"""
import argparse
import json
import os
import platform
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
PYTHON = "/usr/bin/python3"
FULL = dict(wrk_connections=32, wrk_s=3, held=10000, active=64, load_s=4, pair_s=1.5, native_threads=20000, green_threads=200000)
QUICK = dict(wrk_connections=8, wrk_s=1, held=300, active=16, load_s=0.5, pair_s=0.2, native_threads=1000, green_threads=5000)
STACK_BYTES = 64 * 1024
READY_LIMIT_S, END_LIMIT_S = 20, 20
# wrk itself does not look at bodies; this makes it count the answers that are not the file.
WRK_SCRIPT = """
local all = {}
function setup(thread) table.insert(all, thread) end
function init(args) wrong = 0; expected = args[1] end
function response(status, headers, body) if status ~= 200 or body ~= expected then wrong = wrong + 1 end end
function done(summary, latency, requests)
  local e, sum = summary.errors, 0
  for _, t in ipairs(all) do sum = sum + t:get("wrong") end
  io.write(string.format("JSON {\\"errors\\": %d, \\"requests\\": %d, \\"requests_per_s\\": %f, \\"p50_us\\": %f, \\"p99_us\\": %f}\\n",
    sum + e.connect + e.read + e.write + e.timeout, summary.requests,
    summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99)))
end
"""
failures = []


def progress(text):
    print(f"  [{time.monotonic() - START:5.1f} s] {text}", flush=True)


def fail(text):
    failures.append(text)
    progress("FAILED: " + text)


def command(mode, argv):
    return [os.path.join(BUILD, "greenhook"), "run", "--", *argv] if mode == "green" else argv


def environment():
    """The caller's environment without anything that would make the baseline green or the green runs special."""
    return {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("GREENHOOK_")}


def status_of(pid):
    """Kernel threads and resident KiB right now, or None when the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as f:
            fields = dict(line.split(":", 1) for line in f)
        return int(fields["Threads"]), int(fields["VmRSS"].split()[0])
    except (OSError, KeyError, ValueError):
        return None


class Server:
    """A running server: waits until it names its port, samples threads and memory, ends it with SIGTERM."""

    def __init__(self, mode, argv, port_pattern, expected_exit):
        self.mode, self.argv, self.pattern, self.expected_exit = mode, argv, port_pattern, expected_exit
        self.name = f"{os.path.basename(argv[0])} ({mode})"
        self.peak_threads = self.peak_rss_kib = 0
        self.stop = threading.Event()

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.proc = subprocess.Popen(command(self.mode, self.argv), stdout=subprocess.PIPE, stderr=self.log, env=environment(), text=True)
        try:
            readable, _, _ = select.select([self.proc.stdout], [], [], READY_LIMIT_S)
            match = re.search(self.pattern, self.proc.stdout.readline() if readable else "")
            if not match:
                raise RuntimeError(f"{self.name} did not start: {self.errors() or 'no port named'}")
            self.port = int(match.group(1))
            self.pid = self.proc.pid  # `greenhook run` becomes the program by exec
            if self.mode == "green":
                with open(f"/proc/{self.pid}/maps") as maps:
                    if "libgreenhook" not in maps.read():
                        raise RuntimeError(f"the green library did not load into {self.name}: {self.errors()}")
        except BaseException:
            self.proc.kill()
            self.proc.wait()
            raise
        self.sampler = threading.Thread(target=self.sample)
        self.sampler.start()
        return self

    def sample(self):
        while not self.stop.wait(0.05):
            now = status_of(self.pid)
            if now:
                self.peak_threads, self.peak_rss_kib = max(self.peak_threads, now[0]), max(self.peak_rss_kib, now[1])

    def errors(self):
        self.log.seek(0)
        return " / ".join(line.strip() for line in self.log if '" 200 ' not in line)[-600:]

    def __exit__(self, *exc):
        self.stop.set()
        self.sampler.join()
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass  # it ended before its time; the status below tells
        try:
            status = self.proc.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            status = f"none, still running {END_LIMIT_S} s after SIGTERM"
            self.proc.wait()
        if status != self.expected_exit:
            fail(f"{self.name} ended with status {status}, expected {self.expected_exit}: {self.errors()}")
        self.proc.stdout.close()


def run_json(name, argv, limit_s):
    """Runs a program that prints one line of JSON. None, and a failure noted, unless it exits with 0 and no errors."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=limit_s, env=environment())
    except subprocess.TimeoutExpired:
        return fail(f"{name} was not finished after {limit_s} s")
    match = re.search(r"\{.*\}", done.stdout)
    result = json.loads(match.group()) if match else None
    said = (done.stderr or done.stdout).strip()[-600:]
    if done.returncode != 0 or not result or result["errors"]:
        return fail(f"{name}: exit status {done.returncode}, errors {result and result['errors']}: {said}")
    if done.stderr.strip():
        progress(f"{name} says: {said}")
    return result


def row(workload, mode, threads, kernel, rss_kib, result):
    if mode == "green" and threads >= 100 and kernel > threads / 2:
        fail(f"{workload}: {threads} threads needed {kernel} kernel threads: they did not run green")
    return dict(workload=workload, mode=mode, threads=threads, kernel_threads=kernel, rss_kib=rss_kib, **result)


def python_server(mode, size):
    with tempfile.TemporaryDirectory() as tmp:
        body = "".join(f"line {i} of the file that wrk asks for\n" for i in range(100))
        os.mkdir(os.path.join(tmp, "www"))
        script = os.path.join(tmp, "check.lua")
        for path, text in ((os.path.join(tmp, "www", "file.txt"), body), (script, WRK_SCRIPT)):
            with open(path, "w") as f:
                f.write(text)
        argv = [PYTHON, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", os.path.join(tmp, "www"), "0"]
        with Server(mode, argv, r"port (\d+)", -signal.SIGTERM) as server:
            # Its backlog of 5 drops connections under load, and they come back after a second or three: not an error.
            result = run_json(f"wrk on python3 ({mode})", ["wrk", "-t1", f"-c{size['wrk_connections']}", f"-d{size['wrk_s']}s", "--timeout", "15s",
                              "-s", script, f"http://127.0.0.1:{server.port}/file.txt", "--", body], size["wrk_s"] + 30)
    return result and row("python3 -m http.server", mode, size["wrk_connections"], server.peak_threads, server.peak_rss_kib, result)


def c_server(mode, size, seconds=None):
    seconds = seconds or size["load_s"]
    with Server(mode, [os.path.join(BUILD, "bench/httpd"), "0"], r"listening on (\d+)", 0) as server:
        result = run_json(f"httpload on httpd ({mode})", [os.path.join(BUILD, "bench/httpload"), "-p", str(server.port), "-c", str(size["held"]),
                          "-a", str(size["active"]), "-d", str(seconds), "-w", str(min(0.5, seconds))], seconds + 60)
    return result and row("httpd, keep-alive", mode, size["held"], server.peak_threads, server.peak_rss_kib, result)


def many_threads(mode, size):
    asked = min(size["native_threads"], native_room()) if mode == "native" else size["green_threads"]
    result = run_json(f"manythreads {asked} ({mode})", command(mode, [os.path.join(BUILD, "bench/manythreads"), str(asked), str(STACK_BYTES)]), 60)
    if not result:
        return None
    if result["created"] < asked:
        progress(f"only {result['created']} of {asked} threads could be created")
    return row("manythreads", mode, result["created"], result.pop("kernel_threads"), result.pop("rss_kib"), result)


def runs_green():
    """A small trial first: a program that silently ran on kernel threads would take 200,000 of them."""
    result = run_json("trial with 200 threads (green)", command("green", [os.path.join(BUILD, "bench/manythreads"), "200"]), 30)
    if result and result["kernel_threads"] > 100:
        fail(f"the green library did not load or is not active: 200 threads took {result['kernel_threads']} kernel threads")
        return False
    return result is not None


def read_number(path):
    try:
        with open(path) as f:
            return int(f.read())
    except (OSError, ValueError):
        return None


def limits():
    import resource
    found = {"kernel.pid_max": read_number("/proc/sys/kernel/pid_max"), "kernel.threads-max": read_number("/proc/sys/kernel/threads-max"),
             "vm.max_map_count": read_number("/proc/sys/vm/max_map_count"), "RLIMIT_NPROC": resource.getrlimit(resource.RLIMIT_NPROC)[0],
             "RLIMIT_NOFILE": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}
    return {k: v for k, v in found.items() if v is not None and v != resource.RLIM_INFINITY}


def native_room():
    """How many kernel threads the baseline may take: two thirds of the lowest limit, a thread has a pid and two mappings."""
    cost = {"kernel.pid_max": 1, "kernel.threads-max": 1, "vm.max_map_count": 2, "RLIMIT_NPROC": 1}
    return min(int(v / cost[k] * 0.67) for k, v in limits().items() if k in cost)


def print_machine():
    def first(argv):
        try:
            return subprocess.run(argv, capture_output=True, text=True, timeout=10).stdout.splitlines()[0]
        except (OSError, IndexError, subprocess.TimeoutExpired):
            return "unknown"
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    print(f"machine:  {len(os.sched_getaffinity(0))} CPUs, {model.group(1) if model else platform.machine()}, {memory} GiB; Linux {platform.release()}; "
          f"{os.confstr('CS_GNU_LIBC_VERSION')}")
    print(f"built by: {first(['gcc', '--version'])}, -O2; governor: {open(governor).read().strip() if os.path.exists(governor) else 'not exposed'}; not pinned")
    print("limits:   " + ", ".join(f"{k} {v}" for k, v in limits().items()) + f"; baseline threads at most {native_room()}")


def print_table(rows):
    def cell(r, key, form="{:,.0f}"):
        return form.format(r[key]) if key in r else "-"
    print(f"\n{'workload':24} {'mode':7} {'threads':>9} {'kernel threads':>15} {'RSS MiB':>9} {'requests/s':>11} {'p50 µs':>9} {'p99 µs':>11}")
    for r in rows:
        print(f"{r['workload']:24} {r['mode']:7} {r['threads']:>9,} {r['kernel_threads']:>15,} {r['rss_kib'] / 1024:>9,.1f} "
              f"{cell(r, 'requests_per_s'):>11} {cell(r, 'p50_us'):>9} {cell(r, 'p99_us'):>11}")
    for r in (r for r in rows if "create_s" in r):
        n = r["threads"]
        print(f"{r['workload']} ({r['mode']}), per thread: {r['create_s'] / n * 1e6:.2f} µs to create, {r['wake_s'] / n * 1e6:.2f} µs to wake, "
              f"{r['join_s'] / n * 1e6:.2f} µs to join, {r['rss_kib'] / n:.1f} KiB")


def guarded(measure, *args):
    """One workload that does not start is one failure; the others are still measured."""
    try:
        return measure(*args)
    except (RuntimeError, OSError) as error:
        return fail(str(error))


def alternating(modes, size):
    """Three rounds, native and green in turn, so that a drift of the machine hits both."""
    rates = {mode: [] for mode in modes}
    for round_number in range(3):
        for mode in modes:
            result = guarded(c_server, mode, size, size["pair_s"])
            if result:
                rates[mode].append(result["requests_per_s"])
                progress(f"httpd round {round_number + 1}, {mode}: {result['requests_per_s']:,.0f} requests/s")
    return rates


def print_ratio(rates):
    for mode, values in rates.items():
        if values:
            print(f"httpd {mode}: median of {len(values)} runs {statistics.median(values):,.0f} requests/s ({min(values):,.0f} - {max(values):,.0f})")
    native, green = rates.get("native"), rates.get("green")
    if native and green and len(native) == len(green):
        pairs = [g / n for n, g in zip(native, green)]
        print(f"green / native: {statistics.median(green) / statistics.median(native):.2f} (pairs {min(pairs):.2f} - {max(pairs):.2f})")


def main():
    parser = argparse.ArgumentParser(description="native and green, side by side")
    parser.add_argument("--quick", action="store_true", help="small loads, a few seconds")
    parser.add_argument("--mode", choices=["native", "green", "both"], default="both")
    args = parser.parse_args()
    size = QUICK if args.quick else FULL
    modes = ["native", "green"] if args.mode == "both" else [args.mode]
    needed = ["bench/httpd", "bench/httpload", "bench/manythreads"] + (["greenhook", "libgreenhook.so"] if "green" in modes else [])
    missing = [name for name in needed if not os.path.exists(os.path.join(BUILD, name))]
    if missing:
        sys.exit(f"demo: not built: {', '.join(missing)}; run `make all programs` first")

    print_machine()
    if "green" in modes and not runs_green():
        modes.remove("green")
    rows = []
    for title, measure in (("python3 -m http.server under wrk", python_server),
                           (f"httpd holding {size['held']:,} connections, {size['active']} busy", c_server),
                           ("manythreads: create, park, wake and join", many_threads)):
        for mode in modes:
            progress(f"{title}: {mode}")
            rows.append(guarded(measure, mode, size))
    rows = [r for r in rows if r]
    rates = alternating(modes, size)
    print_table(rows)
    print_ratio(rates)
    with open(os.path.join(BUILD, "bench", "demo.json"), "w") as f:
        json.dump(dict(rows=rows, httpd_rates=rates, failures=failures, limits=limits()), f, indent=1)
    print(f"\nraw figures: {os.path.relpath(f.name)}; took {time.monotonic() - START:.0f} s")
    if failures:
        sys.exit("demo: FAILED\n  " + "\n  ".join(failures))


START = time.monotonic()
if __name__ == "__main__":
    main()
