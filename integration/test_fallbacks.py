"""The slow paths of older kernels and CPUs, forced by a variable, and starts that must fail softly."""
import resource
import subprocess

import pytest

FALLBACKS = [
    {"GREENHOOK_FSGSBASE": "0"},
    {"GREENHOOK_RWF_NOWAIT": "0"},
    {"GREENHOOK_GUARD": "mprotect"},
    {"GREENHOOK_GUARD": "none"},
]


@pytest.mark.parametrize("env", FALLBACKS, ids=lambda env: "".join(f"{k}={v}" for k, v in env.items()))
@pytest.mark.parametrize("program", ["io_ring", "io_rw", "io_eventfd", "tls_values", "thread_many", "queue_hash"])
def test_fallback_gives_the_same_answers(agree, program, env):
    agree(program, env=env, workers=(1, 2))


@pytest.mark.parametrize("program", [
    "thread_cancel", "thread_cleanup", "thread_cleanup_cxx", "thread_once", "thread_main_exit", "cancel_points",
    "thread_tsd", "cond_wake", "cond_timed", "mutex_kinds", "sem", "rwlock", "barrier", "thread_c11", "pshared",
    "sig_kill", "sig_wait", "fork_atfork", "io_rw", "time_sleep"])
def test_switched_off_is_native(agree, program):
    """GREENHOOK=0, and whatever else makes the library inert: libc's threads, cancelled by libc."""
    agree(program, env={"GREENHOOK": "0"}, workers=(1,))


def test_no_descriptors_for_the_poller_is_said_and_native(run, programs):
    result = run("thread_basic", mode="native")
    green = subprocess.run(
        ["bash", "-c", f"ulimit -n 4; exec {programs / 'thread_basic'}"],
        env=run_env(), capture_output=True, text=True, timeout=60)
    assert green.stdout == result.out
    assert green.returncode == result.status
    assert "greenhook: " in green.stderr and "staying inert" in green.stderr


def test_go_code_in_the_process_is_said_and_native(run, programs, build_library):
    """Go sets the signal stacks of kernel threads itself; a nil pointer in a goroutine ended the program."""
    env = run_env()
    env["LD_PRELOAD"] += f":{build_library('go_note.c')}"
    native = run("thread_basic", mode="native")
    result = subprocess.run([programs / "thread_basic"], env=env, capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.returncode) == (native.out, native.status)
    assert "greenhook: staying inert" in result.stderr and "Go" in result.stderr


def test_bad_variable_is_one_line_and_the_default(run):
    result = run("thread_basic", mode="green", workers=1, env={"GREENHOOK_MONITOR_US": "soon"})
    lines = [line for line in result.err.splitlines() if "greenhook" in line]
    assert len(lines) == 1 and "GREENHOOK_MONITOR_US=soon" in lines[0]
    assert result.status == 0


def test_out_of_address_space_is_eagain_and_life_goes_on(run, programs):
    native = run("thread_limit", mode="native")
    green = subprocess.run(
        [programs / "thread_limit"], env=run_env(), capture_output=True, text=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)))
    assert green.stdout == native.out, green.stderr
    assert green.returncode == native.status


def run_env():
    import os
    from conftest import LIBRARY
    return dict(os.environ, LD_PRELOAD=str(LIBRARY), GREENHOOK_WORKERS="2")
