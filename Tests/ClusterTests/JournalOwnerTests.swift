import Primitives
import Testing

@testable import Cluster

@Suite("The owner of one journal")
struct JournalOwnerTests {
    private static let journal = JournalID(ULID(high: 7, low: 7))
    private static func replica(_ name: String) -> ReplicaID {
        ReplicaID(node: name, disk: DiskID(ULID(high: 0, low: 1)))
    }
    private let a = replica("a")
    private let b = replica("b")
    private let c = replica("c")

    private func alone(epoch: UInt64, end: UInt64) -> JournalOwner {
        JournalOwner(
            granted: Self.journal, replicas: [a], me: a, epoch: epoch, lease: .seconds(2), end: end, bound: [:])
    }

    private func ofThree(end: UInt64) -> JournalOwner {
        JournalOwner(
            granted: Self.journal, replicas: [a, b, c], me: a, epoch: 5, lease: .seconds(2), end: end, bound: [:])
    }

    @Test("alone an owner is a majority, whose lease never ends")
    func lonelyLease() {
        let owner = alone(epoch: 7, end: 0)
        #expect(owner.holdsLease(for: .seconds(100), at: Instant(nanoseconds: 0)))
        #expect(owner.leaseEnd == nil)
    }

    @Test("an owner is active once the first frame of its epoch is committed")
    func active() {
        var owner = alone(epoch: 2, end: 100)
        #expect(owner.append(count: 50) == 100)
        #expect(owner.end == 150)
        let half = owner.durable(at: a, upTo: 149)
        #expect(!half)
        #expect(owner.phase == .takingOver)
        let whole = owner.durable(at: a, upTo: 150)
        #expect(whole)
        #expect(owner.phase == .active)
        #expect(owner.committed == 150)
    }

    @Test("nothing is committed by counting copies of frames of older epochs (Raft §5.4.2)")
    func ownEpochOnly() {
        var owner = ofThree(end: 100)
        let old = [owner.durable(at: a, upTo: 100), owner.durable(at: b, upTo: 100), owner.durable(at: c, upTo: 100)]
        #expect(old == [false, false, false])
        #expect(owner.committed == 0)
        _ = owner.append(count: 20)
        let first = owner.durable(at: a, upTo: 120)
        #expect(!first)
        let second = owner.durable(at: b, upTo: 120)
        #expect(second, "with the first own frame everything below it is committed too")
        #expect(owner.committed == 120)
    }

    @Test("committed is what a majority holds, whoever is behind")
    func majority() {
        var owner = ofThree(end: 0)
        #expect(owner.majority == 2)
        for _ in 0..<3 { _ = owner.append(count: 10) }
        _ = owner.durable(at: a, upTo: 30)
        #expect(owner.committed == 0)
        _ = owner.durable(at: c, upTo: 20)
        #expect(owner.committed == 20)
        _ = owner.durable(at: b, upTo: 10)
        #expect(owner.committed == 20)
        _ = owner.durable(at: b, upTo: 30)
        #expect(owner.committed == 30)
    }

    @Test("an acknowledgement that comes late or twice takes nothing back, a stranger's counts nothing")
    func lateAcknowledgements() {
        var owner = ofThree(end: 0)
        _ = owner.append(count: 10)
        _ = owner.append(count: 10)
        _ = owner.durable(at: a, upTo: 20)
        _ = owner.durable(at: b, upTo: 20)
        let late = owner.durable(at: b, upTo: 10)
        let stranger = owner.durable(at: Self.replica("d"), upTo: 20)
        #expect(!late && !stranger)
        #expect(owner.committed == 20)
        #expect(owner.acknowledged(by: b) == 20)
    }

    @Test("a frame counts for its place: offsets follow each other")
    func offsets() {
        var owner = ofThree(end: 40)
        #expect(owner.append(count: 8) == 40)
        #expect(owner.append(count: 1) == 48)
        #expect(owner.end == 49)
    }
}
