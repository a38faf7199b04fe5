package import Primitives

/// What an upstream takes for mail: `0.10/1000` for each recipient, `0.10/1000 messages` for each transaction.
///
/// Providers count recipients as messages, so that is what counts unless the text says `messages`. The currency is the
/// reader's: all prices and budgets of a configuration must be in the same one.
package struct Price: Hashable, Sendable {
    /// Of one recipient or message; 0 and up.
    package var each: Double
    package var counted: Rate.Counted

    package init(each: Double, counted: Rate.Counted = .recipients) {
        self.each = each
        self.counted = counted
    }

    package init(text: String) throws(PriceError) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2 else { throw PriceError(text: text, problem: "has no `/`") }
        func number(_ half: Substring) -> (value: Double, rest: String)? {
            let compact = half.filter { $0 != " " && $0 != "_" }
            let digits = compact.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let value = Double(digits), value.isFinite else { return nil }
            return (value, String(compact.dropFirst(digits.count)))
        }
        guard let amount = number(halves[0]), amount.rest.isEmpty else {
            throw PriceError(text: text, problem: "has no plain amount before the `/` (no currency, no comma)")
        }
        guard let per = number(halves[1]), per.value > 0 else {
            throw PriceError(text: text, problem: "has no number above 0 after the `/`")
        }
        switch per.rest {
        case "", "recipients": counted = .recipients
        case "messages": counted = .messages
        default: throw PriceError(text: text, problem: "counts `\(per.rest)`: only `recipients` or `messages`")
        }
        each = amount.value / per.value
    }
}

/// A price that cannot be read: which, and what is wrong with it.
package struct PriceError: Error, Hashable, Sendable, CustomStringConvertible {
    package var text: String
    package var problem: String

    package var description: String {
        "the price `\(text)` \(problem): write it as \"0.10/1000\" (per recipient) or \"0.10/1000 messages\""
    }
}
