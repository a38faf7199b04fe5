internal import CCurl
internal import EventLoop
internal import Primitives
internal import Relay
internal import Synchronization

/// What is asked of somebody else's web server: the certificates that sign SNS messages, and confirmations. A few, and rarely.
struct WebFetch: Sendable {
    struct Failure: Error, Sendable { var text: String }

    /// The body of a 200; the URL was looked at before.
    var get: @Sendable (_ url: String) async throws(Failure) -> [UInt8]

    /// By libcurl, on a thread that may block.
    static func curl(on thread: WorkThread) -> WebFetch {
        WebFetch { url throws(Failure) in
            switch await thread.run({ WebFetch.blocking(url) }) {
            case .success(let body): return body
            case .failure(let failure): throw failure
            }
        }
    }

    private static let limit = 64 << 10
    private static let timeout = 10_000

    private static func blocking(_ url: String) -> Result<[UInt8], Failure> {
        var body = [UInt8](repeating: 0, count: limit)
        var size = body.count
        var error = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
        let status = baton_fetch(url, timeout, &body, &size, &error)
        guard status != 0 else {
            let words = String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return .failure(Failure(text: "\(url): \(words)"))
        }
        guard status == 200 else { return .failure(Failure(text: "\(url): answered \(status)")) }
        return .success(Array(body.prefix(size)))
    }
}

/// Certificates by their URL, asked for once in a day; one that fails is not asked for again for a minute, so that forged
/// messages cause no flood of requests.
final class CertificateCache: Sendable {
    private struct Entry: Sendable {
        var pem: [UInt8]?
        var at: Instant
    }

    static let limit = 16
    private static let age = Duration.hours(24)
    private static let patience = Duration.minutes(1)

    private let fetch: WebFetch
    private let entries = Mutex<[String: Entry]>([:])

    init(_ fetch: WebFetch) { self.fetch = fetch }

    func certificate(at url: String) async throws(WebFetch.Failure) -> [UInt8] {
        let now = Clock.instant()
        let known = entries.withLock { entries -> Entry? in
            guard let entry = entries[url] else { return nil }
            return now - entry.at < (entry.pem == nil ? CertificateCache.patience : CertificateCache.age) ? entry : nil
        }
        if let known {
            if let pem = known.pem { return pem }
            throw WebFetch.Failure(text: "\(url): failed a moment ago")
        }
        let hasRoom = entries.withLock { entries in
            entries = entries.filter { now - $0.value.at < CertificateCache.age }
            if entries.count >= CertificateCache.limit { entries = entries.filter { $0.value.pem != nil } }
            guard entries.count < CertificateCache.limit else { return false }
            // Whoever comes meanwhile waits for the next time rather than asks too.
            entries[url] = Entry(pem: nil, at: now)
            return true
        }
        guard hasRoom else { throw WebFetch.Failure(text: "\(url): too many certificates") }
        let pem = try await fetch.get(url)
        entries.withLock { $0[url] = Entry(pem: pem, at: now) }
        return pem
    }
}
