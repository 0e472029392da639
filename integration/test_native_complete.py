"""Nothing of the native API goes without its tests and its page: each function is exported, has a manual page and a unit test that calls
it, each error that its description names is provoked somewhere, each macro is used by a test."""
import collections
import re
import subprocess
import sys

import pytest

from conftest import ROOT, need_library

sys.path.insert(0, str(ROOT / "docs"))
import man3  # noqa: E402

UNIT = sorted((ROOT / "tests").glob("test_*.c"))
PROGRAMS = sorted((ROOT / "integration" / "native").rglob("*.c"))

# Errors that nothing provokes, and why.
UNPROVOKED = {
    "gh_fsync EIO": "needs a disk that fails",
    "gh_pipe ENFILE": "would take the whole machine's files",
    "gh_module_load ETXTBSY": "a file that changes within its reading",
    "gh_resolve EAGAIN": "needs a name server that is silent",
    "gh_resolve EIO": "needs a name server that fails",
    "gh_resolve ENOMEM": "libc's own memory",
    "gh_resolve_until EAGAIN": "needs a name server that is silent",
    "gh_resolve_until EIO": "needs a name server that fails",
    "gh_resolve_until ENOMEM": "libc's own memory",
    "gh_resolve_until ETIMEDOUT": "needs a name server that is silent",
}
# Lines of the table of test_native_memory.c, where each allocation fails in turn; a function's own line needs no word here.
SHARED = {
    "gh_chan_send_try ENOMEM": "gh_chan_send", "gh_chan_send_until ENOMEM": "gh_chan_send",
    "gh_select ENOMEM": "gh_select", "gh_select_try ENOMEM": "gh_select", "gh_select_until ENOMEM": "gh_select",
    "gh_group_new ENOMEM": "gh_group", "gh_module_new ENOMEM": "gh_module", "gh_module_load ENOMEM": "gh_module",
    "gh_module_load EAGAIN": "gh_module", "gh_module_go EAGAIN": "gh_module",
}


@pytest.fixture(scope="module")
def pages():
    return man3.pages()[0]


def calls(paths):
    """Name -> what is expected of its calls: statements, and rows X(result, call) of tables; no comments."""
    found = collections.defaultdict(list)
    for path in paths:
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        for statement in re.split(r";|\n\s*X(?=\()", text):
            for name in set(re.findall(r"\b(\w+)\s*\(", statement)):
                found[name].append(statement)
    return found


def test_what_is_exported_has_a_page_and_the_other_way_round(pages):
    need_library()
    out = subprocess.run(["nm", "-D", "--defined-only", ROOT / "build/libgreenhook.so"], capture_output=True, text=True, check=True).stdout
    exported = set(re.findall(r"\sT (gh_\w+)", out))
    assert exported == {p.name for p in pages}


def test_every_function_is_called_by_a_unit_test(pages):
    found = calls(UNIT)
    missing = [p.name for p in pages if p.name not in found]
    assert not missing, f"no tests/test_*.c calls {', '.join(missing)}"


def test_every_error_of_a_description_is_provoked(pages):
    found = calls(UNIT + PROGRAMS)
    memory = set(re.findall(r'\{"(gh_\w+)[^"]*", \w+, [1-9]\d*\}', (ROOT / "tests/test_native_memory.c").read_text()))
    missing, documented = [], set()
    for p in pages:
        for code in re.findall(r"^\s+-?(E[A-Z0-9]+)\b", p.returns, re.M):
            documented.add(f"{p.name} {code}")
            said = found[p.name] + found[p.name.removeprefix("gh_")]  # or by a function that is named after it
            if any(re.search(rf"\b{code}\b", s) or code == "ETIMEDOUT" and "must_time_out" in s for s in said):
                continue
            if SHARED.get(f"{p.name} {code}", p.name if code == "ENOMEM" else None) in memory:
                continue
            missing.append(f"{p.name} {code}")
    assert set(missing) <= set(UNPROVOKED), f"no test provokes {', '.join(sorted(set(missing) - set(UNPROVOKED)))}"
    assert set(UNPROVOKED) <= set(missing), "provoked, or documented no more: take it off the list"
    assert set(SHARED) <= documented


def test_every_macro_is_used_by_a_test():
    names = set()
    for header in man3.HEADERS:
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        names |= set(re.findall(r"^\s*#define (GH_\w+)(?=[ \t(])", text, re.M)) | set(re.findall(r"^\s+(GH_\w+) = ", text, re.M))
    used = "".join(p.read_text() for p in UNIT + PROGRAMS)
    missing = sorted(n for n in names - man3.OURS_ALONE if not n.endswith("_") and not re.search(rf"\b{n}\b", used))
    assert not missing, missing
