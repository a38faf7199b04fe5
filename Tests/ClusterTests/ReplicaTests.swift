import Cluster
import Journal
import Primitives
import Testing

/// One `ClusterNode` by hand: what it answers, and when.
private struct Bench {
    static let ids = (0..<3).map { ReplicaID(node: "n\($0)", disk: DiskID(ULID(high: 0, low: UInt64($0 + 1)))) }
    static let journal = JournalID(ULID(high: 7, low: 7))

    var node: ClusterNode
    var milliseconds: Int64 = 0
    /// The last mark that the disk was asked for.
    var mark = DiskMark(0)

    init(_ index: Int = 0, promise: Promise? = nil, frames: Int = 0, epoch: UInt64 = 1) {
        let settings = ClusterSettings(me: Self.ids[index], incarnation: 1)
        node = ClusterNode(settings: settings, at: Instant(nanoseconds: 0))
        node.recover(acquainted: Self.ids)
        guard promise != nil || frames > 0 else { return }
        var copy = JournalCopy()
        let bytes = Self.log(frames, epoch: epoch)
        copy.append(walkFrames(bytes, of: Self.journal, at: 0), in: bytes, at: 0)
        node.recover(Self.journal, copy: copy, promise: promise, at: Instant(nanoseconds: 0))
    }

    /// `open` and then so many frames less one.
    static func log(_ frames: Int, epoch: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        for number in 0..<frames {
            let record: Record =
                number == 0
                ? .open(OpenRecord(cluster: "c", origin: ids[0], replicas: ids, time: WallTime(milliseconds: 0)))
                : .abort(StreamID(UInt64(number)))
            bytes += Frame.encode(record, epoch: epoch, journal: journal, offset: UInt64(bytes.count))
        }
        return bytes
    }

    /// What it sends because of this; the disk has done nothing yet.
    mutating func handle(_ event: ClusterEvent) -> [ClusterEffect] {
        let effects = node.handle(event, at: Instant(nanoseconds: milliseconds * 1_000_000))
        for case .request(.storePromise(_, _, let mark)) in effects { self.mark = mark }
        for case .request(.write(_, _, _, let mark)) in effects { self.mark = mark }
        for case .request(.cut(_, _, let mark)) in effects { self.mark = mark }
        return effects
    }

    mutating func receive(_ message: Message, from index: Int, incarnation: UInt64 = 1) -> [Message] {
        handle(.received(message, from: Self.ids[index], incarnation: incarnation)).messages
    }

    /// The disk has done everything.
    mutating func sync() -> [Message] { handle(.stored(Self.journal, through: mark)).messages }

    mutating func claim(_ epoch: UInt64, from index: Int) -> [Message] {
        let item = ClaimRequest.Item(journal: Self.journal, epoch: epoch, lease: .seconds(2))
        let now = receive(.claim(ClaimRequest(sentAt: Instant(nanoseconds: 1), items: [item])), from: index)
        return now + sync()
    }
}

extension [ClusterEffect] {
    fileprivate var messages: [Message] {
        compactMap { effect in
            if case .request(.send(_, let message)) = effect { message } else { nil }
        }
    }
}

extension [Message] {
    fileprivate var isGranted: Bool {
        contains { message in
            guard case .claimAnswers(let answers) = message else { return false }
            return answers.items.contains { if case .granted = $0 { true } else { false } }
        }
    }
}

@Suite("a replica")
struct ReplicaTests {
    private static let other = Promise(epoch: 3, owner: Bench.ids[1], lease: .seconds(2))

    @Test("grants what was promised to nobody, and only once the promise is on the disk")
    func persistsFirst() {
        var bench = Bench(2)
        let item = ClaimRequest.Item(journal: Bench.journal, epoch: 1, lease: .seconds(2))
        let request = ClaimRequest(sentAt: Instant(nanoseconds: 5), items: [item])
        let before = bench.receive(.claim(request), from: 0)
        #expect(before.isEmpty)
        let after = bench.sync()
        let offer = ClaimAnswers.Offer(journal: Bench.journal, epoch: 1, lastEpoch: 0, end: 0, isWhole: true)
        #expect(after == [.claimAnswers(ClaimAnswers(sentAt: Instant(nanoseconds: 5), items: [.granted(offer)]))])
    }

    @Test("each epoch is granted once, and no lower one ever")
    func onlyGrows() {
        var bench = Bench(2)
        let results = [5, 5, 4].map { bench.claim($0, from: 0).isGranted }
        #expect(results == [true, false, false])
    }

    @Test("a promise to another binds for the lease, after a restart for the whole lease again")
    func binds() {
        var bench = Bench(2, promise: Self.other, frames: 2, epoch: 3)
        bench.milliseconds = 1999
        let early = bench.claim(4, from: 0).isGranted
        bench.milliseconds = 2000
        let late = bench.claim(5, from: 0).isGranted
        #expect(!early && late)
    }

    @Test("the promised owner itself is granted at once, and whoever was promised by nobody but this node")
    func fastRestart() {
        var bench = Bench(2, promise: Self.other, frames: 2, epoch: 3)
        let same = bench.claim(4, from: 1).isGranted
        var own = Bench(2, promise: Promise(epoch: 3, owner: Bench.ids[2], lease: .seconds(2)), frames: 2, epoch: 3)
        let mine = own.claim(4, from: 0).isGranted
        #expect(same && mine)
    }

    @Test("a release counts from the promised owner of that very epoch only")
    func release() {
        for (sender, epoch, frees) in [(1, 3, true), (0, 3, false), (1, 2, false)] {
            var bench = Bench(2, promise: Self.other, frames: 2, epoch: 3)
            _ = bench.receive(.release([JournalEpoch(Bench.journal, UInt64(epoch))]), from: sender)
            let granted = bench.claim(4, from: 0).isGranted
            #expect(granted == frees)
        }
    }

    @Test("an end and a refused knock free what was promised when the knock began, and not what came after")
    func death() {
        var bench = Bench(2, promise: Self.other, frames: 2, epoch: 3)
        _ = bench.handle(.greeted(Bench.ids[1], incarnation: 1))
        let knocks = bench.handle(.disconnected(Bench.ids[1], .reset))
        #expect(knocks.contains { if case .request(.knock(Bench.ids[1])) = $0 { true } else { false } })
        var later = bench
        _ = bench.handle(.knocked(Bench.ids[1], .refused))
        let freed = bench.claim(4, from: 0).isGranted
        #expect(freed)

        // Promised anew to the same node while the knock was under way.
        let anew = later.claim(4, from: 1).isGranted
        _ = later.handle(.knocked(Bench.ids[1], .refused))
        let stolen = later.claim(5, from: 0).isGranted
        #expect(anew && !stolen)
    }

    @Test("an append is acknowledged to the end of what it carried, once it is synced")
    func appends() {
        var bench = Bench(2)
        let log = Bench.log(3, epoch: 1)
        let append = Append(
            journal: Bench.journal, epoch: 1, lease: .seconds(2), previousOffset: 0, previousEpoch: 0, committed: 0,
            ownerEnd: UInt64(log.count), bytes: log)
        let before = bench.receive(.append(append), from: 0)
        let after = bench.sync()
        #expect(before.isEmpty)
        #expect(after == [.durable(Durable(journal: Bench.journal, epoch: 1, end: UInt64(log.count)))])
        // Again: nothing to write, and the answer at once.
        var again = append
        again.bytes = Bench.log(1, epoch: 1)
        let repeated = bench.receive(.append(again), from: 0)
        #expect(repeated == [.durable(Durable(journal: Bench.journal, epoch: 1, end: UInt64(again.bytes.count)))])
        #expect(bench.node.journals[Bench.journal]?.copy.end == UInt64(log.count))
    }

    @Test("an append of a lower epoch is fenced; one that does not fit is told where to try; rubbish is nothing")
    func refusesAppends() {
        var bench = Bench(2, promise: Self.other, frames: 3, epoch: 3)
        let end = bench.node.journals[Bench.journal]?.copy.end ?? 0
        var append = Append(
            journal: Bench.journal, epoch: 2, lease: .seconds(2), previousOffset: end, previousEpoch: 2, committed: 0,
            ownerEnd: 0, bytes: [])
        let fenced = bench.receive(.append(append), from: 0)
        #expect(fenced == [.fenced(Fenced(journal: Bench.journal, epoch: 2, promised: 3))])
        append.epoch = 4
        _ = bench.receive(.append(append), from: 0)
        let mismatch = bench.sync()
        #expect(mismatch == [.mismatch(Mismatch(journal: Bench.journal, epoch: 4, end: end, hint: 0, hintEpoch: 0))])
        append.bytes = [1, 2, 3]
        let nothing = bench.receive(.append(append), from: 0)
        #expect(nothing.isEmpty)
    }

    @Test("alone, a node owns what it opens when its own promise is stored, and commits by its own sync")
    func alone() {
        var bench = Bench()
        let opening = bench.handle(.open(Bench.journal, [Bench.ids[0]]))
        #expect(opening.messages.isEmpty)
        let won = bench.handle(.stored(Bench.journal, through: bench.mark))
        #expect(won.contains { if case .won(Bench.journal, epoch: 1, isEmpty: true, _) = $0 { true } else { false } })
        let open = Frame.encode(
            .open(
                OpenRecord(
                    cluster: "c", origin: Bench.ids[0], replicas: [Bench.ids[0]], time: WallTime(milliseconds: 0))),
            epoch: 1, journal: Bench.journal, offset: 0)
        _ = bench.handle(.append(Bench.journal, open))
        let committed = bench.handle(.stored(Bench.journal, through: bench.mark))
        #expect(committed.contains { if case .active(Bench.journal, epoch: 1) = $0 { true } else { false } })
        bench.milliseconds = 1_000_000
        _ = bench.handle(.tick)
        let owner = bench.node.journals[Bench.journal]?.owner
        #expect(owner?.holdsLease(for: .milliseconds(200), at: Instant(nanoseconds: 1_000_000_000_000)) == true)
    }

    @Test("a late outcome is kept and told once")
    func lateOutcome() {
        var bench = Bench(2, promise: Self.other, frames: 2, epoch: 3)
        let outcome = LateOutcome(
            journal: Bench.journal, epoch: 2, message: MessageID(ULID(high: 1, low: 1)), recipient: 0, outcome: [1])
        let first = bench.handle(.received(.lateOutcome(outcome), from: Bench.ids[1], incarnation: 1))
        let second = bench.handle(.received(.lateOutcome(outcome), from: Bench.ids[1], incarnation: 1))
        #expect(first.count == 1 && second.isEmpty)
    }
}
