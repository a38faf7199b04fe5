import Cluster
import Primitives
import Testing

@Suite("process death")
struct ProcessWatchTests {
    static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    @Test("an end and then a refusal prove it")
    func proof() {
        var watch = ProcessWatch()
        #expect(watch.greeted(incarnation: 5) == .nothing)
        #expect(watch.ended(.endOfFile, at: Self.at(0)) == .knock)
        #expect(watch.knocked(.refused, at: Self.at(1)) == .dead(incarnation: 5, byGreeting: false))
    }

    @Test("our own close, a time-out, or a refusal that nobody asked for prove nothing")
    func noProof() {
        for end in [ProcessWatch.End.closedByUs, .timedOut] {
            var watch = ProcessWatch()
            _ = watch.greeted(incarnation: 5)
            #expect(watch.ended(end, at: Self.at(0)) == .nothing)
            #expect(watch.knocked(.refused, at: Self.at(1)) == .nothing)
            #expect(watch.asked(at: Self.at(2)) == .nothing)
        }
        var watch = ProcessWatch()
        _ = watch.greeted(incarnation: 5)
        #expect(watch.knocked(.refused, at: Self.at(1)) == .nothing)
    }

    @Test("a connect that ends before Hello is tried each 10 ms for 300 ms; one that hangs is tried when someone asks")
    func again() {
        var watch = ProcessWatch()
        _ = watch.greeted(incarnation: 5)
        #expect(watch.ended(.reset, at: Self.at(0)) == .knock)
        var knocks = 0
        var time: Int64 = 0
        while time < 1000 {
            #expect(watch.knocked(.endedEarly, at: Self.at(time)) == .nothing)
            guard let deadline = watch.deadline else { break }
            #expect(deadline == Self.at(time + 10))
            #expect(watch.tick(at: Self.at(time + 9)) == .nothing)
            time += 10
            #expect(watch.tick(at: Self.at(time)) == .knock)
            knocks += 1
        }
        #expect(knocks == 30)
        #expect(watch.asked(at: Self.at(time)) == .knock)
        #expect(watch.knocked(.hung, at: Self.at(time + 300)) == .nothing)
        #expect(watch.asked(at: Self.at(time + 400)) == .knock)
        #expect(watch.knocked(.refused, at: Self.at(time + 401)) == .dead(incarnation: 5, byGreeting: false))
    }

    @Test("a greeting with a higher incarnation proves the earlier ones dead")
    func greeting() {
        var watch = ProcessWatch()
        _ = watch.greeted(incarnation: 5)
        #expect(watch.greeted(incarnation: 5) == .nothing)
        #expect(watch.greeted(incarnation: 8) == .dead(incarnation: 7, byGreeting: true))
    }
}

@Suite("who claims")
struct WhoClaimsTests {
    @Test("every candidate agrees on the order, and journals spread evenly")
    func order() {
        var random = SeededRandom(seed: 9)
        let ids = GossipTests.ids
        var firsts: [ReplicaID: Int] = [:]
        for _ in 0..<5000 {
            let journal = JournalID(ULID(high: random.next(), low: random.next()))
            let order = WhoClaims.order(ids, for: journal)
            #expect(order == WhoClaims.order(ids.reversed(), for: journal))
            firsts[order[0], default: 0] += 1
            // Without the first, the rest keep their order.
            #expect(WhoClaims.order(order.dropFirst(), for: journal) == Array(order.dropFirst()))
        }
        for id in ids { #expect((800...1200).contains(firsts[id] ?? 0)) }
    }

    @Test("waits grow: 25, 50, 100 ms for a promise that ends soon; with jitter otherwise")
    func backOff() {
        var soon = BackOff()
        #expect(soon.promiseEndsSoon(in: .seconds(1)) == .milliseconds(25))
        #expect(soon.promiseEndsSoon(in: .seconds(1)) == .milliseconds(50))
        #expect(soon.promiseEndsSoon(in: .milliseconds(60)) == .milliseconds(60))
        var failed = BackOff()
        var last = Duration.zero
        for _ in 0..<20 {
            let wait = failed.failed(chance: 0.5)
            #expect(wait >= last && wait <= .seconds(2))
            last = wait
        }
        #expect(last == .seconds(2))
    }
}

@Suite("late outcomes")
struct LateOutcomesTests {
    @Test("the highest epoch's word counts, only for a later owner, until it is replaced")
    func keeps() {
        var late = LateOutcomes()
        let journal = JournalID(ULID(high: 1, low: 1))
        let message = MessageID(ULID(high: 2, low: 2))
        func outcome(_ epoch: UInt64) -> LateOutcome {
            LateOutcome(journal: journal, epoch: epoch, message: message, recipient: 0, outcome: [UInt8(epoch)])
        }
        let kept = [3, 2, 3, 4].map { late.keep(outcome($0)) }
        #expect(kept == [true, false, false, true])
        #expect(late.usable(for: message, recipient: 0, in: journal, ownerEpoch: 5)?.outcome == [4])
        #expect(late.usable(for: message, recipient: 0, in: journal, ownerEpoch: 4) == nil)
        #expect(late.usable(for: message, recipient: 1, in: journal, ownerEpoch: 5) == nil)
        // Outcomes of before, met when the file is read again, are of earlier attempts.
        late.drop(message, recipient: 0, in: journal, before: 4)
        #expect(late.count == 1)
        late.drop(message, recipient: 0, in: journal, before: 5)
        #expect(late.count == 0)
    }
}

@Suite("opening")
struct OpeningTests {
    @Test("exactly so many, this node first, live ones before others, other zones before the same")
    func chooses() {
        let ids = GossipTests.ids
        #expect(Opening.replicas(count: 1, me: ids[0], known: [], isAlive: { _ in false }) == [ids[0]])
        #expect(Opening.replicas(count: 3, me: ids[0], known: [ids[1]], isAlive: { _ in true }) == nil)
        let live = Opening.replicas(count: 3, me: ids[0], known: ids, isAlive: { $0 != ids[1] })
        #expect(live?.first == ids[0] && live?.contains(ids[1]) == false && live?.count == 3)
        let zones = [ids[0]: "x", ids[1]: "x", ids[2]: "x", ids[3]: "y", ids[4]: "z"]
        let spread = Opening.replicas(
            count: 3, me: ids[0], known: ids, isAlive: { _ in true }, zone: { zones[$0] ?? "" })
        #expect(spread.map(Set.init) == [ids[0], ids[3], ids[4]])
        // A node with a new disk counts once.
        let newDisk = ReplicaID(node: "n1", disk: DiskID(ULID(high: 7, low: 7)))
        #expect(
            Opening.replicas(count: 3, me: ids[0], known: [ids[1], newDisk], isAlive: { $0 == newDisk }) == nil)
    }
}
