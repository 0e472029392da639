"""How many instructions an operation takes, in user space: a figure that no load on the machine changes.

Each is the difference between a short and a long run of the same program under callgrind, with one worker. counts.json has what
they were, and by which compiler; a run that takes more than 5 % over that fails. Who makes an operation cheaper, or dearer for a
reason, records it: `integration/test_counts.py` writes the file anew.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from conftest import LIBRARY, ROOT, environment, need_library

RECORD = pathlib.Path(__file__).with_name("counts.json")
TOLERANCE = 1.05
SHORT, LONG = 2000, 6000
# What runs beside the operation: nothing, as far as it can be switched off.
QUIET = {"GREENHOOK_SELFTEST": "0", "GREENHOOK_CONTROL": "0", "GREENHOOK_MONITOR_US": "100000"}
PROGRAMS = {
    "bench/ops": ("yield", "yield_alone", "wake_and_wait", "create_and_join", "lock_and_unlock", "write_and_read"),
    "native/count": ("gh_yield", "gh_spawn_and_join", "gh_mutex", "gh_chan_unbuffered", "gh_chan_buffered"),
}
OPERATIONS = {name: program for program, names in PROGRAMS.items() for name in names}


def compiler():
    """What built the library: another compiler, or another version, has other figures."""
    text = subprocess.run(["readelf", "-p", ".comment", LIBRARY], capture_output=True, text=True, check=True).stdout
    return re.search(r"\[ +0\] +(.*)", text)[1].strip()


def instructions(name, n):
    program = ROOT / "build" / OPERATIONS[name]
    mode = "green" if OPERATIONS[name].startswith("bench") else "native"
    env = {**environment(mode, 1, QUIET), **QUIET, "GREENHOOK_WORKERS": "1"}
    with tempfile.TemporaryDirectory() as logs:
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={logs}/log", program, name, n]
        subprocess.run([str(part) for part in command], env=env, check=True, timeout=120, stdout=subprocess.DEVNULL)
        return int(re.search(r"Collected : (\d+)", pathlib.Path(logs, "log").read_text())[1])


def cost(name, limit=0):
    """Of the least of each: a thread that was preempted in the wrong place costs more, never less."""
    short, long = [instructions(name, SHORT)], []
    for _ in range(4):
        short.append(instructions(name, SHORT))
        long.append(instructions(name, LONG))
        each = (min(long) - min(short)) / (LONG - SHORT)
        if each <= limit:
            break
    return each


@pytest.mark.parametrize("name", OPERATIONS)
def test_instructions(name):
    need_library()
    if not shutil.which("valgrind"):
        pytest.skip("needs valgrind")
    record = json.loads(RECORD.read_text())
    if compiler() != record["compiler"]:
        pytest.skip(f"recorded with {record['compiler']}")
    if LIBRARY.parent.name != "build":
        pytest.skip("the record is of the plain build")
    limit = record["instructions"][name] * TOLERANCE
    each = cost(name, limit)
    assert each <= limit, f"{each} instructions, recorded were {record['instructions'][name]}"


if __name__ == "__main__":
    counts = {name: round(cost(name), 1) for name in OPERATIONS}
    RECORD.write_text(json.dumps({"compiler": compiler(), "instructions": counts}, indent=1) + "\n")
    sys.exit(subprocess.run(["git", "--no-pager", "diff", "--stat", RECORD], cwd=ROOT, check=False).returncode)
