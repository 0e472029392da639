"""Language runtimes and other people's thread tests, native against green.

What is not installed is skipped; .ci/setup does not install the larger suites.
"""
import pathlib
import shutil
import subprocess

import pytest

APPS = pathlib.Path(__file__).resolve().parent / "apps"
PYTHON = "/usr/bin/python3"


def tool(name):
    path = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/usr/local/bin")
    if not path:
        pytest.skip(f"no {name}")
    return path


def both_succeed(run, *command, workers=(1, 2), timeout=60, **options):
    """For programs whose output has numbers that vary: the status says whether they are content."""
    for mode, count in [("native", None), *(("green", w) for w in workers)]:
        done = run(*command, mode=mode, workers=count, timeout=timeout, **options)
        assert done.status == 0, (mode, count, done.out[-2000:], done.err[-2000:])


def test_python_threads_locks_timers_processes_signals(agree):
    agree(PYTHON, APPS / "suite.py", timeout=90)


def test_perl_threads(agree):
    perl = tool("perl")
    if subprocess.run([perl, "-Mthreads", "-MThread::Queue", "-e", "1"],
                      capture_output=True).returncode:
        pytest.skip("this perl has no threads")
    agree(perl, APPS / "suite.pl", timeout=60)


@pytest.mark.parametrize("module", ["test_thread", "test_threadsignals", "test_threading_local", "test_fork1",
                                    "test_subprocess", "test_epoll"])
def test_cpython_suite(run, module):
    if subprocess.run([PYTHON, "-c", f"import test.{module}"], capture_output=True).returncode:
        pytest.skip("no libpython3-testsuite")
    if module == "test_subprocess":
        both_succeed(run, PYTHON, "-m", "test", "-m", "*POSIX*", module, workers=(2,), timeout=120)
    else:
        both_succeed(run, PYTHON, "-m", "test", module)


@pytest.mark.parametrize("stressor", ["pthread", "mutex", "sem", "futex", "mq", "sigq", "timerfd"])
def test_stress_ng(run, tmp_path, stressor):
    both_succeed(run, tool("stress-ng"), f"--{stressor}", 2, "-t", 1, "--verify", "--temp-path", tmp_path)


@pytest.mark.parametrize("command", ["cyclictest -t4 -l200 -q", "ptsematest -t 2 -l 100 -i 1000",
                                     "pmqtest -t 2 -l 100 -i 1000", "signaltest -t 4 -l 200",
                                     "sigwaittest -t 2 -l 100 -i 1000", "hackbench -T -g 1 -l 50",
                                     "hackbench -T -p -g 1 -l 50"])
def test_rt_tests(run, command):
    """Programs with a gettid() of their own, and threads that give themselves a policy."""
    name, *args = command.split()
    both_succeed(run, tool(name), *args)
