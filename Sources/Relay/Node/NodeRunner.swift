package import EventLoop
internal import Glibc
internal import Node
package import Primitives
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
        /// A disk failed a write or sync: nothing of the node's may go on. Does not return in the product.
        package var diskBroke: @Sendable (FileError) -> Void = { error in
            endProcess("baton: \(error); stopping, because what a failed sync left on the disk can't be known")
        }

        package init() {}
    }

    /// How long a draining node waits for clients to end their transactions, which it answers with 421.
    private static let patience = Duration.seconds(5)

    package let loop: Loop
    package let handle: RelayHandle
    let disk: DiskThread
    private let directory: DataDirectory
    private let log: LogWriter
    private let workers: [WorkThread]
    private let isEnding = Atomic<Bool>(false)

    /// Opens the data directory, recovers what it holds, and starts; returns once SMTP listeners accept. The node itself
    /// takes mail as soon as its disk has answered.
    package init(_ configuration: Configuration, options: Options = Options()) throws {
        directory = try DataDirectory(
            path: configuration.node.dataDirectory, cluster: configuration.cluster.name, node: configuration.node.name)
        log = LogWriter(
            level: LogWriter.Level(configuration.log.level), format: configuration.log.format,
            node: configuration.node.name, descriptor: options.logDescriptor)
        loop = try Loop(name: "baton")
        let reader = WorkThread("reader")
        let background = WorkThread("history")
        workers = [reader, background]
        let files = JournalFiles()
        let history = History(directory: directory, limits: options.history)
        let relay = Deferred<NodeHost>()
        let loop = loop
        disk = DiskThread(
            directory: directory, files: files, chunk: options.zeroedAhead.bytes,
            report: { events in loop.post { _ in relay.value?.feed(events) } }, broken: options.diskBroke)
        var node = Node(
            configuration: configuration.nodeConfiguration(replica: directory.replica, seed: randomBits()),
            at: Clock.now())
        if directory.writeFailure == nil {
            for found in try JournalRecovery(directory: directory).run(into: &node) {
                disk.adopt(found.journal, found.file, length: found.length)
            }
        }
        let host = NodeHost(
            node: node, loop: loop, disk: disk, reader: reader, background: background, history: history, log: log)
        relay.value = host
        let server = SMTPServer(host: host, settings: configuration.smtp, tls: try serverContext(configuration.smtp))
        let deliveries = try Deliveries(
            host: host, upstreams: configuration.upstreams, hostname: configuration.smtp.hostname,
            resolver: Resolver(on: loop), reader: reader, files: files)
        handle = RelayHandle(
            loop: loop, host: host, server: server, deliveries: deliveries, disk: disk, reader: reader,
            background: background, history: history, log: log, configuration: configuration, directory: directory)
        try loop.start()
        if let failure = directory.writeFailure {
            log.log("disk-broken", .error, [.init("reason", failure.description)])
            return
        }
        disk.start()
        try start(configuration)
    }

    /// Runs on the loop what begins there, and waits for it.
    private func start(_ configuration: Configuration) throws {
        let outcome = Deferred<StartError>()
        let started = Mailbox<Bool>()
        let handle = handle
        loop.post { _ in
            do throws(ListenError) {
                handle.host.deliveries = handle.deliveries
                handle.host.start()
                for listener in configuration.smtp.listeners {
                    guard let address = SocketAddress(listener.address.description) else { continue }
                    try handle.server.listen(on: address, tls: listener.tls)
                }
            } catch {
                outcome.value = StartError("smtp.listeners: \(error)")
            }
            started.put(true)
        }
        var batch: [Bool] = []
        _ = started.take(into: &batch)
        if let error = outcome.value {
            kill()
            throw error
        }
        log.log("started", .info, [.init("cluster", configuration.cluster.name)])
    }

    /// Takes no new mail, lets what is under way end, for at most so long; then everything is closed and on the disk.
    package func stop(within limit: Duration = .seconds(25)) async {
        guard beginsToEnd() else { return }
        log.log("stopping")
        let handle = handle
        let loop = loop
        await loop.spawn { _ in
            let timer = loop.timer(at: Clock.instant() + limit) {
                handle.server.closeAll()
                handle.host.giveUpDraining()
            }
            handle.server.drain()
            await handle.host.drain()
            await handle.server.untilEmpty(within: NodeRunner.patience)
            loop.cancel(timer)
            handle.server.closeAll()
            handle.deliveries.breakOffAll()
            handle.host.stop()
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
