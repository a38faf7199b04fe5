"""The cluster that cluster/drill breaks: made by cluster/up, asked over the nodes' Unix sockets."""

import glob
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BATON = os.environ.get("BATON_BINARY") or f"{os.path.dirname(HERE)}/.build/release/baton"


def run(*command):
    """Runs a command of this folder, and ends the drill with its words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cluster/drill: {' '.join(command)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


class Cluster:
    baton = BATON

    def __init__(self, given):
        self.given, self.directory = given, given.directory
        self.names = "abcdefg"[:given.nodes]
        self.network = "namespaces" if given.how == "partition" else "loopback"
        self.server = f"{'127.0.0.1' if self.network == 'loopback' else '10.77.0.250'}:{given.base_port}"

    def make(self):
        if os.path.exists(self.directory):
            if os.listdir(self.directory) and not os.path.exists(f"{self.directory}/cluster.env"):
                sys.exit(f"cluster/drill: {self.directory} holds something else; name another --directory")
            # The one before, if it was interrupted.
            self.down()
            shutil.rmtree(self.directory)
        os.makedirs(self.directory)
        # Upstreams that take their time, so that a fault finds mail in flight.
        try:
            run(f"{HERE}/up", "--directory", self.directory, "--nodes", str(len(self.names)), "--network", self.network,
                "--base-port", str(self.given.base_port), "--uncertain", self.given.uncertain,
                "--test-delay", self.given.delay)
        except SystemExit:
            # What came up does not stay behind.
            self.down()
            raise
        if len(self.names) > 1 and not os.path.exists(f"{self.directory}/haproxy.pid"):
            self.down()
            sys.exit("cluster/drill: it sends through HAProxy, which is not installed: ops/install")

    def down(self):
        if os.path.exists(f"{self.directory}/cluster.env"):
            subprocess.run([f"{HERE}/down", "--directory", self.directory], stdout=subprocess.DEVNULL)

    def enter(self, place):
        """What goes before a command that is to run in a place."""
        if self.network == "loopback":
            return []
        return ["ip", "netns", "exec", f"baton-{self.given.base_port}-{place}"]

    def pid(self, name):
        with open(f"{self.directory}/{name}.pid") as file:
            pid = int(file.read())
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if f"{self.directory}/{name}.json5".encode() in file.read():
                    return pid
        except OSError:
            pass
        with open(f"{self.directory}/{name}.log", errors="replace") as file:
            words = file.read().rstrip().split("\n")[-1]
        sys.exit(f"cluster/drill: node {name} ended by itself: {words}")

    @staticmethod
    def is_gone(pid):
        """Gone with all its threads, and so its locks and sockets; a dead one may wait for its parent to look."""
        states = []
        for path in glob.glob(f"/proc/{pid}/task/*/stat"):
            try:
                with open(path) as file:
                    states.append(file.read().rpartition(")")[2].split()[0])
            except OSError:
                pass
        return not states or len(states) == 1 and states[0] in "ZX"

    def forget(self, name):
        os.unlink(f"{self.directory}/{name}.pid")

    def start(self, name):
        run(f"{HERE}/start", name, "--directory", self.directory, "--no-wait")

    def wait_for(self, what, seconds):
        """`baton wait` by the first node that answers."""
        run(f"{HERE}/baton", "wait", "--for", what, "--timeout", f"{seconds}s", "--directory", self.directory)

    def ask(self, name, question):
        """The admin API on the node's Unix socket; None when it does not answer."""
        connection = http.client.HTTPConnection("node", timeout=5)
        try:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(5)
            connection.sock.connect(f"{self.directory}/{name}/admin.sock")
            connection.request("GET", question)
            return json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def held(self):
        """The ids of what waits for a person, on any node."""
        messages = {}
        for name in self.names:
            for message in (self.ask(name, "/api/v1/queue?limit=10000") or {"messages": []})["messages"]:
                messages[message["id"]] = message
        with open(f"{self.directory}/left.json", "w") as file:
            json.dump(list(messages.values()), file, indent=1)
        return set(messages)

    def told_uncertain(self, ids):
        """Those of whom `baton trace` says that they may arrive twice: a log may end before its last line."""
        told = set()
        for id in ids:
            done = subprocess.run(
                [f"{HERE}/baton", "trace", id, "--directory", self.directory], capture_output=True, text=True)
            if "uncertain" in done.stdout:
                told.add(id)
        return told


class Tail:
    """Counts what a growing book of the sender got."""

    def __init__(self, path):
        self.path, self.offset, self.accepted = path, 0, 0

    def look(self):
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
            end = data.rfind(b"\n") + 1
            self.offset += end
            self.accepted += data[:end].count(b",accepted,")
        return self.accepted


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
