"""Databases under load: MariaDB with a thread per connection, PostgreSQL with a process per connection.

The data is made natively, once, and copied for each run. Afterwards the tables must be consistent in a way that a lost or
doubled change would break, and must come back the same after a restart.
"""
import atexit
import functools
import glob
import re
import shutil
import tempfile

from .database import make_data
from .harness import NATIVE, Server, as_user, find, free_port, run, scratch
from .load import CLIENT_EXTRA_S, Outcome, Watch, load, native_run, repeat

TABLES, ROWS = 4, 20000
SYSBENCH = ["sysbench", "oltp_read_write", "--mysql-user=root", "--mysql-db=sbtest", f"--tables={TABLES}", f"--table-size={ROWS}",
            "--db-driver=mysql", "--rand-type=uniform"]
FINE = r"\[(ERROR)\]|mysqld: got signal|Assertion"


def start_mariadb(mode, tmp):
    def answers():
        return native_run(["mariadb-admin", "--no-defaults", f"--socket={tmp}/s", "--user=root", "ping"], 20)[0].startswith("mysqld is alive")
    return Server(mode, ["mariadbd", "--no-defaults", "--user=root", f"--tmpdir={tmp}", f"--datadir={tmp}/data", f"--socket={tmp}/s",
                         "--skip-networking", f"--pid-file={tmp}/pid", "--max-connections=1100", "--back-log=1100", "--max-prepared-stmt-count=200000",
                         "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=64M"], answers)


def query(tmp, text):
    return run(NATIVE, ["mariadb", "--no-defaults", f"--socket={tmp}/s", "--user=root", "--batch", "--skip-column-names", "-e", text],
               limit_s=120).decode()


@functools.cache
def mariadb_data():
    tmp = tempfile.mkdtemp(prefix="gh-data-", dir="/tmp")
    atexit.register(shutil.rmtree, tmp, ignore_errors=True)
    make_data(NATIVE, tmp)
    with start_mariadb(NATIVE, tmp):
        query(tmp, "CREATE DATABASE sbtest")
        run(NATIVE, [*SYSBENCH, f"--mysql-socket={tmp}/s", "--threads=2", "prepare"], limit_s=120)
    return f"{tmp}/data"


def counted(tmp, name):
    return int(query(tmp, f"SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME='{name}'"))


def sysbench(mode, seconds, connections):
    with scratch() as tmp:
        shutil.copytree(mariadb_data(), f"{tmp}/data")
        with start_mariadb(mode, tmp) as server, Watch(server.proc.pid) as watch:
            out, err, status = native_run([*SYSBENCH, f"--mysql-socket={tmp}/s", f"--threads={connections}", f"--time={seconds}",
                                           "--percentile=99", "run"], seconds + CLIENT_EXTRA_S)
            assert status == 0 and "FATAL" not in out + err and not err, f"sysbench: status {status}\n{out}{err}"
            figure = {name: float(re.search(rf"{name}:\s+([\d.]+)", out).group(1))
                      for name in ("transactions", "ignored errors", "reconnects", "99th percentile")}
            # Transactions that deadlock are rolled back and done again, by the rules of the game; nothing else may fail.
            deadlocks, expired = counted(tmp, "lock_deadlocks"), counted(tmp, "lock_timeouts")
            assert figure["reconnects"] == 0 and expired == 0, f"{expired} lock waits expired\n{out}"
            assert figure["ignored errors"] <= deadlocks, f"{deadlocks} deadlocks\n{out}"
            last = check_tables(tmp)
        with start_mariadb(mode, tmp) as again:
            assert check_tables(tmp) == last, "the tables are others after the restart"
        for log in (server.text(), again.text()):
            assert not re.search(FINE, log) and "Shutdown complete" in log, log[-3000:]
    return Outcome(figure["transactions"] / seconds, "transactions", figure["99th percentile"], watch.peak, (server.status, again.status))


def check_tables(tmp):
    names = [f"sbtest.sbtest{i + 1}" for i in range(TABLES)]
    for name in names:
        checked = query(tmp, f"CHECK TABLE {name} EXTENDED").split("\t")[-1].strip()
        # Each transaction deletes a row and inserts it again; the columns have a fixed form.
        count = query(tmp, f"SELECT COUNT(*), COUNT(DISTINCT id), MIN(id), MAX(id), SUM(c RLIKE '^([0-9]{{11}}-){{9}}[0-9]{{11}}$') FROM {name}")
        assert checked == "OK" and count.split() == [str(ROWS), str(ROWS), "1", str(ROWS), str(ROWS)], (name, checked, count)
    return query(tmp, "CHECKSUM TABLE " + ",".join(names))


for _connections in (16, 256, 1024):
    load(f"mariadb-{_connections}", "mariadbd", "mariadb-install-db", "mariadb", "sysbench")(
        functools.partial(sysbench, connections=_connections))


@load("mysqlslap", "mariadbd", "mariadb-install-db", "mariadb-slap")
def mysqlslap(mode, seconds):
    """Server and client in the mode under test: 100 threads of the client. The kernel threads are the client's and the server's."""
    clients, queries = 100, 20000
    with scratch() as tmp:
        shutil.copytree(mariadb_data(), f"{tmp}/data")
        with start_mariadb(mode, tmp) as server, Watch(server.proc.pid) as watch:
            argv = ["mariadb-slap", "--no-defaults", f"--socket={tmp}/s", "--user=root", f"--concurrency={clients}", "--auto-generate-sql",
                    "--auto-generate-sql-load-type=mixed", f"--number-of-queries={queries}", "--csv"]
            runs, took, out = repeat(mode, argv, seconds)
            fields = out.strip().split(",")
            assert fields[-2:] == [str(clients), str(queries // clients)], out
            left = query(tmp, "SHOW DATABASES LIKE 'mysqlslap'")
        assert not re.search(FINE, server.text()) and "Shutdown complete" in server.text(), server.text()[-3000:]
    return Outcome(runs * queries / took, "queries", None, watch.peak, (server.status, left))


def postgres_bin(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else name


@functools.cache
def postgres_data():
    tmp = tempfile.mkdtemp(prefix="gh-data-", dir="/tmp")
    atexit.register(shutil.rmtree, tmp, ignore_errors=True)
    run(NATIVE, ["chown", "postgres:", tmp])
    run(NATIVE, as_user("postgres", [postgres_bin("initdb"), "-A", "trust", "-D", f"{tmp}/data"]), limit_s=120, cwd=tmp)
    with start_postgres(NATIVE, tmp) as server:
        run(NATIVE, [*pgbench(server, tmp), "-i", "-q", "-s", "4"], limit_s=120)
    return f"{tmp}/data"


def start_postgres(mode, tmp):
    port = free_port()
    server = Server(mode, [postgres_bin("postgres"), "-D", f"{tmp}/data", "-k", tmp, "-p", str(port), "-c", "listen_addresses="],
                    "ready to accept connections", user="postgres", cwd=tmp)
    server.name = port
    return server


def pgbench(server, tmp):
    return [postgres_bin("pgbench"), "-h", tmp, "-p", str(server.name), "-U", "postgres", "postgres"]


@load("postgres", postgres_bin("postgres"), "setpriv")
def postgres(mode, seconds):
    with scratch() as tmp:
        run(NATIVE, ["cp", "-a", postgres_data(), tmp])
        run(NATIVE, ["chown", "postgres:", tmp])
        with start_postgres(mode, tmp) as server, Watch(server.proc.pid) as watch:
            out, err, status = native_run([*pgbench(server, tmp), "-c", "32", "-j", "2", "-T", str(seconds)], seconds + CLIENT_EXTRA_S)
            assert status == 0 and "number of failed transactions: 0 " in out, f"pgbench: status {status}\n{out}{err}"
            rate = float(re.search(r"tps = ([\d.]+)", out).group(1))
            done = int(re.search(r"actually processed: (\d+)", out).group(1))
            # Each transaction adds one number to an account, a teller and a branch, and notes it.
            sums = run(NATIVE, [find("psql") or "psql", "-h", tmp, "-p", str(server.name), "-U", "postgres", "-At", "-F", " ", "-c",
                                "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), "
                                "(SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history), "
                                "(SELECT count(*) FROM pgbench_history)", "postgres"]).split()
            assert len(set(sums[:4])) == 1 and int(sums[4]) == done, f"{sums} after {done} transactions"
        text = server.text()
        assert not re.search(r"(ERROR|FATAL|PANIC):", text) and "database system is shut down" in text, text[-3000:]
        return Outcome(rate, "transactions", None, watch.peak, server.status)
