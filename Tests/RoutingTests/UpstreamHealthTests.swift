import Primitives
import Routing
import SMTP
import Testing

@Suite("Health of an upstream")
struct UpstreamHealthTests {
    private let now = Instant(nanoseconds: 1_000_000_000_000)

    private func down(_ health: UpstreamHealth) -> (since: Instant, nextProbe: Instant)? {
        if case .down(let since, let probe) = health.condition { (since, probe) } else { nil }
    }

    @Test("alone a node probes each 1.1 s in the first minute and each 1.75 s then, however long it lasts")
    func probes() {
        var health = UpstreamHealth(maximumConnections: 20)
        var at = now
        var waits: [Duration] = []
        for _ in 0..<120 {
            let wait = health.failed("no", spread: 0.5, at: at)
            waits.append(wait)
            at = at + wait
            health.beganProbe(at: at)
            at = at + .milliseconds(1)
        }
        #expect(waits.prefix(50).allSatisfy { $0 >= .milliseconds(1099) && $0 <= .milliseconds(1100) })
        #expect(waits.suffix(50).allSatisfy { $0 >= .milliseconds(1749) && $0 <= .milliseconds(1750) })
    }

    @Test("failures before the next probe are of the same round")
    func sameRound() {
        var health = UpstreamHealth(maximumConnections: 20)
        let wait = health.failed("first", spread: 0.5, at: now)
        for _ in 0..<19 { #expect(health.failed("same", spread: 0.5, at: now) == wait) }
        #expect(health.failed("next", spread: 0.5, at: now + wait) == .milliseconds(1100))
        #expect(health.lastFailure == "next")
    }

    @Test("a probe that hangs for longer than the wait does not make the next ones come in a heap")
    func slowProbe() {
        var health = UpstreamHealth(maximumConnections: 20)
        let wait = health.failed("no", spread: 0.5, at: now)
        health.beganProbe(at: now + wait)
        let next = health.failed("timed out", spread: 0.5, at: now + wait + .seconds(10))
        #expect(next == .zero, "its turn has long come")
        health.beganProbe(at: now + wait + .seconds(10))
        #expect(down(health)?.nextProbe == now + wait + .milliseconds(11_100))
    }

    @Test("a connection ends the outage, an answered transaction the row of failures")
    func connectionIsNoSuccess() {
        var health = UpstreamHealth(maximumConnections: 20)
        let first = health.failed("no", spread: 0.5, at: now)
        let ended = health.connected(at: now + first)
        #expect(ended && health.isUsable)
        let again = health.failed("no", stage: .mail, spread: 0.5, at: now + first)
        #expect(again == .seconds(2), "it refuses MAIL each time: probes must not come every second")
        #expect(down(health)?.since == now, "one outage, seen from outside")
        var at = now + first + again
        for wait in [4, 8, 16, 30, 30] {
            health.beganProbe(at: at)
            _ = health.connected(at: at)
            #expect(health.failed("no", stage: .mail, spread: 0.5, at: at) == .seconds(wait))
            at = at + .seconds(wait)
        }
        _ = health.connected(at: at)
        let ends = health.answered(at: at + .seconds(9))
        #expect(!ends)
        #expect(health.failed("no", spread: 0.5, at: at + .seconds(10)) == .milliseconds(1100))
        #expect(down(health)?.since == at + .seconds(10))
    }

    @Test("an answer ends an outage too")
    func answer() {
        var health = UpstreamHealth(maximumConnections: 20)
        _ = health.failed("no", spread: 0.5, at: now)
        let ends = health.answered(at: now)
        #expect(ends && health.isUsable)
        #expect(health.lastAnswer == now)
    }

    @Test("after an outage two connections are allowed, and one more with each answer")
    func ramp() {
        var health = UpstreamHealth(maximumConnections: 5)
        #expect(health.allowedConnections == 5)
        _ = health.failed("no", spread: 0.5, at: now)
        #expect(health.allowedConnections == 1)
        _ = health.connected(at: now)
        var allowed: [Int] = []
        for _ in 0..<5 {
            allowed.append(health.allowedConnections)
            _ = health.answered(at: now)
        }
        #expect(allowed == [2, 3, 4, 5, 5])
        #expect(!health.isRamping)
    }

    @Test("one that wants no more connections is left alone for a while, and asked again")
    func refusedMore() {
        var health = UpstreamHealth(maximumConnections: 20)
        health.refusedMore(than: 3, at: now)
        #expect(health.isUsable)
        #expect(health.allowedConnections == 3)
        #expect(health.mayOpen(at: now + .seconds(4)) == false)
        #expect(health.mayOpen(at: now + .seconds(5)) == true)
        #expect(health.holdOpeningUntil == nil, "it is no deadline any more")
        _ = health.answered(at: now + .seconds(6))
        #expect(health.allowedConnections == 4)
    }

    @Test("a person's probe comes at once and keeps the outage's beginning")
    func probeNow() {
        var health = UpstreamHealth(maximumConnections: 20)
        _ = health.failed("no", spread: 0.5, at: now)
        health.probeNow(at: now + .milliseconds(1))
        #expect(down(health)?.nextProbe == now + .milliseconds(1))
        #expect(down(health)?.since == now)
    }

    // MARK: Logins

    @Test("a refused login is a problem of its own and is tried once a minute")
    func login() {
        var health = UpstreamHealth(maximumConnections: 20)
        #expect(health.accessRefused("535 5.7.8 no", stage: .ehlo, at: now) == .minutes(1))
        #expect(health.problem(at: now) == .loginFailed(reply: "535 5.7.8 no"))
        var at = now
        for _ in 0..<5 {
            at = at + .minutes(1)
            #expect(down(health)?.nextProbe == at)
            health.beganProbe(at: at)
            #expect(health.accessRefused("535 5.7.8 still", stage: .ehlo, at: at + .milliseconds(50)) > .seconds(59))
        }
        health.beganProbe(at: at + .minutes(1))
        let ended = health.connected(at: at + .minutes(1))
        #expect(ended && health.problem(at: at) == nil, "the login succeeded")
    }

    @Test("a right to relay that is refused at MAIL stays a problem until a transaction is answered")
    func relayDenied() {
        var health = UpstreamHealth(maximumConnections: 20)
        _ = health.accessRefused("554 5.7.1 relay access denied", stage: .rcpt, at: now)
        let minute = now + .minutes(1)
        health.beganProbe(at: minute)
        _ = health.connected(at: minute)
        #expect(health.isUsable && health.allowedConnections == 1)
        #expect(health.problem(at: minute) == .loginFailed(reply: "554 5.7.1 relay access denied"))
        #expect(health.accessRefused("554 5.7.1 relay access denied", stage: .rcpt, at: minute) == .minutes(1))
        _ = health.connected(at: minute + .minutes(1))
        _ = health.answered(at: minute + .minutes(1))
        #expect(health.problem(at: minute + .minutes(1)) == nil)
    }

    @Test("one that can't be reached any more is probed as such, whatever it refused before")
    func deadAfterLogin() {
        var health = UpstreamHealth(maximumConnections: 20)
        _ = health.accessRefused("535 no", stage: .ehlo, at: now)
        health.beganProbe(at: now + .minutes(1))
        let at = now + .minutes(2)
        #expect(health.failed("connection refused", stage: .connect, spread: 0, at: at) <= .seconds(2))
        #expect(health.problem(at: at) == .unreachable)
    }

    // MARK: Averages

    @Test("failed connections and slow transactions cost share, ordinary ones nothing")
    func averages() {
        var health = UpstreamHealth(maximumConnections: 20)
        for _ in 0..<50 {
            _ = health.connected(connect: .milliseconds(20), greeting: .milliseconds(30), at: now)
            _ = health.answered(transaction: .milliseconds(140), at: now)
        }
        #expect(health.averages.connect == .milliseconds(20) && health.averages.greeting == .milliseconds(30))
        #expect(health.factor(at: now) == 1)
        _ = health.failed("no", stage: .connect, spread: 0, at: now)
        #expect(health.factor(at: now) == 0)
        _ = health.connected(at: now)
        _ = health.answered(transaction: .seconds(1), at: now)
        #expect(health.factor(at: now) == 1, "one outage is no habit")
        for _ in 0..<100 { _ = health.answered(transaction: .seconds(20), at: now) }
        #expect(abs(health.factor(at: now) - 0.25) < 0.01)
        for _ in 0..<100 { _ = health.answered(transaction: .seconds(1), at: now) }
        for _ in 0..<10 { health.refusedMore(than: 1, at: now) }
        let rate = health.averages.failureRate(at: now)
        #expect(rate > 0.7 && abs(health.factor(at: now) - (1 - rate)) < 1e-9)
        #expect(health.factor(at: now + .minutes(5)) == 1, "and is forgotten")
    }

    @Test("a certificate is near its end two weeks before")
    func certificate() {
        var health = UpstreamHealth(maximumConnections: 20)
        let wall = WallTime(milliseconds: 1_790_000_000_000)
        #expect(!health.isCertificateNearExpiry(at: wall))
        health.certificateExpiry = wall + .days(15)
        #expect(!health.isCertificateNearExpiry(at: wall))
        #expect(health.isCertificateNearExpiry(at: wall + .days(2)))
        #expect(health.isCertificateNearExpiry(at: wall + .days(100)))
    }
}
