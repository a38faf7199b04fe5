import Node
import Primitives
import Routing
import SMTP

extension Configuration {
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
                    item.value, at: item.path,
                    keys: ["recipientDomain", "senderDomain", "sender", "upstreams", "fallback"],
                    reserved: ["user", "client", "header", "size", "priority"], file.report)
            else { continue }
            readRoute(section)
        }
        if let last = routes.last, !last.takesAll {
            file.warning(
                "routes",
                "no route takes all mail: recipients that match none wait until they expire; end with { upstreams: […] }"
            )
        }
        if let early = routes.dropLast().firstIndex(where: \.takesAll) {
            file.warning("routes", "routes[\(early)] takes all mail: the routes after it are never used")
        }
    }

    private mutating func readRoute(_ section: ConfigurationSection) {
        var route = Route(upstreams: names(section, "upstreams"))
        if section.value("upstreams") == nil { section.error("upstreams", "missing: expected names of upstreams") }
        if case .array(let items)? = section.value("upstreams")?.kind, items.isEmpty {
            section.error("upstreams", "expected at least one name of an upstream, got none")
        }
        route.fallback = names(section, "fallback")
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
        routes.append(route)
    }

    private func names(_ section: ConfigurationSection, _ key: String) -> [String] {
        let known = upstreams.map(\.name)
        var result: [String] = []
        for item in section.strings(key, "the name of an upstream") ?? [] {
            if known.contains(item.text) {
                result.append(item.text)
            } else {
                let hint =
                    nearest(item.text, of: known).map { "did you mean \"\($0)\"?" }
                    ?? "known: \(known.joined(separator: ", "))"
                section.report.error(item.path, item.value.place, "no upstream is named \"\(item.text)\"; \(hint)")
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

    mutating func readDelivery(_ file: ConfigurationSection) {
        let keys = [
            "retry", "lifetime", "nullSenderLifetime", "delayWarning", "uncertain", "bounces", "softBounce",
            "drainTimeout",
        ]
        guard let section = file.section("delivery", keys: keys) else { return }
        if let items = section.list("retry") {
            let range = Duration.seconds(1)...Duration.days(7)
            let waits = items.compactMap { section.duration($0.value, at: $0.path, in: range) }
            if items.isEmpty { section.error("retry", "expected at least one duration, got none") }
            if items.count > 64 { section.error("retry", "expected at most 64 durations, got \(items.count)") }
            if !waits.isEmpty { delivery.retry = waits }
        }
        let lives = Duration.seconds(10)...Duration.days(60)
        delivery.lifetime = section.duration("lifetime", in: lives) ?? delivery.lifetime
        delivery.nullSenderLifetime = section.duration("nullSenderLifetime", in: lives) ?? delivery.nullSenderLifetime
        readDelayWarning(section)
        delivery.uncertain = section.choice("uncertain", of: [.resend, .hold]) ?? delivery.uncertain
        delivery.drainTimeout =
            section.duration("drainTimeout", in: .seconds(1)...Duration.minutes(10)) ?? delivery.drainTimeout
        delivery.softBounce = section.boolean("softBounce") ?? delivery.softBounce
        if delivery.softBounce {
            section.warning("softBounce", "on: what upstreams refuse for good is tried again until it expires")
        }
        readBounces(section)
    }

    private mutating func readDelayWarning(_ section: ConfigurationSection) {
        guard let value = section.value("delayWarning") else { return }
        if case .string("off") = value.kind { return }
        guard case .string(let text) = value.kind, Duration(text: text) != nil else {
            section.error("delayWarning", "expected \"off\" or a duration such as \"4h\", got \(value.described)")
            return
        }
        delivery.delayWarning = section.duration("delayWarning", in: .seconds(10)...Duration.days(60))
    }

    private mutating func readBounces(_ section: ConfigurationSection) {
        guard let bounces = section.section("bounces", keys: ["send", "from", "upstreams"]) else { return }
        delivery.bounces.send = bounces.boolean("send") ?? true
        if let from = bounces.string("from") {
            if (try? Address(path: from.utf8)) != nil {
                delivery.bounces.from = from
            } else {
                bounces.error("from", "expected a mail address such as \"postmaster@example.net\", got \"\(from)\"")
            }
        }
        delivery.bounces.upstreams = names(bounces, "upstreams")
        for name in delivery.bounces.upstreams where upstreams.contains(where: { $0.name == name && !$0.nullSender }) {
            bounces.error("upstreams", "\"\(name)\" has nullSender: false, and bounces have the null sender")
        }
    }
}

extension Route {
    var takesAll: Bool { recipientDomains.isEmpty && senderDomains.isEmpty && senders.isEmpty }
}
