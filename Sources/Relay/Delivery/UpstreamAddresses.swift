internal import EventLoop
internal import Primitives
internal import Routing

/// Where an upstream's names lead: looked up off the loop, again after a minute; the last good answer stands while the name
/// service fails (architecture.md, 'Threads'). Confined to its loop.
final class UpstreamAddresses {
    private static let lifetime = Duration.seconds(60)

    struct Target {
        let address: SocketAddress
        let host: String
        /// `host[address]:port`
        let remote: String
    }

    private struct Answer {
        var addresses: [SocketAddress]
        var at: Instant
    }

    private let upstream: Upstream
    private let resolver: Resolver
    private var answers: [String: Answer] = [:]
    private var turn = 0
    private var sources: [SocketAddress]
    private var nextSource = 0

    init(_ upstream: Upstream, _ resolver: Resolver) {
        self.upstream = upstream
        self.resolver = resolver
        sources = upstream.sourceAddresses.compactMap { IPAddress($0).map { .ip($0, port: 0) } }
    }

    /// The configured addresses in order, those of one name in rotation.
    func targets() async -> Result<[Target], ResolveError> {
        var targets: [Target] = []
        var failure: ResolveError?
        turn += 1
        for text in upstream.addresses {
            if let address = SocketAddress(text), address.port != nil {
                targets.append(UpstreamAddresses.target(address, host: address.host))
                continue
            }
            guard let (host, port) = SocketAddress.splitHostPort(text) else { continue }
            do throws(ResolveError) {
                let found = try await addresses(of: host, port: port)
                for index in found.indices {
                    targets.append(UpstreamAddresses.target(found[(index + turn) % found.count], host: host))
                }
            } catch {
                failure = error
            }
        }
        if targets.isEmpty {
            return .failure(failure ?? .failed(host: upstream.name, reason: "it has no usable address"))
        }
        return .success(targets)
    }

    private func addresses(of host: String, port: UInt16) async throws(ResolveError) -> [SocketAddress] {
        let key = "\(host):\(port)"
        if let answer = answers[key], Clock.instant() - answer.at < UpstreamAddresses.lifetime {
            return answer.addresses
        }
        do throws(ResolveError) {
            let found = try await resolver.resolve(host: host, port: port)
            answers[key] = Answer(addresses: found, at: Clock.instant())
            return found
        } catch {
            guard let old = answers[key] else { throw error }
            answers[key]?.at = Clock.instant()
            return old.addresses
        }
    }

    /// The local address for the next connection to this one; nil lets the system choose.
    func source(for target: SocketAddress) -> SocketAddress? {
        for _ in sources.indices {
            nextSource = (nextSource + 1) % sources.count
            if sources[nextSource].isSameFamily(as: target) { return sources[nextSource] }
        }
        return nil
    }

    private static func target(_ address: SocketAddress, host: String) -> Target {
        let port = address.port.map { ":\($0)" } ?? ""
        return Target(address: address, host: host, remote: "\(host)[\(address.host)]\(port)")
    }
}

extension SocketAddress {
    fileprivate func isSameFamily(as other: SocketAddress) -> Bool {
        switch (address, other.address) {
        case (.v4, .v4), (.v6, .v6): true
        default: false
        }
    }
}
