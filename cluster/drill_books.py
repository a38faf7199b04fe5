"""The books of a drill: what the sender was told, what the upstreams got, what the nodes' logs say, put side by side."""

import csv
import datetime
import glob
import json
import os
import re

LINE = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:.]+)Z (\S+) ?(.*)$")
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
QUIET = {"accepted", "result", "done", "refused"}


def arrivals(directory):
    """By number: (time, upstream, digest) of each time that it came."""
    came = {}
    for path in sorted(glob.glob(f"{directory}/test*.csv")):
        upstream = os.path.basename(path)[:-4]
        with open(path, newline="") as file:
            for line in csv.DictReader(file):
                came.setdefault(line["number"], []).append((float(line["time"]), upstream, line["digest"]))
    return came


def sent(directory):
    with open(f"{directory}/sent.csv", newline="") as file:
        return list(csv.DictReader(file))


def missing(directory, held):
    """Numbers that were accepted, are not held, and did not come."""
    came = arrivals(directory)
    return [line["number"] for line in sent(directory)
            if line["status"] == "accepted" and line["number"] not in came and line["id"] not in held]


def seconds(text):
    return datetime.datetime.fromisoformat(text + "+00:00").timestamp()


class Logs:
    """What the nodes said, read once."""

    def __init__(self, directory, names, run):
        self.ids = {}  # number: id
        self.accepted_by = {}  # id: node
        self.sent = {}  # id: [(time, node)] of each 250 of an upstream
        self.uncertain, self.uncertain_numbers = {}, {}
        self.events = []  # (time, node, event, fields) but for the lines of single messages
        for name in names:
            with open(f"{directory}/{name}.log", errors="replace") as file:
                for line in file:
                    self.read(name, line, run)
        self.events += balancer_events(f"{directory}/haproxy.log")
        self.events.sort(key=lambda event: event[0])

    def read(self, name, line, run):
        found = LINE.match(line)
        if not found:
            return
        time, event, rest = found.groups()
        if event not in QUIET:
            fields = {key: value.strip('"') for key, value in FIELD.findall(rest)}
            self.events.append((seconds(time), name, event, fields))
        elif event == "accepted":
            found = re.search(r"^id=(\S+).* message_id=<?(\w+)\.(\d+)@send\.invalid", rest)
            if found:
                self.ids[f"{found[2]}-{found[3]}"] = found[1]
                self.accepted_by[found[1]] = name
        elif event == "result":
            id, recipient = re.search(r"^id=(\S+) to=(\S+)", rest).groups()
            if " status=sent " in rest:
                self.sent.setdefault(id, []).append((seconds(time), name))
            elif " status=uncertain" in rest:
                # A message whose 250 never came has no id in the sender's book, and perhaps no line 'accepted' in the log of
                # the node that died; its recipient names its number.
                found = re.search(r"^recipient(\d+)@", recipient)
                self.uncertain[id] = self.uncertain.get(id, 0) + 1
                if found:
                    number = f"{run}-{found[1]}"
                    self.uncertain_numbers[number] = self.uncertain_numbers.get(number, 0) + 1


def balancer_events(path):
    """When the balancer took a node out, and in again."""
    events = []
    if os.path.exists(path):
        with open(path, errors="replace") as file:
            for line in file:
                found = re.match(r"^(\d{4}-\d\d-\d\dT[\d:.]+)\+00:00 Server nodes/(\w) is (\w+)", line)
                if found:
                    events.append((seconds(found[1]), "balancer", f"{found[2]} is {found[3].lower()}", {}))
    return events


class Books:
    """The account of every message, and what stands out in it."""

    def __init__(self, drill):
        self.directory, self.hold = drill.given.directory, drill.given.uncertain == "hold"
        self.sent = sent(self.directory)
        self.came = arrivals(self.directory)
        self.logs = Logs(self.directory, drill.cluster.names, f"drill{drill.given.seed}")
        self.accepted = sorted(float(line["ended"]) for line in self.sent if line["status"] == "accepted")
        self.lost, self.twice, self.unlisted, self.altered, self.invented, self.held = [], [], [], [], [], []
        self.ledger = []
        for line in self.sent:
            self.enter(line, drill.left)
        told = drill.cluster.told_uncertain([key for key in self.unlisted if not self.hold][:200])
        self.unlisted = [key for key in self.unlisted if key not in told]
        known = {line["number"] for line in self.sent}
        self.invented += [number for number in self.came if number not in known]
        self.write(drill)

    def enter(self, line, left):
        number, status = line["number"], line["status"]
        came = sorted(self.came.get(number, []))
        key = line["id"] or self.logs.ids.get(number, "")
        listed = self.logs.uncertain.get(key, 0) or self.logs.uncertain_numbers.get(number, 0)
        verdict = "delivered" if came else "not delivered"
        if status == "accepted" and not came:
            verdict = "held" if key in left else "lost"
            (self.held if key in left else self.lost).append(key)
        if status in ("refused", "interrupted", "unsent") and came:
            verdict = "invented"
            self.invented.append(number)
        if any(digest != line["digest"] for _, _, digest in came) and status in ("accepted", "unanswered"):
            verdict = "altered"
            self.altered.append(number)
        if len(came) > 1:
            verdict = "twice"
            self.twice.append(key or number)
            if len(came) > 1 + listed or self.hold:
                verdict = "twice, unlisted"
                self.unlisted.append(key or number)
        self.ledger.append([number, key, status, line["ended"], self.logs.accepted_by.get(key, ""), len(came),
                            f"{came[0][0]:.6f}" if came else "", f"{came[-1][0]:.6f}" if came else "",
                            " ".join(place for _, place, _ in came), listed, verdict])

    # What moved from a node that was lost

    def reclaimed(self, fault, end):
        """When mail that only the lost nodes had accepted was delivered by others, between a fault and the next, sorted.

        What a dying node had already written to an upstream arrives after its death too: only what another node says that it
        sent counts, and its arrival is the last before that node had the answer.
        """
        times = []
        for line in self.sent:
            key = line["id"]
            if line["status"] != "accepted" or not float(line["ended"]) < fault.at:
                continue
            # Its log may lack the last lines: what no node says that it accepted was the lost one's.
            if self.logs.accepted_by.get(key, fault.nodes[0]) not in fault.nodes:
                continue
            for at, node in self.logs.sent.get(key, []):
                if fault.at < at < end and (node not in fault.nodes or len(fault.nodes) > 1):
                    # The log counts milliseconds.
                    came = [time for time, _, _ in self.came.get(line["number"], []) if fault.at < time <= at + 0.001]
                    if came:
                        times.append((max(came), key))
        return sorted(times)

    def dots_after_waking(self, fault, end):
        """Old mail of a node that slept through its lease, which came after it woke and which no other node sent."""
        dots = []
        for line in self.sent:
            key = line["id"]
            if line["status"] != "accepted" or self.logs.accepted_by.get(key) not in fault.nodes:
                continue
            if not float(line["ended"]) < fault.at:
                continue
            others = [at for at, node in self.logs.sent.get(key, []) if node not in fault.nodes and fault.back < at < end]
            came = [time for time, _, _ in self.came.get(line["number"], []) if fault.back < time < end]
            if len(came) > len(others):
                dots.append(key)
        return dots

    def deliveries(self):
        return sorted(time for times in self.came.values() for time, _, _ in times)

    # Files

    def write(self, drill):
        with open(f"{self.directory}/ledger.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["number", "id", "status", "ended", "node", "deliveries", "first", "last", "upstreams",
                             "uncertain", "verdict"])
            writer.writerows(self.ledger)
        told = [(fault.at, {"event": fault.what, "node": " ".join(fault.nodes)}) for fault in drill.faults]
        told += [(fault.back, {"event": "back", "node": " ".join(fault.nodes)}) for fault in drill.faults if fault.back]
        told += [(at, {"event": event, "node": node, **fields}) for at, node, event, fields in self.logs.events]
        with open(f"{self.directory}/events.jsonl", "w") as file:
            for at, what in sorted(told, key=lambda item: item[0]):
                file.write(json.dumps({"time": at, **what}) + "\n")
        with open(f"{self.directory}/status.json", "w") as file:
            json.dump(drill.last_status, file, indent=1)
