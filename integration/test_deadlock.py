"""Threads that wait for each other are told on stderr, once; nobody else is."""
import pathlib
import re
import signal
import subprocess
import time

import pytest

from conftest import environment, killed_after, need_library

LIMIT = 30
NATIVE = pathlib.Path(__file__).resolve().parent.parent / "build" / "native"


@pytest.fixture
def ends(programs, tmp_path):
    """Runs integration/programs/inspect until `enough` of its stderr, or for so long; stderr and status."""
    need_library()

    def run(what, enough=None, seconds=4, workers=2, **env):
        err = tmp_path / "err"
        with open(err, "w") as to, subprocess.Popen([programs / "inspect", what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                                    stderr=to, env=environment("green", workers, env)) as process:
            try:
                with killed_after(process):
                    while (line := process.stdout.readline()) != "ready\n":
                        assert line
                end = time.monotonic() + (LIMIT if enough else seconds)
                while time.monotonic() < end and process.poll() is None and not (enough and re.search(enough, err.read_text())):
                    time.sleep(0.05)
                if process.poll() is None:
                    process.communicate("", timeout=LIMIT)
            finally:
                process.kill()
            return err.read_text(), process.returncode
    return run


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("control", ["0", "1"])
def test_two_mutexes(ends, workers, control):
    said, status = ends("deadlock", enough=r"takes_[ab](.*\n)+.*takes_[ab].*\n", workers=workers, GREENHOOK_CONTROL=control)
    assert status == 0 and said.count("deadlock: 2 gthreads wait for each other\n") == 1
    held = dict(re.findall(r'greenhook: gthread (\d+) "inspect" waits for the mutex at 0x[0-9a-f]+, held by gthread (\d+)\n', said))
    assert len(held) == 2 and all(held[held[who]] == who for who in held)
    assert re.search(r"    #1 takes_a_then_b\+0x[0-9a-f]+ \(inspect\+0x", said) and re.search(r"    #1 takes_b_then_a\+0x", said)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_closed_by_one_without_a_slot(ends, workers):
    """The monitor sleeps by then, and nobody takes a slot."""
    said, status = ends("late", enough="deadlock: ", workers=workers)
    assert status == 0 and said.count("deadlock: 2 gthreads wait for each other\n") == 1


def test_it_is_told_once(ends):
    said, status = ends("deadlock", seconds=6)
    assert status == 0 and said.count("deadlock: ") == 1


def test_a_join_a_rwlock_and_a_mutex(ends):
    said, status = ends("ring", enough=r"deadlock: 3 gthreads(.*\n)+.*waits for(.*\n)+.*waits for(.*\n)+.*waits for(.*\n)+    #1 .*\n")
    assert status == 0
    assert len(re.findall(r"waits for the end of gthread \d+\n", said)) == 1
    assert len(re.findall(r"waits for the rwlock at 0x[0-9a-f]+, held by gthread \d+\n", said)) == 1
    assert len(re.findall(r"waits for the mutex at 0x[0-9a-f]+, held by gthread \d+\n", said)) == 1


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_join_of_main(ends, workers):
    said, status = ends("main", seconds=LIMIT, workers=workers, GREENHOOK_DEADLOCK="2", GREENHOOK_CRASH_REPORT="0")
    assert status == -signal.SIGABRT and said.count("deadlock: 2 gthreads wait for each other\n") == 1
    assert "waits for the end of gthread 1\n" in said


def test_one_that_waits_for_itself(ends):
    """It may wait for somebody's unlock: a normal mutex as a semaphore."""
    assert ends("self", seconds=4) == ("", 0)


@pytest.mark.parametrize("policy", ["1", "2"])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_mutex_that_is_handed_over(ends, run, workers, policy):
    native = run("inspect", "handed")
    assert native.status == 0 and native.out == "ready\nhanded over\n"
    assert ends("handed", seconds=4, workers=workers, GREENHOOK_DEADLOCK=policy) == ("", 0)


def test_locks_that_only_the_owner_unlocks(ends):
    said, status = ends("recursive", enough=r"takes_[ab](.*\n)+.*takes_[ab].*\n")
    assert status == 0 and said.count("deadlock: 2 gthreads wait for each other, for good\n") == 1


@pytest.mark.parametrize("kind", ["1", "2"], ids=["checked", "recursive"])
def test_mutexes_of_the_native_api(run, kind):
    done = run(str(NATIVE / "ring"), kind, env={"GREENHOOK_DEADLOCK": "2", "GREENHOOK_CRASH_REPORT": "0", "GREENHOOK_WORKERS": "2"}, timeout=LIMIT)
    assert done.status == -signal.SIGABRT and done.err.count("deadlock: 2 gthreads wait for each other, for good\n") == 1


@pytest.mark.parametrize("workers", ["1", "2", "8"])
def test_a_join_of_a_task(run, workers):
    env = {"GREENHOOK_DEADLOCK": "2", "GREENHOOK_CRASH_REPORT": "0", "GREENHOOK_WORKERS": workers}
    done = run(str(NATIVE / "ring"), "join", env=env, timeout=LIMIT)
    assert done.status == -signal.SIGABRT and done.err.count("deadlock: 2 gthreads wait for each other, for good\n") == 1, done
    end = re.search(r'gthread (\d+) "ring" waits for the end of gthread (\d+)\n', done.err).groups()
    lock = re.search(r'gthread (\d+) "ring" waits for the mutex at 0x[0-9a-f]+, held by gthread (\d+)\n', done.err).groups()
    assert end == lock[::-1]
    done = run(str(NATIVE / "ring"), "deadline", env=env, timeout=LIMIT)
    assert done.status == 0 and done.err == "" and "done" in done.out, done


@pytest.mark.parametrize("what", ["deadlock", "recursive"])
def test_policy_abort(ends, what):
    said, status = ends(what, enough="never", GREENHOOK_DEADLOCK="2", GREENHOOK_CRASH_REPORT="0")
    assert status == -signal.SIGABRT and said.endswith("greenhook: GREENHOOK_DEADLOCK=2: ending the process\n")


def test_policy_off(ends):
    assert ends("deadlock", GREENHOOK_DEADLOCK="0") == ("", 0)


@pytest.mark.parametrize("what", ["timed", "each"])
def test_no_false_alarm(ends, what):
    """With a time limit; and waiting for those that do not wait for each other."""
    assert ends(what, seconds=4) == ("", 0)


def test_no_false_alarm_under_contention(run):
    for program in "mutex_contend", "cond_wake", "rwlock":
        for workers in 1, 2, 8:
            assert "deadlock" not in run(program, mode="green", workers=workers).err
