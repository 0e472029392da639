"""The native API: programs of integration/native/, linked with the library instead of preloaded.

    native(program, *args, workers=N, env=, timeout=)      one run: must say "done" and exit 0
    every(program, *args)                                   with 1, 2 and 8 workers
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
NATIVE = BUILD / "native"
HOOK_NAMES = ("pthread_create", "read", "__libc_start_main")


@pytest.fixture
def native(run):
    def run_native(program, *args, workers=None, **options):
        env = dict(options.pop("env", {}))
        if workers:
            env["GREENHOOK_WORKERS"] = str(workers)
        done = run(str(NATIVE / program), *args, env=env, **options)
        assert done.status == 0 and not re.search(r"\bFAIL\b", done.out) and "done" in done.out, (
            f"{program}, workers={workers}: status {done.status}\n{done.out[-4000:]}{done.err[-2000:]}")
        return done
    return run_native


@pytest.fixture
def every(native):
    def run_every(program, *args, workers=(1, 2, 8), **options):
        return [native(program, *args, workers=n, **options) for n in workers]
    return run_every


def symbols(path, *options):
    out = subprocess.run(["nm", *options, str(path)], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()
            if len(line.split()) == 3 and line.split()[-2] in "TDBRVWi"}


def hook_names():
    text = (ROOT / "hooks" / "hooks.def").read_text()
    return set(re.findall(r"^HOOK\([^,]+,[^,]+(?:\([^)]*\))?, (\w+),", text, re.M)) | set(
        re.findall(r"^ALIAS\(\w+, (\w+),", text, re.M))


def test_linking_is_enough(every):
    for done in every("first"):
        assert "copies of the shared library: 1" in done.out


def test_the_static_library_brings_everything(every):
    for done in every("first.static"):
        assert "copies of the shared library: 0" in done.out


def test_run_does_not_load_it_twice(run):
    for program, copies in ("first", 1), ("first.static", 0):
        done = run(str(BUILD / "greenhook"), "run", "--workers", "2", NATIVE / program)
        assert done.status == 0 and f"copies of the shared library: {copies}\ndone" in done.out, done


def test_a_preloaded_copy_leaves_the_linked_one_alone(native):
    preload = {"LD_PRELOAD": str(BUILD / "libgreenhook.so")}
    assert "copies of the shared library: 1" in native("first", env=preload).out
    native("first.static", env=preload)


def test_only_the_api_and_the_hooks_are_visible():
    for path, options in ((BUILD / "libgreenhook.so", ["-D", "--defined-only"]),
                          (BUILD / "libgreenhook.a", ["-g", "--defined-only"])):
        seen = {name for name in symbols(path, *options) if not name.startswith("DW.ref.")}
        assert "gh_version" in seen and seen.issuperset(HOOK_NAMES)
        assert {name for name in seen if not name.startswith("gh_")} <= hook_names(), path


def test_install_and_pkg_config(tmp_path):
    done = subprocess.run(["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"], cwd=ROOT,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    env = {**os.environ, "PKG_CONFIG_PATH": f"{tmp_path}/usr/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": str(tmp_path)}
    for static in False, True:
        flags = subprocess.run(["pkg-config", *(["--static"] if static else []), "--cflags", "--libs", "greenhook"],
                               env=env, capture_output=True, text=True, check=True).stdout.split()
        if static:
            flags = [f"{tmp_path}/usr/lib/libgreenhook.a" if f == "-lgreenhook" else f for f in flags]
        target = tmp_path / "first"
        subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-o", target, ROOT / "integration/native/first.c", *flags],
                       check=True, timeout=60)
        done = subprocess.run([target], env={**os.environ, "LD_LIBRARY_PATH": f"{tmp_path}/usr/lib"},
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout


def test_tasks_with_thread_local_storage_of_their_own(every):
    every("task", "own")


def test_tasks_on_kernel_threads(native):
    native("task", env={"GREENHOOK": "0"})


def test_groups_and_futures(every, native):
    every("group")
    native("group", env={"GREENHOOK": "0"})


def test_every_function_has_a_complete_manual_page(tmp_path):
    exported = {n for n in symbols(BUILD / "libgreenhook.so", "-D", "--defined-only") if n.startswith("gh_")}
    made = subprocess.run(["/usr/bin/python3", ROOT / "docs" / "man3.py", tmp_path, "0"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert {page.stem for page in tmp_path.glob("*.3")} == exported
    for page in tmp_path.glob("*.3"):
        said = subprocess.run(["groff", "-man", "-ww", "-z", page], capture_output=True, text=True).stderr
        assert not said, f"{page.name}: {said}"


@pytest.mark.parametrize("damage, complaint", [
    (("Parks: no.", ""), "Parks"),
    ((" * Since: 0.2", ""), "Since"),
    (("ns: a length in nanoseconds.", "A length."), "parameter ns"),
    (("Returns: a gh_time", "Gives a gh_time"), "Returns"),
])
def test_an_incomplete_comment_is_found(tmp_path, damage, complaint):
    (tmp_path / "docs").mkdir()
    (tmp_path / "include/greenhook").mkdir(parents=True)
    (tmp_path / "docs/man3.py").write_text((ROOT / "docs/man3.py").read_text())
    text = (ROOT / "include/greenhook/base.h").read_text()
    at = text.index("/* The point in time that is")
    assert damage[0] in text[at:]
    (tmp_path / "include/greenhook/base.h").write_text(text[:at] + text[at:].replace(*damage, 1))
    made = subprocess.run(["/usr/bin/python3", tmp_path / "docs/man3.py", tmp_path / "out"], capture_output=True, text=True)
    assert made.returncode == 1 and "gh_after" in made.stderr and complaint in made.stderr, made.stderr


@pytest.mark.parametrize("compiler", ["gcc", "g++", "clang", "clang++"])
def test_headers_compile_alone(tmp_path, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    language, standards = ("c++", ["c++17"]) if compiler.endswith("++") else ("c", ["c11", "c17"])
    headers = [ROOT / "include/greenhook.h", *(ROOT / "include/greenhook").glob("*.h")]
    for header in headers:
        for standard in standards:
            source = f"#include <{header.relative_to(ROOT / 'include')}>\n#include <{header.relative_to(ROOT / 'include')}>\nint main(void) {{ return 0; }}\n"
            done = subprocess.run([compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                                   "-fsyntax-only", "-I", ROOT / "include", "-"], input=source, capture_output=True, text=True)
            assert done.returncode == 0, f"{header.name} {standard}: {done.stderr}"
