internal import Cluster
internal import FoundationEssentials
internal import Node
internal import Primitives
internal import SMTP

/// The suppression list: every node has all of it, so nobody else is asked.
extension AdminAPI {
    /// In one request; the records are written at once, all or none.
    static let maximumSuppressions = 10_000

    private func entries() async -> [Suppression] {
        await source.records(prefix: Suppression.prefix).compactMap { Suppression($0) }
    }

    func suppressions(_ request: AdminRequest) async throws(BadRequest) -> SuppressionsAnswer {
        var wanted = await entries()
        let now = await source.time()
        var after = ""
        for (name, value) in request.query {
            switch name {
            case "match":
                let part = value.lowercased()
                wanted.removeAll { !$0.address.lowercased().contains(part) }
            case "cause":
                let cause = try AdminAPI.cause(value)
                wanted.removeAll { $0.cause != cause }
            case "olderThan":
                guard let age = Duration(text: value) else {
                    throw BadRequest("olderThan: expected a duration such as 60d, got \(value)")
                }
                wanted.removeAll { now - $0.at < age }
            case "after": after = value.lowercased()
            case "limit", "scope": break
            default: throw BadRequest("unknown parameter \(name)")
            }
        }
        let matched = wanted.count
        var rest = wanted.map { (key: $0.address.lowercased(), entry: $0) }
        if !after.isEmpty { rest.removeAll { $0.key <= after } }
        rest.sort { $0.key < $1.key }
        let page = rest.prefix(limit(request, otherwise: 100))
        return SuppressionsAnswer(
            matched: matched, suppressions: page.map { SuppressionAnswer($0.entry) },
            next: page.count < rest.count ? page.last?.key : nil)
    }

    /// Whether mail to this address is suppressed, by itself or by its domain.
    func suppression(_ address: String) async throws(BadRequest) -> SuppressionAnswer {
        let lower = address.lowercased()
        let domain = lower.lastIndex(of: "@").map { String(lower[$0...]) } ?? lower
        let found = await entries().filter { [lower, domain].contains($0.address.lowercased()) }
        guard let entry = found.max(by: { $0.address.count < $1.address.count }) else {
            throw BadRequest("\(address) is not on the suppression list", status: 404)
        }
        return SuppressionAnswer(entry)
    }

    func addSuppressions(_ request: AdminRequest) async throws(BadRequest) -> SuppressionsChange {
        let asked = try AdminAPI.list(request)
        let now = await source.time()
        let end = try AdminAPI.end(asked.until, from: now)
        let known = Set(await entries().map { Suppression.key($0.address) })
        var change = SuppressionsChange(dryRun: asked.dryRun ?? false, added: 0, changed: 0, removed: 0, refused: [])
        var writes: [String: RecordWrite] = [:]
        for (index, entry) in asked.suppressions.enumerated() {
            do throws(BadRequest) {
                let write = try AdminAPI.suppression(entry, asked, until: end, now).write
                writes[write.key] = write
            } catch {
                change.refused.append(.init(index: index, address: entry.address, text: error.text))
            }
        }
        change.changed = writes.keys.count { known.contains($0) }
        change.added = writes.count - change.changed
        guard !change.dryRun, !writes.isEmpty else { return change }
        let sorted = writes.values.sorted { $0.key < $1.key }
        try AdminAPI.check(await source.write(sorted, by: asked.by ?? "admin"))
        return change
    }

    func removeSuppressions(_ request: AdminRequest) async throws(BadRequest) -> SuppressionsChange {
        let asked = try AdminAPI.list(request)
        let known = Set(await entries().map { Suppression.key($0.address) })
        var change = SuppressionsChange(dryRun: asked.dryRun ?? false, added: 0, changed: 0, removed: 0, refused: [])
        var keys: Set<String> = []
        for (index, entry) in asked.suppressions.enumerated() {
            let key = Suppression.key(entry.address)
            if known.contains(key) {
                keys.insert(key)
            } else {
                change.refused.append(.init(index: index, address: entry.address, text: "it is not on the list"))
            }
        }
        change.removed = keys.count
        guard !change.dryRun, !keys.isEmpty else { return change }
        let writes = keys.sorted().map { RecordWrite(key: $0, value: nil) }
        try AdminAPI.check(await source.write(writes, by: asked.by ?? "admin"))
        return change
    }

    private static func list(_ request: AdminRequest) throws(BadRequest) -> SuppressionsRequest {
        guard let asked = try? JSONDecoder().decode(SuppressionsRequest.self, from: Data(request.body)) else {
            throw BadRequest(
                "expected JSON such as {\"suppressions\": [{\"address\": \"ann@example.net\", \"reason\": \"unsubscribed\"}]}"
            )
        }
        guard asked.suppressions.count <= maximumSuppressions else {
            throw BadRequest("at most \(maximumSuppressions) addresses in one request", status: 413)
        }
        return asked
    }

    private static func suppression(
        _ entry: SuppressionsRequest.Entry, _ asked: SuppressionsRequest, until: WallTime?, _ now: WallTime
    ) throws(BadRequest) -> Suppression {
        let text = entry.address
        let address =
            text.hasPrefix("@")
            ? "@" + (try domain(String(text.dropFirst()), "address")) : try mailbox(text, "address")
        guard address.utf8.count <= Suppression.maximumAddress else {
            throw BadRequest("address: it is longer than \(Suppression.maximumAddress) bytes")
        }
        let own = try end(entry.until.flatMap { $0.isEmpty ? nil : $0 }, from: now)
        return Suppression(
            address: address, cause: try cause(entry.cause ?? "hand"), reason: entry.reason ?? asked.reason ?? "",
            by: asked.by ?? "admin", upstream: String((entry.upstream ?? "").prefix(100)),
            at: entry.at.flatMap { WallTime(rfc3339: $0) } ?? now, until: own ?? until)
    }

    private static func cause(_ text: String) throws(BadRequest) -> Suppression.Cause {
        guard let cause = Suppression.Cause(rawValue: text) else {
            let names = Suppression.Cause.allCases.map(\.rawValue).joined(separator: ", ")
            throw BadRequest("cause: expected one of \(names), got \(text)")
        }
        return cause
    }
}
