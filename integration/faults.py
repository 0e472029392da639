#!/usr/bin/python3
"""Fault injection: each kernel call of the runtime fails in turn, and the program does not notice.

    integration/faults.py                        what `make faults` runs: every workload, every call, every error
    integration/faults.py -k sockets -k epoll    cases whose name holds all of these
    integration/faults.py --every 40             one case in 40, as test_faults.py does
    integration/faults.py --list                 the calls that the workloads make, and those that none makes
    integration/faults.py --case 'sockets epoll_ctl@add:error=ENOMEM:when=3'

Needs the build with faults (make FAULTS=1 lib) and build/programs/faults. A case is a workload and a rule,
CALL[@FUNCTION]:error=ERRNO:when=FIRST[+|..LAST] (docs/testing.md). Ends with 1 when an outcome is not allowed.
"""
import argparse
import collections
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "build" / "faults" / "libgreenhook.so"
PROGRAM = ROOT / "build" / "programs" / "faults"
WORKLOADS = ["threads", "sockets", "files", "sleeps", "signals", "processes", "names", "progress", "disk"]
ERRORS = ["EINTR", "EAGAIN", "ENOMEM", "EMFILE", "ENOSYS", "EPERM"]
SETTINGS = {"GREENHOOK_WORKERS": "2", "GREENHOOK_IDLE_MS": "20", "GREENHOOK_URING": "2"}
LIMIT = 10  # seconds; the slowest workload takes half a second

Site = collections.namedtuple("Site", "call function kind calls failed")
Case = collections.namedtuple("Case", "workload rule kind")
Outcome = collections.namedtuple("Outcome", "name text fired")
OWN, PROGRAM_S = 0, 1

# What the runtime may say, on top of the program's own output.
MESSAGES = r"greenhook: (cannot make its .* \(error|staying inert|the system refuses .*)"
# What a program may be told because of a failure of the runtime's own call: the call that says so, and how.
MAY_FAIL = {
    "mmap(@map_pages)?": ["pthread_create"],  # no stack: EAGAIN, as libc says
    "sched_[gs]etaffinity(@.*)?": ["pthread_setaffinity_np", "sched_getaffinity"],  # what was asked for
    "rt_sigtimedwait(@serve)?": ["sigwait", "got"],  # what was asked for
    "mmap(@grow)?": ["sigqueue.*"],  # no room to queue: EAGAIN, as the kernel says
}
# Failures that the kernel cannot produce and that nobody could answer.
IMPOSSIBLE = [
    # FUTEX_WAKE looks at nothing that could be missing; a filter that forbids futex ends libc's threads as well.
    r"futex\.wake@.*",
    r"futex:.*",
    # Only a filter refuses these, and then from the first call on: the library stays inert.
    r"(rt_sigprocmask|rt_sigaction)@.*",
    r"(rt_sigprocmask|rt_sigaction):.*when=(?!1\+).*",
    # EAGAIN is an answer: no signal is pending.
    r"rt_sigtimedwait@.*:error=EAGAIN:.*",
    # libc, too, aborts when a process would have two identities.
    r"setgid@apply:.*:when=(?!1$).*",
]


def read_table(path):
    """The layout is that of src/base/fault.c."""
    data = path.read_bytes()
    _, descriptors, own, inert = struct.unpack_from("4Q", data)
    sites = []
    for at in range(32, len(data), 88):
        key, call, function, kind, calls, failed, _ = struct.unpack_from("Q24s40s4I", data, at)
        if key:
            sites.append(Site(call.split(b"\0")[0].decode(), function.split(b"\0")[0].decode(), kind, calls, failed))
    return descriptors - 1, own if inert else 0, sorted(sites)


def run(workload, rule=None, library=LIBRARY):
    """(status or None when it hung, output, messages, descriptors at the end, an inert runtime's, sites)"""
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("GREENHOOK")}
    env["LC_ALL"] = "C"
    with tempfile.TemporaryDirectory(prefix="faults.", dir="/dev/shm") as folder:
        table = pathlib.Path(folder) / "table"
        if library:
            env.update(SETTINGS, LD_PRELOAD=str(library), GREENHOOK_FAULT_TABLE=str(table), GREENHOOK_FAULT=rule or "")
        process = subprocess.Popen([PROGRAM, workload], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(timeout=LIMIT)
            status = process.returncode
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if status is None:
            out, err = process.communicate()
        descriptors, own, sites = read_table(table) if table.exists() else (None, None, [])
    return status, out.decode(errors="replace"), err.decode(errors="replace"), descriptors, own, sites


class Reference:
    """What a workload does natively, and which calls the runtime makes for it."""

    def __init__(self, workload):
        self.status, self.out, *_ = run(workload, library=None)
        status, out, err, self.descriptors, _, self.sites = run(workload)
        if self.status != 0 or (status, out, err) != (0, self.out, ""):
            sys.exit(f"{workload} without faults: native {self.status}, green {status}\n{out}{err}")


def cases_of(workload, sites):
    """Each call site: every error for the first, the second and a middle call. Want that lasts (memory, descriptors) and
    bursts of interruptions. Each call wherever it is made: refused from the first or a middle one on, as by a filter."""
    cases, calls = [], collections.Counter()
    for site in sites:
        if not site.calls:
            continue
        name = f"{site.call}@{site.function}"
        nth = sorted({1, min(2, site.calls), max(site.calls // 2, 1)})
        if site.kind == PROGRAM_S:
            errors, nth = ["EINTR", "ENOMEM", "EPERM"], nth[:1] + nth[-1:] if len(nth) > 1 else nth
        else:
            errors = ERRORS
            calls[site.call.split(".")[0]] += site.calls
        for error in errors:
            whens = [str(n) for n in nth]
            if site.kind == OWN:
                whens += ["1+"] if error in ("ENOMEM", "EMFILE") else ["1..5"] if error in ("EINTR", "EAGAIN") else []
            cases += [Case(workload, f"{name}:error={error}:when={when}", site.kind) for when in whens]
    for call, count in calls.items():
        for error in ("ENOSYS", "EPERM"):
            for first in sorted({1, max(count // 2, 1)}):
                cases.append(Case(workload, f"{call}:error={error}:when={first}+", OWN))
    return [case for case in cases if not any(re.fullmatch(rule, case.rule) for rule in IMPOSSIBLE)]


def judge(case, reference):
    status, out, err, descriptors, own, sites = run(case.workload, case.rule)
    fired = sum(site.failed for site in sites)
    name = case.rule.split(":")[0]
    messages = [line for line in err.splitlines() if not re.match(MESSAGES, line)]
    reported = re.search(r"^error (.*): (.*)$", out, re.M)
    text = f"status {status}\n{out[-1500:]}{err[-1500:]}"
    if status is None:
        return Outcome("HANG", text, fired)
    if status < 0 or status >= 128:
        return Outcome("CRASH", text, fired)
    if status == 3 and reported:
        if any(site.failed and site.kind == PROGRAM_S for site in sites) or any(re.fullmatch(site, name) and re.match(call, reported.group(1))
                                         for site, calls in MAY_FAIL.items() for call in calls):
            return Outcome("reported", text, fired)
        return Outcome("REPORTED", text, fired)
    if (status, out) != (reference.status, reference.out):
        return Outcome("DIFFERS", text, fired)
    if messages:
        return Outcome("MESSAGE", text, fired)
    if descriptors is not None and descriptors != reference.descriptors:
        return Outcome("LEAK", f"{descriptors} descriptors, without faults {reference.descriptors}\n{text}", fired)
    if own:
        return Outcome("LEAK", f"{own} descriptors of a runtime that does not run\n{text}", fired)
    return Outcome("inert" if "staying inert" in err else "same", text, fired)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", action="append", default=[], help="only cases whose name holds this")
    parser.add_argument("--every", type=int, default=1, help="one case in N")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--case", help="one case, with what it prints")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    options = parser.parse_args()
    SETTINGS["GREENHOOK_WORKERS"] = options.workers
    started = time.monotonic()
    if options.case:
        workload, rule = options.case.split(" ", 1)
        reference = Reference(workload)
        kind = next((s.kind for s in reference.sites if rule.startswith(f"{s.call}@{s.function}:")), OWN)
        outcome = judge(Case(workload, rule, kind), reference)
        print(f"{outcome.name}, {outcome.fired} failed\n{outcome.text}")
        return 0 if outcome.name.islower() else 1
    references = {workload: Reference(workload) for workload in options.workloads.split(",")}
    if options.list:
        made = collections.Counter()
        for reference in references.values():
            for site in reference.sites:
                made[(site.kind, site.call, site.function)] += site.calls
        for (kind, call, function), calls in sorted(made.items(), key=lambda item: (item[1] == 0, item[0])):
            print(f"{calls or 'never':>8} {'program' if kind else 'own':8} {call}@{function}")
        print(f"{sum(1 for c in made.values() if c)} of {len(made)} sites are reached")
        return 0
    cases = [case for workload in references for case in cases_of(workload, references[workload].sites)]
    cases = [case for case in cases if all(k in f"{case.workload} {case.rule}" for k in options.k)][::options.every]
    outcomes, bad = collections.Counter(), 0
    for done, case in enumerate(cases):
        outcome = judge(case, references[case.workload])
        outcomes[outcome.name if outcome.fired else "not reached"] += 1
        if outcome.name.isupper():
            bad += 1
            print(f"{outcome.name}: '{case.workload} {case.rule}' ({outcome.fired} failed)\n"
                  + "".join(f"    {line}\n" for line in outcome.text.splitlines()[-8:]), flush=True)
        if sys.stderr.isatty():
            print(f"\r{done + 1} of {len(cases)} cases, {bad} not allowed ", end="", file=sys.stderr)
    summary = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    print(f"faults: {len(cases)} cases: {summary}; {time.monotonic() - started:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
