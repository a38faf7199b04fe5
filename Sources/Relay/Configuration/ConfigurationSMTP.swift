import EventLoop
import Primitives
import SMTP

extension Configuration {
    private static let smtpKeys = [
        "hostname", "postmaster", "listeners", "certificateFile", "privateKeyFile", "relayFrom", "maximumMessageSize",
        "maximumRecipients", "maximumConnections", "maximumConnectionsPerAddress", "maximumMessagesPerSession",
        "maximumSessionAge", "addMissingHeaders",
    ]

    mutating func readSMTP(_ file: ConfigurationSection, _ directory: String) {
        guard let section = file.section("smtp", keys: Configuration.smtpKeys, reserved: ["usersFile"]) else {
            if file.value("smtp") == nil {
                file.error("smtp", "missing: expected smtp: { hostname: …, listeners: […] }")
            }
            return
        }
        readNames(section)
        readListeners(section)
        smtp.certificateFile = section.string("certificateFile").map { resolve($0, directory) }
        smtp.privateKeyFile = section.string("privateKeyFile").map { resolve($0, directory) }
        checkCertificateKeys(section)
        readRelayFrom(section)
        readLimits(section)
    }

    private mutating func readNames(_ section: ConfigurationSection) {
        if let hostname = section.string("hostname") {
            if isDomainName(hostname) {
                smtp.hostname = hostname
            } else {
                section.error(
                    "hostname", "expected a full host name such as \"relay.example.net\", got \"\(hostname)\"")
            }
        } else if section.value("hostname") == nil {
            section.error(
                "hostname", "missing: expected the name that this relay greets with, such as \"relay.example.net\"")
        }
        if let postmaster = section.string("postmaster") {
            if let address = try? Address(path: postmaster.utf8), !address.domain.isEmpty {
                smtp.postmaster = postmaster
            } else {
                section.error(
                    "postmaster", "expected a mail address such as \"ops@example.net\", got \"\(postmaster)\"")
            }
        } else {
            smtp.postmaster = "postmaster@\(smtp.hostname)"
        }
    }

    private mutating func readListeners(_ section: ConfigurationSection) {
        guard let items = section.list("listeners") else {
            if section.value("listeners") == nil {
                section.error("listeners", "missing: expected listeners: [{ address: \"0.0.0.0:25\" }]")
            }
            return
        }
        if items.isEmpty { section.error("listeners", "expected at least one listener, got none") }
        if items.count > 32 { section.error("listeners", "expected at most 32 listeners, got \(items.count)") }
        for item in items.prefix(32) {
            guard
                let entry = ConfigurationSection(
                    item.value, at: item.path, keys: ["address", "tls", "proxyProtocol"], reserved: ["authentication"],
                    section.report)
            else { continue }
            readListener(entry)
        }
    }

    private mutating func readListener(_ entry: ConfigurationSection) {
        if entry.value("address") == nil {
            entry.error("address", "missing: expected an address and port such as \"0.0.0.0:25\"")
        }
        let tls = entry.choice("tls", of: Listener.TLSMode.allCases, later: ["implicit"]) ?? .off
        let balancers = readRanges(entry, "proxyProtocol", "a balancer's address or network such as \"10.0.0.9/32\"")
        if let open = balancers.first(where: { $0.prefixLength == 0 }) {
            entry.warning("proxyProtocol", "\(open) is everybody: any client may then claim to be any other")
        }
        guard let address = entry.hostPort("address") else { return }
        if address.port != 0, smtp.listeners.contains(where: { $0.address == address }) {
            entry.error("address", "\(address) is listed twice")
        }
        smtp.listeners.append(Listener(address: address, tls: tls, proxyProtocol: balancers))
    }

    private func readRanges(_ section: ConfigurationSection, _ key: String, _ expectation: String) -> [AddressRange] {
        (section.strings(key, expectation) ?? []).compactMap { item in
            if let range = AddressRange(item.text) { return range }
            section.report.error(item.path, item.value.place, "expected \(expectation), got \"\(item.text)\"")
            return nil
        }
    }

    private func checkCertificateKeys(_ section: ConfigurationSection) {
        switch (smtp.certificateFile, smtp.privateKeyFile) {
        case (.some, nil) where section.value("privateKeyFile") == nil:
            section.error("privateKeyFile", "missing: certificateFile needs its private key")
        case (nil, .some) where section.value("certificateFile") == nil:
            section.error("certificateFile", "missing: privateKeyFile needs its certificate")
        case (nil, nil) where smtp.listeners.contains(where: { $0.tls != .off }):
            section.error(
                "certificateFile",
                "missing: a listener with TLS needs certificateFile and privateKeyFile, or tls: \"off\"")
        default: break
        }
    }

    private mutating func readRelayFrom(_ section: ConfigurationSection) {
        smtp.relayFrom = readRanges(section, "relayFrom", "an address or a network such as \"10.0.0.0/8\"")
        for range in smtp.relayFrom where range.prefixLength == 0 {
            section.warning("relayFrom", "\(range) is everybody: an open relay is abused within hours")
        }
        let balancers = Set(smtp.listeners.flatMap(\.proxyProtocol))
        for balancer in balancers.sorted(by: { $0.description < $1.description }) {
            guard smtp.relayFrom.contains(where: { $0.overlaps(balancer) }) else { continue }
            section.warning(
                "relayFrom",
                "takes in the balancer \(balancer): a connection whose client it does not name (LOCAL, UNKNOWN) may then "
                    + "send mail anywhere")
        }
        if smtp.relayFrom.isEmpty, section.report.errors.isEmpty {
            section.warning(
                "relayFrom", "empty: every client is refused with 550 5.7.1; list the networks that may send")
        }
    }

    private mutating func readLimits(_ section: ConfigurationSection) {
        smtp.maximumMessageSize =
            section.size("maximumMessageSize", in: .kibibytes(64)...ByteCount.gibibytes(1)) ?? smtp.maximumMessageSize
        // RFC 5321 §4.5.3.1.8: at least 100 recipients.
        smtp.maximumRecipients = section.integer("maximumRecipients", in: 100...50_000) ?? smtp.maximumRecipients
        smtp.maximumConnections = section.integer("maximumConnections", in: 1...100_000) ?? smtp.maximumConnections
        smtp.maximumConnectionsPerAddress =
            section.integer("maximumConnectionsPerAddress", in: 1...100_000) ?? smtp.maximumConnectionsPerAddress
        smtp.maximumMessagesPerSession =
            section.integer("maximumMessagesPerSession", in: 1...10_000_000) ?? smtp.maximumMessagesPerSession
        smtp.maximumSessionAge =
            section.duration("maximumSessionAge", in: .seconds(10)...Duration.days(7)) ?? smtp.maximumSessionAge
        smtp.addMissingHeaders = section.boolean("addMissingHeaders") ?? smtp.addMissingHeaders
    }
}

extension AddressRange {
    /// Whether any address is in both: one of two blocks that meet holds the other whole.
    func overlaps(_ other: AddressRange) -> Bool { contains(other.base) || other.contains(base) }
}

/// Letters, digits and hyphens in labels of at most 63 (RFC 1123 §2.1); one label is enough for a test.
func isDomainName(_ text: String) -> Bool {
    guard !text.isEmpty, text.utf8.count <= 255 else { return false }
    return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
        !label.isEmpty && label.utf8.count <= 63 && label.first != "-" && label.last != "-"
            && label.utf8.allSatisfy { byte in
                (0x61...0x7a).contains(byte | 0x20) || (0x30...0x39).contains(byte) || byte == 0x2d
            }
    }
}
