import Feedback
import Primitives
import Routing
import SMTP

extension Configuration {
    /// What is said of mail after the 250: by events over HTTP, and by reports that come back by mail.
    package struct Feedback: Hashable, Sendable {
        /// Where the events of upstreams come in, apart from the admin API.
        package var listen: HostPort?
        package var certificateFile: String?
        package var privateKeyFile: String?
        /// Where reports come back to: the domain of each `envelopeSender`, in lower case.
        package var domain: String?
        /// What tagged senders are signed with; the cluster's secrets when nil.
        package var secretFile: String?
    }

    static let feedbackKeys = ["listen", "certificateFile", "privateKeyFile", "domain", "secretFile"]

    /// Behind `readUpstreams` and `readCluster`: it looks at what they found.
    mutating func readFeedback(_ file: ConfigurationSection, _ directory: String) {
        if let section = file.section("feedback", keys: Configuration.feedbackKeys) {
            feedback.listen = section.hostPort("listen")
            feedback.certificateFile = section.string("certificateFile").map { resolve($0, directory) }
            feedback.privateKeyFile = section.string("privateKeyFile").map { resolve($0, directory) }
            feedback.secretFile = section.string("secretFile").map { resolve($0, directory) }
            if let domain = section.string("domain", "a domain such as \"b.example.net\"") {
                feedback.domain = domain.lowercased()
                if !isDomainName(domain) {
                    section.error("domain", "expected a domain such as \"b.example.net\", got \"\(domain)\"")
                }
            }
            checkListener(section)
        }
        for (index, upstream) in upstreams.enumerated() { checkFeedback(upstream, at: "upstreams[\(index)]", file) }
    }

    private func checkListener(_ section: ConfigurationSection) {
        switch (feedback.certificateFile, feedback.privateKeyFile) {
        case (.some, nil): section.error("privateKeyFile", "missing: certificateFile needs its key")
        case (nil, .some): section.error("certificateFile", "missing: privateKeyFile needs its certificate")
        case (nil, nil):
            if let listen = feedback.listen, !listen.isLoopback {
                section.warning(
                    "listen", "\(listen) is not a loopback address, and secrets travel unencrypted: set certificateFile"
                )
            }
        default: break
        }
        if feedback.listen != nil, upstreams.allSatisfy({ $0.feedback == nil }) {
            section.warning("listen", "no upstream has feedback: { type: … }: whatever comes is refused")
        }
    }

    private func checkFeedback(_ upstream: Upstream, at path: String, _ file: ConfigurationSection) {
        if upstream.feedback != nil, feedback.listen == nil {
            file.report.error("\(path).feedback", file.place, "needs feedback.listen, where its events come in")
        }
        guard let sender = upstream.envelopeSender, let halves = EnvelopeTags.halves(of: sender) else { return }
        let domain = halves.after.drop { $0 != "@" }.dropFirst().lowercased()
        if feedback.domain != domain {
            let has = feedback.domain.map { "is \"\($0)\"" } ?? "is missing"
            file.report.error(
                "\(path).envelopeSender", file.place, "bounces go to \(domain), but feedback.domain \(has)")
        }
        if feedback.secretFile == nil, cluster.secretFiles.isEmpty {
            file.report.error(
                "feedback.secretFile", file.place,
                "missing: envelopeSender is signed with a secret; try: \(SecretFile.recipe("FILE"))")
        }
    }

    // MARK: Of an upstream

    /// The keys `feedback` and `envelopeSender` of an upstream.
    func readFeedback(_ section: ConfigurationSection, into upstream: inout Upstream, _ directory: String) {
        if let sender = section.string("envelopeSender", "a sender such as \"b+{id}@b.example.net\"") {
            let sample = sender.replacing("{id}", with: String(repeating: "0", count: EnvelopeTags.length))
            let address = try? Address(path: Array(sample.utf8))
            if EnvelopeTags.halves(of: sender) == nil || address == nil {
                let room = Address.Limit.localPart - EnvelopeTags.length
                section.error(
                    "envelopeSender",
                    "expected an address with {id} in its local part, at most \(room) octets beside it, such as "
                        + "\"b+{id}@b.example.net\", got \"\(sender)\"")
            } else {
                upstream.envelopeSender = sender
            }
        }
        let keys = ["type", "secretFile", "publicKeyFile", "topic", "certificateFile"]
        guard let given = section.section("feedback", keys: keys) else { return }
        guard let form = given.choice("type", of: UpstreamFeedback.Form.allCases) else {
            if given.value("type") == nil {
                given.error("type", "missing: expected \"ses\", \"sendgrid\", \"mailgun\", \"postmark\" or \"plain\"")
            }
            return
        }
        var feedback = UpstreamFeedback(form)
        feedback.secretFile = given.string("secretFile").map { resolve($0, directory) }
        feedback.publicKeyFile = given.string("publicKeyFile").map { resolve($0, directory) }
        feedback.certificateFile = given.string("certificateFile").map { resolve($0, directory) }
        feedback.topics = given.strings("topic", "a topic's ARN")?.map(\.text) ?? []
        checkKeys(of: feedback, given)
        upstream.feedback = feedback
    }

    /// Each form has its own proof of where an event is from.
    private func checkKeys(of feedback: UpstreamFeedback, _ section: ConfigurationSection) {
        let needed: (key: String, why: String)
        switch feedback.form {
        case .ses: needed = ("topic", "the ARN of the SNS topic: anybody can have one that is signed as well")
        case .sendgrid: needed = ("publicKeyFile", "the verification key of the signed event webhook")
        case .mailgun: needed = ("secretFile", "a file with the HTTP webhook signing key")
        case .postmark:
            needed = ("secretFile", "a file with user:password, as in the webhook's URL, or a header's secret")
        case .plain: needed = ("secretFile", "a file with the secret that comes as Authorization: Bearer")
        }
        if section.value(needed.key) == nil { section.error(needed.key, "missing: \(needed.why)") }
        let used = ["type", needed.key] + (feedback.form == .ses ? ["certificateFile"] : [])
        for key in ["secretFile", "publicKeyFile", "topic", "certificateFile"]
        where !used.contains(key) && section.value(key) != nil {
            section.error(key, "has no meaning with type \"\(feedback.form.rawValue)\"; remove it")
        }
    }

    /// What is wrong with the files that these keys name.
    func feedbackFiles() -> [(file: String?, path: String, isSecret: Bool)] {
        var files: [(file: String?, path: String, isSecret: Bool)] = [
            (feedback.certificateFile, "feedback.certificateFile", false),
            (feedback.privateKeyFile, "feedback.privateKeyFile", true),
            (feedback.secretFile, "feedback.secretFile", true),
        ]
        for (index, upstream) in upstreams.enumerated() {
            let path = "upstreams[\(index)].feedback"
            files.append((upstream.feedback?.secretFile, "\(path).secretFile", true))
            files.append((upstream.feedback?.publicKeyFile, "\(path).publicKeyFile", false))
            files.append((upstream.feedback?.certificateFile, "\(path).certificateFile", false))
        }
        return files
    }
}
