"""The programs in docs/guide.md and docs/best-practices.md: each is compiled, and its commands print what is written there."""
import os
import re
import socket
import subprocess

import pytest

from conftest import ROOT, need_library

LIMIT = 60
DOCS = ROOT / "docs"


@pytest.fixture(autouse=True)
def built(programs):
    need_library()


@pytest.fixture
def tools(tmp_path):
    """A PATH where pkg-config knows this tree."""
    path = tmp_path / "bin"
    path.mkdir()
    (path / "pkg-config").write_text(f"#!/bin/sh\necho -I{ROOT}/include -L{ROOT}/build -lgreenhook -Wl,-rpath,{ROOT}/build\n")
    (path / "cc").write_text("#!/bin/sh\nexec gcc -O1 -Wall -Wextra -Werror \"$@\"\n")
    for tool in path.iterdir():
        tool.chmod(0o755)
    return {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "LC_ALL": "C"}


def blocks(name, kind):
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / name).read_text(), re.S)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def consoles():
    """(program, its source, its console) of the guide: each console belongs to the program above it."""
    text = (DOCS / "guide.md").read_text()
    found = re.findall(r"```c\n(/\* (\w+)\.c \*/\n.*?)```\n\n```console\n(.*?)```", text, re.S)
    assert len(found) == len(blocks("guide.md", "c")) == len(blocks("guide.md", "console"))
    return [(name, source, console) for source, name, console in found]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name, source, console", consoles(), ids=lambda x: x if x.isidentifier() else "")
def test_guide(tmp_path, tools, name, source, console, workers):
    port = str(free_port())
    (tmp_path / f"{name}.c").write_text(source)
    lines = console.replace("8080", port).splitlines()
    script = "\n".join(line[2:] for line in lines if line.startswith("$ "))
    expected = [line for line in lines if not line.startswith("$ ")]
    done = subprocess.run(["bash", "-m", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT,
                          env={**tools, "GREENHOOK_WORKERS": str(workers)})
    assert done.stdout.splitlines() == expected, done.stderr
    assert "error" not in done.stderr and "warning" not in done.stderr


@pytest.mark.parametrize("number", range(len(blocks("best-practices.md", "c"))))
def test_best_practices(tmp_path, tools, number):
    path = tmp_path / "part.c"
    path.write_text(blocks("best-practices.md", "c")[number])
    done = subprocess.run(["gcc", "-std=c11", "-c", "-o", "/dev/null", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-unused-function", f"-I{ROOT}/include", path],
                          capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["guide.md", "best-practices.md"])
def test_what_is_linked_or_named_is_there(name):
    text = (DOCS / name).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (DOCS / target).exists(), target
    header = "".join(p.read_text() for p in (ROOT / "include" / "greenhook").glob("*.h"))
    for word in set(re.findall(r"\b(?:gh|GH)_\w+", text)):
        assert re.search(rf"\b{word}\b", header), word
    for file in re.findall(r"`(?:examples/)?(\w+\.[ch])`", text):
        assert (DOCS / "examples" / file).exists(), file
