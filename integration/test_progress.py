"""Whatever gets on with kernel threads gets on here, even with a single worker: a thread stuck in
the kernel, spinning or computing never stops the others."""
import os

import pytest


def test_inline_system_call_blocks_only_its_thread(agree):
    agree("progress_inline", workers=(1, 2))


def test_spinning_thread_does_not_stop_the_one_it_waits_for(agree):
    agree("progress_spin", workers=(1, 2))


def test_turns_that_are_waited_for_with_yields(agree):
    """With more slots than processors each turn took a time slice of the kernel's."""
    agree("progress_turns")


def test_computing_thread_does_not_stop_a_thousand_others(agree):
    native = agree("progress_compute", workers=(1,))
    assert "progress yes" in native.out and "timers yes" in native.out


def test_kernel_threads_end_when_nobody_needs_them(agree):
    # So few that there are none for the second round if those that ended are still counted.
    native = agree("thread_shrink", workers=(1, 2, 8), env={"GREENHOOK_IDLE_MS": "50", "GREENHOOK_MAX_WORKERS": "64"})
    assert "round 2: few are left: yes" in native.out


def test_the_last_kernel_thread_is_for_one_that_computed(agree):
    """Below the cap some are held back from those that compute; all others waited for one of these."""
    agree("progress_last_worker", env={"GREENHOOK_MAX_WORKERS": "16"})


SLICES = """
import ctypes, os, struct, threading, time
threads = [threading.Thread(target=time.sleep, args=(0.5,)) for _ in range(5)]
[thread.start() for thread in threads]
sum(range(10**7))  # long enough for another kernel thread
for task in os.listdir("/proc/self/task"):
    attr = ctypes.create_string_buffer(48)
    if ctypes.CDLL(None).syscall(315, int(task), attr, 48, 0) == 0:
        print(open(f"/proc/self/task/{task}/comm").read().strip(), struct.unpack_from("<Q", attr, 24)[0])
[thread.join() for thread in threads]
"""


def test_monitor_runs_soon_on_a_busy_machine(run):
    """By a short slice, which the kernel threads that it makes do not have."""
    slices = dict(line.rsplit(" ", 1) for line in run("/usr/bin/python3", "-c", SLICES, mode="green").out.splitlines())
    if slices["greenhook-mon"] == "0":
        pytest.skip("this kernel knows no slices")
    if os.getpriority(os.PRIO_PROCESS, 0) >= 0:
        assert slices["greenhook-mon"] == "100000"
    assert int(slices["greenhook"]) > 100000
