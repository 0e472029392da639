#!/usr/bin/python3
"""Every differential program, native and green with 1, 2 and 8 workers, again and again.

    integration/conformance.py                  three repetitions
    integration/conformance.py -n 50            before an issue is closed
    integration/conformance.py -n 20 -k cond    tests whose name contains "cond"
    integration/conformance.py -n 50 -j 3       three of them at once
    integration/conformance.py --list           what is run, and which programs are not differential

There is no list of programs here: the tests that call `agree` are the list, with their arguments, statuses and worker
counts. This runner selects them, and gives `agree` a ledger that repeats, compares and counts; a native run that differs
from the first native run is a difference as well, and so is one that hangs. Ends with 1 when anything differed.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
EVERY_WORKERS = (1, 2, 8)


class Ledger:
    """A pytest plugin named "ledger": conftest.py looks for it."""

    def __init__(self, rounds, only_list, part):
        self.rounds, self.only_list, self.part = rounds, only_list, part
        self.programs, self.runs, self.differences = {}, 0, 0

    @pytest.hookimpl(trylast=True)  # a part of what -k leaves
    def pytest_collection_modifyitems(self, config, items):
        first, step = self.part
        ours = [item for item in items if "agree" in item.fixturenames][first::step]
        config.hook.pytest_deselected(items=[item for item in items if item not in ours])
        items[:] = ours

    def compare(self, run, native, program, args, workers, options):
        """All rounds of one program; what differed, as texts. `native` is the first native run, and the judge."""
        from conftest import difference
        label = " ".join(pathlib.Path(str(part)).name for part in (program, *args))
        label += "".join(f" {k}={v}" for k, v in (options.get("env") or {}).items())
        self.programs.setdefault(label, 0)
        self.runs += 1
        if self.only_list:
            return []
        # A test may ask for fewer worker counts to save time; here there is time.
        kinds = [("native", None)] + [("green", count) for count in sorted({*workers, *EVERY_WORKERS})]
        problems = []
        for turn in range(self.rounds):
            for mode, count in kinds:
                if turn == 0 and mode == "native":
                    continue
                try:
                    text = difference(native, run(program, *args, mode=mode, workers=count, **options))
                except pytest.fail.Exception as hang:
                    text = str(hang)
                self.runs += 1
                if text:
                    self.programs[label] += 1
                    self.differences += 1
                    problems.append(f"round {turn + 1}, {mode}{f', {count} workers' if count else ''}: {text}")
        return problems


def not_differential(ledger):
    """Programs that no test hands to `agree`."""
    seen = {label.split()[0] for label in ledger.programs}
    return sorted(source.stem for source in (HERE / "programs").glob("*.c*") if source.stem not in seen)


def in_parts(jobs):
    """This command again, for each part of the tests at once; the sums."""
    parts = [subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--part", f"{i}/{jobs}"], stdout=subprocess.PIPE, text=True)
             for i in range(jobs)]
    outputs = [part.communicate()[0] for part in parts]
    print("".join(outputs), end="")
    counts = [re.search(r"^conformance: (\d+) programs, (\d+) runs, (\d+) differences, (\d+) s$", text, re.M) for text in outputs]
    if all(counts):
        programs, runs, differences = (sum(int(count[i]) for count in counts) for i in (1, 2, 3))
        print(f"conformance in {jobs} parts: {programs} programs, {runs} runs, {differences} differences, {max(int(count[4]) for count in counts)} s")
    return 0 if all(counts) and all(part.returncode == 0 for part in parts) else 1


def part_of(text):
    first, step = text.split("/")
    return int(first), int(step)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=3, help="repetitions of each run")
    parser.add_argument("-j", type=int, default=1, help="tests at once")
    parser.add_argument("-k", default="", help="as pytest -k")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--part", type=part_of, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.j > 1 and not options.part:
        return in_parts(options.j)
    os.chdir(HERE.parent)
    ledger = Ledger(options.n, options.list, options.part or (0, 1))
    started = time.monotonic()
    status = pytest.main(["-q", "-p", "no:cacheprovider", "-o", "addopts=", "integration", "-k", options.k],
                         plugins=[_named(ledger)])
    for label, count in sorted(ledger.programs.items()):
        if options.list or count:
            print(f"{label}" + (f": {count} runs differ" if count else ""))
    if not options.k and not options.part:
        print(f"not differential: {' '.join(not_differential(ledger))}")
    print(f"conformance: {len(ledger.programs)} programs, {ledger.runs} runs, {ledger.differences} differences, "
          f"{time.monotonic() - started:.0f} s")
    # pytest's status covers what never got as far as a comparison: a native run that fails, an error of a test.
    nothing = options.part and status == pytest.ExitCode.NO_TESTS_COLLECTED
    return 1 if ledger.differences or (status != 0 and not nothing) else 0


class _named:
    """Registers the ledger under its name: a plugin given as an object has none."""

    def __init__(self, ledger):
        self.ledger = ledger

    def pytest_configure(self, config):
        config.pluginmanager.register(self.ledger, "ledger")


if __name__ == "__main__":
    sys.exit(main())
