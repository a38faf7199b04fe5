package import EventLoop
package import Node
package import Primitives
package import Routing
internal import SMTP
internal import Synchronization

/// What the admin API and `baton serve` may ask of a running node, from any thread or task.
// Sendable: what is confined to the loop is touched only in work that was posted to it.
package final class RelayHandle: @unchecked Sendable {
    package let loop: Loop
    package let log: LogWriter
    package let began = Clock.now()
    package let configuration: Configuration
    package let directory: DataDirectory
    let host: NodeHost
    let server: SMTPServer
    let deliveries: Deliveries
    package let events: EventRing
    /// Nil where nothing is ever said after a 250.
    package let feedback: FeedbackDesk?
    private let disk: DiskThread
    private let reader: WorkThread
    private let background: WorkThread
    private let history: History
    /// Why the last reload was refused; nil when it was not.
    private let refusedReload = Mutex<String?>(nil)

    struct Parts {
        var server: SMTPServer
        var deliveries: Deliveries
        var background: WorkThread
        var history: History
        var configuration: Configuration
        var directory: DataDirectory
    }

    init(host: NodeHost, _ parts: Parts) {
        self.host = host
        loop = host.loop
        log = host.log
        events = host.events
        feedback = host.feedback
        disk = host.disk
        reader = host.reader
        server = parts.server
        deliveries = parts.deliveries
        background = parts.background
        history = parts.history
        configuration = parts.configuration
        directory = parts.directory
    }

    /// Runs on the loop, and the caller goes on where it was.
    package func onLoop<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result {
        if loop.isCurrent { return work() }
        return await withUnsafeContinuation { continuation in
            loop.post { _ in continuation.resume(returning: work()) }
        }
    }

    func onLoopAsync<Result: Sendable>(_ work: @escaping @Sendable (NodeHost) async -> Result) async -> Result {
        let host = host
        return await withUnsafeContinuation { continuation in
            loop.spawn { _ in continuation.resume(returning: await work(host)) }
        }
    }

    /// A line of the log, and an event for whoever follows them.
    func tell(_ event: StaticString, _ level: LogWriter.Level = .info, _ fields: [LogWriter.Field] = []) {
        log.log(event, level, fields)
        events.add(event, fields)
    }

    // MARK: Questions

    package func status() async -> NodeStatus {
        var status = await onLoop { [host] in host.status() }
        if let failure = directory.writeFailure {
            status.isReady = false
            status.problems.append(.diskBroken(failure))
        }
        if let reason = refusedReload.withLock({ $0 }) { status.problems.append(.reloadRefused(reason)) }
        return status
    }

    /// Whether mail is taken now: the node is ready and a listener accepts.
    package func isReady() async -> Bool {
        guard directory.writeFailure == nil else { return false }
        return await onLoop { [host, server] in host.admission() == nil && server.isAccepting }
    }

    package func isDraining() async -> Bool { await onLoop { [server] in server.isDraining } }

    /// Oldest first; `matched` counts those beyond the limit too.
    package func list(_ filter: QueueFilter, limit: Int) async -> (messages: [MessageStatus], matched: Int) {
        await onLoop { [host] in host.list(filter, limit: limit) }
    }

    package func message(_ id: MessageID) async -> MessageStatus? { await onLoop { [host] in host.message(id) } }

    /// Where such a message would go now, and why.
    package func explain(_ subject: RouteSubject) async -> RouteExplanation {
        await onLoop { [host] in host.explain(subject) }
    }

    /// Nil when no upstream has the name, or no provider that is asked for.
    package func trust(of upstream: String, at provider: String?) async -> UpstreamTrust? {
        await onLoop { [host] in host.trust(of: upstream, at: provider) }
    }

    /// The content as its recipients get it (with `Received`), unstuffed; nil when the message isn't there any more.
    package func readContent(_ id: MessageID, limit: Int = .max) async -> [UInt8]? {
        guard let content = await message(id)?.content else { return nil }
        let files = disk.files
        return await reader.run { files.read(content, limit: limit).map { DotStuffing.unstuffed($0) } }
    }

    /// From the journals and the history; nil when this node knows nothing of it.
    package func trace(_ id: MessageID) async -> Trace? {
        let history = history
        return await background.run { history.trace(id) }
    }

    /// Real addresses, where port 0 was configured.
    package func smtpAddresses() async -> [SocketAddress] { await onLoop { [server] in server.boundAddresses } }

    package func smtpConnections() async -> Int { await onLoop { [server] in server.connectionCount } }

    package func refusals() async -> [SMTPServer.RefusalKey: UInt64] { await onLoop { [server] in server.refusals } }

    /// How long syncs took since the process began.
    package var syncTimes: Histogram { disk.syncTimes.withLock { $0 } }

    // MARK: Commands

    package func command(_ command: Command) async -> CommandAnswer {
        guard directory.writeFailure == nil else { return .tryAgain }
        return await onLoopAsync { await $0.command(command) }
    }

    /// Forgets, on all nodes, what is held against an upstream (nil: all) at a provider (nil: everywhere).
    package func resetTrust(of upstream: String?, at provider: String?) async {
        await onLoop { [host] in host.feed(.resetTrust(upstream: upstream, provider: provider)) }
    }

    /// Takes over what may change at run time; throws, and keeps the old, when a certificate or secret can't be used.
    package func reload(_ new: Configuration) async throws {
        let context = try serverContext(new.smtp)
        let secrets = try clusterSecrets(new)
        let node = new.nodeConfiguration(in: directory)
        if let feedback { feedback.reload(try feedbackSettings(new)) }
        await onLoop { [host, server] in
            server.reload(new.smtp, tls: context)
            if let secrets { host.peers?.replaceSecrets(secrets) }
            host.draining.timeout = new.delivery.drainTimeout
            host.feed(.reconfigured(node))
            host.feed(.describe("configuration", Array(new.digest.utf8)))
        }
        refusedReload.withLock { $0 = nil }
        tell("reloaded")
    }

    /// A new configuration or secret can't be used: the old one stays in force, and `status` says so until a reload succeeds.
    package func reloadRefused(_ reason: String) {
        refusedReload.withLock { $0 = reason }
        tell("reload-refused", .error, [.init("reason", reason)])
    }
}

extension Problem {
    fileprivate static func reloadRefused(_ reason: String) -> Problem {
        Problem(
            name: "reload-refused", severity: .warning, summary: "the configuration was not taken over: \(reason)",
            effect: "the node runs with what it had before", baton: "keeps the old one in force",
            you: "mend it (baton config check FILE), then send SIGHUP again")
    }

    fileprivate static func diskBroken(_ failure: FileError) -> Problem {
        Problem(
            name: "disk-broken", severity: .degraded,
            summary: "the data directory can't be written: \(failure)",
            effect: "no mail is taken and none is delivered; what was accepted waits on the disk",
            baton: "wrote a test file at its start, which failed; claims nothing and stays up",
            you: "repair the disk, then restart baton; baton journal export DIR reads what is there")
    }
}
