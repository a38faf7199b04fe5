internal import Node
internal import Primitives

extension AdminAPI {
    /// One life across nodes: each tells what its disk holds of it, and what several tell is one event.
    func trace(_ prefix: String, _ request: AdminRequest) async throws(BadRequest) -> TraceAnswer {
        // A finished message is in no listing: only its whole id finds it.
        let whole = ULID(text: prefix)
        var message: MessageAnswer?
        do throws(BadRequest) {
            message = try await find(prefix, request)
        } catch {
            guard whole != nil, error.status == 404 else { throw error }
        }
        guard let id = whole ?? message.flatMap({ ULID(text: $0.id) }) else {
            throw BadRequest("\(prefix) is not a message id")
        }
        let me = await source.facts().name
        var traces: [TraceAnswer] = []
        if var own = await source.trace(MessageID(id)) {
            own.knownBy = [me]
            traces.append(own)
        }
        var silent: [String] = []
        if !isLocal(request) {
            let question = AdminRequest(method: "GET", path: "/api/v1/trace/\(id)")
            var peers = await askPeers(question, patience: PeerPatience.listing)
            traces += peers.decoded(as: TraceAnswer.self).map(\.answer)
            silent = peers.silent
        }
        guard var all = TraceAnswer.merged(traces) else {
            throw BadRequest(
                "nothing is known of \(prefix): not in the queue, and no longer in the history"
                    + AdminAPI.missing(silent), status: 404)
        }
        all.message = message
        all.silent = silent
        return all
    }
}

extension TraceAnswer {
    /// Copies of a journal hold the same frames: the same event from two nodes is one. A copy that lags knows less.
    static func merged(_ traces: [TraceAnswer]) -> TraceAnswer? {
        // One that knows only what was said after the 250 knows nothing of the message itself.
        guard
            var all = traces.max(by: {
                ($0.recipients.isEmpty ? 0 : 1, $0.events.count) < ($1.recipients.isEmpty ? 0 : 1, $1.events.count)
            })
        else { return nil }
        // Each is written down by one node.
        let feedback = traces.compactMap(\.feedback)
        all.feedback = feedback.isEmpty ? nil : feedback.reduce(into: TraceAnswer.Feedback()) { $0.add($1) }
        var seen = Set(all.events)
        for trace in traces {
            all.delivered = max(all.delivered, trace.delivered)
            all.finished = all.finished || trace.finished
            all.takeovers = max(all.takeovers, trace.takeovers)
            all.uncertain = all.uncertain || trace.uncertain
            all.events += trace.events.filter { seen.insert($0).inserted }
        }
        // Stable: what one journal tells of one instant stays in its order.
        all.events = all.events.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }
            .map(\.element)
        all.knownBy = Set(traces.flatMap(\.knownBy)).sorted()
        return all
    }
}

extension TraceAnswer.Feedback {
    mutating func add(_ other: TraceAnswer.Feedback) {
        delivered += other.delivered
        deferred += other.deferred
        bounced += other.bounced
        complained += other.complained
    }
}
