"""Threaded network programs as Debian packages them: each serves 20 clients, native and green, and ends by SIGTERM."""
import json
import os

from .clients import backend, curl_all, make_files
from .harness import NATIVE, PYTHON, Server, free_port, run, scratch, workload


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


@workload(PYTHON, "curl")
def python_http_server(mode):
    with scratch() as tmp:
        files = make_files(f"{tmp}/www")
        argv = [PYTHON, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", f"{tmp}/www", "0"]
        with Server(mode, argv, r"port (\d+)") as server:
            fetched = curl_all(f"http://127.0.0.1:{server.port}", files)
            missing = run(NATIVE, ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{server.port}/no-such-file"])
        return server.status, fetched, missing, server.text().count('" 200 '), server.text().count("Traceback")


@workload("tinyproxy", "curl")
def tinyproxy(mode):
    with scratch() as tmp:
        files, port = make_files(f"{tmp}/www"), free_port()
        conf = write(tmp, "tinyproxy.conf", f"Port {port}\nListen 127.0.0.1\nTimeout 20\nMaxClients 100\nAllow 127.0.0.1\n"
                     f"LogFile \"{tmp}/log\"\nPidFile \"{tmp}/pid\"\nViaProxyName \"proxy\"\n")
        with backend(f"{tmp}/www") as behind, Server(mode, ["tinyproxy", "-d", "-c", conf], port) as server:
            fetched = curl_all(f"http://127.0.0.1:{behind}", files, "--proxy", f"http://127.0.0.1:{port}")
            via = run(NATIVE, ["curl", "-sS", "-o", "/dev/null", "-D", "-", "--noproxy", "", "--proxy", f"http://127.0.0.1:{port}",
                               f"http://127.0.0.1:{behind}/file-1"])
        return server.status, fetched, b"proxy (tinyproxy" in via


@workload("microsocks", "curl")
def microsocks(mode):
    with scratch() as tmp:
        files, port = make_files(f"{tmp}/www"), free_port()
        with backend(f"{tmp}/www") as behind, Server(mode, ["microsocks", "-i", "127.0.0.1", "-p", str(port)], port) as server:
            fetched = curl_all(f"http://127.0.0.1:{behind}", files, "--socks5", f"127.0.0.1:{port}")
        return server.status, fetched


@workload("stunnel4", "openssl", "curl")
def stunnel(mode):
    with scratch() as tmp:
        files, port = make_files(f"{tmp}/www"), free_port()
        run(NATIVE, ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                     "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{tmp}/key.pem", "-out", f"{tmp}/cert.pem"])
        with backend(f"{tmp}/www") as behind:
            conf = write(tmp, "stunnel.conf", f"foreground = yes\npid =\nsyslog = no\n[tls]\naccept = 127.0.0.1:{port}\n"
                         f"connect = 127.0.0.1:{behind}\ncert = {tmp}/cert.pem\nkey = {tmp}/key.pem\n")
            with Server(mode, ["stunnel4", conf], port) as server:
                fetched = curl_all(f"https://127.0.0.1:{port}", files, "--cacert", f"{tmp}/cert.pem")
        return server.status, fetched


@workload("iperf")
def iperf(mode):
    """Both ends in the mode under test. Bytes are not checked by iperf; that all streams ended with a report is."""
    port = free_port()
    with Server(mode, ["iperf", "-s", "-B", "127.0.0.1", "-p", str(port)], r"listening on TCP port (\d+)") as server:
        out = run(mode, ["iperf", "-c", "127.0.0.1", "-p", str(port), "-t", "1", "-P", "4", "-y", "C"]).decode()
        rows = [line.split(",") for line in out.splitlines()]
        moved = [int(row[7]) for row in rows if int(row[5]) != -1]
        assert len(moved) == 4 and all(count > 0 for count in moved), f"not four busy streams: {out}"
    return server.status, len(rows)


@workload("iperf3")
def iperf3(mode):
    port = free_port()
    with Server(mode, ["iperf3", "-s", "-B", "127.0.0.1", "-p", str(port), "--forceflush"], r"listening on (\d+)") as server:
        report = json.loads(run(mode, ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-t", "1", "-P", "4", "-J"]))
        assert "error" not in report, report["error"]
        assert report["end"]["sum_received"]["bytes"] > 0
    return server.status, len(report["end"]["streams"])
