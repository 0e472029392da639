"""Warnings that somebody asked for, and silence otherwise."""
import re

import pytest

from conftest import need_library

ASKED = {"GREENHOOK_WARN": "1"}


@pytest.mark.parametrize("what", ["good", "spin", "stack", "lock"])
def test_nobody_asked(agree, run, what):
    native = agree("warned", what)
    assert run("warned", what, mode="green", workers=2).err == native.err == ""


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_nothing_to_tell(agree, run, workers):
    need_library()
    done = run("warned", "good", mode="green", workers=workers, env=ASKED)
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_park_under_a_spin_lock(run, workers):
    need_library()
    done = run("warned", "spin", mode="green", workers=workers, env=ASKED)
    assert done.status == 0
    assert re.fullmatch(r'greenhook: warning: gthread \d+ "warned" parks \(sleep\) while it holds a spin lock\n'
                        r"    #0 usleep\+0x\w+ \(libgreenhook.so\+0x\w+\)\n    #1 parks_under_spin_lock\+0x\w+ \(warned\+0x\w+\)\n(    .*\n)*", done.err)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_stack_that_is_nearly_full(run, workers):
    need_library()
    done = run("warned", "stack", mode="green", workers=workers, env=ASKED)
    assert done.status == 0
    assert re.fullmatch(r'greenhook: warning: gthread \d+ "warned" has used more than 90 % of its stack of \d+ bytes\n', done.err)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_lock_that_is_held_for_long(run, workers):
    need_library()
    done = run("warned", "lock", mode="green", workers=workers, env={**ASKED, "GREENHOOK_WARN_LOCK_MS": "500"})
    assert done.status == 0
    assert re.fullmatch(r'greenhook: warning: gthread \d+ "warned" has waited for more than 500 ms for the mutex at 0x[0-9a-f]+\n'
                        r"    #0 ghi_mutex_lock\+0x\w+ .*\n    #1 wants_it\+0x\w+ .*\n(    .*\n)*"
                        r'greenhook: gthread \d+ "warned" holds it\n    #0 usleep\+0x\w+ .*\n    #1 holds_it\+0x\w+ .*\n(    .*\n)*', done.err), done.err
