"""The sources are for more than one compiler."""
import shutil
import subprocess

import pytest

from conftest import ROOT


def test_clang_has_nothing_to_say():
    if not shutil.which("clang"):
        pytest.skip("needs clang")
    done = subprocess.run(["make", "-s", "CC=clang", "syntax"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout + done.stderr == "", done.stdout + done.stderr
