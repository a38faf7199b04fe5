/// What the DATA phase showed of a message.
package struct ContentSummary: Hashable, Sendable {
    /// In bytes without dot-stuffing and final dot, as SIZE counts them (RFC 1870 §3).
    package var size: UInt64 = 0
    package var receivedCount = 0
    package var hasDate = false
    package var hasFrom = false
    package var hasMessageID = false
    /// `<8f1c@shop.example>`; empty when there is none.
    package var messageID: [UInt8] = []
    /// The fields that were asked for, `name:value`: the name in lower case, the value unfolded.
    package var headerFields: [[UInt8]] = []
    /// The content begins with a header field or with the empty line that ends the header. If not, fields put in front need
    /// an empty line after them, lest the body's first line become part of the header.
    package var beginsWithHeader = true
    package var hasEightBit = false
    /// What to answer instead of taking the message; nil when nothing is wrong with it.
    package var refusal: Reply?

    /// More of them, and longer ones, are not kept.
    static let maximumHeaderFields = 32
    /// In bytes, with the name.
    static let maximumHeaderField = 320

    package init() {}
}
