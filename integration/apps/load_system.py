"""Two that live from the kernel: hackbench (hundreds of threads that do nothing but send) and sshd (fork, seccomp)."""
import hashlib
import os
import pwd
import random
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from .harness import NATIVE, Server, free_port, run, scratch
from .load import Outcome, Watch, load, repeat

GROUPS, LOOPS, PER_GROUP = 10, 250, 20
LOGINS_AT_ONCE, LOGIN_LIMIT_S = 6, 60


def hackbench(mode, seconds, *options):
    """hackbench reads every message to its last byte, and says nothing but the time."""
    argv = ["hackbench", "-T", *options, "-g", str(GROUPS), "-l", str(LOOPS)]
    with Watch(os.getpid(), own=False) as watch:
        runs, took, out = repeat(mode, argv, seconds)
    facts = re.sub(r"Time: [\d.]+", "Time", out)
    return Outcome(runs * GROUPS * PER_GROUP * PER_GROUP * LOOPS / took, "messages", None, watch.peak, facts)


@load("hackbench", "hackbench")
def hackbench_sockets(mode, seconds):
    return hackbench(mode, seconds)


@load("hackbench-pipes", "hackbench")
def hackbench_pipes(mode, seconds):
    return hackbench(mode, seconds, "-p")


@load("sshd", "sshd", "ssh", "ssh-keygen")
def sshd(mode, seconds):
    """Logins by key, each with a command, its exit status and 100 kB in both directions.

    bash reads the user's .bashrc when sshd runs it, which may say anything, but not in an inner shell."""
    user = pwd.getpwuid(os.getuid()).pw_name
    payload = random.Random(5).randbytes(100000)
    made = not os.path.isdir("/run/sshd")
    if made:
        os.mkdir("/run/sshd", 0o755)  # compiled into sshd; its service makes it
    try:
        with scratch() as tmp:
            port = free_port()
            for name in ("host", "user"):
                run(NATIVE, ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{tmp}/{name}"])
            argv = [os.path.realpath("/usr/sbin/sshd"), "-D", "-e", "-f", "/dev/null"]
            for option in (f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {tmp}/host", f"AuthorizedKeysFile {tmp}/user.pub",
                           "StrictModes no", "PasswordAuthentication no", "UsePAM no", "PermitRootLogin yes", f"PidFile {tmp}/pid",
                           "MaxStartups 200", "PrintMotd no", "SetEnv SHLVL=5", "PrintLastLog no", "UseDNS no", "LogLevel INFO"):
                argv += ["-o", option]
            client = ["ssh", "-F", "/dev/null", "-p", str(port), "-i", f"{tmp}/user", "-o", "StrictHostKeyChecking=no", "-o",
                      f"UserKnownHostsFile={tmp}/known", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", f"{user}@127.0.0.1"]
            with Server(mode, argv, "Server listening on 127") as server, Watch(server.proc.pid) as watch:
                started = time.monotonic()

                def log_in_again_and_again(number):
                    times = []
                    while time.monotonic() - started < seconds:
                        before, what = time.monotonic(), f"{number}.{len(times)}"
                        done = subprocess.run([*client, f"echo {what}; tee /dev/stderr | sha256sum; exit 7"], input=payload, env=NATIVE.environment(),
                                              capture_output=True, timeout=LOGIN_LIMIT_S)
                        wanted = f"{what}\n{hashlib.sha256(payload).hexdigest()}  -\n"
                        assert done.returncode == 7 and done.stdout.decode() == wanted and done.stderr == payload, \
                            f"login {what}: status {done.returncode}, {done.stdout}, {len(done.stderr)} bytes back, {done.stderr[:300]}"
                        times.append(time.monotonic() - before)
                    return times

                with ThreadPoolExecutor(LOGINS_AT_ONCE) as pool:
                    times = sorted(sum(pool.map(log_in_again_and_again, range(LOGINS_AT_ONCE)), []))
                took = time.monotonic() - started
            text = server.text()
            bad = [line for line in text.splitlines() if re.search(r"(?i)error|fatal|failed|invalid", line)]
            assert not bad and text.count("Accepted publickey") == len(times), f"{len(times)} logins, log:\n{text[-3000:]}"
            return Outcome(len(times) / took, "logins", 1000 * times[int(0.99 * (len(times) - 1))], watch.peak, server.status)
    finally:
        if made:
            os.rmdir("/run/sshd")
