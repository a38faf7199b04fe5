internal import CCrypto
package import Primitives
package import SMTP

/// Senders that say which message a bounce is about (VERP), and that nobody else can make.
///
/// `b+{id}@b.example.net`: `{id}` are 48 characters of Crockford's base 32, lower case, read in either case: the message's id
/// (16 bytes), the recipient's index (2), and the beginning of an HMAC-SHA-256 (12). What is authenticated is also the
/// upstream's name, so that the tag tells it without room of its own: it is the one whose code fits. The key comes from a
/// secret by HKDF, so that the same secret serves elsewhere too.
package struct EnvelopeTags: Sendable {
    /// What a tag says.
    package struct Tag: Hashable, Sendable {
        package var message: MessageID
        /// Index among the message's recipients; nil for a transaction that had several, of whom the bounce names one.
        package var recipient: Int?
        package var upstream: String

        package init(message: MessageID, recipient: Int?, upstream: String) {
            self.message = message
            self.recipient = recipient
            self.upstream = upstream
        }
    }

    package enum Reading: Hashable, Sendable {
        case valid(Tag)
        /// It was ours, and nothing can come of it any more.
        case tooOld
        case forged
    }

    /// What `{id}` is replaced by.
    package static let length = 48
    /// After a message was taken: it may wait days here, and days at the upstream.
    package static let lifetime = Duration.days(14)
    private static let several: UInt16 = .max
    private static let authenticated = 18

    private struct Template: Sendable {
        let upstream: String
        let before: [UInt8]
        /// From behind the tag to the end, with the domain.
        let after: [UInt8]
    }

    private let templates: [Template]
    private let keys: [[UInt8]]

    /// - Parameters:
    ///   - secrets: The first makes tags, all of them are taken.
    ///   - senders: `envelopeSender` by the upstream's name. One that is no sender with a tag is left out.
    package init(secrets: [[UInt8]], senders: [(upstream: String, sender: String)]) {
        keys = secrets.compactMap { derivedKey($0, salt: "baton envelope tag", info: "") }
        templates = senders.compactMap { upstream, sender in
            EnvelopeTags.halves(of: sender).map {
                Template(upstream: upstream, before: Array($0.before.utf8), after: Array($0.after.utf8))
            }
        }
    }

    package var isEmpty: Bool { templates.isEmpty || keys.isEmpty }

    /// What stands before and after `{id}`; nil when it is not there once, in the local part.
    package static func halves(of sender: String) -> (before: Substring, after: Substring)? {
        let parts = sender.split(separator: "{id}", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].contains("@"), parts[1].contains("@") else { return nil }
        return (parts[0], parts[1])
    }

    // MARK: Making

    /// The sender for a transaction at this upstream; nil when the message's own stays.
    package func sender(of message: MessageID, recipient: Int?, at upstream: String) -> Address? {
        guard let key = keys.first, let template = templates.first(where: { $0.upstream == upstream }) else {
            return nil
        }
        var content: [UInt8] = []
        content.reserveCapacity(30)
        for shift in stride(from: 56, through: 0, by: -8) {
            content.append(UInt8(truncatingIfNeeded: message.ulid.high >> UInt64(shift)))
        }
        for shift in stride(from: 56, through: 0, by: -8) {
            content.append(UInt8(truncatingIfNeeded: message.ulid.low >> UInt64(shift)))
        }
        let index = recipient.flatMap { UInt16(exactly: $0) } ?? EnvelopeTags.several
        content.append(UInt8(index >> 8))
        content.append(UInt8(index & 0xff))
        guard let code = code(key, content, upstream) else { return nil }
        return Address(parsed: template.before + Base32.encode(content + code) + template.after)
    }

    private func code(_ key: [UInt8], _ content: [UInt8], _ upstream: String) -> [UInt8]? {
        hmac(key, content + Array(upstream.utf8)).map { Array($0.prefix(12)) }
    }

    // MARK: Reading

    /// Nil for an address that is not of the form.
    package func read(_ address: Address, at now: WallTime) -> Reading? {
        var isOfTheForm = false
        for template in templates {
            guard let bytes = tag(in: address.bytes, template) else { continue }
            isOfTheForm = true
            let content = Array(bytes.prefix(EnvelopeTags.authenticated))
            let given = Array(bytes.dropFirst(EnvelopeTags.authenticated))
            for key in keys {
                guard let code = code(key, content, template.upstream), isSame(code, given) else { continue }
                return reading(content, template.upstream, now)
            }
        }
        return isOfTheForm ? .forged : nil
    }

    private func tag(in address: [UInt8], _ template: Template) -> [UInt8]? {
        let (before, after) = (template.before, template.after)
        guard address.count == before.count + EnvelopeTags.length + after.count,
            isEqual(address[..<before.count], before[...]),
            isEqual(address[(address.count - after.count)...], after[...])
        else { return nil }
        return Base32.decode(address[before.count..<before.count + EnvelopeTags.length])
    }

    private func reading(_ content: [UInt8], _ upstream: String, _ now: WallTime) -> Reading {
        let high = content[0..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let low = content[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let index = UInt16(content[16]) << 8 | UInt16(content[17])
        let id = ULID(high: high, low: low)
        guard now - id.time <= EnvelopeTags.lifetime else { return .tooOld }
        return .valid(
            Tag(
                message: MessageID(id), recipient: index == EnvelopeTags.several ? nil : Int(index), upstream: upstream)
        )
    }

    /// Letters in either case: mail systems on the way may change it.
    private func isEqual(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
        a.elementsEqual(b) { lower($0) == lower($1) }
    }
}

/// Crockford's alphabet in lower case: no letter that is taken for a digit, and safe where case is lost.
enum Base32 {
    private static let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    /// Whole groups of 5 bytes.
    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        precondition(bytes.count.isMultiple(of: 5))
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count / 5 * 8)
        for start in stride(from: 0, to: bytes.count, by: 5) {
            let group = bytes[start..<start + 5].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            for shift in stride(from: 35, through: 0, by: -5) { text.append(digits[Int(group >> UInt64(shift) & 31)]) }
        }
        return text
    }

    /// Nil for a character that is not of the alphabet, or for no whole groups.
    static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count.isMultiple(of: 8) else { return nil }
        var bytes: [UInt8] = []
        var group: UInt64 = 0
        for (position, character) in text.enumerated() {
            guard let value = digits.firstIndex(of: lower(character)) else { return nil }
            group = group << 5 | UInt64(value)
            guard position % 8 == 7 else { continue }
            for shift in stride(from: 32, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: group >> UInt64(shift)))
            }
            group = 0
        }
        return bytes
    }
}

func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }
