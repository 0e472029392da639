"""The command: options, messages, exit codes, and what `run` hands to the program.

Nothing here needs a working runtime: a do-nothing library stands in through GREENHOOK_LIBRARY,
and only the last test uses the real one. Programs are compiled on the spot, hostile ELF files are
made from them by patching bytes.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
GREENHOOK = BUILD / "greenhook"
MAN1 = ROOT / "docs/man/greenhook.1"
MAN7 = ROOT / "docs/man/greenhook.7"

pytestmark = pytest.mark.skipif(not GREENHOOK.exists(), reason="build/greenhook is not built")

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3

PRINT_ENVIRONMENT = r"""
#include <stdio.h>
extern char **environ;
int main(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		printf("arg=%s\n", argv[i]);
	for (char **e = environ; *e; e++)
		printf("%s\n", *e);
	return 0;
}
"""
THREADED = r"""
#include <pthread.h>
#include <stdio.h>
static void *body(void *arg) { return arg; }
int main(void)
{
	pthread_t t;
	if (pthread_create(&t, 0, body, 0) || pthread_join(t, 0))
		return 1;
	puts("joined");
	return 0;
}
"""
GO_SECTION = r"""
__attribute__((section(".go.buildinfo"), aligned(16), used))
static char buildinfo[32] = "\xff Go buildinf:";
"""


# --- helpers ------------------------------------------------------------------------------------


def compile_c(path, source, *flags):
    subprocess.run(["gcc", "-o", path, "-x", "c", "-", *flags],
                   input=source, text=True, check=True, timeout=60)
    return path


def cli(*args, env=None, **kwargs):
    """Runs the command with a clean preload environment; `env` adds variables, None removes."""
    environment = {k: v for k, v in os.environ.items()
                   if k != "LD_PRELOAD" and not k.startswith("GREENHOOK")}
    for key, value in (env or {}).items():
        if value is None:
            environment.pop(key, None)
        else:
            environment[key] = str(value)
    kwargs.setdefault("stdin", subprocess.DEVNULL if "input" not in kwargs else None)
    if kwargs["stdin"] is None:
        del kwargs["stdin"]
    return subprocess.run([GREENHOOK, *args], env=environment, text=True, timeout=30,
                          stdout=kwargs.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE,
                          **kwargs)


def doctor(program, **kwargs):
    return cli("doctor", program, **kwargs)


def write_program(path, content, mode=0o755):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def program_headers(image):
    """(offset of the header, type, file offset, file size) of each ELF64 program header."""
    offset, = struct.unpack_from("<Q", image, 32)
    count, = struct.unpack_from("<H", image, 56)
    for at in range(offset, offset + 56 * count, 56):
        kind, _, start, _, _, size = struct.unpack_from("<IIQQQQ", image, at)
        yield at, kind, start, size


def patched(source, path, *patches):
    image = bytearray(source.read_bytes())
    for offset, content in patches:
        image[offset:offset + len(content)] = content
    return write_program(path, bytes(image))


def with_interpreter(source, path, name):
    for _, kind, start, size in program_headers(source.read_bytes()):
        if kind == PT_INTERP:
            assert len(name) < size
            return patched(source, path, (start, name.encode().ljust(size, b"\0")))
    raise AssertionError("no PT_INTERP")


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def library(box):
    return compile_c(box / "libdummy.so", "int greenhook_dummy;", "-shared", "-fPIC")


@pytest.fixture(scope="module")
def show(box):
    """Prints its arguments and environment."""
    return compile_c(box / "show", PRINT_ENVIRONMENT)


@pytest.fixture(scope="module")
def threaded(box):
    return compile_c(box / "threaded", THREADED)


@pytest.fixture(scope="module")
def static(box):
    return compile_c(box / "static", PRINT_ENVIRONMENT, "-static", "-no-pie")


@pytest.fixture(scope="module")
def static_pie(box):
    return compile_c(box / "static-pie", THREADED, "-static-pie")


def shown(result):
    """The environment that `show` printed."""
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if not line.startswith("arg=")]
    return dict(line.split("=", 1) for line in lines if "=" in line)


# --- help, version, usage errors ----------------------------------------------------------------


def test_version_is_one_line():
    result = cli("--version")
    assert (result.returncode, result.stderr) == (0, "")
    name, version = result.stdout.split()
    assert name == "greenhook" and version.count(".") == 2


@pytest.mark.parametrize("args", [["--help"], ["help"], ["run", "--help"], ["doctor", "--help"],
                                  ["coverage", "--help"]])
def test_help_goes_to_stdout(args):
    result = cli(*args)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: greenhook run ")
    for word in ("--workers", "--stack", "--verbose", "doctor", "coverage", "125", "126", "127"):
        assert word in result.stdout


@pytest.mark.parametrize("args, message", [
    ([], "no command given"),
    (["walk"], "unknown command 'walk'"),
    (["--walk"], "unknown option '--walk'"),
    (["run"], "run: no program given"),
    (["run", "--"], "run: no program given"),
    (["run", "--fast", "true"], "run: unknown option '--fast'"),
    (["run", "-w", "true"], "run: unknown option '-w'"),
    (["run", "--workersX", "1", "true"], "run: unknown option '--workersX'"),
    (["run", "--workers"], "--workers needs a value"),
    (["run", "--stack"], "--stack needs a value"),
    (["doctor"], "doctor: no program given"),
    (["doctor", "--deep", "true"], "doctor: unknown option '--deep'"),
    (["doctor", "true", "false"], "doctor: unexpected argument 'false'"),
    (["coverage", "--xml"], "coverage: unknown option '--xml'"),
    (["coverage", "read"], "coverage: unknown argument 'read'"),
])
def test_usage_error_is_named_then_usage_shown(args, message):
    result = cli(*args)
    assert (result.returncode, result.stdout) == (2, "")
    first, second = result.stderr.splitlines()[:2]
    assert first == f"greenhook: {message}"
    assert second.startswith("usage: greenhook run ")


@pytest.mark.parametrize("value", ["0", "257", "-1", "+1", " 1", "1 ", "1x", "0x10", "many", "",
                                   "99999999999999999999999"])
@pytest.mark.parametrize("joined", [False, True])
def test_bad_workers_are_refused(value, joined):
    option = [f"--workers={value}"] if joined else ["--workers", value]
    result = cli("run", *option, "--", "true")
    assert (result.returncode, result.stdout) == (2, "")
    first = result.stderr.splitlines()[0]
    assert first == f"greenhook: --workers: '{value}' is not a number from 1 to 256"


@pytest.mark.parametrize("value", ["0", "15K", "16383", "-64K", "64KB", "64T", "K", "1.5M", "",
                                   "1025G", "99999999999999999999G", "18446744073709551615K"])
def test_bad_stack_is_refused(value):
    result = cli("run", "--stack", value, "--", "true")
    assert (result.returncode, result.stdout) == (2, "")
    first = result.stderr.splitlines()[0]
    assert first.startswith(f"greenhook: --stack: '{value}' is not a size from 16K")


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        result = cli("coverage", stdout=full)
    assert result.returncode == 125
    assert result.stderr.startswith("greenhook: cannot write: ")


# --- run: what the program is given -------------------------------------------------------------


def test_run_preloads_and_sets_nothing_else(library, show):
    environment = shown(cli("run", "--", show, env={"GREENHOOK_LIBRARY": library}))
    assert environment["LD_PRELOAD"] == str(library)
    assert not {"GREENHOOK_WORKERS", "GREENHOOK_STACK", "GREENHOOK_VERBOSE"} & environment.keys()


@pytest.mark.parametrize("old, separator", [("", ""), ("/nonexistent/a.so", ":"),
                                            ("/nonexistent/a.so /nonexistent/b.so", ":")])
def test_run_prepends_to_ld_preload(library, static, tmp_path, old, separator):
    # env(1) prints what it was given; loading the old value would only make the loader complain.
    result = cli("run", "env", env={"GREENHOOK_LIBRARY": library, "LD_PRELOAD": old})
    assert f"LD_PRELOAD={library}{separator}{old}\n" in result.stdout


def test_nested_run_names_the_library_once(library, show):
    result = cli("run", GREENHOOK, "run", show, env={"GREENHOOK_LIBRARY": library})
    assert shown(result)["LD_PRELOAD"] == str(library)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("workers", ["1", "256"])
def test_run_passes_workers(library, show, workers, joined):
    option = [f"--workers={workers}"] if joined else ["--workers", workers]
    result = cli("run", *option, show, env={"GREENHOOK_LIBRARY": library,
                                            "GREENHOOK_WORKERS": "7"})
    assert shown(result)["GREENHOOK_WORKERS"] == workers


@pytest.mark.parametrize("size, in_bytes", [("16K", 16384), ("16384", 16384), ("64k", 65536),
                                            ("8M", 8 << 20), ("1G", 1 << 30),
                                            ("1024G", 1 << 40)])
def test_run_passes_stack_in_bytes(library, show, size, in_bytes):
    for option in (["--stack", size], [f"--stack={size}"]):
        result = cli("run", *option, "--", show, env={"GREENHOOK_LIBRARY": library})
        assert shown(result)["GREENHOOK_STACK"] == str(in_bytes)


@pytest.mark.parametrize("times, level", [(1, "1"), (2, "2"), (3, "2")])
def test_run_passes_verbose(library, show, times, level):
    result = cli("run", *["--verbose"] * times, show, env={"GREENHOOK_LIBRARY": library})
    assert shown(result)["GREENHOOK_VERBOSE"] == level


def test_run_passes_arguments_exactly(library, show):
    arguments = ["", "a b", "--workers", "--", "-x", "*", "'\"\\", "ü"]
    for dashes in ([], ["--"]):
        result = cli("run", *dashes, show, *arguments, env={"GREENHOOK_LIBRARY": library})
        got = [line[4:] for line in result.stdout.splitlines() if line.startswith("arg=")]
        assert got == [str(show), *arguments]


def test_run_keeps_argv0_of_a_path_search(library, show):
    result = cli("run", "show", env={"GREENHOOK_LIBRARY": library,
                                     "PATH": f"/nonexistent:{show.parent}"})
    assert result.stdout.startswith("arg=show\n")


def test_run_searches_current_directory_for_empty_path_element(library, show):
    result = cli("run", "show", cwd=show.parent,
                 env={"GREENHOOK_LIBRARY": library, "PATH": "/nonexistent:"})
    assert result.stdout.startswith("arg=show\n")


def test_double_dash_allows_a_program_that_begins_with_a_dash(library, show, tmp_path):
    shutil.copy(show, tmp_path / "-show")
    environment = {"GREENHOOK_LIBRARY": library, "PATH": str(tmp_path)}
    assert cli("run", "--", "-show", env=environment).stdout.startswith("arg=-show\n")
    assert cli("run", "-show", env=environment).returncode == 2


def test_run_is_the_program(library):
    """Exec, not fork: the pid that was started is the program's."""
    process = subprocess.Popen([GREENHOOK, "run", "sh", "-c", "echo $$"], stdout=subprocess.PIPE,
                               text=True, env={**os.environ, "GREENHOOK_LIBRARY": str(library)})
    out, _ = process.communicate(timeout=30)
    assert int(out) == process.pid


@pytest.mark.parametrize("status", [0, 1, 2, 42, 125, 126, 127, 255])
def test_exit_status_is_the_programs(library, status):
    result = cli("run", "sh", "-c", f"exit {status}", env={"GREENHOOK_LIBRARY": library})
    assert (result.returncode, result.stdout, result.stderr) == (status, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
def test_death_by_signal_is_the_programs(library, number):
    result = cli("run", "sh", "-c", f"kill -{int(number)} $$", env={"GREENHOOK_LIBRARY": library})
    assert result.returncode == -number


def test_ignored_signals_and_descriptors_are_handed_on(library):
    script = "grep SigIgn /proc/self/status; ls /proc/self/fd"
    expected = subprocess.run(["sh", "-c", script], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=30).stdout
    result = cli("run", "sh", "-c", script, env={"GREENHOOK_LIBRARY": library})
    assert result.stdout == expected


def test_standard_input_is_the_programs(library):
    text = "line\n" * 1000
    result = cli("run", "cat", input=text, env={"GREENHOOK_LIBRARY": library})
    assert (result.returncode, result.stdout) == (0, text)


# --- run: what can go wrong ---------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "doctor"])
@pytest.mark.parametrize("program", ["no-such-program", "/nonexistent/program", "", "/etc/passwd/x"])
def test_missing_program_is_127(library, command, program):
    # A folder in PATH that may not be searched would make it 126, as with execvp.
    result = cli(command, program, env={"GREENHOOK_LIBRARY": library, "PATH": "/usr/bin:/bin"})
    assert (result.returncode, result.stdout) == (127, "")
    assert result.stderr.startswith(f"greenhook: {program}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_program_without_execute_permission_is_126(library, command, show, tmp_path):
    plain = write_program(tmp_path / "plain", show.read_bytes(), 0o644)
    result = cli(command, plain, env={"GREENHOOK_LIBRARY": library})
    assert (result.returncode, result.stdout) == (126, "")
    assert result.stderr == f"greenhook: {plain}: Permission denied\n"
    # In PATH, too: found but not executable is not the same as not found.
    result = cli(command, "plain", env={"GREENHOOK_LIBRARY": library, "PATH": str(tmp_path)})
    assert result.returncode == 126


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_directory_is_126(library, command, tmp_path):
    result = cli(command, tmp_path, env={"GREENHOOK_LIBRARY": library})
    assert (result.returncode, result.stdout) == (126, "")
    assert result.stderr == f"greenhook: {tmp_path}: Is a directory\n"


def test_missing_library_is_125(show, tmp_path):
    result = cli("run", show, env={"GREENHOOK_LIBRARY": tmp_path / "none.so"})
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr.startswith(f"greenhook: GREENHOOK_LIBRARY={tmp_path}/none.so: ")
    # Installed alone, with no library around.
    alone = tmp_path / "bin/greenhook"
    alone.parent.mkdir()
    shutil.copy(GREENHOOK, alone)
    result = subprocess.run([alone, "run", show], capture_output=True, text=True, timeout=30,
                            env={"PATH": os.environ["PATH"]})
    assert (result.returncode, result.stdout) == (125, "")
    assert "libgreenhook.so not found" in result.stderr and "GREENHOOK_LIBRARY" in result.stderr


@pytest.mark.parametrize("place", ["bin/libgreenhook.so", "lib/libgreenhook.so.0",
                                   f"lib/{os.uname().machine}-linux-gnu/libgreenhook.so.0"])
def test_library_is_found_where_it_is_installed(library, show, tmp_path, place):
    for path in ("bin", "lib"):
        (tmp_path / path).mkdir()
    installed = tmp_path / place
    installed.parent.mkdir(exist_ok=True)
    shutil.copy(library, installed)
    shutil.copy(GREENHOOK, tmp_path / "bin")
    # Called through a link elsewhere: what counts is where the executable is.
    (tmp_path / "link").symlink_to(tmp_path / "bin/greenhook")
    result = subprocess.run([tmp_path / "link", "run", show], capture_output=True, text=True,
                            timeout=30, env={"PATH": os.environ["PATH"]})
    assert shown(result)["LD_PRELOAD"] == str(installed)


def test_relative_library_becomes_absolute(library, show):
    result = cli("run", show, env={"GREENHOOK_LIBRARY": library.name}, cwd=library.parent)
    assert shown(result)["LD_PRELOAD"] == str(library)


@pytest.mark.parametrize("name", ["with space", "with:colon"])
def test_library_path_that_ld_preload_cannot_express_is_125(library, show, tmp_path, name):
    (tmp_path / name).mkdir()
    copy = shutil.copy(library, tmp_path / name)
    result = cli("run", show, env={"GREENHOOK_LIBRARY": copy})
    assert (result.returncode, result.stdout) == (125, "")
    assert "LD_PRELOAD cannot express" in result.stderr


# --- doctor, and run on the same files ----------------------------------------------------------


def assert_green(program, **kwargs):
    result = doctor(program, **kwargs)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"{program}: will run green"
    return result.stdout


def assert_not_green(program, *reason, **kwargs):
    """The reason is on the first line and contains all the given parts."""
    result = doctor(program, **kwargs)
    assert (result.returncode, result.stderr) == (1, "")
    first = result.stdout.splitlines()[0]
    assert first.startswith(f"{program}: will not run green: ")
    for part in reason:
        assert part in first
    return first.split("will not run green: ", 1)[1]


def test_doctor_dynamic(show, threaded):
    assert "imports pthread_create: no" in assert_green(show)
    text = assert_green(threaded)
    assert "imports pthread_create: yes" in text
    assert "loader: /lib64/ld-linux-x86-64.so.2" in text or os.uname().machine != "x86_64"


@pytest.mark.parametrize("flags", [["-no-pie"], ["-Wl,--hash-style=sysv"], ["-Wl,--hash-style=gnu"],
                                   ["-s"], ["-rdynamic"], ["-Wl,-z,now"]])
def test_doctor_finds_the_import_however_it_is_linked(tmp_path, flags):
    program = compile_c(tmp_path / "program", THREADED, *flags)
    assert "imports pthread_create: yes" in assert_green(program)


def test_doctor_does_not_mistake_a_definition_for_an_import(tmp_path):
    own = "int pthread_create(void) { return 0; } int main(void) { return pthread_create(); }"
    program = compile_c(tmp_path / "own", own, "-rdynamic", "-fno-builtin")
    assert "imports pthread_create: no" in assert_green(program)


def test_doctor_searches_path(show):
    result = doctor("show", env={"PATH": f"{show.parent}:{os.environ['PATH']}"})
    assert (result.returncode, result.stdout.splitlines()[0]) == (0, "show: will run green")


def test_doctor_static(static, static_pie):
    assert assert_not_green(static, "no PT_INTERP").startswith("statically linked")
    assert assert_not_green(static_pie, "no PT_INTERP").startswith("static-pie")


def test_doctor_setuid_and_setgid(show, tmp_path):
    copy = write_program(tmp_path / "copy", show.read_bytes())
    copy.chmod(0o755 | stat.S_ISUID)
    assert assert_not_green(copy, "LD_PRELOAD").startswith("setuid program")
    copy.chmod(0o755 | stat.S_ISGID)
    assert assert_not_green(copy, "LD_PRELOAD").startswith("setgid program")
    # Without group execution the bit means mandatory locking, not another identity.
    copy.chmod(0o745 | stat.S_ISGID)
    assert_green(copy)


def test_doctor_file_capabilities(show, tmp_path):
    copy = write_program(tmp_path / "copy", show.read_bytes())
    cap_net_bind_service = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    try:
        os.setxattr(copy, "security.capability", cap_net_bind_service)
    except OSError as error:
        pytest.skip(f"cannot set file capabilities here: {error}")
    assert_not_green(copy, "file capabilities")


def test_doctor_musl(show, tmp_path):
    musl = with_interpreter(show, tmp_path / "musl", "/lib/ld-musl-x86_64.so.1")
    assert_not_green(musl, "musl", "/lib/ld-musl-x86_64.so.1")


def test_doctor_other_loader(show, tmp_path):
    other = with_interpreter(show, tmp_path / "other", "/system/bin/linker64")
    assert_not_green(other, "its loader /system/bin/linker64 is not glibc's")
    gone = with_interpreter(show, tmp_path / "gone", "/nonexistent/ld-linux.so")
    assert_not_green(gone, "its loader /nonexistent/ld-linux.so cannot be used")


def test_doctor_go(tmp_path):
    plain = compile_c(tmp_path / "go-plain", GO_SECTION + PRINT_ENVIRONMENT)
    assert_not_green(plain, "Go program without cgo")
    stripped = compile_c(tmp_path / "go-static", GO_SECTION + PRINT_ENVIRONMENT, "-static")
    assert_not_green(stripped, "Go program, statically linked")
    cgo = compile_c(tmp_path / "go-cgo", GO_SECTION + THREADED)
    assert_not_green(cgo, "Go program with cgo")


def test_doctor_go_without_section_headers(tmp_path):
    program = compile_c(tmp_path / "go", GO_SECTION + PRINT_ENVIRONMENT)
    # e_shoff, e_shentsize, e_shnum, e_shstrndx = 0
    patched(program, program, (40, bytes(8)), (58, bytes(6)))
    assert_not_green(program, "Go program without cgo")


def test_doctor_wrong_class_and_machine(show, tmp_path):
    class32 = patched(show, tmp_path / "class32", (4, b"\x01"), (18, struct.pack("<H", 3)))
    assert_not_green(class32, "wrong ELF class: 32-bit i386")
    riscv = patched(show, tmp_path / "riscv", (18, struct.pack("<H", 243)))
    assert_not_green(riscv, "wrong machine: built for RISC-V")
    big_endian = patched(show, tmp_path / "big", (5, b"\x02"), (18, struct.pack(">H", 22)))
    assert_not_green(big_endian, "wrong machine: built for S/390")


def test_doctor_not_a_program(show, library, tmp_path):
    assert_not_green(write_program(tmp_path / "empty", b""), "an empty file")
    assert_not_green(write_program(tmp_path / "text", "echo hello\n"), "not an ELF program")
    assert_not_green(write_program(tmp_path / "one", b"\x7f"), "not an ELF program")
    assert_not_green(patched(show, tmp_path / "object", (16, struct.pack("<H", 1))), "object file")
    shared = tmp_path / "shared.so"
    compile_c(shared, "int x;", "-shared", "-fPIC", "-Wl,-soname,libshared.so.1")
    assert_not_green(shared, "a shared library")


def test_doctor_the_loader_itself(show):
    loader = next((start, size) for _, kind, start, size in program_headers(show.read_bytes())
                  if kind == PT_INTERP)
    path = show.read_bytes()[loader[0]:sum(loader)].rstrip(b"\0").decode()
    assert "the loader itself" in assert_green(path)


def test_doctor_survives_every_truncation(threaded, tmp_path):
    image = threaded.read_bytes()
    headers = list(program_headers(image))
    edges = {4, 5, 16, 18, 20, 51, 52, 53, 63, 64, 65, 119, 120, len(image) // 2, len(image) - 1}
    edges |= {edge + d for _, _, start, size in headers for edge in (start, start + size)
              for d in (-1, 0, 1)}
    for length in sorted(edge for edge in edges if 4 <= edge < len(image)):
        result = doctor(write_program(tmp_path / "cut", image[:length]))
        assert result.returncode in (0, 1), (length, result)
        assert result.stdout.count("\n") >= 1 and result.stderr == ""
        if length < 64 + 56 * len(headers):
            assert "damaged ELF file" in result.stdout, length


def test_doctor_survives_hostile_numbers(threaded, tmp_path):
    """Each field of the header, program headers and dynamic section, with the usual suspects."""
    image = threaded.read_bytes()
    fields = [(offset, 8) for offset in (24, 32, 40)]
    fields += [(offset, 2) for offset in (16, 54, 56, 58, 60, 62)]
    for at, kind, start, size in program_headers(image):
        if kind in (PT_LOAD, PT_DYNAMIC, PT_INTERP):
            fields += [(at + delta, 8) for delta in (8, 16, 32)]
        if kind == PT_DYNAMIC:
            fields += [(start + delta, 8) for delta in range(8, min(size, 400), 16)]
    for offset, width in fields:
        for value in (0, 1, len(image) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 4096):
            content = struct.pack("<Q", value)[:width]
            result = doctor(patched(threaded, tmp_path / "hostile", (offset, content)))
            assert result.returncode in (0, 1), (offset, hex(value), result)
            assert result.stderr == ""


def test_doctor_script(show, static, tmp_path):
    script = write_program(tmp_path / "script", f"#!{show}\n")
    assert f"script -> {show}" in assert_green(script)
    script = write_program(tmp_path / "script2", f"#! \t {static} -x\n")
    assert_not_green(script, f"script run by {static}: statically linked")


@pytest.mark.parametrize("line", ["#!/usr/bin/env show", "#! /usr/bin/env -S show -u",
                                  "#!/usr/bin/env -S A=1 show"])
def test_doctor_script_through_env(show, static, tmp_path, line):
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = write_program(tmp_path / "script", f"{line}\n")
    shutil.copy(show, tmp_path / "show")
    text = assert_green(script, env={"PATH": path})
    assert f"script -> /usr/bin/env -> {tmp_path}/show" in text
    shutil.copy(static, tmp_path / "show")
    assert_not_green(script, f"script run by {tmp_path}/show: statically linked",
                     env={"PATH": path})


def test_doctor_follows_four_levels_of_scripts(show, static, tmp_path):
    for target, check in ((show, assert_green), (static, assert_not_green)):
        previous = target
        for level in range(1, 5):
            previous = write_program(tmp_path / f"level{level}", f"#!{previous}\n")
            check(previous)
        deeper = write_program(tmp_path / "level5", f"#!{previous}\n")
        assert_not_green(deeper, "more than 4 levels")


@pytest.mark.parametrize("line, reason", [
    ("#!/nonexistent/shell", "/nonexistent/shell cannot be used: No such file or directory"),
    ("#!sh", "sh cannot be used: No such file or directory"),
    ("#!/usr/bin/env no-such-interpreter", "no-such-interpreter cannot be used"),
    ("#!/usr/bin/env", "(none named)"),
    ("#!", "(none named)"),
    ("#!   ", "(none named)"),
    ("#!/etc/passwd", "/etc/passwd cannot be used: Permission denied"),
    ("#!/" + "x" * 5000, "cannot be used"),
])
def test_doctor_script_without_a_usable_interpreter(tmp_path, line, reason):
    for end in ("\n", ""):
        script = write_program(tmp_path / "script", line + end)
        assert_not_green(script, "script whose interpreter", reason)


def test_doctor_script_that_interprets_itself(tmp_path):
    script = tmp_path / "loop"
    write_program(script, f"#!{script}\n")
    assert_not_green(script, "more than 4 levels")


def test_run_of_a_static_program_is_native_with_one_line(library, static):
    result = cli("run", "--workers", "2", "--verbose", static, "a",
                 env={"GREENHOOK_LIBRARY": library})
    assert "arg=a\n" in result.stdout
    assert not {"LD_PRELOAD", "GREENHOOK_WORKERS", "GREENHOOK_VERBOSE"} & shown(result).keys()
    assert result.stderr.startswith(f"greenhook: {static}: statically linked (no PT_INTERP)")
    assert result.stderr.endswith("; running it natively\n")
    assert result.stderr.count("\n") == 1


def test_run_of_a_native_program_needs_no_library(static, tmp_path):
    result = cli("run", static, env={"GREENHOOK_LIBRARY": tmp_path / "none.so"})
    assert result.returncode == 0


def test_run_keeps_foreign_preload_of_a_native_program(library, static):
    result = cli("run", static, env={"GREENHOOK_LIBRARY": library, "LD_PRELOAD": "/nonexistent.so"})
    # greenhook itself is dynamic, so the loader mentions the missing file for it.
    assert shown(result)["LD_PRELOAD"] == "/nonexistent.so"


def test_run_of_a_setuid_program_is_native(library, show, tmp_path):
    copy = write_program(tmp_path / "copy", show.read_bytes())
    copy.chmod(0o755 | stat.S_ISUID)
    result = cli("run", copy, env={"GREENHOOK_LIBRARY": library})
    assert "LD_PRELOAD" not in shown(result)
    assert "setuid program" in result.stderr and result.stderr.count("\n") == 1


def test_run_of_a_script_hands_the_preload_on(library, show, tmp_path):
    script = write_program(tmp_path / "script", f"#!/usr/bin/env -S {show} -u\n")
    result = cli("run", script, "x", env={"GREENHOOK_LIBRARY": library})
    assert shown(result)["LD_PRELOAD"] == str(library)
    assert f"arg=-u\narg={script}\narg=x\n" in result.stdout


def test_run_of_text_is_a_shell_script_and_of_a_broken_binary_is_126(library, show, tmp_path):
    text = write_program(tmp_path / "text", "echo shell $1; exit 5\n")
    result = cli("run", text, "x", env={"GREENHOOK_LIBRARY": library})
    assert (result.returncode, result.stdout) == (5, "shell x\n")
    cut = write_program(tmp_path / "cut", show.read_bytes()[:60])
    result = cli("run", cut, env={"GREENHOOK_LIBRARY": library})
    assert (result.returncode, result.stdout) == (126, "")
    assert result.stderr.splitlines()[-1] == f"greenhook: {cut}: Exec format error"


def test_run_of_a_script_without_interpreter_is_127(library, tmp_path):
    script = write_program(tmp_path / "script", "#!/nonexistent/shell\n")
    result = cli("run", script, env={"GREENHOOK_LIBRARY": library})
    assert (result.returncode, result.stdout) == (127, "")
    assert "interpreter /nonexistent/shell" in result.stderr


# --- coverage -----------------------------------------------------------------------------------

KINDS = {"PARKS", "OFFLOADS", "TRACKS", "PASSES", "REFUSES"}


@pytest.fixture(scope="module")
def functions():
    result = cli("coverage", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)["functions"]


def test_coverage_json_is_complete(functions):
    names = [row["name"] for row in functions]
    assert names and len(names) == len(set(names))
    for row in functions:
        assert row.keys() == {"family", "name", "kind", "alias_of", "prototype", "note"}
        assert row["kind"] in KINDS, row
        assert (row["alias_of"] is None) != (row["prototype"] is None), row
        if row["alias_of"]:
            assert row["alias_of"] in names
        else:
            assert f" {row['name']}(" in row["prototype"]


def test_coverage_text_and_markdown_list_the_same(functions):
    text = cli("coverage").stdout
    rows = [line.split()[:2] for line in text.splitlines() if line.startswith("  ")]
    listed = [(name, kind) for name, kind in rows if kind in KINDS]
    assert listed == [(row["name"], row["kind"]) for row in functions]
    assert f"\n{len(functions)} functions\n" in text

    markdown = cli("coverage", "--markdown").stdout
    cells = [line.split(" | ") for line in markdown.splitlines() if line.startswith("| `")]
    assert [(c[0][3:-1], c[1]) for c in cells] == listed
    assert f"\n{len(functions)} functions.\n" in markdown


# --- manual pages -------------------------------------------------------------------------------


def test_manual_names_every_option_and_exit_code():
    page = MAN1.read_text().replace("\\-", "-")
    for word in ("--workers", "--stack", "--verbose", "--markdown", "--json", "--version", "--help",
                 "GREENHOOK_LIBRARY", "125", "126", "127"):
        assert word in page, word


def test_manual_names_every_environment_variable():
    """Those that some source file spells out, in greenhook(1) or greenhook(7)."""
    pages = MAN1.read_text() + MAN7.read_text()
    sources = [path for folder in ("src", "hooks", "preload") for path in (ROOT / folder).rglob("*")
               if path.suffix in (".c", ".h", ".def")]
    names = {name for path in sources
             for name in re.findall(r'"(GREENHOOK(?:_[A-Z]+)*)[="]', path.read_text())}
    assert "GREENHOOK_WORKERS" in names
    for name in sorted(names):
        assert re.search(rf"\b{name}\b", pages), name


def test_manual_formats_without_warnings():
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    for page in sorted(MAN1.parent.glob("*.[1-9]")):
        result = subprocess.run(["groff", "-man", "-Tutf8", "-ww", page], capture_output=True,
                                text=True, timeout=30)
        assert (result.returncode, result.stderr) == (0, ""), page


# --- the real library ---------------------------------------------------------------------------


def test_real_library_loads_and_the_program_runs(threaded):
    if not (BUILD / "libgreenhook.so").exists():
        pytest.skip("build/libgreenhook.so is not built")
    result = cli("run", "--workers", "1", threaded)
    assert (result.returncode, result.stdout, result.stderr) == (0, "joined\n", "")
