#!/usr/bin/python3
"""Real servers under load, natively and green: the same answers, no error, a clean end, nothing left behind.

    integration/servers.py                        what `make servers` runs: each server for 30 s per mode, once
    integration/servers.py -n 10 --seconds 30     ten rounds, before an issue is closed
    integration/servers.py -k mariadb -m native -m green
    integration/servers.py --list

The loads are described in apps/load_*.py. Prints a line per run: throughput, the client's 99th percentile, the most kernel
threads of the server. Ends with 1 when anything was wrong.
"""
import argparse
import ctypes
import os
import signal
import sys
import time
import traceback

import pytest  # the parts shared with test_apps.py skip by it

from apps import harness, load, load_data, load_system, load_web  # noqa: F401  (the order is that of the report)

MODES = [harness.NATIVE, harness.Mode("green", harness.DEFAULT), harness.Mode("green-w1", 1)]
PR_SET_CHILD_SUBREAPER = 36
MANY_THREADS, SHOWN_LINES = 200, 160
SKIPPED = (pytest.skip.Exception,)


def one(function, mode, seconds):
    """Runs one load in one mode. Returns (outcome or None, what was wrong or "")."""
    shm, segments, seen = load.shm_names(), load.segments(), set()
    outcome, wrong = None, ""
    with load.Watch(os.getpid(), seen=seen):
        try:
            outcome = function(mode, seconds)
        except SKIPPED:
            raise
        except AssertionError as error:
            wrong = str(error)
        except Exception:
            wrong = traceback.format_exc()
    left = load.own_left(shm, segments, seen)
    return outcome, "\n".join(text for text in (wrong, left) if text)


def difference(native, green):
    wrong = ""
    if green.facts != native.facts:
        wrong += f"ended otherwise than natively: {green.facts!r}, not {native.facts!r}\n"
    if native.threads >= MANY_THREADS and green.threads > native.threads / 2:
        wrong += f"{green.threads} kernel threads, natively {native.threads}: not green\n"
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=1, help="rounds")
    parser.add_argument("-k", default="", help="only servers whose name holds this")
    parser.add_argument("-m", action="append", choices=[mode.name for mode in MODES], help="only these modes")
    parser.add_argument("--seconds", type=int, default=30, help="of load per run")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    loads = [entry for entry in load.LOADS if options.k in entry[0]]
    if options.list or not loads:
        print("\n".join(name for name, _, _ in load.LOADS))
        return 0 if options.list else 2
    # Whatever a server leaves running becomes our child, and is found.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs = failures = 0
    for number in range(options.n):
        print(f"round {number + 1} of {options.n}, {options.seconds} s each, {time.strftime('%H:%M:%S')}", flush=True)
        for name, function, programs in loads:
            missing = [program for program in programs if not harness.find(program)]
            if missing:
                print(f"{name:16} skipped: no {', '.join(missing)}", flush=True)
                continue
            native = None
            for mode in MODES:
                if options.m and mode.name not in options.m:
                    continue
                try:
                    outcome, wrong = one(function, mode, options.seconds)
                except SKIPPED as reason:
                    print(f"{name:16} skipped: {reason}", flush=True)
                    break
                if outcome and not mode.green:
                    native = outcome
                elif outcome and native:
                    wrong += difference(native, outcome)
                runs += 1
                failures += bool(wrong)
                print(line(name, mode, outcome, native) if outcome else f"{name:16} {mode.name:9}", "FAILED" if wrong else "", flush=True)
                text = wrong.splitlines()
                skip = max(len(text) - SHOWN_LINES, 0)
                for said in text[:SHOWN_LINES // 2] + [f"... {skip} lines ..."] * (skip > 0) + text[SHOWN_LINES // 2 + skip:]:
                    print("    " + said, flush=True)
    print(f"servers: {runs} runs, {failures} failures")
    return 1 if failures or not runs else 0


def line(name, mode, outcome, native):
    text = f"{name:16} {mode.name:9} {outcome.rate:10,.0f} {outcome.unit + '/s':15}"
    text += f" p99 {outcome.p99:8.1f} ms" if outcome.p99 is not None else " " * 16
    text += f" {outcome.threads:5} kernel threads"
    if mode.green and native and native.rate:
        text += f"   {outcome.rate / native.rate:.2f} of native"
    return text


if __name__ == "__main__":
    sys.exit(main())
