"""A stage for the tests of this folder: the real `baton` between clients and upstreams, in a temporary folder, on free ports.

    with Stage() as stage:
        sink = stage.sink()
        node = stage.node([sink.port]).start()
        …
        node.await_empty(); node.stop()

Everything that a stage started ends with it, on every path.
"""

import csv
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BATON = os.environ.get("BATON_BINARY") or f"{ROOT}/.build/release/baton"
# A crash should say so in the log, not spend a minute on symbols.
os.environ.setdefault("SWIFT_BACKTRACE", "enable=no")


class Failed(Exception):
    """A check that did not hold, in the words for the person who runs the tests."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def main(*tests):
    """Runs the named tests in their order and says what became of each; names on the command line choose some."""
    wanted = sys.argv[1:]
    failures = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        title = (test.__doc__ or test.__name__).strip().split("\n")[0]
        try:
            note = test()
            print(f"ok    {title}{': ' + note if note else ''}", flush=True)
        except (Failed, OSError, ValueError, subprocess.SubprocessError) as failure:
            failures += 1
            print(f"FAIL  {title}: {failure}\n      again: {sys.argv[0]} {test.__name__}", flush=True)
    sys.exit(1 if failures else 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what, patience=30):
    """Waits for something to become true."""
    end = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        check(time.monotonic() < end, f"{what}: not within {patience} s")
        time.sleep(0.02)


class Stage:
    def __init__(self):
        # Short: a Unix socket's path has at most 107 bytes.
        self.directory = tempfile.mkdtemp(prefix="baton-")
        self.cleanups = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for cleanup in reversed(self.cleanups):
            cleanup()
        shutil.rmtree(self.directory, ignore_errors=True)

    def spawn(self, arguments, log):
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=open(log, "ab"), stderr=subprocess.STDOUT,
            start_new_session=True)

        def end():
            if process.poll() is None:
                process.kill()
                process.wait()

        self.cleanups.append(end)
        return process

    def sink(self, *options, port=None):
        return Sink(self, options, port or free_port())

    def node(self, ports, name="a", **changes):
        return Node(self, ports, name, changes)

    def cluster(self, ports, count=3, **changes):
        return Cluster(self, ports, count, changes)


class Sink:
    """A `baton sink` with its books; keeps each message as a file too."""

    number = 0

    def __init__(self, stage, options, port):
        Sink.number += 1
        self.port = port
        self.base = f"{stage.directory}/sink{Sink.number}"
        os.mkdir(f"{self.base}.d")
        self.process = stage.spawn(
            [BATON, "sink", "--listen", f"127.0.0.1:{port}", "--book", f"{self.base}.csv", *options],
            f"{self.base}.log")
        until(lambda: can_connect(port), f"the sink on port {port} listens")

    def rows(self):
        if not os.path.exists(f"{self.base}.csv"):
            return []
        with open(f"{self.base}.csv", newline="") as file:
            return list(csv.DictReader(file))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


class Node:
    """One Baton node with one data directory."""

    def __init__(self, stage, ports, name, changes):
        self.stage, self.name = stage, name
        self.port = free_port()
        self.data = changes.pop("data", f"{stage.directory}/{name}")
        self.log_path = f"{stage.directory}/{name}.log"
        self.process = None
        self.configuration = {
            "node": {"name": name, "dataDirectory": self.data},
            "cluster": {"name": "test", "replicas": 1},
            "smtp": {
                "hostname": f"{name}.test.invalid",
                "listeners": [{"address": f"127.0.0.1:{self.port}", "tls": "off"}],
                "relayFrom": ["127.0.0.0/8"], "maximumConnections": 20000, "maximumConnectionsPerAddress": 20000,
            },
            "upstreams": [
                {"name": f"up{index + 1}", "address": [port if isinstance(port, str) else f"127.0.0.1:{port}"], "tls": "off"}
                for index, port in enumerate(ports)],
        }
        for key, value in changes.items():
            if isinstance(value, dict) and isinstance(self.configuration.get(key), dict):
                self.configuration[key] = {**self.configuration[key], **value}
            else:
                self.configuration[key] = value
        self.path = f"{stage.directory}/{name}.json5"
        self.write()

    def write(self):
        with open(self.path, "w") as file:
            json.dump(self.configuration, file, indent=1)

    def launch(self):
        self.process = self.stage.spawn([BATON, "serve", "--config", self.path], self.log_path)
        return self

    def start(self):
        """Starts it and waits until it may accept mail."""
        self.launch()
        self.await_ready()
        return self

    def await_ready(self):
        def is_ready():
            check(self.process.poll() is None, f"the node ended with {self.process.returncode}: {self.last_words()}")
            return self.get("/readyz")[0] == 200

        until(is_ready, f"node {self.name} is ready")

    def run_to_end(self, patience=20):
        """For starts that must fail: the exit code and what was said."""
        done = subprocess.run(
            [BATON, "serve", "--config", self.path], stdin=subprocess.DEVNULL, capture_output=True, timeout=patience)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace").strip()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(35)
        except subprocess.TimeoutExpired:
            raise Failed("the node did not end within 35 s of SIGTERM") from None
        check(self.process.returncode == 0, f"after SIGTERM the node ended with {self.process.returncode}")

    def get(self, question):
        """Asks the admin API on the Unix socket; the status is 0 when nobody answers."""
        connection = http.client.HTTPConnection("node", timeout=5)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(5)
            connection.sock.connect(f"{self.data}/admin.sock")
            connection.request("GET", question)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def status(self):
        code, body = self.get("/api/v1/status")
        return json.loads(body) if code == 200 else None

    def problems(self):
        return {problem["name"]: problem for problem in (self.status() or {"problems": []})["problems"]}

    def queued(self):
        return (self.status() or {"queue": {"messages": -1}})["queue"]["messages"]

    def await_empty(self, patience=60):
        until(lambda: self.queued() == 0, f"the queue is empty (it has {self.queued()})", patience)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def last_words(self):
        return " | ".join(self.log().strip().split("\n")[-3:])

    def memory(self, key="VmRSS"):
        """In bytes."""
        with open(f"/proc/{self.process.pid}/status") as file:
            for line in file:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
        return 0


class Cluster:
    """Several nodes, each with a copy of all mail (up to three), TLS between them, and no balancer."""

    def __init__(self, stage, ports, count, changes):
        secret = f"{stage.directory}/cluster.secret"
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(os.urandom(32).hex() + "\n")
        peers = [f"127.0.0.1:{free_port()}" for _ in range(count)]
        self.nodes = [
            stage.node(ports, name, cluster={"name": "test", "replicas": min(3, count), "listen": peer, "peers": peers,
                                             "secretFiles": [secret]}, **changes)
            for name, peer in zip("abcdefg", peers)]
        self.ports = [node.port for node in self.nodes]

    def start(self):
        """Starts all and waits until each may accept mail."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.await_ready()
        return self

    def await_empty(self, patience=60):
        for node in self.nodes:
            node.await_empty(patience)


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def send(ports, *options):
    """Runs `baton send` and returns its figures; with several ports its sessions take turns."""
    servers = [word for port in (ports if isinstance(ports, list) else [ports])
               for word in ("--server", f"127.0.0.1:{port}")]
    done = subprocess.run([BATON, "send", *servers, "--json", *map(str, options)], capture_output=True, text=True)
    check(done.stdout.startswith("{"), f"baton send: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)
