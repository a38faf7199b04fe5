/// A mailbox provider, numbered by the `Providers` that made it: numbers are this process's own, names are for all.
package struct ProviderID: Hashable, Comparable, Sendable {
    package var number: UInt16

    package init(number: UInt16) { self.number = number }

    /// The long tail, together.
    package static let other = ProviderID(number: 0)

    package static func < (one: ProviderID, another: ProviderID) -> Bool { one.number < another.number }
}

/// The names and numbers of mailbox providers, and which recipient domains they host: those of providers.tsv, and those
/// whose MX host was seen to be a provider's.
package struct Providers: Sendable {
    /// Providers at most, `other` included.
    package static let maximumProviders = 512
    /// Domains learnt from their MX hosts at most; beyond that, one that was not asked for lately makes room.
    package static let maximumLearntDomains = 100_000
    /// Bytes of a name at most.
    static let maximumName = 64

    private var names = ["other"]
    private var ids: [String: ProviderID] = ["other": .other]
    private let table: ProviderTable

    private struct Learnt {
        var domain: String
        var id: ProviderID
        /// Asked for since the hand passed.
        var isInUse: Bool
    }

    private var learnt: [Learnt] = []
    private var places: [String: Int] = [:]
    /// Where room is looked for next, round and round.
    private var hand = 0

    package init() {
        let text = String(decoding: PackageResources.providers_tsv, as: UTF8.self)
        var table = ProviderTable()
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let fields = line.split(separator: "\t").map(String.init)
            // The file is part of the program, and a test reads it.
            precondition(fields.count == 3, "providers.tsv: \(line)")
            let id = Self.id(named: fields[2], names: &names, ids: &ids)
            table.add(fields[1], id, isMailHost: fields[0] == "mx")
        }
        self.table = table
    }

    /// The provider of a recipient's domain, in lower case.
    package mutating func provider(of domain: String) -> ProviderID {
        if let id = table.provider(ofDomain: domain) { return id }
        guard let place = places[domain] else { return .other }
        learnt[place].isInUse = true
        return learnt[place].id
    }

    /// A domain's MX host is known. The table's own domains stay as they are.
    package mutating func learn(domain: String, mxHost: String) {
        let host = mxHost.lowercased()
        let id = table.provider(ofMailHost: host.hasSuffix(".") ? String(host.dropLast()) : host) ?? .other
        if let place = places[domain] {
            learnt[place].id = id
            return
        }
        guard id != .other, domain.utf8.count <= 255 else { return }
        guard learnt.count >= Self.maximumLearntDomains else {
            places[domain] = learnt.count
            learnt.append(Learnt(domain: domain, id: id, isInUse: false))
            return
        }
        // Ends after one round at the latest: the hand clears what it passes.
        while learnt[hand].isInUse {
            learnt[hand].isInUse = false
            hand = (hand + 1) % learnt.count
        }
        places[learnt[hand].domain] = nil
        places[domain] = hand
        learnt[hand] = Learnt(domain: domain, id: id, isInUse: false)
        hand = (hand + 1) % learnt.count
    }

    /// How many domains are known by their MX host.
    package var learntDomains: Int { learnt.count }

    /// `google`, …, `other`.
    package func name(_ id: ProviderID) -> String {
        Int(id.number) < names.count ? names[Int(id.number)] : names[0]
    }

    /// For what other nodes and the configuration tell by name; `other` when there are too many names.
    package mutating func id(named name: String) -> ProviderID { Self.id(named: name, names: &names, ids: &ids) }

    private static func id(named name: String, names: inout [String], ids: inout [String: ProviderID]) -> ProviderID {
        if let known = ids[name] { return known }
        guard names.count < maximumProviders, !name.isEmpty, name.utf8.count <= maximumName else { return .other }
        let id = ProviderID(number: UInt16(names.count))
        names.append(name)
        ids[name] = id
        return id
    }
}

/// What providers.tsv says of domains and of MX hosts.
private struct ProviderTable: Sendable {
    private struct Patterns: Sendable {
        var exact: [String: ProviderID] = [:]
        /// `*.google.com`, as `google.com`.
        var suffixes: [String: ProviderID] = [:]
        /// `inbound-smtp.*.amazonaws.com`: what it begins and ends with.
        var inner: [(prefix: String, suffix: String, id: ProviderID)] = []

        func provider(of name: String) -> ProviderID? {
            if let id = exact[name] { return id }
            if !suffixes.isEmpty {
                var rest = name.utf8[...]
                while let dot = rest.firstIndex(of: 0x2e) {
                    rest = rest[rest.index(after: dot)...]
                    if let id = suffixes[String(Substring(rest))] { return id }
                }
            }
            return inner.first { name.hasPrefix($0.prefix) && name.hasSuffix($0.suffix) }?.id
        }
    }

    private var domains = Patterns()
    private var mailHosts = Patterns()

    func provider(ofDomain domain: String) -> ProviderID? { domains.provider(of: domain) }
    func provider(ofMailHost host: String) -> ProviderID? { mailHosts.provider(of: host) }

    mutating func add(_ pattern: String, _ id: ProviderID, isMailHost: Bool) {
        var patterns = isMailHost ? mailHosts : domains
        if pattern.hasPrefix("*.") {
            patterns.suffixes[String(pattern.dropFirst(2))] = id
        } else if let star = pattern.firstIndex(of: "*") {
            let suffix = String(pattern[pattern.index(after: star)...])
            patterns.inner.append((String(pattern[..<star]), suffix, id))
        } else {
            patterns.exact[pattern] = id
        }
        if isMailHost { mailHosts = patterns } else { domains = patterns }
    }
}
