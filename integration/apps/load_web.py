"""Web servers and proxies under load: each answer belongs to one request and is compared byte by byte."""
import random
import re

from .harness import NATIVE, PYTHON, Server, free_port, run, scratch
from .languages import built, rustc, source
from .load import Outcome, Watch, httpd, listening, load, webload
from .servers import write

APP = '''
def app(environ, start_response):
    body = ("you asked for " + environ["PATH_INFO"] + "\\n").encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
'''
APACHE = """ServerRoot {tmp}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {tmp}/pid
ErrorLog {tmp}/error.log
LoadModule mpm_worker_module {modules}/mod_mpm_worker.so
LoadModule authz_core_module {modules}/mod_authz_core.so
User www-data
Group www-data
DefaultRuntimeDir {tmp}
Mutex file:{tmp}
DocumentRoot {tmp}/www
KeepAlive On
StartServers 2
ServerLimit 6
ThreadsPerChild 64
MaxRequestWorkers 384
ThreadLimit 64
"""


def no_errors(log, pattern=r"(?i)\b(error|fatal|critical|panic|assert\w*|segfault|aborted|traceback)\b"):
    found = [line for line in log.splitlines() if re.search(pattern, line)]
    assert not found, "the log says:\n" + "\n".join(found[:20])


@load("stunnel4", "stunnel4", "openssl")
def stunnel(mode, seconds):
    """The client speaks through a native stunnel of its own, so it can end each connection in order."""
    with scratch() as tmp:
        port, plain = free_port(), free_port()
        run(NATIVE, ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                     "/CN=localhost", "-keyout", f"{tmp}/key.pem", "-out", f"{tmp}/cert.pem"])
        common = "foreground = yes\npid =\nsyslog = no\n"
        with httpd() as behind:
            conf = write(tmp, "server.conf", f"{common}[tls]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{behind}\n"
                         f"cert = {tmp}/cert.pem\nkey = {tmp}/key.pem\n")
            back = write(tmp, "client.conf", f"{common}client = yes\n[tls]\naccept = 127.0.0.1:{plain}\nconnect = 127.0.0.1:{port}\n"
                         f"verifyChain = yes\nCAfile = {tmp}/cert.pem\n")
            # A connection that only looks whether the port is open would be an error in the log.
            with Server(mode, ["stunnel4", conf], "Configuration successful") as server:
                with Server(NATIVE, ["stunnel4", back], "Configuration successful"), Watch(server.proc.pid) as watch:
                    rate, p99 = webload(plain, 256, seconds)
        no_errors(server.text(), r"LOG[0-3](?!.*No trusted certificates found)")
        return Outcome(rate, "requests", p99, watch.peak, server.status)


@load("tinyproxy", "tinyproxy")
def tinyproxy(mode, seconds):
    """2,000 clients, and a connection to the proxy and from it for each request. The log tells of a client that says nothing."""
    with scratch() as tmp:
        port = free_port()
        conf = write(tmp, "tinyproxy.conf", f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 2100\nAllow 127.0.0.0/8\n"
                     f"LogFile \"{tmp}/log\"\nLogLevel Warning\nPidFile \"{tmp}/pid\"\n")
        with httpd() as behind:
            with Server(mode, ["tinyproxy", "-d", "-c", conf], lambda: listening(port)) as server, Watch(server.proc.pid) as watch:
                rate, p99 = webload(port, 2000, seconds, "-1", "-x", f"http://127.0.0.1:{behind}")
        with open(f"{tmp}/log") as log:
            no_errors(log.read() + server.text(), r"^(ERROR|CRITICAL)")
        return Outcome(rate, "requests", p99, watch.peak, server.status)


@load("apache2", "apache2")
def apache(mode, seconds):
    with scratch() as tmp:
        port, body = free_port(), random.Random(7).randbytes(20000)
        run(NATIVE, ["mkdir", f"{tmp}/www"])
        run(NATIVE, ["chmod", "755", tmp])
        with open(f"{tmp}/www/file", "wb") as f:
            f.write(body)
        conf = write(tmp, "conf", APACHE.format(tmp=tmp, port=port, modules="/usr/lib/apache2/modules"))
        argv = ["apache2", "-d", tmp, "-f", conf, "-DFOREGROUND"]
        with Server(mode, argv, port) as server, Watch(server.proc.pid) as watch:
            rate, p99 = webload(port, 200, seconds, "-u", "/file", "-f", f"{tmp}/www/file")
        with open(f"{tmp}/error.log") as log:
            text = log.read()
        no_errors(text + server.text(), r":(emerg|alert|crit|error)\]|exit signal|AH00045|AH00046")
        return Outcome(rate, "requests", p99, watch.peak, (server.status, "caught SIGTERM, shutting down" in text))


@load("waitress", PYTHON, "waitress-serve")
def waitress(mode, seconds):
    with scratch() as tmp:
        port = free_port()
        write(tmp, "answers.py", APP)
        argv = [PYTHON, "-u", "-m", "waitress", f"--listen=127.0.0.1:{port}", "--threads=32", "--connection-limit=300", "answers:app"]
        with Server(mode, argv, port, cwd=tmp) as server, Watch(server.proc.pid) as watch:
            rate, p99 = webload(port, 64, seconds)
        no_errors(server.text())
        return Outcome(rate, "requests", p99, watch.peak, server.status)


@load("rust", "rustc")
def rust(mode, seconds):
    folder = built(rustc(), "--edition", "2021", "-O", "-o", "@/http_server", source("http_server.rs"))
    with Server(mode, [f"{folder}/http_server"], r"listening on (\d+)") as server:
        with Watch(server.proc.pid) as watch:
            rate, p99 = webload(server.port, 500, seconds)
        run(NATIVE, ["curl", "-sS", "--noproxy", "", "--max-time", "20", f"http://127.0.0.1:{server.port}/stop"], expect=52)  # no answer
        status = server.proc.wait(20)
    no_errors(server.text(), "connection:|panicked")
    assert re.search(r"^served [1-9]\d*$", server.text(), re.MULTILINE), server.text()
    return Outcome(rate, "requests", p99, watch.peak, status)
