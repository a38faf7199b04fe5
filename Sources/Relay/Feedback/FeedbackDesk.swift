internal import EventLoop
package import Feedback
internal import Journal
internal import Node
package import Primitives
internal import Routing
internal import SMTP
internal import Synchronization

/// What came of events that were handed in together.
package struct Taken: Hashable, Sendable, Codable {
    /// Outcomes that were not known before; they are on the disk.
    package var new = 0
    package var known = 0
    /// About messages that no node knows, such as somebody else's at the same upstream.
    package var unmatched = 0
    /// Why it must be handed in again: who may know does not answer now, or the disk takes nothing.
    package var tryAgain: String?

    package init() {}

    mutating func add(_ other: Taken) {
        new += other.new
        known += other.known
        unmatched += other.unmatched
        tryAgain = tryAgain ?? other.tryAgain
    }
}

/// Where everything that is said of a message after its 250 comes together, from any thread.
///
/// An event is matched by what this node and its peers remember of what they sent, and written down by the node that sent
/// it, so that the same event twice, by whichever nodes, is one outcome. Only what is on that node's disk is answered for.
/// Then the node learns from it, and a sender whose address was replaced by a tagged one is told of a failure.
package final class FeedbackDesk: Sendable {
    /// How others are asked; without it, this node is alone.
    package struct PeerLine: Sendable {
        package var askAll: @Sendable ([UInt8]) async -> (answers: [(node: String, body: [UInt8])], silent: [String])
        package var ask: @Sendable (_ node: String, [UInt8]) async -> [UInt8]?

        package init(
            askAll: @escaping @Sendable ([UInt8]) async -> (answers: [(node: String, body: [UInt8])], silent: [String]),
            ask: @escaping @Sendable (_ node: String, [UInt8]) async -> [UInt8]?
        ) {
            self.askAll = askAll
            self.ask = ask
        }
    }

    /// What it wants of the node around it.
    struct Outlets: Sendable {
        var learn: @Sendable (FeedbackEvent) -> Void
        /// Hands in a bounce; false when it was not taken.
        var tellSender: @Sendable (SenderNotice) async -> Bool
        var log: @Sendable (FeedbackRecord) -> Void
    }

    struct State: Sendable {
        var index = SentIndex()
        var heard = HeardEvents()
        /// What was sent before all is read that was sent earlier.
        var early: [Sending]? = []
        var counts: [CountKey: UInt64] = [:]
        var peers: PeerLine?
        var outlets: Outlets?
        var isStopped = false
    }

    struct Sending: Sendable {
        var sent: SentIndex.Sent
        var recipient: [UInt8]
        var names: [SentIndex.Name]
    }

    package struct CountKey: Hashable, Sendable {
        package var upstream: String
        /// A `FeedbackKind`, or `unmatched`, `forged`.
        package var event: String
    }

    let me: String
    let history: SentHistory
    let store: FeedbackStore
    /// For what blocks: one thread writes, the other reads what was long ago.
    let writing: WorkThread
    let reading: WorkThread
    let state = Mutex(State())
    let settings: Mutex<FeedbackSettings>

    /// Nil when no upstream is ever confirmed and no domain takes reports.
    init?(_ settings: FeedbackSettings, directory: DataDirectory) {
        guard settings.isNeeded else { return nil }
        me = directory.replica.node
        writing = WorkThread("feedback")
        reading = WorkThread("feedback-history")
        store = FeedbackStore(directory: directory.historyPath, thread: writing)
        history = SentHistory(directory: directory)
        self.settings = Mutex(settings)
    }

    /// Begins to read what was sent and heard before.
    func start(_ outlets: Outlets) {
        state.withLock { $0.outlets = outlets }
        reading.begin { [self] in recall() }
    }

    /// After the last session: what was begun is still written.
    func stop() {
        state.withLock { $0.isStopped = true }
        reading.stop()
        writing.stop()
    }

    func reload(_ new: FeedbackSettings) { settings.withLock { $0 = new } }

    package func connect(to peers: PeerLine) { state.withLock { $0.peers = peers } }

    package func counts() -> [CountKey: UInt64] { state.withLock { $0.counts } }

    package func count(_ event: String, at upstream: String, _ number: Int = 1) {
        guard number > 0 else { return }
        state.withLock { $0.counts[CountKey(upstream: upstream, event: event), default: 0] += UInt64(number) }
    }

    /// What was said of one message, oldest first.
    package func outcomes(of id: MessageID) async -> [FeedbackRecord] {
        let store = store
        return await reading.run {
            var found: [FeedbackRecord] = []
            store.forEach { if $0.message == id { found.append($0) } }
            return found
        }
    }

    // MARK: What was sent

    /// On the loop: an upstream took a message for one recipient.
    func sent(_ result: Note.Result) {
        guard result.status == .sent, let journal = result.journal else { return }
        let sent = SentIndex.Sent(
            message: result.id, journal: journal, recipient: Int(result.recipient), at: Clock.wall(), isOwn: true)
        let names = names(
            sent, upstream: result.upstream, reply: result.reply, messageID: result.messageIDField)
        guard !names.isEmpty else { return }
        state.withLock { state in
            if state.early == nil {
                state.index.add(sent, to: result.to, names: names)
            } else {
                state.early?.append(Sending(sent: sent, recipient: result.to, names: names))
            }
        }
    }

    /// By what a report of this upstream may call it; none of an upstream that sends none.
    private func names(
        _ sent: SentIndex.Sent, upstream: String, reply: [UInt8], messageID: [UInt8]
    ) -> [SentIndex.Name] {
        let (form, isTagged) = settings.withLock { ($0.forms[upstream], $0.tagged.contains(upstream)) }
        var names: [SentIndex.Name] = []
        if isTagged { names = [.index(sent.message, sent.recipient), .message(sent.message)] }
        guard let form else { return names }
        let remoteID = SpokenReply.remoteID(ofAccepting: reply)
        if form != .mailgun, let remoteID {
            names.append(.remoteID(String(decoding: remoteID, as: UTF8.self), upstream: upstream))
        }
        if !messageID.isEmpty {
            names.append(.messageID(String(decoding: messageID, as: UTF8.self), upstream: upstream))
        }
        return names
    }

    /// On a thread that may block, once: reads what was sent and heard in the last seven days.
    private func recall() {
        let since = Clock.wall() + (Duration.zero - SentIndex.lifetime)
        let (upstreams, isStopped) = (
            settings.withLock { $0.upstreams }, { [self] in state.withLock { $0.isStopped } }
        )
        var heard = HeardEvents()
        store.forEach { if $0.heard > since { heard.add($0) } }
        var index = SentIndex()
        history.deliveries(at: upstreams, since: since, isOver: isStopped) {
            sent, recipient, outcome, result, messageID in
            let names = names(sent, upstream: outcome.upstream, reply: result.reply, messageID: messageID)
            if !names.isEmpty { index.add(sent, to: recipient, names: names) }
        }
        state.withLock { state in
            for sending in state.early ?? [] { index.add(sending.sent, to: sending.recipient, names: sending.names) }
            state.early = nil
            state.index = index
            state.heard.merge(heard)
        }
    }

    // MARK: Senders

    /// The tagged sender for a transaction at this upstream; nil when the message's own stays.
    func sender(for transaction: Transaction, at upstream: String) -> Address? {
        guard transaction.request.reversePath != nil else { return nil }
        let recipient = transaction.recipients.count == 1 ? transaction.recipients.first.map { Int($0) } : nil
        return settings.withLock { $0.tags?.sender(of: transaction.message, recipient: recipient, at: upstream) }
    }

    package var tags: EnvelopeTags? { settings.withLock { $0.tags } }
}

/// What the desk needs of the configuration.
struct FeedbackSettings: Sendable {
    var forms: [String: UpstreamFeedback.Form]
    /// Upstreams that get tagged senders.
    var tagged: Set<String>
    var tags: EnvelopeTags?
    /// Where reports come back to, in lower case.
    var domain: String?
    var bounces: NodeConfiguration.Bounces
    var hostname: String

    var upstreams: Set<String> { tagged.union(forms.keys) }
    var isNeeded: Bool { !upstreams.isEmpty || domain != nil }

    init(_ configuration: Configuration) throws(SecretFile.Refusal) {
        forms = [:]
        var senders: [(upstream: String, sender: String)] = []
        for upstream in configuration.upstreams {
            if let form = upstream.feedback?.form { forms[upstream.name] = form }
            if let sender = upstream.envelopeSender { senders.append((upstream.name, sender)) }
        }
        tagged = Set(senders.map(\.upstream))
        domain = configuration.feedback.domain
        bounces = configuration.delivery.bounces
        hostname = configuration.smtp.hostname
        guard !senders.isEmpty else { return }
        let secrets: [[UInt8]] =
            if let file = configuration.feedback.secretFile {
                [try SecretFile.read(file)]
            } else {
                try configuration.cluster.readSecrets()
            }
        tags = EnvelopeTags(secrets: secrets, senders: senders)
    }
}
