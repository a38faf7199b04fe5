#!/usr/bin/env python3
"""cluster/wire.py: the wire between nodes in network namespaces, which can be cut, slowed and made to lose frames.

`cluster/up --network namespaces` starts it in a namespace of its own, where each node's virtual cable ends: a switch in user
space, so that it needs no kernel module (netem, nftables), cuts one way as well as both, and loses by a seed.

  cluster/wire.py DIRECTORY/wire.sock a b c out

It listens on that socket: a line of JSON is a list of rules that replaces those before, `[]` heals everything;
it answers with a line that says how many frames passed and were lost.

  [{"from": "a", "to": "b", "loss": 1}, {"from": "b", "to": "c", "loss": 0.1, "delay": 0.2}]
"""

import heapq
import json
import os
import random
import selectors
import socket
import sys
import time

ALL_PROTOCOLS = 3  # ETH_P_ALL
SOL_PACKET, PACKET_VNET_HDR = 263, 15
HEADER = 10  # bytes of virtio_net_hdr: what the kernel left undone (checksums, segments) travels with the frame
LARGEST = 1 << 17
# A frame that finds so many delayed ones before it is lost, as in any switch.
QUEUE_LIMIT = 10_000


def address(index):
    """The hardware address of the end in a node's namespace."""
    return bytes([2, 0, 0, 0, 0, index + 1])


class Wire:
    def __init__(self, path, names):
        self.names = names
        self.places = {address(index): name for index, name in enumerate(names)}
        self.chance = random.Random(1)
        self.rules = {}
        self.late = []  # (when, number, destination, frame)
        self.passed = self.lost = self.number = 0
        self.selector = selectors.DefaultSelector()
        self.ends = {name: self.plug(name) for name in names}
        if os.path.exists(path):
            os.unlink(path)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control.bind(path)
        self.control.listen()
        self.selector.register(self.control, selectors.EVENT_READ, self.obey)

    def plug(self, name):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        end.bind((name, ALL_PROTOCOLS))
        end.setblocking(False)
        self.selector.register(end, selectors.EVENT_READ, lambda: self.take(name, end))
        return end

    def run(self):
        print(f"wire: {' '.join(self.names)}", flush=True)
        while True:
            pause = max(0, self.late[0][0] - time.monotonic()) if self.late else None
            for key, _ in self.selector.select(pause):
                key.data()
            while self.late and self.late[0][0] <= time.monotonic():
                _, _, name, frame = heapq.heappop(self.late)
                self.give(name, frame)

    def take(self, name, end):
        """Forwards what an end sent; bounded, so that no end keeps the others waiting."""
        for _ in range(64):
            try:
                frame, source = end.recvfrom(LARGEST)
            except BlockingIOError:
                return
            if source[2] == socket.PACKET_OUTGOING:
                continue
            target = self.places.get(frame[HEADER:HEADER + 6])
            for other in [target] if target else [other for other in self.names if other != name]:
                self.forward(name, other, frame)

    def forward(self, name, other, frame):
        rule = self.rules.get((name, other))
        if rule and rule.get("loss") and self.chance.random() < rule["loss"] or len(self.late) > QUEUE_LIMIT:
            self.lost += 1
        elif rule and rule.get("delay"):
            self.number += 1
            heapq.heappush(self.late, (time.monotonic() + rule["delay"], self.number, other, frame))
        else:
            self.give(other, frame)

    def give(self, name, frame):
        try:
            self.ends[name].send(frame)
            self.passed += 1
        except OSError:  # its queue is full, or it is being taken down: a frame is lost, as on any wire
            self.lost += 1

    def obey(self):
        peer, _ = self.control.accept()
        with peer:
            peer.settimeout(2)
            try:
                with peer.makefile("rw") as lines:
                    rules = json.loads(lines.readline())
                    self.rules = {(rule["from"], rule["to"]): rule for rule in rules}
                    lines.write(json.dumps({"passed": self.passed, "lost": self.lost}) + "\n")
            except (OSError, ValueError, KeyError) as failure:
                print(f"wire: not understood: {failure}", flush=True)


def set_rules(directory, rules):
    """For those who cut: replaces the rules, and returns how many frames passed and were lost so far."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(5)
        control.connect(f"{directory}/wire.sock")
        with control.makefile("rw") as lines:
            lines.write(json.dumps(rules) + "\n")
            lines.flush()
            return json.loads(lines.readline())


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    Wire(sys.argv[1], sys.argv[2:]).run()
