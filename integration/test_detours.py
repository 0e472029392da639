"""Calls that libc makes itself: with its entries redirected, without, and where the system forbids it.

The answers are the same in all three; how many kernel threads it takes is what differs, and that is
judged only with the entries redirected.
"""
import ctypes
import os
import re
import shutil
import subprocess

import pytest

from conftest import LIBRARY, environment, need_library

MODES = {"redirected": {}, "off": {"GREENHOOK_DETOURS": "0"}, "forbidden": {"GREENHOOK_DETOURS": "2"}}
FEW = 8  # workers of two slots, the monitor, and a spare or two for a moment


def most_kernel_threads(stderr):
    return max(int(n) for n in re.findall(r"kernel threads: (\d+)", stderr))


@pytest.fixture(params=MODES, ids=list(MODES))
def mode(request):
    return request.param, MODES[request.param]


def is_redirected(run, function):
    said = run("thread_basic", mode="green", workers=1, env={"GREENHOOK_VERBOSE": "1"}).err
    return f"{function} is not redirected" not in said


def few_when_redirected(run, mode, program, *args, locks=False):
    """On top of agree: what the counts on stderr say."""
    need_library()
    if mode[0] != "redirected" or (locks and not is_redirected(run, "__lll_lock_wait_private")):
        return  # glibc before 2.34 does not export its locks
    for workers in (1, 2):
        result = run(program, *args, mode="green", workers=workers)
        assert most_kernel_threads(result.err) <= FEW, result.err


def test_fifty_threads_in_stdio(agree, run, mode):
    agree("libc_stdio", env=mode[1])
    few_when_redirected(run, mode, "libc_stdio", locks=True)


def test_fifty_threads_in_libcs_sleep(agree, run, mode):
    agree("libc_sleep", env=mode[1])
    few_when_redirected(run, mode, "libc_sleep")


def test_two_hundred_threads_in_getaddrinfo(agree, run, mode):
    agree("libc_dns", 200, env=mode[1])
    few_when_redirected(run, mode, "libc_dns", 200)


def test_a_thousand_in_getaddrinfo_wait_at_the_same_time(run):
    need_library()
    for workers in (1, 2):
        result = run("libc_dns", 1000, mode="green", workers=workers)
        assert result.status == 0, result
        assert most_kernel_threads(result.err) <= FEW, result.err
        # One after the other they would need 200 seconds.
        assert int(re.search(r"milliseconds: (\d+)", result.err)[1]) < 3000, result.err


def test_locks_inside_libc(agree, run, mode):
    agree("libc_lock", env=mode[1])
    few_when_redirected(run, mode, "libc_lock", locks=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_more_waiters_for_a_files_lock_than_kernel_threads(run, workers):
    need_library()
    if not is_redirected(run, "__lll_lock_wait_private"):
        pytest.skip("this libc does not export its locks")
    native = run("libc_lock", mode="native")
    green = run("libc_lock", mode="green", workers=workers, env={"GREENHOOK_MAX_WORKERS": "4"})
    assert (green.status, green.out) == (native.status, native.out), green.err


def test_closing_a_file_that_must_be_written_and_commands(agree, mode):
    agree("libc_flush", env=mode[1])


def test_cancellation_inside_stdio(agree):
    agree("libc_cancel")


def test_forks_among_libcs_locks(agree, mode):
    agree("libc_fork", env=mode[1])


def test_syslog_to_a_slow_socket(run, programs, tmp_path):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    need_library()
    script = (f"mount -t tmpfs none {tmp_path} && cp -a /dev/null /dev/zero /dev/urandom {tmp_path} "
              f"&& mount --bind {tmp_path} /dev && exec \"$@\"")
    for mode, workers in (("native", None), ("green", 1), ("green", 2)):
        env = environment(mode, workers, {})
        preload = [f"LD_PRELOAD={env.pop('LD_PRELOAD')}"] if mode == "green" else []
        done = subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", "env", *preload,
             programs / "libc_syslog"], env=env, capture_output=True, text=True, timeout=60)
        if "mount" in done.stderr:
            pytest.skip(f"cannot mount: {done.stderr}")
        assert done.returncode == 0 and "FAIL" not in done.stdout, done
        if mode == "green":
            assert most_kernel_threads(done.stderr) <= FEW, done.stderr


def deny_changed_text():
    """prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN): what systemd's MemoryDenyWriteExecute asks for."""
    return ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)


def test_where_text_may_not_be_changed(programs):
    need_library()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if deny_changed_text() == 0 else 1)
    if os.waitpid(pid, 0)[1]:
        pytest.skip("this kernel has no PR_SET_MDWE")
    native = subprocess.run([programs / "libc_stdio"], capture_output=True, text=True, timeout=60)
    for workers in (1, 2):
        env = environment("green", workers, {"GREENHOOK_VERBOSE": "1"})
        done = subprocess.run([programs / "libc_stdio"], env=env, capture_output=True, text=True,
                              timeout=60, preexec_fn=deny_changed_text)
        assert (done.returncode, done.stdout) == (native.returncode, native.stdout), done
        said = [line for line in done.stderr.splitlines() if "does not let libc's text" in line]
        assert len(said) == 1, done.stderr


def test_verbose_counts_what_is_redirected(run):
    said = run("thread_basic", mode="green", workers=1, env={"GREENHOOK_VERBOSE": "1"}).err
    assert re.search(r"greenhook: \d+ functions of libc are redirected", said)
    off = run("thread_basic", mode="green", workers=1,
              env={"GREENHOOK_VERBOSE": "1", "GREENHOOK_DETOURS": "0"}).err
    assert "redirected" not in off


@pytest.fixture
def bytes_of_read(tmp_path):
    """Run a program that prints the first bytes of libc's read, after a thread if it has an argument."""
    source, program = tmp_path / "bytes.c", tmp_path / "bytes"
    source.write_text(r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
static void *body(void *a) { return a; }
int main(int argc, char **argv)
{
	unsigned char *p = dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "read");
	pthread_t t;
	if (argc > 1 && (pthread_create(&t, 0, body, 0) || pthread_join(t, 0)))
		return 1;
	for (int i = 0; i < 16; i++)
		printf("%02x", p[i]);
	return 0;
}
""")
    subprocess.run(["gcc", "-pthread", "-o", program, source, "-ldl"], check=True, timeout=60)

    def run_it(*args, before=(), **env):
        return subprocess.run([*before, program, *args], env={**os.environ, **env},
                              capture_output=True, text=True, timeout=20)
    return run_it


def test_a_program_without_threads_keeps_its_libc(bytes_of_read):
    need_library()
    native = bytes_of_read().stdout
    assert bytes_of_read(LD_PRELOAD=str(LIBRARY)).stdout == native
    assert bytes_of_read("x", LD_PRELOAD=str(LIBRARY)).stdout != native
    assert bytes_of_read("x", LD_PRELOAD=str(LIBRARY), GREENHOOK_DETOURS="0").stdout == native


def test_an_inert_process_gets_its_libc_back(bytes_of_read):
    """The entries were redirected, then the monitor could not be made."""
    need_library()
    if not shutil.which("strace"):
        pytest.skip("no strace")
    native = bytes_of_read().stdout
    strace = ["strace", "-f", "-o", "/dev/null", "-e", "inject=clone3:error=EAGAIN:when=1", "-E",
              f"LD_PRELOAD={LIBRARY}", "-E", "GREENHOOK_SELFTEST=0", "-E", "GREENHOOK_VERBOSE=1"]
    done = bytes_of_read("x", before=strace)
    if "staying inert" not in done.stderr:
        pytest.skip("this libc makes threads by another system call, or strace may not trace here")
    assert "functions of libc are redirected" in done.stderr
    assert (done.returncode, done.stdout) == (0, native)
