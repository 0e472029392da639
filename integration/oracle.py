#!/usr/bin/python3
"""The oracle: random programs must give the same natively and green.

    integration/oracle.py --programs 20000                what `make oracle` and `make check` run
    integration/oracle.py --from 7000 --programs 100 --workers 1,8
    integration/oracle.py --seed 4711 --workers 2         one seed, again and again, then shrunk

programs/oracle.c makes a program of each seed and runs it; its result does not depend on the schedule. The seeds are
run in blocks, one process each: natively, and green with one of the worker counts in turn. A seed whose lines differ,
or that hangs, dies or finds a fact wrong, is run again and shrunk: steps are left out and rounds reduced while it still
fails. Ends with 1 when anything differed.
"""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build" / "programs" / "oracle"
LIBRARY = pathlib.Path(os.environ.get("GREENHOOK_LIB", ROOT / "build" / "libgreenhook.so"))
BLOCK = 250
EXTRA = []  # arguments of every run
VERBOSE = False  # failures are printed when they are seen


def environment(workers):
    """workers=None: native."""
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("GREENHOOK")}
    if workers is not None:
        env.update({k: v for k, v in os.environ.items() if k.startswith("GREENHOOK_") and k != "GREENHOOK_LIB"})
        env["LD_PRELOAD"] = str(LIBRARY.resolve())
        env["GREENHOOK_WORKERS"] = str(workers)
    return env


def run(workers, seed, count, limit, *more):
    """The lines by seed, and what went wrong: (seed, text) or None."""
    command = [str(PROGRAM), "--from", str(seed), "--count", str(count), "--limit", str(limit), *EXTRA, *map(str, more)]
    done = subprocess.run(command, env=environment(workers), capture_output=True, text=True, errors="replace")
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    if done.returncode == 0 and len(lines) == count:
        return lines, None
    last = done.stdout.splitlines()[-1:] or [f"{seed} nothing was printed"]
    return lines, (int(last[0].split()[0]), f"status {done.returncode}: {last[0]}\n{done.stderr}")


def run_block(workers, seed, count, limit):
    """As run, but goes on behind a seed that failed."""
    lines, failures, at = {}, {}, seed
    while at < seed + count:
        some, failure = run(workers, at, seed + count - at, limit)
        lines.update(some)
        if failure is None:
            break
        failures[failure[0]] = failure[1]
        if VERBOSE:
            print(f"seed {failure[0]}, {name(workers)}: {failure[1]}", file=sys.stderr, flush=True)
        at = failure[0] + 1
    return lines, failures


def name(workers):
    return "native" if workers is None else f"{workers} worker{'s' if workers > 1 else ''}"


def fails(workers, seed, repeat, limit, steps, rounds):
    """What went wrong with this part of the program, or None."""
    part = ["--steps", ",".join(map(str, steps))] + (["--rounds", str(rounds)] if rounds else [])
    lines, failure = run(workers, seed, 1, limit, "--repeat", repeat, *part)
    if failure:
        return failure[1]
    native, _ = run(None, seed, 1, limit, *part)
    return None if lines == native else f"{lines} differs from the native {native}"


def shrink(workers, seed, repeat, limit):
    """A smaller program that still fails, as text."""
    steps, rounds = list(range(16)), 0
    text = fails(workers, seed, repeat, limit, steps, rounds)
    if text is None:
        return f"not seen again in {repeat} repetitions"
    for step in range(16):
        fewer = [s for s in steps if s != step]
        shorter = fails(workers, seed, repeat, limit, fewer, rounds)
        if shorter:
            steps, text = fewer, shorter
    for fewer in (1, 2, 4, 8, 16):
        shorter = fails(workers, seed, repeat, limit, steps, fewer)
        if shorter:
            rounds, text = fewer, shorter
            break
    command = (f"oracle --from {seed} --repeat {repeat} --limit {limit} --steps {','.join(map(str, steps))}"
               + (f" --rounds {rounds}" if rounds else ""))
    return f"smallest: {command}  [{name(workers)}]\n{text}"


def compare(first, programs, workers, jobs, limit, progress=lambda text: None):
    """Runs all; returns {(seed, workers): text} of what differed."""
    wrong = {}
    blocks = [(first + i, min(BLOCK, programs - i)) for i in range(0, programs, BLOCK)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        pairs = [(seed, count, workers[i % len(workers)],
                  pool.submit(run_block, None, seed, count, limit),
                  pool.submit(run_block, workers[i % len(workers)], seed, count, limit))
                 for i, (seed, count) in enumerate(blocks)]
        for seed, count, green, native_run, green_run in pairs:
            native_lines, native_failures = native_run.result()
            green_lines, green_failures = green_run.result()
            wrong.update({(at, None): text for at, text in native_failures.items()})
            wrong.update({(at, green): text for at, text in green_failures.items()})
            for at in range(seed, seed + count):
                mine, theirs = native_lines.get(str(at)), green_lines.get(str(at))
                if mine != theirs and at not in green_failures and at not in native_failures:
                    wrong[(at, green)] = f"native {mine}, green {theirs}"
            progress(f"{seed + count - first} of {programs} programs, {len(wrong)} differ")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--programs", type=int, default=20000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--workers", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2, 8])
    parser.add_argument("--jobs", type=int, default=2 * len(os.sched_getaffinity(0)))
    parser.add_argument("--limit", type=int, default=30, help="seconds after which a program hangs")
    parser.add_argument("--repeat", type=int, default=300, help="repetitions while shrinking")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="print failures at once")
    parser.add_argument("--without", help="kinds of steps to leave out, comma separated")
    options = parser.parse_args()
    global VERBOSE
    VERBOSE = options.verbose
    if options.without:
        EXTRA.extend(["--without", options.without])
    started = time.monotonic()
    if options.seed is not None:
        for workers in options.workers:
            print(f"seed {options.seed}, {name(workers)}: {shrink(workers, options.seed, options.repeat, options.limit)}")
        return 0
    progress = (lambda text: print(f"\r{text} ", end="", file=sys.stderr)) if sys.stderr.isatty() else lambda text: None
    wrong = compare(options.first, options.programs, options.workers, options.jobs, options.limit, progress)
    for count, ((seed, workers), text) in enumerate(sorted(wrong.items(), key=lambda item: item[0][0])):
        print(f"\nseed {seed}, {name(workers)}: {text}")
        if not options.no_shrink and count < 5:
            print(shrink(workers, seed, options.repeat, min(options.limit, 10)))
    counts = ", ".join(map(str, options.workers))
    print(f"oracle: {options.programs} programs from seed {options.first}, native and green with {counts} workers in turn: "
          f"{len(wrong)} differ, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
