/// What Amazon SNS posts (SNS developer guide, 'Verifying the signatures of Amazon SNS messages'): SES's events come in it.
package struct SNSMessage: Sendable {
    package enum Kind: String, Sendable {
        case notification = "Notification"
        case subscription = "SubscriptionConfirmation"
        case end = "UnsubscribeConfirmation"
    }

    package let kind: Kind
    /// The same when a message comes again.
    package let id: String
    package let topic: String
    /// Where the certificate is that signed it: at Amazon, by `isAmazon`.
    package let certificateURL: String
    /// To be asked for, to confirm; empty for a notification.
    package let subscribeURL: String
    let message: String
    private let version: String
    private let signature: [UInt8]
    private let signed: [UInt8]

    /// Nil when it is none.
    package init?(_ body: [UInt8]) {
        guard let json = JSONValue(body), let kind = Kind(rawValue: json["Type"].text),
            let signature = Base64.decode(Array(json["Signature"].text.utf8))
        else { return nil }
        self.kind = kind
        self.signature = signature
        id = json["MessageId"].text
        topic = json["TopicArn"].text
        certificateURL = json["SigningCertURL"].text
        subscribeURL = json["SubscribeURL"].text
        message = json["Message"].text
        version = json["SignatureVersion"].text
        let fields =
            kind == .notification
            ? ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
            : ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        var signed = ""
        for field in fields {
            // A subject that is not there is not signed either.
            guard case .string(let value)? = json[field] else { continue }
            signed += "\(field)\n\(value)\n"
        }
        self.signed = Array(signed.utf8)
        guard !id.isEmpty, !topic.isEmpty else { return nil }
    }

    package func isSigned(by key: PublicKey) -> Bool {
        switch version {
        case "1": key.verifies(signature, of: signed, .sha1)
        case "2": key.verifies(signature, of: signed, .sha256)
        default: false
        }
    }

    /// Whether a URL is one of SNS's own: `https://sns.REGION.amazonaws.com/…`, and nothing that only looks like it.
    package static func isAmazon(_ url: String) -> Bool {
        let scheme = "https://sns."
        guard url.hasPrefix(scheme), url.utf8.count <= 2048, url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
            let slash = url.dropFirst(scheme.count).firstIndex(of: "/")
        else { return false }
        let host = url[url.index(url.startIndex, offsetBy: scheme.count)..<slash]
        for end in [".amazonaws.com", ".amazonaws.com.cn"] where host.hasSuffix(end) {
            let region = host.dropLast(end.count)
            return !region.isEmpty
                && region.utf8.allSatisfy {
                    (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
                }
        }
        return false
    }
}
