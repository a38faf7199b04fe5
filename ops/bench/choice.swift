import Glibc
import Primitives
import Routing
import SMTP

// What one decision of the router costs; `ops/bench/choice` builds and runs it.

func option(_ name: String, _ standard: Int) -> Int {
    let words = CommandLine.arguments
    guard let index = words.firstIndex(of: "--\(name)"), index + 1 < words.count else { return standard }
    return Int(words[index + 1]) ?? standard
}

let upstreamCount = option("upstreams", 50)
let destinations = option("destinations", 5000)
let decisions = option("decisions", 2_000_000)

let upstreams = (0..<upstreamCount).map { number in
    var upstream = Upstream(name: "u\(number)", addresses: [])
    upstream.weight = Double(1 + number % 7)
    if number.isMultiple(of: 5) {
        upstream.rates = [Rate(text: "100000/s"), Rate(text: "1000000000/d")].compactMap(\.self)
    }
    if number.isMultiple(of: 7) { upstream.price = Price(each: 0.0001) }
    return upstream
}
var router = Router(
    upstreams: upstreams, routes: [Route(upstreams: upstreams.map(\.name))], bounceUpstreams: [], me: "a")
let known = [
    "gmail.com", "outlook.com", "yahoo.com", "icloud.com", "gmx.de", "web.de", "t-online.de", "orange.fr", "mail.ru",
]
let domains = (0..<destinations).map { $0 < known.count ? known[$0] : "host\($0).example" }
var random = SeededRandom(seed: 7)
var instant = Instant(nanoseconds: 1_000_000_000_000)
router.limits.nodes(alive: ["a"], known: 1, at: instant)

// Every upstream has met every provider, and a few are refused there.
for domain in domains.prefix(200) {
    let provider = router.providers.provider(of: domain)
    for index in upstreams.indices {
        for step in 0..<20 {
            router.reputation.record(
                (index + step).isMultiple(of: 9) ? .refused : .good, upstream: index, provider: provider,
                reply: "421 4.7.28 no", fromFeedback: false, at: instant)
        }
    }
}

/// Of this process, so that a busy machine does not count.
func nanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

var counts = [Int](repeating: 0, count: upstreamCount)
var none = 0
@MainActor
func decide(_ count: Int) -> Double {
    let began = nanoseconds()
    for number in 0..<count {
        instant = instant + .microseconds(10)
        let provider = router.providers.provider(of: domains[number % destinations])
        switch router.choose(
            route: 0, provider: provider, excluding: 0, isNullSender: false, random: &random, at: instant)
        {
        case .upstream(let index), .probe(let index): counts[index] += 1
        default: none += 1
        }
    }
    return Double(nanoseconds() - began) / Double(count)
}

_ = decide(decisions / 10)
let rounds = (0..<5).map { _ in decide(decisions / 5) }.sorted()
func microseconds(_ time: Double) -> Double { (time / 10).rounded() / 100 }
print(
    "\(upstreamCount) upstreams, \(destinations) destinations: \(microseconds(rounds[2])) µs a decision",
    "(\(microseconds(rounds[0])) to \(microseconds(rounds[4])) in 5 rounds; goal 5)")
print("upstreams chosen: \(counts.count { $0 > 0 }), without one: \(none), pairs remembered: \(router.pairCount)")
