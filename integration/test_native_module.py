"""Modules (greenhook/module.h): shared objects that are replaced while tasks run their code."""
import pathlib
import subprocess

import pytest

from test_native import BUILD, ROOT, every, native  # noqa: F401: fixtures

LIB = ROOT / "integration/native/lib"
VARIANTS = {
    "v1.so": ["-DVERSION=1"], "v2.so": ["-DVERSION=2"], "v3.so": ["-DVERSION=3"],
    "on.so": ["-DVERSION=9", "-DHAND_ON"],
    "park.so": ["-DPARKS"],
    "refuse.so": ["-DREFUSE"], "exits.so": ["-DEXITS"], "leaves.so": ["-DEND_EXITS"], "leaves_on.so": ["-DEND_EXITS", "-DHAND_ON"], "panics.so": ["-DPANICS"], "interface.so": ["-DINTERFACE=8"], "noentry.so": ["-DNO_ENTRY"], "undefined.so": ["-DUNDEFINED"],
}


@pytest.fixture(scope="session")
def modules(tmp_path_factory):
    where = tmp_path_factory.mktemp("modules")
    for name, options in VARIANTS.items():
        subprocess.run(["gcc", "-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-const-variable",
                        "-I", ROOT / "include", "-fPIC", "-shared", *options, "-o", where / name, LIB / "handler.c"], check=True, timeout=60)
    whole = (where / "v1.so").read_bytes()
    for i in range(16):  # from the header to just before the end of the last segment
        (where / f"cut{i}.so").write_bytes(whole[:64 + (last_byte(whole) - 64) * i // 15 - (i == 15)])
    (where / "text.so").write_text("int main;\n")
    (where / "empty.so").write_text("")
    (where / "machine.so").write_bytes(whole[:18] + b"\x08" + whole[19:])
    subprocess.run(["cp", BUILD / "native/first", where / "program"], check=True)
    return where


def last_byte(elf):
    """Where the segments of a file end."""
    at, count = int.from_bytes(elf[32:40], "little"), int.from_bytes(elf[56:58], "little")
    headers = [elf[at + 56 * i:at + 56 * (i + 1)] for i in range(count)]
    return max(int.from_bytes(h[8:16], "little") + int.from_bytes(h[32:40], "little") for h in headers
               if int.from_bytes(h[:4], "little") == 1)


def test_versions_come_and_go(every, native, modules):
    every("module", modules)
    native("module", modules, env={"GREENHOOK": "0"})


def test_thousands_of_reloads_under_traffic(every, modules):
    every("module", modules, "stress", "3000", timeout=120)


def test_constructors_that_wait_under_the_loader_s_lock(every, modules):
    every("module", modules, "park", "100", timeout=120)
