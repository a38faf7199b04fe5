import Primitives
import SMTP
import Testing

@testable import Node

@Suite("Destinations")
struct DestinationsTests {
    static let start = Instant(nanoseconds: 1_000_000_000_000)
    private let reply = Reply(451, 4, 4, 1, "no answer from host")

    private func address(_ text: String) -> Address { Address(parsed: Array(text.utf8)) }

    /// One recipient domain with its messages, and a clock.
    private struct Bench {
        var all = Destinations()
        var now = DestinationsTests.start
        var next: UInt32 = 1
        let dead = Address(parsed: Array("r@Dead.example".utf8))

        mutating func fail(_ times: Int = 1, isProbe: Bool = false, longest: Duration = .hours(4)) {
            for _ in 0..<times {
                all.failed(
                    dead, Reply(451, 4, 4, 1, "no answer"), isProbe: isProbe, longest: longest, spread: 0.5, at: now)
            }
        }

        @discardableResult
        mutating func park(user: UInt64 = 1, accepted: Int64 = 0, hasSender: Bool = true) -> ParkedKey {
            guard let key = all.limited(dead) else { preconditionFailure("it is not backed off") }
            next += 2
            return all.park(
                MessageKey(slot: next, generation: 1), user: user,
                accepted: WallTime(milliseconds: accepted), hasSender: hasSender, isWarned: false, at: key, now)
        }

        /// Lets go whatever may; returns how many.
        mutating func release() -> Int {
            var count = 0
            while all.release(at: now) != nil { count += 1 }
            return count
        }

        mutating func end(hadEvidence: Bool = true) {
            guard let key = all.limited(dead) else { return }
            all.ended(key, hadEvidence: hadEvidence, at: now)
        }

        mutating func advance(_ duration: Duration) { now = now + duration }
    }

    @Test("a few failures restrict nothing, and a success forgets them")
    func counting() {
        var bench = Bench()
        bench.fail(4)
        #expect(bench.all.limited(bench.dead) == nil && bench.all.count == 1)
        bench.all.succeeded(address("other@dead.EXAMPLE"), at: bench.now)
        #expect(bench.all.isEmpty)
        bench.fail(4)
        #expect(bench.all.limited(bench.dead) == nil)
        bench.fail()
        #expect(bench.all.limited(address("x@dead.example")) != nil)
        #expect(bench.all.limited(address("x@alive.example")) == nil)
    }

    @Test("failures of long ago do not count")
    func old() {
        var bench = Bench()
        bench.fail(4)
        bench.advance(.hours(2))
        bench.fail(4)
        #expect(bench.all.limited(bench.dead) == nil)
        bench.fail()
        #expect(bench.all.limited(bench.dead) != nil)
    }

    @Test("one probe when its time has come, and twice the wait after each that fails, up to a quarter of an hour")
    func probes() {
        var bench = Bench()
        bench.fail(5)
        for _ in 0..<20 { bench.park() }
        var waits: [Double] = []
        for _ in 0..<12 {
            #expect(bench.release() == 0)
            let at = bench.all.nextProbe ?? bench.now
            waits.append((at - bench.now).inSeconds)
            bench.now = at
            #expect(bench.release() == 1)
            bench.fail(isProbe: true)
            bench.end()
        }
        #expect(waits.prefix(5) == [5, 10, 20, 40, 80])
        #expect(waits.last == 720, "with its jitter below the longest wait")
    }

    @Test("no wait is longer than the retry schedule's longest step")
    func longest() {
        var bench = Bench()
        bench.fail(5, longest: .minutes(1))
        bench.park()
        for _ in 0..<10 {
            let at = bench.all.nextProbe ?? bench.now
            #expect(at - bench.now < .minutes(1))
            bench.now = at
            #expect(bench.release() == 1)
            bench.fail(isProbe: true, longest: .minutes(1))
            bench.end()
            bench.park()
        }
    }

    @Test("each success doubles what goes at a time, until it is like any other")
    func opens() {
        var bench = Bench()
        bench.fail(5)
        for _ in 0..<3000 { bench.park() }
        bench.advance(.seconds(6))
        #expect(bench.release() == 1)
        var inProgress = 1
        var widths: [Int] = []
        for _ in 0..<11 {
            bench.all.succeeded(bench.dead, at: bench.now)
            bench.end()
            inProgress += bench.release() - 1
            widths.append(inProgress)
        }
        #expect(widths == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024])
        while bench.all.parkedCount > 0 {
            bench.all.succeeded(bench.dead, at: bench.now)
            bench.end()
            #expect(bench.release() == 1)
        }
        bench.all.succeeded(bench.dead, at: bench.now)
        #expect(bench.all.isEmpty)
    }

    @Test("while it opens, failures let fewer go, and at last it is closed again")
    func shrinks() {
        var bench = Bench()
        bench.fail(5)
        for _ in 0..<100 { bench.park() }
        bench.advance(.seconds(6))
        _ = bench.release()
        for _ in 0..<3 { bench.all.succeeded(bench.dead, at: bench.now) }
        bench.end()
        #expect(bench.release() == 8)
        for _ in 0..<3 {
            bench.fail(isProbe: true)
            bench.end()
        }
        #expect(bench.release() == 0, "seven of them are still under way, one may be")
        bench.fail(isProbe: true)
        for _ in 0..<5 { bench.end() }
        #expect(bench.release() == 0)
        bench.advance(.seconds(6))
        #expect(bench.release() == 1)
    }

    @Test("what began before it was closed neither closes it for longer nor counts against a probe")
    func stragglers() {
        var bench = Bench()
        bench.fail(25)
        bench.park()
        #expect(bench.all.nextProbe == bench.now + .seconds(5))
        bench.advance(.seconds(5))
        #expect(bench.release() == 1)
        bench.fail(10)
        bench.park()
        bench.all.succeeded(bench.dead, at: bench.now)
        #expect(bench.release() == 1)
    }

    @Test("a probe that says nothing is followed by another, after the same wait")
    func neutral() {
        var bench = Bench()
        bench.fail(5)
        for _ in 0..<3 { bench.park() }
        for _ in 0..<2 {
            bench.advance(.seconds(5))
            #expect(bench.release() == 1)
            bench.end(hadEvidence: false)
            #expect(bench.release() == 0 && bench.all.nextProbe == bench.now + .seconds(5))
        }
    }

    @Test("users take turns also here, and who left is not let go")
    func fairness() {
        var bench = Bench()
        bench.fail(5)
        let many = (0..<10).map { _ in bench.park(user: 1) }
        let one = bench.park(user: 2)
        bench.all.unpark(many[0])
        bench.advance(.seconds(6))
        _ = bench.release()
        bench.all.succeeded(bench.dead, at: bench.now)
        _ = bench.release()
        #expect(!bench.all.parked.contains(many[1]) && !bench.all.parked.contains(one))
        #expect(many[2...].allSatisfy { bench.all.parked.contains($0) } && bench.all.parkedCount == 8)
    }

    @Test("the oldest that still waits is found, apart by whether it has a sender")
    func ages() {
        var bench = Bench()
        bench.fail(5)
        var random = SeededRandom(seed: 5)
        var waiting: [(accepted: Int64, key: ParkedKey)] = []
        for _ in 0..<3000 {
            let accepted = Int64(random.next() % 1_000_000)
            waiting.append((accepted, bench.park(accepted: accepted)))
            if random.chance(0.6) {
                bench.all.unpark(waiting.remove(at: Int(random.next() % UInt64(waiting.count))).key)
            }
        }
        let null = bench.park(accepted: 5, hasSender: false)
        guard let key = bench.all.limited(bench.dead) else { return }
        #expect(bench.all.oldest(.withoutSender, of: key) == null)
        while let least = waiting.min(by: { $0.accepted < $1.accepted })?.accepted {
            guard let oldest = bench.all.oldest(.withSender, of: key),
                let position = waiting.firstIndex(where: { $0.key == oldest })
            else {
                Issue.record("there is one more")
                return
            }
            #expect(waiting[position].accepted == least && bench.all.oldest(.unwarned, of: key) != nil)
            bench.all.unpark(waiting.remove(at: position).key)
        }
        #expect(bench.all.oldest(.withSender, of: key) == nil)
    }

    @Test("no more domains are known than the limit: those with few failures make way, those that are backed off stay")
    func bounded() {
        var all = Destinations()
        func fail(_ domain: String, _ times: Int) {
            for _ in 0..<times {
                all.failed(
                    address("r@\(domain)"), reply, isProbe: false, longest: .hours(1), spread: 0, at: Self.start)
            }
        }
        fail("dead.example", 5)
        for number in 0..<Destinations.limit + 1000 { fail("d\(number).example", 1) }
        #expect(all.count == Destinations.limit)
        #expect(all.limited(address("r@dead.example")) != nil)
        #expect(all.known(address("r@d\(Destinations.limit + 999).example")) != nil)
    }

    @Test("which replies speak of the destination")
    func replies() {
        let cases: [(Int, String, Stage, Bool)] = [
            (451, "4.4.1", .rcpt, true), (450, "4.4.3", .finalDot, true), (421, "4.3.2", .data, true),
            (421, "4.7.28", .finalDot, true), (451, "", .rcpt, true), (452, "", .rcpt, false),
            (452, "4.3.1", .rcpt, false), (450, "4.2.1", .rcpt, false), (450, "4.7.1", .rcpt, false),
            (451, "4.4.1", .mail, false), (550, "5.4.1", .rcpt, false), (250, "2.0.0", .finalDot, false),
        ]
        for (code, enhanced, stage, wanted) in cases {
            let reply = Reply(code, EnhancedCode(leading: Array(enhanced.utf8)), text: [])
            #expect(speaksOfDestination(reply, at: stage) == wanted, "\(code) \(enhanced) to \(stage)")
        }
    }
}
