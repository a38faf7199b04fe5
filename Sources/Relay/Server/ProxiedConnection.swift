internal import EventLoop
internal import Primitives
internal import SMTP

/// What a connection from a balancer turned out to be.
enum ProxiedConnection {
    /// The client that the balancer names.
    case client(SocketAddress)
    /// It names none: a health check, or a client that it does not know either.
    case balancerItself
    /// It broke the rule.
    case refused(Reply)
    /// It left before it said anything, as balancers that only look whether a port is open do.
    case gone
}

extension Connection {
    /// Takes the PROXY header off the beginning of the input.
    func takeProxyHeader(deadline: Instant) async -> ProxiedConnection {
        var found = ProxyHeader.Outcome.incomplete
        do throws(ConnectionError) {
            while true {
                found = input.withUnreadBytes(ProxyHeader.parse)
                guard found == .incomplete else { break }
                guard try await readMore(deadline: deadline) else {
                    return input.isEmpty ? .gone : .refused(.badProxyHeader(.absent))
                }
            }
        } catch {
            guard error == .timedOut else { return .gone }
            return .refused(.badProxyHeader(.absent))
        }
        switch found {
        case .header(let header, let length):
            input.consume(length)
            return ProxiedConnection(header)
        case .malformed(let fault): return .refused(.badProxyHeader(fault))
        case .incomplete: return .gone
        }
    }
}

extension ProxiedConnection {
    fileprivate init(_ header: ProxyHeader) {
        switch header {
        case .client(.v4(let bits), let port): self = .client(.ip(.v4(bits), port: port))
        case .client(.v6(let high, let low), let port):
            self = .client(.ip(.v6(high: high, low: low, scope: 0), port: port))
        case .unknown, .local: self = .balancerItself
        }
    }
}

extension Reply {
    /// For the log, and for whoever looks why a balancer's clients get no greeting.
    fileprivate static func badProxyHeader(_ fault: ProxyHeader.Fault) -> Reply {
        Reply(421, 4, 3, 5, "From this address a PROXY header is expected: \(fault.rawValue)")
    }
}
