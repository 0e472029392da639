"""MariaDB and sysbench: dozens of threads, stdio, timers, condition variables, asynchronous I/O, an orderly shutdown.

The data directory is made, filled, changed and checked in the mode under test. With one client thread and a fixed seed
sysbench does the same work every time, so the checksums of the tables must be the native ones; with eight threads they
depend on timing, so there the tables are checked instead.
"""
from .harness import NATIVE, Server, run, scratch, workload

TABLES, ROWS = 2, 2000
SYSBENCH = ["sysbench", "oltp_read_write", "--mysql-user=root", "--mysql-db=sbtest", f"--tables={TABLES}", f"--table-size={ROWS}",
            "--rand-seed=42", "--db-driver=mysql"]


def make_data(mode, tmp):
    """The installer is a shell script: the library comes in by the environment, and with it the bootstrapping server."""
    run(mode, ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--user=root", "--skip-test-db", f"--tmpdir={tmp}",
               f"--datadir={tmp}/data", "--innodb-log-file-size=8M"], preload=True)


def start(mode, tmp):
    def answers():
        try:
            return run(NATIVE, ["mariadb-admin", "--no-defaults", f"--socket={tmp}/s", "--user=root", "ping"], expect=None).startswith(b"mysqld is alive")
        except FileNotFoundError:
            return False
    return Server(mode, ["mariadbd", "--no-defaults", "--user=root", f"--tmpdir={tmp}", f"--datadir={tmp}/data", f"--socket={tmp}/s", "--skip-networking",
                         f"--pid-file={tmp}/pid", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"], answers)


def query(tmp, text):
    return run(NATIVE, ["mariadb", "--no-defaults", f"--socket={tmp}/s", "--user=root", "--batch", "--skip-column-names", "-e", text]).decode()


def tables(tmp, statement):
    return [query(tmp, f"{statement} sbtest.sbtest{i + 1}").split("\t")[-1].strip() for i in range(TABLES)]


@workload("mariadbd", "mariadb-install-db", "mariadb", "sysbench")
def mariadb_sysbench(mode):
    with scratch() as tmp:
        make_data(mode, tmp)
        client = [*SYSBENCH, f"--mysql-socket={tmp}/s"]
        with start(mode, tmp) as server:
            query(tmp, "CREATE DATABASE sbtest")
            run(NATIVE, [*client, "--threads=1", "prepare"])
            filled = tables(tmp, "CHECKSUM TABLE")
            run(NATIVE, [*client, "--threads=1", "--events=60", "--time=0", "run"])
            changed = tables(tmp, "CHECKSUM TABLE")
            # Eight threads on each side, and the client is in the mode under test as well.
            report = run(mode, [*client, "--threads=8", "--time=2", "run"]).decode()
            assert "transactions:" in report, report
            checked = tables(tmp, "CHECK TABLE")
            counts = [query(tmp, f"SELECT COUNT(*), COUNT(DISTINCT id) FROM sbtest.sbtest{i + 1}").split() for i in range(TABLES)]
            last = tables(tmp, "CHECKSUM TABLE")
        with start(mode, tmp) as again:
            kept = tables(tmp, "CHECKSUM TABLE") == last
            run(mode, [*client, "--threads=8", "cleanup"])
            left = query(tmp, "SHOW TABLES FROM sbtest")
        for log in (server.text(), again.text()):
            assert "[ERROR]" not in log, log
            assert "Shutdown complete" in log, log
    assert checked == ["OK"] * TABLES and counts == [[str(ROWS)] * 2] * TABLES and kept, (checked, counts, kept)
    return server.status, again.status, filled, changed, left
