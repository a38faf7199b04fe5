import Primitives
import Routing
import SMTP

extension Configuration {
    private static let routeKeys = [
        "recipientDomain", "senderDomain", "sender", "user", "client", "header", "size", "priority", "upstreams",
        "fallback", "retry", "lifetime",
    ]
    /// More fallback tiers than anyone can reason about.
    private static let maximumTiers = 8
    /// Each costs a look at every message's fields.
    private static let maximumHeaderFields = 16

    mutating func readRoutes(_ file: ConfigurationSection) {
        guard let items = file.list("routes") else {
            // Without routes every upstream takes all mail.
            if file.value("routes") == nil { routes = [Route(upstreams: upstreams.map(\.name))] }
            return
        }
        if items.isEmpty {
            file.error("routes", "expected at least one route, got none; leave the key out for all upstreams")
        }
        for item in items {
            guard
                let section = ConfigurationSection(
                    item.value, at: item.path, keys: Configuration.routeKeys, file.report)
            else { continue }
            readRoute(section)
        }
        checkRoutes(file)
    }

    private func checkRoutes(_ file: ConfigurationSection) {
        if let last = routes.last, !last.takesAll {
            file.warning(
                "routes", "no route takes all mail: what matches none takes any upstream; end with { upstreams: […] }")
        }
        if let early = routes.dropLast().firstIndex(where: \.takesAll) {
            file.warning("routes", "routes[\(early)] takes all mail: the routes after it are never used")
        }
        let marked = routes.count(where: \.asksOfMessage)
        if marked > Router.maximumMarkedRoutes {
            file.error(
                "routes",
                "expected at most \(Router.maximumMarkedRoutes) routes with user, client, header, size or priority, got \(marked)"
            )
        }
        let fields = Route.headerFields(of: routes)
        if fields.count > Configuration.maximumHeaderFields {
            file.error(
                "routes",
                "expected at most \(Configuration.maximumHeaderFields) header fields in all routes (priority looks at 3), got \(fields.count)"
            )
        }
    }

    private mutating func readRoute(_ section: ConfigurationSection) {
        var route = Route(upstreams: names(section, "upstreams"))
        if section.value("upstreams") == nil { section.error("upstreams", "missing: expected names of upstreams") }
        if case .array(let items)? = section.value("upstreams")?.kind, items.isEmpty {
            section.error("upstreams", "expected at least one name of an upstream, got none")
        }
        route.fallback = readTiers(section, after: route.upstreams)
        route.recipientDomains = domains(section, "recipientDomain")
        route.senderDomains = domains(section, "senderDomain")
        for item in section.strings("sender", "a mail address or \"<>\"") ?? [] {
            if item.text == "<>" || (try? Address(path: item.text.utf8)) != nil {
                route.senders.append(item.text.lowercased())
            } else {
                section.report.error(
                    item.path, item.value.place,
                    "expected a mail address, or \"<>\" for the null sender, got \"\(item.text)\"")
            }
        }
        readMessageKeys(section, into: &route)
        route.retry = retryWaits(section)
        route.lifetime = section.duration("lifetime", in: Configuration.lifetimes)
        routes.append(route)
    }

    /// A list of names is one tier; a list of lists is several, tried in order.
    private func readTiers(_ section: ConfigurationSection, after primary: [String]) -> [[String]] {
        var tiers: [[String]] = []
        if case .array(let items)? = section.value("fallback")?.kind, items.contains(where: \.isList) {
            for item in section.list("fallback") ?? [] {
                if item.value.isList {
                    let given = section.strings(in: item.value, at: item.path, Configuration.nameExpectation) ?? []
                    if given.isEmpty {
                        section.report.error(item.path, item.value.place, "expected at least one name of an upstream")
                    }
                    tiers.append(names(given, section.report))
                } else {
                    section.report.error(
                        item.path, item.value.place,
                        "expected a list of names, as the others here, got \(item.value.described)")
                }
            }
        } else {
            tiers = [names(section, "fallback")]
        }
        tiers.removeAll(where: \.isEmpty)
        if tiers.count > Configuration.maximumTiers {
            section.error("fallback", "expected at most \(Configuration.maximumTiers) tiers, got \(tiers.count)")
        }
        var seen = Set(primary)
        for name in tiers.joined() where !seen.insert(name).inserted {
            section.warning("fallback", "\"\(name)\" stands in the route twice: the first place counts")
        }
        return tiers
    }

    private func readMessageKeys(_ section: ConfigurationSection, into route: inout Route) {
        route.users = (section.strings("user", "a user's name such as \"shop\" or \"news-*\"") ?? []).map {
            Glob($0.text)
        }
        if !route.users.isEmpty {
            section.warning("user", "no client can log in in this version: the route never matches")
        }
        for item in section.strings("client", "an address or range such as \"10.0.3.0/24\"") ?? [] {
            if let range = ClientRange(item.text) {
                route.clients.append(range)
            } else {
                section.report.error(
                    item.path, item.value.place,
                    "expected an address or range such as \"10.0.3.0/24\", got \"\(item.text)\"")
            }
        }
        route.headers = readHeaders(section)
        if let size = section.section("size", keys: ["over", "upTo"]) {
            let range = ByteCount(bytes: 1)...ByteCount.gibibytes(1)
            route.sizeOver = size.size("over", in: range)
            route.sizeUpTo = size.size("upTo", in: range)
            if size.value("over") == nil, size.value("upTo") == nil {
                section.error("size", "expected { over: \"5MiB\" }, { upTo: \"5MiB\" } or both")
            }
            if let over = route.sizeOver, let upTo = route.sizeUpTo, over >= upTo {
                section.error("size", "no message is over \(over) and at most \(upTo)")
            }
        }
        for item in section.strings("priority", "\"low\", \"normal\" or \"high\"") ?? [] {
            if let priority = Route.Priority(rawValue: item.text) {
                route.priorities.append(priority)
            } else {
                section.report.error(
                    item.path, item.value.place, "expected \"low\", \"normal\" or \"high\", got \"\(item.text)\"")
            }
        }
    }

    private func readHeaders(_ section: ConfigurationSection) -> [Route.Header] {
        guard let value = section.value("header") else { return [] }
        guard let header = ConfigurationSection(anyKeysOf: value, at: section.path("header"), section.report) else {
            return []
        }
        var headers: [Route.Header] = []
        if header.keys.isEmpty {
            section.error("header", "expected a field and a pattern, { \"X-Campaign\": \"news*\" }")
        }
        for name in header.keys {
            let isName = !name.isEmpty && name.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x3a }
            if !isName || name.utf8.count > 64 {
                header.error(name, "expected the name of a header field such as \"X-Campaign\" (up to 64 characters)")
                continue
            }
            let patterns = (header.strings(name, "a pattern such as \"news*\"") ?? []).map { Glob($0.text) }
            if !patterns.isEmpty { headers.append(Route.Header(name: name, patterns: patterns)) }
        }
        return headers
    }

    // MARK: Shared

    static let lifetimes = Duration.seconds(10)...Duration.days(60)

    /// The waits between tries; nil when the key is missing or wrong.
    func retryWaits(_ section: ConfigurationSection) -> [Duration]? {
        guard let items = section.list("retry") else { return nil }
        let range = Duration.seconds(1)...Duration.days(7)
        let waits = items.compactMap { section.duration($0.value, at: $0.path, in: range) }
        if items.isEmpty { section.error("retry", "expected at least one duration, got none") }
        if items.count > 64 { section.error("retry", "expected at most 64 durations, got \(items.count)") }
        return waits.isEmpty ? nil : waits
    }

    static let nameExpectation = "the name of an upstream"

    /// Names of upstreams that there are.
    func names(_ section: ConfigurationSection, _ key: String) -> [String] {
        names(section.strings(key, Configuration.nameExpectation) ?? [], section.report)
    }

    private func names(
        _ items: [(text: String, value: JSON5, path: String)], _ report: ConfigurationReport
    ) -> [String] {
        let known = upstreams.map(\.name)
        var result: [String] = []
        for item in items {
            if known.contains(item.text) {
                result.append(item.text)
            } else {
                let hint =
                    nearest(item.text, of: known).map { "did you mean \"\($0)\"?" }
                    ?? "known: \(known.joined(separator: ", "))"
                report.error(item.path, item.value.place, "no upstream is named \"\(item.text)\"; \(hint)")
            }
        }
        return result
    }

    private func domains(_ section: ConfigurationSection, _ key: String) -> [String] {
        let expectation = "a domain such as \"example.com\" or \"*.example.com\""
        var result: [String] = []
        for item in section.strings(key, expectation) ?? [] {
            let plain = item.text.hasPrefix("*.") ? String(item.text.dropFirst(2)) : item.text
            if isDomainName(plain) {
                result.append(item.text.lowercased())
            } else {
                section.report.error(item.path, item.value.place, "expected \(expectation), got \"\(item.text)\"")
            }
        }
        return result
    }
}
