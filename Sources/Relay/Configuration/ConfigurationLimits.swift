import Primitives
import Routing

/// What an upstream may take and what it costs: rates, accounts, prices, budgets, warm-up plans, limits at one provider.
extension Configuration {
    private static let rateExpectation = "a rate such as \"50/s\", \"10000/h\" or \"50 messages/s\""
    private static let maximumRates = 8
    private static let maximumProviders = 64
    private static let maximumRate = 1e12

    func readLimits(_ section: ConfigurationSection, into upstream: inout Upstream) {
        upstream.rates = rates(section)
        upstream.account = section.string("account", "a short name such as \"aws-1\"")
        if let account = upstream.account, account.utf8.count > 64 || account.contains("/") {
            section.error("account", "expected up to 64 characters and no slash, got \"\(account)\"")
        }
        readCost(section, into: &upstream)
        upstream.warmup = readWarmUp(section)
        readProviders(section, into: &upstream)
    }

    private func rates(_ section: ConfigurationSection) -> [Rate] {
        var result: [Rate] = []
        for item in section.strings("rate", Configuration.rateExpectation) ?? [] {
            guard let rate = rate(item, section) else { continue }
            if result.contains(where: { $0.period == rate.period && $0.counted == rate.counted }) {
                section.report.error(
                    item.path, item.value.place, "\"\(item.text)\" is a second rate of the same period; give one")
            }
            result.append(rate)
        }
        if result.count > Configuration.maximumRates {
            section.error("rate", "expected at most \(Configuration.maximumRates) rates, got \(result.count)")
        }
        return result
    }

    private func rate(_ item: (text: String, value: JSON5, path: String), _ section: ConfigurationSection) -> Rate? {
        guard let rate = Rate(text: item.text), rate.count <= Configuration.maximumRate else {
            section.report.error(
                item.path, item.value.place,
                "expected \(Configuration.rateExpectation) (per s, m, h or d), got \"\(item.text)\"")
            return nil
        }
        return rate
    }

    private func readCost(_ section: ConfigurationSection, into upstream: inout Upstream) {
        if let text = section.string("price", "a price such as \"0.10/1000\"") {
            do throws(PriceError) {
                upstream.price = try Price(text: text)
            } catch {
                section.error("price", error.description)
            }
        }
        guard let budget = section.section("budget", keys: ["day", "month"]) else { return }
        let range = 0.000001...1e12
        upstream.budgetPerDay = budget.number("day", in: range)
        upstream.budgetPerMonth = budget.number("month", in: range)
        if section.value("price") == nil {
            section.error("budget", "nothing counts against it without a price, such as price: \"0.10/1000\"")
        } else if budget.value("day") == nil, budget.value("month") == nil {
            section.error("budget", "expected { day: 5 }, { month: 100 } or both, in the price's currency")
        }
        if let day = upstream.budgetPerDay, let month = upstream.budgetPerMonth, day > month {
            budget.warning("day", "more than the month's: the month's is the limit")
        }
    }

    private func readWarmUp(_ section: ConfigurationSection) -> WarmUp? {
        guard let plan = section.section("warmup", keys: ["from", "to", "over", "since"]) else { return nil }
        let example = "warmup: { from: \"200/d\", to: \"100000/d\", over: \"30d\" }"
        for key in ["from", "to", "over"] where plan.value(key) == nil {
            plan.error(key, "missing: expected \(example)")
        }
        func daily(_ key: String) -> Rate? {
            guard let text = plan.string(key, "a day's rate such as \"200/d\"") else { return nil }
            guard let rate = Rate(text: text), rate.period == .days(1), rate.count >= 1 else {
                plan.error(key, "expected a day's rate such as \"200/d\", got \"\(text)\"")
                return nil
            }
            return rate
        }
        let (from, to) = (daily("from"), daily("to"))
        let over = plan.duration("over", in: .days(1)...Duration.days(365))
        let since = plan.string("since", "a day such as \"2026-12-01\"").flatMap { text in
            let day = WallTime(day: text)
            if day == nil { plan.error("since", "expected a day such as \"2026-12-01\", got \"\(text)\"") }
            return day
        }
        guard let from, let to, let over else { return nil }
        if from.counted != to.counted { plan.error("to", "counts other things than from: both recipients or messages") }
        if from.count > to.count { plan.error("to", "is less than from: a warm-up grows") }
        return WarmUp(from: from, to: to, over: over, since: since)
    }

    private func readProviders(_ section: ConfigurationSection, into upstream: inout Upstream) {
        guard let value = section.value("perProvider"),
            let providers = ConfigurationSection(anyKeysOf: value, at: section.path("perProvider"), section.report)
        else { return }
        if providers.keys.count > Configuration.maximumProviders {
            section.error(
                "perProvider",
                "expected at most \(Configuration.maximumProviders) providers, got \(providers.keys.count)")
        }
        for name in providers.keys {
            let isName = name.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f
            }
            if name != "*", !isName || name.isEmpty || name.utf8.count > 64 {
                providers.error(
                    name, "expected a provider's name such as \"google\", or \"*\" for each, got \"\(name)\"")
                continue
            }
            guard let limits = providers.section(name, keys: ["rate", "maximumConnections"]) else { continue }
            let found = ProviderLimits(
                rates: rates(limits), maximumConnections: limits.integer("maximumConnections", in: 1...10_000))
            if limits.keys.isEmpty {
                providers.error(name, "expected { rate: \"20/s\" }, { maximumConnections: 5 } or both")
            }
            upstream.perProvider[name] = found
        }
    }
}

extension WallTime {
    /// Midnight (UTC) of `2026-12-01`; nil when there is no such day.
    init?(day text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2,
            parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]), year >= 1970
        else { return nil }
        let isLeap = year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400))
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return nil }
        let before = year - 1
        let leaps = before / 4 - before / 100 + before / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400)
        let days = (year - 1970) * 365 + leaps + lengths[..<(month - 1)].reduce(0, +) + day - 1
        self.init(milliseconds: Int64(days) * 86_400_000)
    }
}
