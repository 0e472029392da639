"""Real programs, unmodified, must not notice that their threads are green.

Each runs on kernel threads once and green with 1, 2 and 8 workers; what it serves is verified byte by byte, and exit
statuses and results must be the same. The programs are described in apps/: servers and proxies, a database, servers in
other languages, and programs that hardly use threads and must be left unharmed. `pytest -k 'stunnel and w2'` runs one.
"""
import importlib

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
