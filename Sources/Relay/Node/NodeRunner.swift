package import EventLoop
internal import Glibc
internal import Node
package import Primitives
internal import Routing
internal import SMTP
internal import Synchronization

/// Why a node doesn't start, in one line that says what to do.
package struct StartError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
}

/// One running node: its loop, its disk thread, its helpers, from recovery to the last line of the log.
package final class NodeRunner: Sendable {
    package struct Options: Sendable {
        /// Where log lines go.
        package var logDescriptor: CInt = STDOUT_FILENO
        /// How much of a journal file is zeroed at once.
        package var zeroedAhead = ByteCount(bytes: JournalFile.chunk)
        package var history = History.Limits()
        /// What peers are told to run.
        package var version = ""
        /// A disk failed a write or sync: nothing of the node's may go on. Does not return in the product.
        package var diskBroke: @Sendable (FileError) -> Void = { error in
            endProcess("baton: \(error); stopping, because what a failed sync left on the disk can't be known")
        }
        /// Going on would break a promise to the peers. Does not return in the product.
        package var mustEnd: @Sendable (String) -> Void = { reason in endProcess("baton: stopping: \(reason)") }

        package init() {}
    }

    /// What a node that drains may take beyond its time, to commit what is left.
    private static let grace = Duration.seconds(3)

    package let loop: Loop
    package let handle: RelayHandle
    let disk: DiskThread
    private let directory: DataDirectory
    private let log: LogWriter
    private let workers: [WorkThread]
    private let feedback: FeedbackDesk?
    private let isEnding = Atomic<Bool>(false)

    /// Opens the data directory, recovers what it holds, and starts; returns once SMTP listeners accept. The node itself
    /// takes mail as soon as its disk and its peers have answered.
    package init(_ configuration: Configuration, options: Options = Options()) throws {
        directory = try DataDirectory(
            path: configuration.node.dataDirectory, cluster: configuration.cluster.name, node: configuration.node.name)
        log = LogWriter(
            level: LogWriter.Level(configuration.log.level), format: configuration.log.format,
            node: configuration.node.name, descriptor: options.logDescriptor)
        loop = try Loop(name: "baton")
        let reader = WorkThread("reader")
        let background = WorkThread("background")
        workers = [reader, background]
        let history = History(directory: directory, limits: options.history)
        var node = Node(configuration: configuration.nodeConfiguration(in: directory), at: Clock.now())
        let found = try NodeRunner.recover(directory, into: &node, log)
        let relay = Deferred<NodeHost>()
        let loop = loop
        disk = DiskThread(
            directory: directory, ledger: found.ledger, files: JournalFiles(), chunk: options.zeroedAhead.bytes,
            helpers: DiskThread.Helpers(
                reader: reader, background: background, keepHistory: { history.keep($0, $1) },
                report: { events in loop.post { _ in relay.value?.feed(events) } }, broken: options.diskBroke))
        for (journal, file, length) in found.journals { disk.adopt(journal, file, length: length) }
        let host = NodeHost(
            node: node, loop: loop,
            in: NodeHost.Surroundings(
                disk: disk, reader: reader, log: log, events: EventRing(node: configuration.node.name),
                drainTimeout: configuration.delivery.drainTimeout, mustEnd: options.mustEnd))
        relay.value = host
        let resolver = try Resolver(on: loop)
        let server = SMTPServer(
            host: host, settings: configuration.smtp, headerFields: Route.headerFields(of: configuration.routes),
            tls: try serverContext(configuration.smtp))
        let deliveries = try Deliveries(
            host: host, upstreams: configuration.upstreams, hostname: configuration.smtp.hostname,
            resolver: resolver, reader: reader, files: disk.files)
        host.peers = try makePeers(configuration, directory, resolver, host)
        host.feedback = FeedbackDesk(try feedbackSettings(configuration), directory: directory)
        feedback = host.feedback
        handle = RelayHandle(
            host: host,
            RelayHandle.Parts(
                server: server, deliveries: deliveries, background: background, history: history,
                configuration: configuration, directory: directory))
        try loop.start()
        if let failure = directory.writeFailure {
            log.log("disk-broken", .error, [.init("reason", failure.description)])
            return
        }
        try start(configuration, found.acquainted, options)
    }

    private static func recover(
        _ directory: DataDirectory, into node: inout Node, _ log: LogWriter
    ) throws -> JournalRecovery.Found {
        guard directory.writeFailure == nil else { return JournalRecovery.Found(ledger: Ledger()) }
        let recovery = JournalRecovery(directory: directory) { text in
            log.log("recovery", .warning, [.init("reason", text)])
        }
        return try recovery.run(into: &node)
    }

    /// Runs on the loop what begins there, and waits for it. A node listens for its peers before it claims anything.
    private func start(_ configuration: Configuration, _ acquainted: [Acquaintance], _ options: Options) throws {
        let outcome = Deferred<StartError>()
        let started = Mailbox<Bool>()
        let handle = handle
        let disk = disk
        loop.post { _ in
            let host = handle.host
            host.deliveries = handle.deliveries
            host.server = handle.server
            do throws(ListenError) {
                try host.peers?.start()
            } catch {
                outcome.value = StartError("cluster.listen: \(error)")
                return started.put(true)
            }
            host.peers?.listenerFailed = { [weak host] in host?.mustEnd($0) }
            host.recall(acquainted)
            host.feedback?.start(with: host)
            host.start()
            host.lookAround()
            host.describeItself(configuration, version: options.version)
            do throws(ListenError) {
                for listener in configuration.smtp.listeners {
                    guard let address = SocketAddress(listener.address.description) else { continue }
                    try handle.server.listen(on: address, tls: listener.tls)
                }
            } catch {
                outcome.value = StartError("smtp.listeners: \(error)")
            }
            disk.start()
            started.put(true)
        }
        var batch: [Bool] = []
        _ = started.take(into: &batch)
        if let error = outcome.value {
            kill()
            throw error
        }
        handle.tell("started", .info, [.init("cluster", configuration.cluster.name)])
    }

    /// Takes no new mail, lets what is under way end, for at most so long (`delivery.drainTimeout`), and hands the journals
    /// over; then everything is closed and on the disk, the cluster's listener last: while it listens, nobody takes this
    /// process for dead.
    package func stop(within limit: Duration? = nil) async {
        guard beginsToEnd() else { return }
        handle.tell("stopping")
        let handle = handle
        await loop.spawn { _ in
            let host = handle.host
            if let limit { host.draining.timeout = limit }
            handle.server.drain()
            await host.drain(grace: NodeRunner.grace)
            handle.server.closeAll()
            handle.deliveries.breakOffAll()
            await host.peers?.drain(within: .seconds(1))
            host.stop()
            host.peers?.stop()
        }.value
        log.log("stopped")
        end()
    }

    /// As if the process had been killed, but for what the disk thread was handed before: for tests, and after failures.
    package func kill() {
        guard beginsToEnd() else { return }
        let handle = handle
        let done = Mailbox<Bool>()
        loop.post { _ in
            handle.host.stop()
            handle.server.drain()
            handle.server.closeAll()
            handle.deliveries.breakOffAll()
            handle.host.peers?.stop()
            done.put(true)
        }
        var batch: [Bool] = []
        _ = done.take(into: &batch)
        end()
    }

    /// True for the first who asks.
    private func beginsToEnd() -> Bool { isEnding.exchange(true, ordering: .relaxed) == false }

    private func end() {
        if directory.writeFailure == nil { disk.stop() }
        loop.stop()
        for worker in workers { worker.stop() }
        feedback?.stop()
        log.stop()
        directory.unlock()
    }
}

/// A value that is set before anybody on the loop looks for it.
// Sendable: set by the thread that starts the node before the loop's thread begins, or on the loop before the starter goes on.
private final class Deferred<Value>: @unchecked Sendable {
    var value: Value?
}

/// One line, and the end: no destructor runs, nothing more is written.
func endProcess(_ line: String) -> Never {
    let bytes = Array((line + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    _exit(1)
}

func feedbackSettings(_ configuration: Configuration) throws(StartError) -> FeedbackSettings {
    do throws(SecretFile.Refusal) {
        return try FeedbackSettings(configuration)
    } catch {
        throw StartError("feedback.secretFile: \(error.text)")
    }
}

func serverContext(_ smtp: Configuration.SMTP) throws(TLSConfigurationError) -> TLSServerContext? {
    guard let certificate = smtp.certificateFile, let key = smtp.privateKeyFile else { return nil }
    return try TLSServerContext(certificateFile: certificate, keyFile: key)
}

extension LogWriter.Level {
    init(_ level: Configuration.Log.Level) {
        self =
            switch level {
            case .debug: .debug
            case .info: .info
            case .warning: .warning
            case .error: .error
            }
    }
}
