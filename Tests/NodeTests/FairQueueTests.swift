import Primitives
import Testing

@testable import Node

@Suite("Fair queue")
struct FairQueueTests {
    private func key(_ user: UInt64, _ destination: UInt64) -> FairKey { FairKey(user: user, destination: destination) }

    /// Each as `user.destination.number`.
    private func filled(_ lots: (user: UInt64, destination: UInt64, count: Int)...) -> FairQueue<String> {
        var queue = FairQueue<String>()
        for lot in lots {
            for number in 0..<lot.count {
                queue.append("\(lot.user).\(lot.destination).\(number)", for: key(lot.user, lot.destination))
            }
        }
        return queue
    }

    @Test("one user's mail for one destination goes oldest first")
    func order() {
        var queue = filled((1, 1, 5))
        #expect(queue.drain() == ["1.1.0", "1.1.1", "1.1.2", "1.1.3", "1.1.4"])
        #expect(queue.isEmpty && queue.popFirst() == nil)
    }

    @Test("users take turns, and within a user destinations do")
    func turns() {
        var queue = filled((1, 1, 3), (1, 2, 2), (2, 1, 2))
        #expect(queue.userCount == 2 && queue.flowCount == 3)
        #expect(queue.drain() == ["1.1.0", "2.1.0", "1.2.0", "2.1.1", "1.1.1", "1.2.1", "1.1.2"])
        #expect(queue.userCount == 0 && queue.flowCount == 0)
    }

    @Test("who comes to a long backlog waits for one round, not for the backlog")
    func newcomer() {
        var queue = filled((1, 1, 100_000))
        for number in 0..<3 { queue.append("new \(number)", for: key(2, 9)) }
        var before: [Int] = []
        for turn in 0..<10 where queue.popFirst()?.hasPrefix("new") == true { before.append(turn) }
        #expect(before == [1, 3, 5])
        // Who is done and comes again begins at the end of the round.
        queue.append("again", for: key(2, 9))
        #expect(queue.popFirst() != "again" && queue.popFirst() == "again")
    }

    @Test("a destination with a backlog does not stand before the same user's others")
    func destinations() {
        var queue = filled((1, 1, 10_000), (1, 2, 1), (1, 3, 1))
        let first = (0..<4).compactMap { _ in queue.popFirst() }
        #expect(first == ["1.1.0", "1.2.0", "1.3.0", "1.1.1"])
    }

    @Test("what is put first goes before all turns, the latest first")
    func prepended() {
        var queue = filled((1, 1, 1), (2, 1, 1))
        queue.prepend("a")
        let handle = queue.prepend("b")
        queue.prepend("c")
        #expect(queue.remove(handle) == "b")
        #expect(queue.drain() == ["c", "a", "1.1.0", "2.1.0"])
        queue.prepend("alone")
        queue.append("behind", for: key(1, 1))
        #expect(queue.drain() == ["alone", "behind"])
    }

    @Test("an element is taken out from anywhere, once, and its handle never names another")
    func removal() {
        var queue = FairQueue<Int>()
        let handles = (0..<6).map { queue.append($0, for: key(UInt64($0 % 2), UInt64($0 % 3))) }
        #expect(queue.remove(handles[0]) == 0 && queue.remove(handles[0]) == nil && !queue.contains(handles[0]))
        let reused = queue.append(6, for: key(0, 0))
        #expect(reused != handles[0] && queue.remove(handles[0]) == nil)
        #expect(queue.remove(handles[5]) == 5)
        #expect(Set(queue.drain()) == [1, 2, 3, 4, 6])
        #expect(!queue.contains(reused))
    }

    @Test("a backlog that is gone leaves no memory and no handle behind")
    func givesBack() {
        var queue = FairQueue<Int>()
        let handles = (0..<5000).map { queue.append($0, for: key(UInt64($0 % 50), UInt64($0))) }
        #expect(queue.drain().count == 5000 && queue.userCount == 0 && queue.flowCount == 0)
        let new = (0..<5000).map { queue.append($0, for: key(1, 1)) }
        #expect(handles.allSatisfy { !queue.contains($0) } && new.allSatisfy { queue.contains($0) })
        #expect(queue.count == 5000)
    }

    @Test("names are keys without regard to case, and apart by kind")
    func names() {
        #expect(nameKey("Example.COM".utf8) == nameKey("example.com".utf8))
        #expect(nameKey("a".utf8, kind: 1) != nameKey("a".utf8, kind: 2))
        #expect(Set((0..<10_000).map { nameKey("u\($0)".utf8) }).count == 10_000)
    }

    /// The same by arrays: users in a round, each with a round of destinations, each with a list.
    private struct Model {
        var front: [Int] = []
        var users: [(name: UInt64, flows: [(name: UInt64, elements: [Int])])] = []

        mutating func append(_ element: Int, _ key: FairKey) {
            guard let user = users.firstIndex(where: { $0.name == key.user }) else {
                users.append((key.user, [(key.destination, [element])]))
                return
            }
            if let flow = users[user].flows.firstIndex(where: { $0.name == key.destination }) {
                users[user].flows[flow].elements.append(element)
            } else {
                users[user].flows.append((key.destination, [element]))
            }
        }

        /// Whoever had a turn goes to the end of its round, if anything is left.
        mutating func popFirst() -> Int? {
            if !front.isEmpty { return front.removeFirst() }
            guard !users.isEmpty else { return nil }
            var user = users.removeFirst()
            var flow = user.flows.removeFirst()
            let element = flow.elements.removeFirst()
            if !flow.elements.isEmpty { user.flows.append(flow) }
            if !user.flows.isEmpty { users.append(user) }
            return element
        }

        mutating func remove(_ element: Int) {
            front.removeAll { $0 == element }
            for user in users.indices {
                for flow in users[user].flows.indices { users[user].flows[flow].elements.removeAll { $0 == element } }
                users[user].flows.removeAll { $0.elements.isEmpty }
            }
            users.removeAll { $0.flows.isEmpty }
        }

        var count: Int {
            front.count + users.reduce(0) { $0 + $1.flows.reduce(0) { $0 + $1.elements.count } }
        }
    }

    @Test("under any mix of operations it does what rounds of lists would do", arguments: 1...12 as ClosedRange<UInt64>)
    func property(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var queue = FairQueue<Int>()
        var model = Model()
        var handles: [(element: Int, handle: FairQueue<Int>.Handle)] = []
        let users = random.next() % 6 + 1
        for element in 0..<4000 {
            switch random.next() % 10 {
            case 0...4:
                let key = key(random.next() % users, random.next() % 4)
                handles.append((element, queue.append(element, for: key)))
                model.append(element, key)
            case 5 where random.chance(0.2):
                handles.append((element, queue.prepend(element)))
                model.front.insert(element, at: 0)
            case 6 where !handles.isEmpty:
                let (element, handle) = handles.remove(at: Int(random.next() % UInt64(handles.count)))
                let removed = queue.remove(handle)
                #expect(removed == nil || removed == element)
                model.remove(element)
            case 7 where random.chance(0.02):
                let all = queue.drain()
                var wanted: [Int] = []
                while let next = model.popFirst() { wanted.append(next) }
                #expect(all == wanted)
            default: #expect(queue.popFirst() == model.popFirst())
            }
            #expect(queue.count == model.count)
        }
    }
}
