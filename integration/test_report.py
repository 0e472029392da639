"""The report on calls that blocked kernel threads: at exit, on demand, and who may ask."""
import os
import re
import socket
import subprocess

import pytest

from conftest import ROOT, environment, killed_after, need_library, wait_for

GREENHOOK = ROOT / "build" / "greenhook"
LIMIT = 30


def report_of(pid, **options):
    return subprocess.run([GREENHOOK, "report", str(pid)], capture_output=True, text=True, timeout=LIMIT, **options)


def row(text, *words):
    """Count and hand-offs of the one line that has all the words."""
    lines = [line for line in text.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, f"{words}: {len(lines)} lines in\n{text}"
    return [int(number) for number in lines[0].split()[:2]]


def section(text, known):
    seen, _, rest = text.partition("greenhook: calls that are known to block")
    return rest if known else seen


@pytest.fixture
def waiting(programs, runtime_dir):
    """Starts the program that blocks in a call of its own; ends it."""
    need_library()
    started = []

    def start(**env):
        process = subprocess.Popen([programs / "blocked", "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env=environment("green", 2, {"GREENHOOK_REPORT": "1", **env}), stderr=subprocess.PIPE)
        started.append(process)
        with killed_after(process):
            assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.communicate(timeout=LIMIT)
        assert process.returncode == 0


def test_output_and_status_are_the_programs(agree, tmp_path):
    agree("blocked", env={"GREENHOOK_REPORT": str(tmp_path / "report")})


def test_report_at_exit(run, runtime_dir):
    done = run("blocked", mode="green", workers=2, env={"GREENHOOK_REPORT": "1"})
    assert done.status == 0 and done.out == "ready\ndone\n"
    assert re.match(r"greenhook: report on /\S*/blocked, pid \d+\n", done.err)
    unseen, known = section(done.err, False), section(done.err, True)
    # Three sleeps; one of the lockers may run without a slot by then, as it waited for the lock.
    count, handed = row(unseen, "nanosleep in sleep_unseen (blocked+0x")
    assert 1 <= count <= 3 and handed <= count
    count, handed = row(known, "flock in flock", "called by lock_file (blocked+0x")
    assert count == 1 and handed <= count
    assert list(runtime_dir.glob("greenhook/*")) == []


def test_report_is_appended_to_a_file(programs, runtime_dir, tmp_path):
    need_library()
    for expected in 1, 2:
        done = subprocess.run([GREENHOOK, "run", "--report=report", programs / "blocked"], cwd=tmp_path, timeout=LIMIT,
                              capture_output=True, text=True, env=environment("native", None, None))
        assert (done.returncode, done.stdout, done.stderr) == (0, "ready\ndone\n", "")
        assert (tmp_path / "report").read_text().count("greenhook: report on ") == expected


def test_file_that_cannot_be_written(programs):
    done = subprocess.run([GREENHOOK, "run", "--report=/nowhere/report", programs / "blocked"], timeout=LIMIT,
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("greenhook: --report: '/nowhere/report' cannot be written: No such file or directory\n")


def test_report_on_demand_shows_who_is_still_blocked(waiting):
    process = waiting()
    text = wait_for(lambda: (lambda out: "still in it: 1" in out and out)(report_of(process.pid).stdout))
    assert row(section(text, False), "read in main (blocked+0x", "; still in it: 1")[0] == 1
    process.communicate("x\n", timeout=LIMIT)
    assert process.returncode == 0


def test_process_that_cannot_be_asked(runtime_dir):
    with subprocess.Popen(["sleep", "60"]) as other:
        done = report_of(other.pid)
        other.kill()
    assert done.returncode == 125 and done.stderr == f"greenhook: process {other.pid} does not run green; start it with `greenhook run`\n"
    done = report_of(other.pid)
    assert done.returncode == 125 and done.stderr == f"greenhook: process {other.pid}: No such process\n"
    for wrong in "x", "-1", "12x", "":
        done = report_of(wrong)
        assert done.returncode == 2 and f"'{wrong}' is not the number of a process" in done.stderr


def test_no_socket_when_asked_not_to(waiting, runtime_dir):
    process = waiting(GREENHOOK_CONTROL="0")
    assert not (runtime_dir / "greenhook").exists()
    assert report_of(process.pid).returncode == 125
    _, err = process.communicate("", timeout=LIMIT)
    assert "greenhook: report on " in err


def test_folder_that_others_can_enter_is_not_used(waiting, runtime_dir):
    (runtime_dir / "greenhook").mkdir()
    (runtime_dir / "greenhook").chmod(0o755)
    waiting()
    assert list(runtime_dir.glob("greenhook/*")) == []


def test_socket_is_the_users_own(waiting, runtime_dir):
    process = waiting()
    path = wait_for(lambda: list(runtime_dir.glob("greenhook/*")))[0]
    assert path.name == f"{process.pid}.sock"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_others_are_refused(waiting, runtime_dir):
    process = waiting()
    assert wait_for(lambda: report_of(process.pid).returncode == 0)
    for path in runtime_dir.glob("greenhook"), runtime_dir.glob("greenhook/*"):
        for each in path:
            each.chmod(0o777)  # even where the file system would let them
    for parent in runtime_dir.parents:
        if parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    runtime_dir.chmod(0o755)
    done = report_of(process.pid, user=65534)
    assert done.returncode == 125 and done.stdout == ""
    assert "it belongs to another user" in done.stderr or "Permission denied" in done.stderr


def test_stuck_and_hostile_peers_hold_nobody_up(waiting, runtime_dir):
    process = waiting()
    path = str(wait_for(lambda: list(runtime_dir.glob("greenhook/*")))[0])

    def dial():
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(LIMIT)
        peer.connect(path)
        return peer

    silent, half = dial(), dial()
    half.send(b"rep")
    for request in b"\n", b"nonsense\n", b"\0" * 300, bytes(range(256)) * 40, b"report" * 100, b"report\0\n":
        peer = dial()
        try:
            peer.sendall(request)
            answer = peer.recv(100)
            assert answer.startswith(b"greenhook: ") or answer == b""
        except (ConnectionResetError, BrokenPipeError):
            pass
        peer.close()
    assert report_of(process.pid).returncode == 0
    silent.close()
    half.close()


def test_program_that_closes_every_descriptor(run, runtime_dir, tmp_path):
    source = tmp_path / "closes.c"
    source.write_text(r"""
#include <pthread.h>
#include <unistd.h>
static void *body(void *arg) { usleep(1000); return arg; }
int main(void)
{
	pthread_t t;
	if (pthread_create(&t, 0, body, 0))
		return 1;
	for (int fd = 0; fd < 5000; fd++)
		close(fd);
	return pthread_join(t, 0);
}
""")
    subprocess.run(["gcc", "-pthread", "-o", tmp_path / "closes", source], check=True, timeout=60)
    done = run(str(tmp_path / "closes"), mode="green", workers=2, env={"GREENHOOK_REPORT": "1"})
    assert done.status == 0 and "greenhook: report on " in done.err


def test_each_process_of_a_fork_reports_for_itself(run, runtime_dir, tmp_path):
    source = tmp_path / "forks.c"
    source.write_text(r"""
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
static void *body(void *arg) { return arg; }
static int threads(void)
{
	pthread_t t;
	return pthread_create(&t, 0, body, 0) || pthread_join(t, 0);
}
int main(void)
{
	if (threads())
		return 1;
	if (fork() == 0)
		return 0;                 /* never makes a thread */
	if (fork() == 0)
		return threads();
	wait(0);
	wait(0);
	return 0;
}
""")
    subprocess.run(["gcc", "-pthread", "-o", tmp_path / "forks", source], check=True, timeout=60)
    done = run(str(tmp_path / "forks"), mode="green", workers=2, env={"GREENHOOK_REPORT": "1"})
    pids = re.findall(r"report on \S*/forks, pid (\d+)", done.err)
    assert done.status == 0 and len(pids) == len(set(pids)) == 2
