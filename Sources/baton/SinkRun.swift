internal import CLinux
internal import Glibc

/// A whole run of `baton sink`: its sessions, its books and its figures.
final class SinkRun {
    let loop = DrillLoop()
    var replies: SinkReplies
    let delay: Duration
    var figures = SinkFigures()
    /// The answer to EHLO.
    let extensions: [UInt8]
    private let book: DrillBook?
    private let keepDirectory: String?
    private let limit: Int?
    private var listener: SinkListener?
    private var signals: DrillSignals?
    private var sessions: Set<ObjectIdentifier> = []
    private var connections = 0

    init(
        replies: SinkReplies, delay: Duration, extensions: [String], book: DrillBook?, keepDirectory: String?,
        limit: Int?
    ) {
        self.replies = replies
        self.delay = delay
        self.book = book
        self.keepDirectory = keepDirectory
        self.limit = limit
        let lines = ["sink.invalid"] + extensions
        self.extensions = Array(
            lines.enumerated().map { "250\($0.offset == lines.count - 1 ? " " : "-")\($0.element)\r\n" }.joined().utf8)
    }

    var keeps: Bool { keepDirectory != nil }

    /// Serves a listening socket until a signal or the count that was asked for.
    func run(listening descriptor: Int32) {
        signals = DrillSignals(
            on: loop, stop: { [self] in loop.isStopped = true }, report: { [self] in drillPrint(figures.text) })
        loop.endOfTurn = { [self] in book?.flush() }
        listener = SinkListener(descriptor: descriptor, run: self)
        loop.run()
        book?.flush()
    }

    static let header = "number,time,from,recipients,digest,size,connection"

    func arrived(
        _ content: SinkContent, from sender: [UInt8], to recipients: [UInt8], recipients count: Int, connection: Int
    ) {
        let wall = DrillClock.wall()
        figures.record(content, recipients: count, at: wall)
        if let book {
            let number = String(decoding: content.number, as: UTF8.self)
            let addresses = drillField(String(decoding: recipients, as: UTF8.self))
            book.add(
                "\(drillField(number)),\(drillDecimal(Double(wall) / 1e9, 6)),"
                    + "\(drillField(String(decoding: sender, as: UTF8.self))),\(addresses),"
                    + "\(String(content.checksum.value, radix: 16)),\(content.size),\(connection)\n")
        }
        if let keepDirectory { keep(content, in: keepDirectory) }
        if let limit, figures.arrived >= limit {
            // The answer goes first; the loop ends with its turn.
            loop.after(.zero) { [self] in loop.isStopped = true }
        }
    }

    func opened(_ descriptor: Int32) {
        connections += 1
        figures.connections += 1
        let session = SinkSession(descriptor: descriptor, run: self, number: connections)
        if !session.isClosed { sessions.insert(ObjectIdentifier(session)) }
        figures.mostSessions = max(figures.mostSessions, sessions.count)
    }

    func ended(_ session: SinkSession) { sessions.remove(ObjectIdentifier(session)) }

    /// Writes the message as a mail file, without the dots that stuffing added, and renames it when it is whole.
    private func keep(_ content: SinkContent, in directory: String) {
        var mail: [UInt8] = []
        mail.reserveCapacity(content.kept.count)
        var isLineStart = true
        for byte in content.kept {
            if isLineStart, byte == 0x2e {
                isLineStart = false
                continue
            }
            mail.append(byte)
            isLineStart = byte == 0x0a
        }
        let path = "\(directory)/\(figures.arrived).eml"
        let descriptor = baton_open(path + ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return drillPrint("baton sink: cannot write \(path)", to: 2) }
        var written = 0
        while written < mail.count {
            let count = mail.withUnsafeBytes {
                write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count <= 0 { break }
            written += count
        }
        close(descriptor)
        rename(path + ".part", path)
    }
}

/// Accepts all that wait, in one turn.
private final class SinkListener: DrillSource {
    private unowned let run: SinkRun

    init(descriptor: Int32, run: SinkRun) {
        self.run = run
        super.init(descriptor: descriptor)
        run.loop.add(self)
    }

    override func readable() {
        while true {
            let type = Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
            let accepted = accept4(descriptor, nil, nil, type)
            if accepted < 0 { return }
            run.opened(accepted)
        }
    }
}
