"""The runner of `make servers` still runs, and its checks can fail: a short load, and runs that leave something behind."""
import re
import subprocess

import pytest

from conftest import ROOT, need_library

PYTHON = "/usr/bin/python3"
RUNNER = ROOT / "integration" / "servers.py"
# One run of a load that does what {act} says; prints what the runner finds wrong.
LEAVE = """
import ctypes, subprocess, sys
sys.path.insert(0, {folder!r})
import servers
from apps import harness, load
ctypes.CDLL(None).prctl(servers.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
def run(mode, seconds):
    {act}
    return load.Outcome(1, "runs", None, 1, 0)
print(servers.one(run, harness.NATIVE, 1)[1])
"""
FORK = 'subprocess.run(["sh", "-c", "setsid sleep 60 & exit 0"])'
SEGMENT = ('subprocess.run([sys.executable, "-c", "import ctypes, time; print(ctypes.CDLL(None).shmget(0, 4096, 0o1600), flush=True);'
           ' time.sleep(1)"])')
WRONG = '\n    with load.httpd() as port:\n        load.webload(port, 5, 1, "-u", "/a", "-f", "/etc/hostname")'


def checked(act):
    code = LEAVE.format(folder=str(ROOT / "integration"), act=act)
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("act, said", [("pass", r"^\n$"), (FORK, r"left behind: process \d+: sleep 60"),
                                       (SEGMENT, r"left behind: System V segment \d+"), (WRONG, r"webload: status 1\n(.*\n)*.*a wrong body")],
                         ids=["nothing", "process", "segment", "answer"])
def test_what_is_wrong_is_said(act, said):
    if not (ROOT / "build" / "bench" / "webload").exists():
        pytest.skip("webload is not built")
    out = checked(act)
    for segment in re.findall(r"^(\d+)$", out, re.M):
        subprocess.run(["ipcrm", "-m", segment], check=True, timeout=10)
        out = out.replace(segment + "\n", "", 1)
    assert re.search(said, out), out


def test_a_short_load():
    need_library()
    done = subprocess.run([PYTHON, RUNNER, "-k", "waitress", "--seconds", "1"], capture_output=True, text=True, timeout=120)
    if "skipped" in done.stdout:
        pytest.skip(done.stdout)
    assert done.returncode == 0 and "servers: 3 runs, 0 failures" in done.stdout, done.stdout + done.stderr
