"""Programs that use few threads or none, or their own event loop: under greenhook they must do what they always do.

Servers with workers and forks of their own (nginx with a thread pool, redis with io threads and a background save,
memcached), and everyday commands that inherit LD_PRELOAD: pipelines, a compiler, git.
"""
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

from .clients import curl_all, digest, make_files
from .harness import NATIVE, HERE, Server, free_port, run, scratch, wait_until, workload

PIPELINES = [
    "seq 100000 | sort -rn | head -1000 | md5sum",
    "seq 200000 | sort --parallel=4 -S 4M -R --random-source=/dev/zero | sort -n --parallel=4 | md5sum",
    "seq 300000 | xz -T4 --block-size=200000 | xz -dc | md5sum",
    "for i in $(seq 50); do (exit $i); echo $?; done | tr '\\n' ' '",
    "sleep 10 & kill $!; wait $!; echo $?",
    "printf '%s\\n' b a c | while read -r x; do echo \"<$x>\" & wait; done | sort | tr -d '\\n'",
    "find /usr/include -maxdepth 1 -name '*.h' -print0 | sort -z | xargs -0 -n 8 -P 4 cat | wc -c",
    "timeout 0.2 sleep 10; echo $?",
    "false | true; echo ${PIPESTATUS[*]}; exit 7",
]


@workload("nginx", "curl")
def nginx(mode):
    with scratch() as tmp:
        files, port = make_files(f"{tmp}/www"), free_port()
        # Its workers give up root unless told otherwise, and then could not read the scratch folder.
        with open(os.path.join(HERE, "nginx.conf.in")) as template, open(f"{tmp}/nginx.conf", "w") as conf:
            conf.write(template.read().replace("@TMP@", tmp).replace("@PORT@", str(port)))
        with Server(mode, ["nginx", "-e", f"{tmp}/error.log", "-p", tmp, "-c", f"{tmp}/nginx.conf"], port) as server:
            fetched = curl_all(f"http://127.0.0.1:{port}", files)
        with open(f"{tmp}/error.log") as log:
            text = log.read()
        assert "[alert]" not in text and "[crit]" not in text and "[error]" not in text, text
        return server.status, fetched


@workload("redis-server", "redis-cli", "redis-benchmark")
def redis(mode):
    with scratch() as tmp:
        port = free_port()
        cli = ["redis-cli", "-p", str(port)]
        with Server(mode, ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", tmp, "--save", "", "--io-threads", "2",
                           "--io-threads-do-reads", "yes"], port) as server:
            value = bytes(range(33, 127)) * 2000
            stored = run(NATIVE, [*cli, "-x", "set", "big"], input_bytes=value)
            assert run(NATIVE, [*cli, "--raw", "get", "big"]) == value + b"\n"
            run(NATIVE, ["redis-benchmark", "-p", str(port), "-n", "400", "-c", "20", "-q", "-t", "set,get,lpush,lrange_100"])
            # A background save is a fork of the server, which writes a file and exits.
            started = run(NATIVE, [*cli, "bgsave"])
            wait_until(lambda: b"rdb_bgsave_in_progress:0" in run(NATIVE, [*cli, "info", "persistence"]), 15, "background save")
            saved = b"rdb_last_bgsave_status:ok" in run(NATIVE, [*cli, "info", "persistence"])
            pushed = run(NATIVE, [*cli, "llen", "mylist"])
        return server.status, stored, started, saved, os.path.exists(f"{tmp}/dump.rdb"), pushed


@workload("memcached")
def memcached(mode):
    port = free_port()

    def client(number):
        with socket.create_connection(("127.0.0.1", port), 20) as sock, sock.makefile("rb") as answers:
            for i in range(50):
                value = f"{number}/{i} ".encode() * (i + 1) * 20
                sock.sendall(b"set k%d-%d 7 0 %d\r\n%s\r\n" % (number, i, len(value), value))
                assert answers.readline() == b"STORED\r\n"
                sock.sendall(b"get k%d-%d\r\n" % (number, i))
                expected = b"VALUE k%d-%d 7 %d\r\n%s\r\nEND\r\n" % (number, i, len(value), value)
                assert answers.read(len(expected)) == expected
        return 50

    with Server(mode, ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "root", "-t", "4"], port) as server:
        with ThreadPoolExecutor(20) as pool:
            stored = sum(pool.map(client, range(20)))
        with socket.create_connection(("127.0.0.1", port), 20) as sock, sock.makefile("rb") as answers:
            sock.sendall(b"stats\r\n")
            stats = dict(line.split()[1:3] for line in iter(answers.readline, b"END\r\n"))
    return server.status, stored, stats[b"curr_items"], stats[b"get_hits"], stats[b"threads"]


@workload("bash", "xz")
def pipelines(mode):
    return [run(mode, ["bash", "-c", line], preload=True, expect=7 if "exit 7" in line else 0) for line in PIPELINES]


@workload("gcc")
def compiler(mode):
    source = "#include <stdio.h>\n#include <math.h>\n" + "".join(f"static double f{i}(double x) {{ return sin(x) * {i}; }}\n" for i in range(200))
    source += "int main(void)\n{\n\tdouble sum = 0;\n" + "".join(f"\tsum += f{i}({i});\n" for i in range(200)) + '\tprintf("%.9f\\n", sum);\n}\n'
    with scratch() as tmp:
        with open(f"{tmp}/program.c", "w") as f:
            f.write(source)
        # The folder's name must not get into the binary, and -pipe makes the stages run at the same time.
        run(mode, ["gcc", "-pipe", "-O2", "-Wl,--build-id=none", "-o", "program", "program.c", "-lm"], cwd=tmp)
        with open(f"{tmp}/program", "rb") as f:
            binary = digest(f.read())
        return binary, run(mode, [f"{tmp}/program"])


@workload("git")
def git_clone(mode):
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "init.defaultBranch=main", "-c", "pack.threads=4"]
    dated = {"GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z"}
    with scratch() as tmp:
        for i in range(300):
            os.makedirs(f"{tmp}/from/{i % 17}", exist_ok=True)
            with open(f"{tmp}/from/{i % 17}/{i}.txt", "w") as f:
                f.write("".join(f"{i} {j} {i * j}\n" for j in range(400)))
        for args in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all files"]):
            subprocess.run([*git, *args], cwd=f"{tmp}/from", env={**NATIVE.environment(), **dated}, check=True, timeout=30)
        # By the file transport: it packs, sends over pipes and unpacks with threads, where a plain path only makes links.
        run(mode, [*git, "clone", "-q", f"file://{tmp}/from", "to"], cwd=tmp)
        head = run(mode, [*git, "rev-parse", "HEAD", "HEAD^{tree}"], cwd=f"{tmp}/to")
        clean = run(mode, [*git, "status", "--porcelain"], cwd=f"{tmp}/to")
        run(mode, [*git, "fsck", "--full", "--strict"], cwd=f"{tmp}/to")
        subprocess.run(["diff", "-r", "-x", ".git", f"{tmp}/from", f"{tmp}/to"], check=True, timeout=30)
        return head, clean
