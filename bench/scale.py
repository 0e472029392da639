#!/usr/bin/python3
"""Does an operation cost more the more threads there are?  Yield, wake, creation and RSS from 10 to 1,000,000 threads, full and light.

    make bench ASK=scale                  about five minutes, with drawings: build/bench/scale-*.svg
    bench/scale.py -r 1 10 1000 100000    these numbers of threads, one round

One kernel thread, pinned. Yield: all of them are ready and give way in turn. Wake: two hand a turn to each other while all others are
parked. Raw figures: build/bench/scale.json. Draws with svg.py.
"""
import json
import os
import sys

import demo
import svg
import tasks
from demo import BUILD, progress

COUNTS = (10, 100, 1000, 10000, 100000, 1000000)
# question, figure, what the drawing says
ASKED = (("yield", "yield", "one yield, ns"), ("pingpong", "ping-pong, mutex + 2 conds", "a turn there and back, ns"),
         ("parked", "parked, bytes each", "RSS of a parked thread, bytes"), ("parked", "parked, ns to make each", "making a parked thread, ns"),
         ("parked", "parked, ns to wake each", "waking one of all, ns"))
WORST_GROWTH = 2


def room_for(count):
    """Full threads take two pages each, and a third of address space tables."""
    with open("/proc/meminfo") as f:
        free = next(int(line.split()[1]) for line in f if line.startswith("MemAvailable"))
    return free > count * 14


def growth(runs, counts):
    """Cost with most threads over cost with fewest; below 100 of them, start-up hides in the figure of memory."""
    asked = [n for n in counts if n in runs]
    return tasks.middle(runs[asked[-1]]) / tasks.middle(runs[asked[0]]) if len(asked) > 1 else None


def scale(counts=COUNTS, rounds=3):
    found = {}
    for count in counts:
        if not room_for(count):
            print(f"{count:,} threads: skipped, not enough free memory")
            continue
        progress(f"{count:,} threads")
        for number in range(1 if count >= 1000000 else rounds):
            for peer in tasks.FULL, tasks.LIGHT:
                for question in "yield", "pingpong", "parked":
                    got = tasks.answer(peer, question, 1, count) or {}
                    for asked, name, _ in ASKED:
                        if asked == question and name in got:
                            found.setdefault(name, {}).setdefault(peer, {}).setdefault(count, []).append(got[name])
    for number, (_, name, title) in enumerate(ASKED):
        curves = {peer: [(n, tasks.middle(v)) for n, v in sorted(runs.items())] for peer, runs in found.get(name, {}).items()}
        print(f"\n{title:36}" + "".join(f"{n:>12,}" for n in counts) + f"   growth, goal {WORST_GROWTH}")
        for peer, runs in found.get(name, {}).items():
            grew = growth(runs, counts)
            print(f"  {peer:34}" + "".join(f"{tasks.middle(runs[n]):12,.0f}" if n in runs else f"{'-':>12}" for n in counts) + (f"   {grew:.2f}" if grew else ""))
        path = os.path.join(BUILD, f"bench/scale-{number}.svg")
        if curves:
            with open(path, "w") as f:
                f.write(svg.chart(title, "threads", curves))
            print(f"  {os.path.relpath(path)}")
    with open(os.path.join(BUILD, "bench/scale.json"), "w") as f:
        json.dump(dict(machine=tasks.machine(), figures=found), f, indent=1)
    return found


def main():
    argv, rounds = sys.argv[1:], 3
    if argv[:1] == ["-r"]:
        rounds, argv = int(argv[1]), argv[2:]
    print(json.dumps(tasks.machine(), indent=1))
    scale(tuple(map(int, argv)) or COUNTS, rounds)
    if demo.failures:
        sys.exit("scale: FAILED\n  " + "\n  ".join(demo.failures))


if __name__ == "__main__":
    main()
