import EventLoop
import Primitives
import Routing

extension Configuration {
    /// More would make the choice at each try slow, and no table of `baton status` readable.
    package static let maximumUpstreams = 64

    private static let upstreamKeys = [
        "name", "address", "tls", "implicitTls", "serverName", "caFile", "helo", "sourceAddresses", "weight",
        "maximumConnections", "maximumMessagesPerConnection", "idleTimeout", "pipelining", "maximumRecipients",
        "maximumMessageSize", "nullSender", "timeouts", "rate", "account", "price", "budget", "warmup", "perProvider",
        "feedback", "envelopeSender",
    ]

    mutating func readUpstreams(_ file: ConfigurationSection, _ directory: String) {
        guard let items = file.list("upstreams") else {
            if file.value("upstreams") == nil {
                file.error("upstreams", "missing: expected upstreams: [{ name: \"own\", address: [\"10.0.1.5:25\"] }]")
            }
            return
        }
        if items.isEmpty { file.error("upstreams", "expected at least one upstream, got none") }
        if items.count > Configuration.maximumUpstreams {
            file.error("upstreams", "expected at most \(Configuration.maximumUpstreams) upstreams, got \(items.count)")
        }
        for item in items.prefix(Configuration.maximumUpstreams) {
            guard
                let section = ConfigurationSection(
                    item.value, at: item.path, keys: Configuration.upstreamKeys,
                    reserved: ["user", "passwordFile"], file.report)
            else { continue }
            readUpstream(section, directory)
        }
    }

    private mutating func readUpstream(_ section: ConfigurationSection, _ directory: String) {
        var upstream = Upstream(name: readName(section), addresses: readAddresses(section))
        upstream.tls = section.choice("tls", of: Upstream.TLSMode.allCases) ?? upstream.tls
        upstream.implicitTLS = section.boolean("implicitTls") ?? false
        if upstream.implicitTLS, upstream.tls == .off {
            section.error("implicitTls", "contradicts tls: \"off\"; use tls: \"required\" or \"verify\"")
        }
        upstream.serverName = section.string("serverName")
        if let name = upstream.serverName, !isDomainName(name) {
            section.error("serverName", "expected a host name, got \"\(name)\"")
        }
        upstream.caFile = section.string("caFile").map { resolve($0, directory) }
        checkVerification(upstream, section)
        upstream.helo = section.string("helo")
        if let helo = upstream.helo, !isDomainName(helo) {
            section.error("helo", "expected a host name such as \"a.out.example.net\", got \"\(helo)\"")
        }
        for item in section.strings("sourceAddresses", "a local address such as \"10.0.1.9\"") ?? [] {
            if IPAddress(item.text) != nil {
                upstream.sourceAddresses.append(item.text)
            } else {
                section.report.error(
                    item.path, item.value.place, "expected a local address such as \"10.0.1.9\", got \"\(item.text)\"")
            }
        }
        readUpstreamLimits(section, into: &upstream)
        readLimits(section, into: &upstream)
        readTimeouts(section, into: &upstream)
        readFeedback(section, into: &upstream, directory)
        upstreams.append(upstream)
    }

    private func readName(_ section: ConfigurationSection) -> String {
        guard let name = section.string("name", "a short name such as \"own\"") else {
            if section.value("name") == nil { section.error("name", "missing: expected a short name such as \"own\"") }
            return ""
        }
        let allowed = name.utf8.allSatisfy {
            (0x61...0x7a).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f
        }
        if !allowed || name.utf8.count > 32 {
            section.error("name", "expected up to 32 letters, digits, dots, hyphens or underscores, got \"\(name)\"")
        } else if ["explain", "reset"].contains(name) {
            section.error("name", "\"\(name)\" is a command of baton upstreams; choose another")
        } else if upstreams.contains(where: { $0.name == name }) {
            section.error("name", "two upstreams are named \"\(name)\"; names are unique")
        }
        return name
    }

    private func readAddresses(_ section: ConfigurationSection) -> [String] {
        let expectation = "a host and port such as \"smtp.example.com:587\""
        guard let items = section.strings("address", expectation) else {
            if section.value("address") == nil {
                section.error("address", "missing: expected [\"smtp.example.com:25\"]")
            }
            return []
        }
        if items.isEmpty { section.error("address", "expected at least one \(expectation.dropFirst(2)), got none") }
        if items.count > 32 { section.error("address", "expected at most 32 addresses, got \(items.count)") }
        var result: [String] = []
        for item in items {
            if let parsed = HostPort(text: item.text), parsed.port > 0 {
                result.append(parsed.description)
            } else {
                section.report.error(item.path, item.value.place, "expected \(expectation), got \"\(item.text)\"")
            }
        }
        return result
    }

    private func checkVerification(_ upstream: Upstream, _ section: ConfigurationSection) {
        guard upstream.tls == .verify, upstream.serverName == nil else { return }
        if let numeric = upstream.addresses.first(where: { HostPort(text: $0)?.isNumeric == true }) {
            section.error(
                "serverName", "missing: tls \"verify\" with \(numeric) needs the name that its certificate bears")
        }
    }

    private func readUpstreamLimits(_ section: ConfigurationSection, into upstream: inout Upstream) {
        upstream.weight = section.number("weight", in: 0...1_000_000) ?? upstream.weight
        upstream.maximumConnections =
            section.integer("maximumConnections", in: 1...10_000) ?? upstream.maximumConnections
        upstream.maximumMessagesPerConnection =
            section.integer("maximumMessagesPerConnection", in: 1...1_000_000) ?? upstream.maximumMessagesPerConnection
        upstream.idleTimeout = section.duration("idleTimeout", in: .zero...Duration.hours(1)) ?? upstream.idleTimeout
        upstream.pipelining = section.boolean("pipelining") ?? upstream.pipelining
        upstream.maximumRecipients = section.integer("maximumRecipients", in: 1...50_000) ?? upstream.maximumRecipients
        upstream.maximumMessageSize = section.size("maximumMessageSize", in: .kibibytes(1)...ByteCount.gibibytes(1))
        upstream.nullSender = section.boolean("nullSender") ?? upstream.nullSender
    }

    private func readTimeouts(_ section: ConfigurationSection, into upstream: inout Upstream) {
        let keys = ["connect", "greeting", "command", "data", "finalDot"]
        guard let timeouts = section.section("timeouts", keys: keys) else { return }
        let range = Duration.milliseconds(100)...Duration.hours(1)
        upstream.timeouts.connect = timeouts.duration("connect", in: range) ?? upstream.timeouts.connect
        upstream.timeouts.greeting = timeouts.duration("greeting", in: range) ?? upstream.timeouts.greeting
        upstream.timeouts.command = timeouts.duration("command", in: range) ?? upstream.timeouts.command
        upstream.timeouts.data = timeouts.duration("data", in: range) ?? upstream.timeouts.data
        upstream.timeouts.finalDot = timeouts.duration("finalDot", in: range) ?? upstream.timeouts.finalDot
        if upstream.timeouts.finalDot < .minutes(1) {
            timeouts.warning(
                "finalDot",
                "short: a slow answer then counts as none, and the message may arrive twice (RFC 5321 says 10 minutes)")
        }
    }
}
