"""Everybody waits and nothing can wake them: told once; and nobody says so where something can."""
import re
import signal
import subprocess
import time

import pytest

from conftest import ROOT, environment, killed_after, need_library, wait_for

LIMIT = 30
GREENHOOK = ROOT / "build" / "greenhook"
TOLD = "greenhook: deadlock: all "


@pytest.fixture
def hangs(programs, tmp_path):
    """Runs integration/programs/stuck until its stderr has `enough`, or for so long; stderr and status."""
    need_library()

    def run(what, enough=None, seconds=5, workers=2, then=None, **env):
        err = tmp_path / "err"
        with open(err, "w") as to, subprocess.Popen([programs / "stuck", what], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                                    stderr=to, env=environment("green", workers, env)) as process:
            try:
                with killed_after(process):
                    assert process.stdout.readline() == "ready\n"
                if then:
                    then(process.pid)
                end = time.monotonic() + (LIMIT if enough else seconds)
                while time.monotonic() < end and process.poll() is None and not (enough and re.search(enough, err.read_text())):
                    time.sleep(0.05)
                ended = process.poll()
            finally:
                process.kill()
        return err.read_text(), ended
    return run


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("what,who,reason", [("mutex", "in_mutex", "mutex"), ("cond", "in_cond", "condition"), ("sem", "in_sem", "semaphore"),
                                             ("barrier", "in_barrier", "barrier"), ("rwlock", "in_rwlock", "rwlock"), ("join", "in_join", "join"),
                                             ("exit", "in_cond", "condition")])
def test_nothing_can_wake_them(hangs, workers, what, who, reason):
    said, ended = hangs(what, enough=rf"{TOLD}2 gthreads wait, and nothing can wake them\n(.*\n)*    #\d {who}.*\n", workers=workers)
    assert ended is None and said.count(TOLD) == 1
    assert re.search(rf'greenhook: gthread \d+ "stuck" waits: {reason} at 0x[0-9a-f]+\n    #0 .*\n    #1 {who}\+0x', said)


@pytest.mark.parametrize("workers", [1, 8])
def test_many(hangs, workers):
    said, _ = hangs("many", enough=r"and \d+ more; `greenhook dump \d+` shows all\n", workers=workers)
    assert said.count(TOLD) == 1 and f"{TOLD}5001 gthreads wait, and nothing can wake them\n" in said
    assert said.count('"stuck" waits: ') == 16 and "greenhook: and 4985 more; " in said


def test_it_is_told_once(hangs):
    said, _ = hangs("sem", seconds=6)
    assert said.count(TOLD) == 1


@pytest.mark.parametrize("pause", [0, 0.5])
def test_it_is_told_after_somebody_asked(hangs, programs, pause):
    """The thread that answers is there when it is found, and then ends."""
    def ask(pid):
        time.sleep(pause)
        command = [str(GREENHOOK), "stats", str(pid)]
        wait_for(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, timeout=LIMIT).returncode == 0)  # it has threads by then

    said, ended = hangs("sem", enough=TOLD, then=ask)
    assert ended is None and said.count(TOLD) == 1


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("asked", [{}, {"GREENHOOK_REPORT": "/dev/null"}], ids=["nobody asked", "a thread answers"])
def test_it_is_told_when_the_numbers_are_closed(hangs, asked, workers):
    """The program has closed the socket, the sleeper's epoll, and the eventfd with a kick that nobody has read yet."""
    said, ended = hangs("closed", enough=TOLD, workers=workers, **asked)
    assert ended is None and said.count(TOLD) == 1


@pytest.mark.parametrize("workers", [2, 8])
def test_a_kick_that_nobody_has_read_when_the_numbers_are_closed(hangs, workers):
    said, ended = hangs("kicked and closed", enough=f"{TOLD}3 gthreads", workers=workers)
    assert ended is None and said.count(TOLD) == 1


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_time_that_passes_when_the_numbers_are_closed(run, workers):
    """With nothing that makes the monitor come by in time."""
    native = run("stuck", "sleep and closed")
    green = run("stuck", "sleep and closed", mode="green", workers=workers, env={"GREENHOOK_DEADLOCK": "0"})
    assert (green.status, green.out) == (native.status, native.out) and native.status == 0


def test_an_alarm_ends_it(hangs):
    said, ended = hangs("alarm", seconds=LIMIT)
    assert (said, ended) == ("", -signal.SIGALRM)


def test_policies(hangs):
    said, ended = hangs("cond", seconds=LIMIT, GREENHOOK_DEADLOCK="2")
    assert ended == -signal.SIGABRT and "GREENHOOK_DEADLOCK=2: ending the process" in said
    assert hangs("cond", seconds=4, GREENHOOK_DEADLOCK="0") == ("", None)


@pytest.mark.parametrize("what", ["sleep", "limit", "handler", "behind", "sigwait", "timer", "child", "any", "read", "poll", "epoll", "kernel", "computes", "shared", "aio"])
def test_something_can(run, what):
    native, green = run("stuck", what), run("stuck", what, mode="green", workers=2)
    assert (green.status, green.out, green.err) == (native.status, native.out, "") and native.status == 0


def test_one_that_was_asked_meanwhile(hangs, programs):
    """The thread that answers is not foreign, nor is one that ends."""
    need_library()
    with subprocess.Popen([programs / "stuck", "sem"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment("green", 2, {"GREENHOOK_DEADLOCK": "2"})) as process:
        with killed_after(process):
            while process.poll() is None:
                subprocess.run([ROOT / "build" / "greenhook", "stats", str(process.pid)], capture_output=True, timeout=LIMIT)
                time.sleep(0.1)
            assert process.returncode == -signal.SIGABRT and TOLD in process.stderr.read()
