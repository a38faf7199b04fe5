import Node
import Primitives
import Routing
import SMTP

extension Configuration {
    mutating func readDelivery(_ file: ConfigurationSection, _ directory: String) {
        let keys = [
            "retry", "lifetime", "nullSenderLifetime", "delayWarning", "uncertain", "bounces", "softBounce",
            "drainTimeout", "replyRules",
        ]
        guard let section = file.section("delivery", keys: keys) else { return }
        delivery.retry = retryWaits(section) ?? delivery.retry
        delivery.lifetime = section.duration("lifetime", in: Configuration.lifetimes) ?? delivery.lifetime
        delivery.nullSenderLifetime =
            section.duration("nullSenderLifetime", in: Configuration.lifetimes) ?? delivery.nullSenderLifetime
        readDelayWarning(section)
        delivery.uncertain = section.choice("uncertain", of: [.resend, .hold]) ?? delivery.uncertain
        delivery.drainTimeout =
            section.duration("drainTimeout", in: .seconds(1)...Duration.minutes(10)) ?? delivery.drainTimeout
        delivery.softBounce = section.boolean("softBounce") ?? delivery.softBounce
        if delivery.softBounce {
            section.warning("softBounce", "on: what upstreams refuse for good is tried again until it expires")
        }
        delivery.replyRulesFile = section.string("replyRules", "a file's path").map { resolve($0, directory) }
        readBounces(section)
    }

    mutating func readRouting(_ file: ConfigurationSection) {
        let keys = ["halfLife", "exponent", "exploration", "costPreference"]
        guard let section = file.section("routing", keys: keys) else { return }
        routing.halfLife = section.duration("halfLife", in: .minutes(1)...Duration.days(7)) ?? routing.halfLife
        routing.exponent = section.number("exponent", in: 0...10) ?? routing.exponent
        routing.exploration = section.number("exploration", in: 0...0.2) ?? routing.exploration
        routing.costPreference = section.number("costPreference", in: 0...10) ?? routing.costPreference
    }

    mutating func readSuppressions(_ file: ConfigurationSection) {
        guard let section = file.section("suppressions", keys: ["check", "hardBounces", "expiry"]) else { return }
        suppressions.check = section.choice("check", of: Suppressions.Check.allCases) ?? suppressions.check
        suppressions.hardBounces = section.boolean("hardBounces") ?? suppressions.hardBounces
        suppressions.expiry = section.duration("expiry", in: .hours(1)...Duration.days(3650)) ?? suppressions.expiry
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
