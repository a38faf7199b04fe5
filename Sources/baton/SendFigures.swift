/// What a run of `baton send` came to, for people and for programs.
struct SendFigures {
    var accepted = 0
    var acceptedBytes = 0
    /// Refused replies by code; with `--retry` the same message may be counted again.
    var refusals: [Int: Int] = [:]
    var interrupted = 0
    var unanswered = 0
    /// Messages that ended without a 250 and without a final dot sent.
    var unsent = 0
    var lostConnections = 0
    var lastLoss = ""
    /// Why a message was given up.
    var lastWord = ""
    var latencies = DrillLatencies()
    var startedAt: Int64 = 0
    var endedAt: Int64 = 0

    func text(_ options: SendOptions, seconds: Double) -> String {
        let rate = seconds > 0 ? Double(accepted) / seconds : 0
        let latency = latencies.quantiles([0.5, 0.99, 1])
        var lines = [
            "accepted \(accepted) with 250 in \(drillDecimal(seconds)) s · \(drillDecimal(rate, 0))/s · "
                + "\(options.sessions) sessions · run \(options.run)",
            "accept   p50 \(drillDecimal(latency[0])) ms · p99 \(drillDecimal(latency[1])) ms · "
                + "max \(drillDecimal(latency[2])) ms, from the final dot to its answer",
        ]
        if !refusals.isEmpty || interrupted > 0 || lostConnections > 0 {
            let codes = refusals.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }.joined(separator: ", ")
            lines.append(
                "refused  \(codes.isEmpty ? "0" : codes) · \(interrupted) cut off before the final dot · "
                    + "\(lostConnections) connections lost\(lastLoss.isEmpty ? "" : " (\(lastLoss))")")
        }
        if unanswered > 0 { lines.append("unanswered \(unanswered) final dots: these may or may not be accepted") }
        if unsent > 0 || !lastWord.isEmpty { lines.append("not sent \(unsent): \(lastWord)") }
        return lines.joined(separator: "\n")
    }

    func json(_ options: SendOptions, seconds: Double) -> String {
        let latency = latencies.quantiles([0.5, 0.99, 1])
        let codes = refusals.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
        return """
            {"run": "\(options.run)", "accepted": \(accepted), "acceptedBytes": \(acceptedBytes), \
            "seconds": \(drillDecimal(seconds, 6)), "sessions": \(options.sessions), "unanswered": \(unanswered), \
            "unsent": \(unsent), "interrupted": \(interrupted), "lostConnections": \(lostConnections), \
            "refusals": {\(codes)}, "startedAt": \(drillDecimal(Double(startedAt) / 1e9, 6)), \
            "endedAt": \(drillDecimal(Double(endedAt) / 1e9, 6)), "acceptMilliseconds": {"p50": \
            \(drillDecimal(latency[0], 3)), "p99": \(drillDecimal(latency[1], 3)), "max": \(drillDecimal(latency[2], 3))}}
            """
    }
}
