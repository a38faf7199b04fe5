internal import FoundationEssentials
package import Primitives

/// When a certificate ends: the one date of an X.509 certificate that an operator must not miss (RFC 5280 §4.1.2.5).
package enum CertificateExpiry {
    /// The first certificate of a PEM file; nil when there is none to be read.
    package static func read(_ path: String) -> WallTime? {
        guard let data = try? Data(contentsOf: URL(filePath: path)), data.count < 1 << 20 else { return nil }
        return of(pem: Array(data))
    }

    static func of(pem bytes: [UInt8]) -> WallTime? {
        let text = String(decoding: bytes, as: UTF8.self)
        let begin = "-----BEGIN CERTIFICATE-----"
        guard let start = text.firstRange(of: begin), let end = text.firstRange(of: "-----END CERTIFICATE-----") else {
            return nil
        }
        guard start.upperBound < end.lowerBound else { return nil }
        let lines = text[start.upperBound..<end.lowerBound].filter { !$0.isWhitespace }
        return Data(base64Encoded: String(lines)).flatMap { of(der: Array($0)) }
    }

    /// Certificate, tbsCertificate, then: version (tagged), serial number, algorithm, issuer, validity {from, until}.
    static func of(der bytes: [UInt8]) -> WallTime? {
        guard let certificate = Element(bytes[...], tag: 0x30),
            var rest = Element(certificate.content, tag: 0x30)?.content
        else { return nil }
        if rest.first == 0xa0 { rest = Element(rest, tag: 0xa0)?.rest ?? [] }
        for tag: UInt8 in [0x02, 0x30, 0x30] {
            guard let element = Element(rest, tag: tag) else { return nil }
            rest = element.rest
        }
        guard let validity = Element(rest, tag: 0x30), let from = Element(validity.content, tag: nil),
            let until = Element(from.rest, tag: nil)
        else { return nil }
        return time(String(decoding: until.content, as: UTF8.self), isShort: until.tag == 0x17)
    }

    /// `YYMMDDHHMMSSZ` (UTCTime, 1950 to 2049) or `YYYYMMDDHHMMSSZ` (GeneralizedTime).
    private static func time(_ text: String, isShort: Bool) -> WallTime? {
        var digits = text.filter { $0.isNumber }
        if isShort { digits = (digits.first.map { $0 < "5" } ?? false ? "20" : "19") + digits }
        guard digits.count == 14 else { return nil }
        func part(_ from: Int, _ count: Int) -> Substring { digits.dropFirst(from).prefix(count) }
        return WallTime(
            rfc3339: "\(part(0, 4))-\(part(4, 2))-\(part(6, 2))T\(part(8, 2)):\(part(10, 2)):\(part(12, 2)).000Z")
    }

    /// One DER element: its tag, its content, and what follows it.
    private struct Element {
        let tag: UInt8
        let content: ArraySlice<UInt8>
        let rest: ArraySlice<UInt8>

        init?(_ bytes: ArraySlice<UInt8>, tag wanted: UInt8?) {
            guard bytes.count >= 2, let tag = bytes.first, wanted == nil || tag == wanted else { return nil }
            var body = bytes.dropFirst(2)
            var length = Int(bytes[bytes.startIndex + 1])
            if length >= 0x80 {
                let count = length & 0x7f
                guard (1...4).contains(count), body.count >= count else { return nil }
                length = body.prefix(count).reduce(0) { $0 << 8 | Int($1) }
                body = body.dropFirst(count)
            }
            guard body.count >= length else { return nil }
            self.tag = tag
            content = body.prefix(length)
            rest = body.dropFirst(length)
        }
    }
}
