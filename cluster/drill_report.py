"""What a drill prints: goals beside what was measured, and the story of a single fault."""

import datetime
import math

CUTS = {
    "full": "from everybody, both ways", "peers": "from the other nodes, both ways, not from clients and upstreams",
    "partial": "from one other node, both ways", "one-way": "what it sends to the other nodes is lost",
    "delay": "200 ms more each way between all nodes", "loss": "10 % of all frames between nodes are lost"}
DEFAULT_LENGTH = {"pause": 10, "partition": 6}
LEASE = 2.0
# An upstream's answer, a claim and the work of a busy machine on top of what the protocol needs.
MARGIN = 0.5
GAP_GOAL = 1.0
QUIET_CUTS = ("partial", "delay", "loss")  # after which nobody has to take over


class Report:
    def __init__(self, drill, books):
        self.drill, self.books, self.given = drill, books, drill.given
        self.rows = []
        self.missed = []
        self.measure()
        self.judge()
        self.is_passed = not self.missed

    # Figures

    def measure(self):
        books, faults = self.books, self.drill.faults
        self.first, self.last, self.next_250, self.accept_gaps, self.delivery_gaps, self.dots = [], [], [], [], [], []
        arrivals = books.deliveries()
        for index, fault in enumerate(faults):
            end = faults[index + 1].at if index + 1 < len(faults) else float("inf")
            reclaimed = books.reclaimed(fault, end)
            if reclaimed:
                self.first.append(reclaimed[0][0] - fault.at)
                self.last.append(reclaimed[-1][0] - fault.at)
            fault.reclaimed = reclaimed
            after = next((time for time in books.accepted if time > fault.at), None)
            if after and after < end:
                self.next_250.append(after - fault.at)
            until = min(end, (fault.back or fault.at) + 3)
            self.accept_gaps.append(longest_gap(books.accepted, fault.at, until))
            self.delivery_gaps.append(longest_gap(arrivals, fault.at, until))
            if self.given.how == "pause":
                self.dots += books.dots_after_waking(fault, end)

    def row(self, name, goal, measured, words="", missed=False, is_time=False):
        self.rows.append((name, goal, measured, words))
        if missed and not (is_time and self.given.books_only):
            self.missed.append(name)

    def time_row(self, name, goal, values, words=""):
        """A figure that is a time; of many the median counts."""
        measured = middle(values) if values else None
        if values and len(values) > 1:
            words = f"median; the longest {max(values):.2f} s"
        self.row(name, f"{goal:.1f} s" if goal else "-", "-" if measured is None else f"{measured:.2f} s", words,
                 goal is not None and measured is not None and measured > goal, is_time=True)

    def judge(self):
        books, given, many = self.books, self.given, len(self.drill.cluster.names) > 1
        listed = sum(books.logs.uncertain.values())
        self.row("lost", "0", len(books.lost), f"of {len(books.accepted):,} accepted with 250",
                 bool(books.lost) or not books.accepted)
        if given.uncertain == "hold":
            self.row("delivered twice", "0", len(books.twice), "", bool(books.twice))
            self.row("held for a person", "-", len(books.held), f"of {listed:,} listed as uncertain")
        elif given.how == "stop":
            self.row("delivered twice", "0", len(books.twice), f"{listed:,} listed as uncertain", bool(books.twice))
        else:
            self.row("delivered twice", f"<= {listed}", len(books.twice),
                     f"{'NOT all' if books.unlisted else 'all'} among the {listed:,} listed as uncertain", bool(books.unlisted))
        self.row("altered", "0", len(books.altered), "CRC-32C of every message from its first own line to its end",
                 bool(books.altered))
        self.row("never accepted, came", "0", len(books.invented), "", bool(books.invented))
        moved = sum(len(fault.reclaimed) for fault in self.drill.faults)
        if many and not given.all and given.how in ("kill", "wipe", "pause"):
            self.row("moved", ">= 1", moved, "of the lost node's messages, delivered by another", not moved)
        if given.how == "pause":
            self.row("late final dots", "0", len(self.dots), "of its old mail by the paused node, after it woke",
                     bool(self.dots))
        self.time_row("first reclaimed", self.first_goal(many), self.first, "after the fault, by another node")
        self.time_row("last reclaimed", None, self.last)
        if given.how == "stop":
            self.time_row("longest delivery gap", 0.5 if many else None, self.delivery_gaps, "time without any arrival")
        self.time_row("longest accept gap", GAP_GOAL if many and not given.all else None, self.accept_gaps,
                      "time without any 250")
        unanswered = [line for line in books.ledger if line[2] == "unanswered"]
        came = sum(1 for line in unanswered if line[5])
        self.row("unanswered final dots", "-", len(unanswered),
                 f"no 250 reached the client: {came} delivered, {len(unanswered) - came} not")
        self.row("refused for a while", "-", sum(int(line["tries"]) - 1 for line in books.sent),
                 "4xx or cut off; the client sent them again")

    def first_goal(self, many):
        given = self.given
        if not many or given.all or given.how == "stop":
            return None
        if given.how in ("kill", "wipe"):
            return MARGIN
        if given.how == "partition" and any(cut in QUIET_CUTS for cut in given.cuts):
            return None
        return LEASE + MARGIN

    # Words

    def print(self):
        drill, books, given = self.drill, self.books, self.given
        faults, accepted = drill.faults, books.accepted
        seconds = accepted[-1] - accepted[0] if len(accepted) > 1 else 0
        rate = len(accepted) / seconds if seconds else 0
        count = len(drill.cluster.names)
        whom = f"{faults[0].what} to {', '.join(faults[0].nodes)} at {clock(faults[0].at)} (t0)" if len(faults) == 1 else (
            f"{len(faults)} × {faults[0].what.split(':')[0]}")
        print(f"DRILL {'PASSED' if self.is_passed else 'FAILED'}  {count} node{'s' if count > 1 else ''}, 2 upstreams, "
              f"{seconds:.0f} s at {rate:.0f}/s, seed {given.seed}{', hold' if books.hold else ''}; {whom}\n")
        print(f" {'':<22}{'GOAL':<8}{'MEASURED':<11}".rstrip())
        for name, goal, measured, words in self.rows:
            print(f" {name:<22}{goal:<8}{measured:<11}{words}".rstrip())
        print()
        if len(faults) == 1:
            self.print_story(faults[0])
        elif given.how == "partition":
            self.print_cuts()
        else:
            self.print_times()
        for title, keys in (("LOST", books.lost), ("UNLISTED", books.unlisted), ("ALTERED", books.altered),
                            ("INVENTED", books.invented), ("LATE", self.dots), ("TWICE", books.twice)):
            if keys:
                more = f"  and {len(keys) - 3} more" if len(keys) > 3 else ""
                print(f" {title:<8}{'  '.join(keys[:3])}{more}")
        if self.missed:
            print(f" MISSED  {', '.join(self.missed)}")
        print(f" LEDGER  {given.directory}/: ledger.csv (a line a message), events.jsonl, status.json, *.log")
        print(f" AGAIN   cluster/drill --seed {given.seed}{self.arguments()}")
        if given.kills < 100 and given.how != "partition":
            print(f" HARDER  cluster/drill --kills 100{'' if given.how == 'kill' else ' --how ' + given.how}")

    def arguments(self):
        """What makes the same drill, but for what is the default."""
        given, words = self.given, ""
        if given.nodes != 3:
            words += f" --nodes {given.nodes}"
        if given.how != "kill":
            words += f" --how {given.how}"
        if given.cut:
            words += f" --cut {given.cut}"
        if given.kills > 1:
            words += f" --kills {given.kills}"
        if given.how in ("pause", "partition") and given.length != DEFAULT_LENGTH[given.how]:
            words += f" --for {given.length:g}"
        if given.node:
            words += f" --node {given.node}"
        if given.all:
            words += " --all"
        for name, usual in (("messages", 5000), ("rate", "500/s"), ("size", "4KiB"), ("sessions", 20), ("delay", "20ms")):
            if getattr(given, name) != usual:
                words += f" --{name} {getattr(given, name)}"
        return words + (" --uncertain hold" if given.uncertain == "hold" else "")

    def print_times(self):
        print(f" {'AFTER A FAULT':<22}{'MEDIAN':>9}{'P99':>9}{'WORST':>9}   of {len(self.drill.faults)}")
        for name, values in (("first reclaimed", self.first), ("last reclaimed", self.last), ("next 250", self.next_250),
                             ("accept gap", self.accept_gaps), ("delivery gap", self.delivery_gaps)):
            if values:
                print(f" {name:<22}{middle(values):>7.3f} s{quantile(values, 0.99):>7.3f} s{max(values):>7.3f} s   "
                      f"{len(values)}")
        print()

    def print_cuts(self):
        for fault in self.drill.faults:
            first = f"first reclaimed after {fault.reclaimed[0][0] - fault.at:.2f} s" if fault.reclaimed else "nothing moved"
            print(f" {fault.cut:<8} {fault.nodes[0]} for {fault.back - fault.at:.0f} s: {CUTS[fault.cut]}; {first}")
        print()

    def print_story(self, fault):
        """What happened from just before the fault until all was well again."""
        drill = self.drill
        events = [(fault.at, f"{', '.join(fault.nodes)}: {fault.what} (pid {', '.join(map(str, fault.pids))})")]
        if fault.reclaimed:
            events.append((fault.reclaimed[0][0], f"first reclaimed delivery ({fault.reclaimed[0][1]})"))
            events.append((fault.reclaimed[-1][0], "last reclaimed delivery"))
        if fault.back:
            word = {"pause": "woken", "partition": "healed"}.get(self.given.how, "started again")
            events.append((fault.back, f"{', '.join(fault.nodes)} {word}"))
        end = (fault.back or fault.at) + 5
        for at, node, event, fields in self.books.logs.events:
            if fault.at - 0.05 <= at <= end and not (at < fault.at and node == "balancer"):
                events.append((at, f"{node}: {event}{details(fields)}"))
        events.sort(key=lambda event: event[0])
        shown = events if len(events) <= 24 else events[:18] + [(None, f"({len(events) - 23} more: events.jsonl)")] + events[-5:]
        for at, text in shown:
            print(f" t0 {at - fault.at:+7.3f}  {text[:86]}" if at else f"             {text}")
        print()


def details(fields):
    """The few words of an event that fit a line."""
    wanted = ("journal", "epoch", "peer", "from", "messages", "uncertain", "reason")
    return "".join(f" {key} {value[-8:] if key == 'journal' else value}" for key in wanted
                   if (value := fields.get(key)) not in (None, ""))


def longest_gap(times, start, end):
    """The longest time without an event that ends, or is still open, between start and end."""
    inside = [time for time in times if start - 5 <= time <= end]
    return max((b - a for a, b in zip(inside, inside[1:]) if b > start), default=0)


def clock(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3] + "Z"


def middle(values):
    return sorted(values)[len(values) // 2] if values else 0


def quantile(values, share):
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
