#!/usr/bin/python3
"""The questions of bench/tasks, put to greenhook and its peers in turn, with one and with two kernel threads.

    make bench ASK=tasks             every question; the peers that are there (make bench-peers installs and builds them)
    bench/tasks.py -r 3 yield mutex  some of them, three rounds

One round asks every peer once, so that a drift of the machine hits all; ratios are taken within a round. With one kernel thread
everybody is pinned to one CPU. A peer that is not there is named with the reason. Raw figures: build/bench/tasks.json.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import demo
from demo import BUILD, ROOT, command, fail, progress

QUESTIONS = [name[:-2] for name in sorted(os.listdir(os.path.join(ROOT, "bench/tasks"))) if name.endswith(".c")]
FULL, LIGHT = "greenhook, pthreads", "greenhook, native API"
PEERS = {FULL: "pthread", LIGHT: "greenhook", "kernel threads": "pthread", "Go": "go", "Tokio": "tokio", "Boost.Fiber": "fiber",
         "State Threads": "st"}
# What a peer has no words for, or cannot do here; everything else it must answer.
CANNOT = {("State Threads", None, 2): "one kernel thread, always", ("Boost.Fiber", "socketpair", None): "brings no I/O",
          ("Tokio", "pingpong", None): "no condition variables", ("kernel threads", "skynet", None): "takes too many threads at once"}
KERNEL_THREADS_AT_ONCE = 2000
CPUS = sorted(os.sched_getaffinity(0))
LIMIT_S = 120


def argv_of(peer, question, workers, n):
    kind = PEERS[peer]
    folder = os.path.join(BUILD, "bench/tasks")
    if peer == "kernel threads" and question in ("spawn", "parked"):
        n = min(n or KERNEL_THREADS_AT_ONCE, KERNEL_THREADS_AT_ONCE)
    tail = [str(workers)] + ([str(n)] if n else [])
    if kind in ("go", "tokio"):
        argv = [os.path.join(folder, kind), question, *tail]
    else:
        argv = [os.path.join(folder, f"{question}-{kind}"), *tail]
    if peer == FULL:
        argv = command("green", argv)
    return ["taskset", "-c", ",".join(map(str, CPUS[:workers])), *argv]


def why_not(peer, question, workers):
    """None, or why this peer is not asked this."""
    for key in (peer, question, None), (peer, None, workers):
        if key in CANNOT:
            return CANNOT[key]
    if workers > len(CPUS):
        return f"there are {len(CPUS)} CPUs"
    kind = PEERS[peer]
    program = os.path.join(BUILD, "bench/tasks", kind if kind in ("go", "tokio") else f"{question}-{kind}")
    return None if os.path.exists(program) else "not built: make bench-peers"


def answer(peer, question, workers, n=None):
    """{figure: value} of one run, or None with a failure noted."""
    env = dict(demo.environment(), GREENHOOK_WORKERS=str(workers))
    try:
        done = subprocess.run(argv_of(peer, question, workers, n), capture_output=True, text=True, timeout=LIMIT_S, env=env)
        if done.returncode == 0:
            return json.loads(done.stdout)
        return fail(f"{question}, {peer}, {workers}: status {done.returncode}: {done.stderr[-300:]}")
    except (subprocess.TimeoutExpired, ValueError) as error:
        return fail(f"{question}, {peer}, {workers}: {error}")


def ask(question, rounds):
    """{"figure": {"peer / workers": [values, one a round]}} and {"peer / workers": why it was not asked}."""
    found, absent = {}, {}
    asked = []
    for workers in 1, 2:
        for peer in PEERS:
            reason = why_not(peer, question, workers)
            if reason:
                absent[f"{peer} / {workers}"] = reason
            else:
                asked.append((peer, workers))
    for _ in range(rounds):
        for peer, workers in asked:
            for name, value in (answer(peer, question, workers) or {}).items():
                found.setdefault(name, {}).setdefault(f"{peer} / {workers}", []).append(value)
    return found, absent


def middle(values):
    return statistics.median(values) if values else None


def text(values):
    digits = 0 if middle(values) >= 100 else 1 if middle(values) >= 10 else 2
    return f"{middle(values):,.{digits}f} ({min(values):,.{digits}f} - {max(values):,.{digits}f})"


def ratio(above, below):
    """Median of the ratios of the rounds."""
    return statistics.median([a / b for a, b in zip(above, below) if b]) if above and below else None


def show(found):
    for name, runs in found.items():
        print(f"\n{name + ('' if any(unit in name for unit in ('bytes', '/', ' ms', ' ns ')) else ', ns'):34} {'median (spread)':>34} {'full / it':>10} {'light / it':>10}")
        for workers in 1, 2:
            for peer in PEERS:
                values = runs.get(f"{peer} / {workers}")
                if values:
                    by = [ratio(runs.get(f"{ours} / {workers}"), values) for ours in (FULL, LIGHT)]
                    print(f"  {workers} kernel thread{'s' if workers > 1 else ' '}  {peer:22} {text(values):>26} " +
                          " ".join(f"{r:10.3f}" if r else f"{'-':>10}" for r in by))


def tasks(questions=None, rounds=5):
    results, reasons = {}, {}
    for question in questions or QUESTIONS:
        progress(f"{question}: every peer, {rounds} rounds")
        found, absent = ask(question, rounds)
        show(found)
        results.update(found)
        reasons[question] = absent
    everywhere = {}
    for question, absent in reasons.items():
        for who, reason in absent.items():
            everywhere.setdefault((who, reason), []).append(question)
    for (who, reason), asked in everywhere.items():
        print(f"not asked: {who}: {reason} ({'all questions' if len(asked) == len(reasons) else ', '.join(asked)})")
    with open(os.path.join(BUILD, "bench/tasks.json"), "w") as f:
        json.dump(dict(machine=machine(), rounds=rounds, figures=results, not_asked=reasons), f, indent=1)
    return results


def output_of(*argv):
    if not shutil.which(argv[0]):
        return "none"
    return (subprocess.run(argv, capture_output=True, text=True).stdout.splitlines() or ["?"])[0]


def machine():
    """What has to be known of a figure that is to be compared with another day's."""
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "?")
    governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    return dict(cpu=model, cpus=len(CPUS), kernel=os.uname().release, compiler=output_of(os.environ.get("CC", "gcc"), "--version"),
                flags="-O2 -g", go=output_of("go", "version"), rust=output_of("rustc", "--version"),
                governor=open(governor).read().strip() if os.path.exists(governor) else "not told", load=[round(x, 1) for x in os.getloadavg()],
                nice=os.nice(0), revision=output_of("git", "-C", ROOT, "rev-parse", "--short", "HEAD"), date=time.strftime("%Y-%m-%d %H:%M"))


def main():
    argv = sys.argv[1:]
    rounds = 5
    if argv[:1] == ["-r"]:
        rounds, argv = int(argv[1]), argv[2:]
    unknown = set(argv) - set(QUESTIONS)
    if unknown:
        sys.exit(f"tasks: no question {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    print(json.dumps(machine(), indent=1))
    tasks(argv, rounds)
    if demo.failures:
        sys.exit("tasks: FAILED\n  " + "\n  ".join(demo.failures))


if __name__ == "__main__":
    main()
