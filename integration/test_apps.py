"""Real programs, unmodified, must not notice that their threads are green.

Each runs on kernel threads once and green with 1, 2 and 8 workers; what it serves is verified byte by byte, and exit
statuses and results must be the same. The programs are described in apps/: servers and proxies, a database, servers in
other languages, and programs that hardly use threads and must be left unharmed. `pytest -k 'stunnel and w2'` runs one.
"""
import importlib
import os

import pytest

PARTS = ["servers", "database", "languages", "unharmed"]
pytest.register_assert_rewrite("apps.harness", "apps.clients", *(f"apps.{part}" for part in PARTS))
for part in PARTS:
    importlib.import_module(f"apps.{part}")
from apps import harness  # noqa: E402  (after the registration of its asserts)


@pytest.mark.parametrize("mode", harness.MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("workload", harness.WORKLOADS, ids=lambda entry: entry[0].__name__)
def test_app(workload, mode):
    function, programs = workload
    harness.agree(function, programs, mode)


@pytest.mark.parametrize("mode", ["native", "both"])
def test_demo_quick(mode):
    """The demo with small loads: it checks every answer itself and must end with 0 and a figure for each workload."""
    needed = ["bench/httpd", "bench/httpload", "bench/manythreads"] + (["greenhook", "libgreenhook.so"] if mode == "both" else [])
    for name in needed:
        if not os.path.exists(os.path.join(harness.BUILD, name)):
            pytest.skip(f"{name} is not built")
    if not harness.find("wrk"):
        pytest.skip("wrk is not installed")
    demo = os.path.join(harness.ROOT, "bench", "demo.py")
    out = harness.run(harness.NATIVE, [harness.PYTHON, demo, "--quick", "--mode", mode], limit_s=60).decode()
    rows = [line for line in out.splitlines() if line.startswith(("python3 -m http.server ", "httpd, keep-alive ", "manythreads  "))]
    assert len(rows) == (6 if mode == "both" else 3), out
