"""The table of goals: each with what this run measured, its spread, and whether it is met.

Called by bench.py last, with the answers to the other questions. It asks itself only what nobody else did: the bare switch, timers,
the large tree, hackbench, start-up. A row that was not measured says why; a row that is not met stays. What the rows mean, and why
some are not met: docs/performance.md. Raw figures: build/bench/goals.json.
"""
import json
import os
import re
import shutil
import subprocess
import time

import demo
import tasks
from demo import BUILD, command, environment, fail, progress
from tasks import FULL, LIGHT, middle

NATIVE = "kernel threads"


def run(mode, argv, limit_s=120, **env):
    done = subprocess.run(command(mode, argv), capture_output=True, text=True, timeout=limit_s, env=dict(environment(), **env))
    return done.stdout if done.returncode == 0 else fail(f"{argv[0]} ({mode}): status {done.returncode}: {done.stderr[-300:]}") or ""


def bench(name):
    return os.path.join(BUILD, "bench", name)


def repeated(rounds, measure):
    """[what measure() says], without failed rounds."""
    return [value for value in (demo.guarded(lambda _: measure(), None) for _ in range(rounds)) if value]


def hackbench(mode, pipes):
    said = re.search(r"Time: ([\d.]+)", run(mode, ["hackbench", "-T", "-g", "10", "-l", "100", *(["-p"] if pipes else [])]))
    return said and float(said.group(1))


def start_ms(mode, times=40):
    argv = command(mode, ["/bin/true"])
    start = time.monotonic()
    for _ in range(times):
        subprocess.run(argv, check=True, env=environment())
    return (time.monotonic() - start) * 1000 / times


class Table:
    def __init__(self):
        self.rows = []

    def most(self, number, what, goal, values, unit=""):
        """The goal is an upper limit."""
        self.add(number, what, f"≤ {goal:g}{unit}", values, values and middle(values) <= goal)

    def least(self, number, what, goal, values, unit="x"):
        self.add(number, what, f"≥ {goal:g}{unit}", values, values and middle(values) >= goal)

    def add(self, number, what, goal, values, met):
        if values:
            self.rows.append(dict(number=number, what=what, goal=goal, values=values, met=bool(met)))
        else:
            self.unmeasured(number, what, goal, "its question was not asked, or not answered")

    def unmeasured(self, number, what, goal, reason):
        self.rows.append(dict(number=number, what=what, goal=goal, values=[], met=None, reason=reason))

    def show(self):
        print(f"\n{'goals':2}\n{'#':>2}  {'what':58} {'goal':>12} {'measured: median (spread)':>32}")
        self.rows.sort(key=lambda r: r["number"])
        for r in self.rows:
            answer = {True: "met", False: "not met", None: f"not measured: {r.get('reason')}"}[r["met"]]
            print(f"{r['number']:2}  {r['what']:58} {r['goal']:>12} {tasks.text(r['values']) if r['values'] else '-':>32}  {answer}")
        count = {met: sum(r["met"] is met for r in self.rows) for met in (True, False, None)}
        print(f"{count[True]} met, {count[False]} not met, {count[None]} not measured")


def of_tasks(table, found):
    """Rows 2 to 7, 10, 11: what tasks.py asked. Goals are for one and two kernel threads, for light and full threads."""
    def rows(number, figure, light, full, scale=1, unit=" ns"):
        for who, goals in (LIGHT, light), (FULL, full):
            for workers, goal in zip((1, 2), goals):
                values = [v * scale for v in found.get(figure, {}).get(f"{who} / {workers}", [])]
                table.most(number, f"{figure.split(', ns')[0]}, {'light' if who == LIGHT else 'full'}, {workers} CPU{'s' if workers > 1 else ''}", goal, values, unit)

    rows(2, "yield, 2 tasks", (10, 8), (30, 20))
    rows(2, "yield, 1000 tasks", (15, 12), (40, 25))
    rows(3, "spawn+join, one", (50, 100), (250, 400))
    rows(3, "spawn+join, batch", (60, 100), (400, 400))
    rows(4, "ping-pong, mutex + 2 conds", (70, 200), (110, 250))
    rows(4, "channel, unbuffered", (60, 150), ())
    rows(5, "mutex, uncontended", (4.8,), (6,))
    rows(5, "mutex, 64 tasks", (5, 5), (6, 6))
    rows(6, "parked, bytes each", (4.3,), (8.3,), 1 / 1024, " KiB")
    rows(7, "parked, made / pages touched", (1.3,), (1.3,), 1, "x")
    rows(10, "socketpair, there and back", (4.4, 8.5), (4.4, 8.5), 1 / 1000, " us")
    for figure, goal in ("yield, 2 tasks", 40), ("ping-pong, mutex + 2 conds", 50), ("spawn+join, one", 60), ("socketpair, there and back", 2.3):
        runs = found.get(figure, {})
        pairs = [a / b for a, b in zip(runs.get(f"{NATIVE} / 2", []), runs.get(f"{FULL} / 2", []))]
        table.least(11, f"same binary, native / green: {figure}", goal, pairs)


def of_servers(table, rows):
    """Rows 12 to 14, of what bench.py's servers() returned."""
    if not rows:
        table.unmeasured(12, "thread per connection against epoll and kernel threads", "", "servers were not asked for")
        return
    for r in rows:
        rate, late = ({kind: [x[what] for x in results] for kind, results in r["found"].items()} for what in ("requests_per_s", "p99_us"))
        loop, n = r["best_loop"], f"{r['connections']:,} connections"
        table.least(12, f"HTTP, {n}: requests/s, green / {loop}", 0.95, [a / b for a, b in zip(rate["green threads"], rate[loop])])
        table.most(12, f"HTTP, {n}: p99, green / {loop}", 1.1, [a / b for a, b in zip(late["green threads"], late[loop])], "x")
        table.least(13, f"HTTP, {n}: requests/s, green / kernel threads", 1.6, [a / b for a, b in zip(rate["green threads"], rate["kernel threads"])])
        if r["connections"] >= 10000:
            table.most(14, "RSS of the green server per connection", 9, [x["rss_kib"] / r["connections"] for x in r["found"]["green threads"]], " KiB")
    table.unmeasured(12, "echo of 64 B", "≥ 0.95x", "no program of bench/ is an echo server")
    table.unmeasured(13, "1 of 10 connections active, green / kernel threads", "≥ 1x", "bench.py keeps all connections busy")


def goals(answers, rounds):
    table = Table()
    progress("goals: the bare switch, timers, a tree of 1,000,000 tasks, hackbench, start-up")
    bare = repeated(rounds, lambda: json.loads(run("native", [bench("raw_switch")])))
    table.most(1, "raw switch, light", 3.5, [b["light_ns"] for b in bare], " ns")
    table.most(1, "raw switch, full (thread pointer set)", 18, [b["full_ns"] for b in bare if "full_ns" in b], " ns")
    of_tasks(table, answers.get("tasks") or {})
    timers = repeated(rounds, lambda: json.loads(run("green", [bench("timers")])))
    for what, goal, key, unit in (("CPU", 400, "cpu_ms", " ms"), ("late, p50", 0.1, "late_p50_ms", " ms"), ("late, p99", 10, "late_p99_ms", " ms"), ("early", 0, "early", "")):
        table.most(8, f"100k timers, full: {what}", goal, [t[key] for t in timers], unit)
    for workers, goal in (1, 50), (2, 30):
        trees = repeated(min(rounds, 2), lambda: tasks.answer(LIGHT, "skynet", workers, 1000000))
        table.most(9, f"skynet, 1,000,000 leaves, light, {workers} CPU{'s' if workers > 1 else ''}", goal, [t["skynet, ms"] for t in trees], " ms")
    of_servers(table, answers.get("servers"))
    for pipes in False, True:
        what = f"hackbench -T, 10 groups, {'pipes' if pipes else 'sockets'}: native / green"
        if not shutil.which("hackbench"):
            table.unmeasured(15, what, "≥ 3x", "rt-tests not installed")
            continue
        pairs = repeated(rounds, lambda: (hackbench("native", pipes), hackbench("green", pipes)))
        table.least(15, what, 3, [a / b for a, b in pairs if a and b])
    table.unmeasured(16, "mariadbd, 1,000 connections, sysbench: green / native", "≥ 1x", "takes a server's set-up: make servers K=mariadb")
    for r in answers.get("alone") or []:
        pairs = [a / b for a, b in zip(r["found"]["green"], r["found"]["native"])]
        table.least(17, f"left alone: {r['name'].split(',')[0]}, green / native", 0.99, pairs)
    table.most(17, "start-up of /bin/true through greenhook run, more", 2, repeated(rounds, lambda: start_ms("green") - start_ms("native")), " ms")
    table.show()
    about = tasks.machine()
    print("  " + ", ".join(f"{key}: {value}" for key, value in about.items()))
    with open(os.path.join(BUILD, "bench/goals.json"), "w") as f:
        json.dump(dict(machine=about, rows=table.rows), f, indent=1)
    return table.rows
