/// What came to a `baton sink`, for people and for programs.
struct SinkFigures {
    private(set) var arrived = 0
    private(set) var bytes = 0
    private(set) var recipients = 0
    /// Numbered messages of all runs, each once.
    private(set) var distinct = 0
    /// Arrivals of a number that had arrived before.
    private(set) var again = 0
    var connections = 0
    var mostSessions = 0
    /// Answers that the rules gave, such as `rcpt 450`.
    var replies: [String: Int] = [:]
    private var latencies = DrillLatencies()
    private var firstAt: Int64 = 0
    private var lastAt: Int64 = 0
    /// How often each number came, by run; the run that came last is at hand.
    private var seen: [[UInt8]: [UInt8]] = [:]
    private var run: [UInt8] = []
    private var counts: [UInt8] = []
    private static let numberLimit = 1 << 28

    mutating func record(_ content: SinkContent, recipients count: Int, at wall: Int64) {
        if arrived == 0 { firstAt = wall }
        lastAt = wall
        arrived += 1
        bytes += content.size
        recipients += count
        if content.sentAt > 0 { latencies.add(nanoseconds: max(0, wall - content.sentAt &* 1000)) }
        guard let dash = content.number.lastIndex(of: 0x2d) else { return }
        var number = 0
        for byte in content.number[(dash + 1)...] {
            guard byte >= 0x30, byte <= 0x39, number < SinkFigures.numberLimit else { return }
            number = number * 10 + Int(byte - 0x30)
        }
        guard number < SinkFigures.numberLimit else { return }
        if content.number[..<dash] != run[...] {
            seen[run] = counts
            run = Array(content.number[..<dash])
            counts = seen.removeValue(forKey: run) ?? []
        }
        if number >= counts.count {
            counts.append(contentsOf: repeatElement(0, count: max(number + 1, 2 * counts.count) - counts.count))
        }
        if counts[number] == 0 { distinct += 1 } else { again += 1 }
        if counts[number] < .max { counts[number] += 1 }
    }

    /// Seconds from the first arrival to the last.
    private var seconds: Double { Double(lastAt - firstAt) / 1e9 }

    var text: String {
        let rate = seconds > 0 ? Double(arrived) / seconds : 0
        let latency = latencies.quantiles([0.5, 0.99, 1])
        var lines = [
            "arrived  \(arrived) messages, \(recipients) recipients in \(drillDecimal(seconds)) s · "
                + "\(drillDecimal(rate, 0))/s · \(connections) connections, \(mostSessions) at most at a time",
            "numbered \(distinct) different · \(again) came again",
            "latency  p50 \(drillDecimal(latency[0])) ms · p99 \(drillDecimal(latency[1])) ms · "
                + "max \(drillDecimal(latency[2])) ms, from the first try of 'baton send' to here",
        ]
        if !replies.isEmpty {
            let told = replies.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
            lines.append("as told  " + told.joined(separator: ", "))
        }
        return lines.joined(separator: "\n")
    }

    var json: String {
        let latency = latencies.quantiles([0.5, 0.99, 1])
        let told = replies.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
        return """
            {"arrived": \(arrived), "recipients": \(recipients), "bytes": \(bytes), "distinct": \(distinct), \
            "again": \(again), "connections": \(connections), "mostSessions": \(mostSessions), \
            "firstAt": \(drillDecimal(Double(firstAt) / 1e9, 6)), "lastAt": \(drillDecimal(Double(lastAt) / 1e9, 6)), \
            "told": {\(told)}, "latencyMilliseconds": {"p50": \(drillDecimal(latency[0], 3)), \
            "p99": \(drillDecimal(latency[1], 3)), "max": \(drillDecimal(latency[2], 3))}}
            """
    }
}
