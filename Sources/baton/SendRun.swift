internal import CLinux
internal import Glibc

/// A whole run of `baton send`: which number goes next, what became of each, and the figures of it all.
final class SendRun {
    struct Message {
        let number: Int
        /// By the wall clock, in nanoseconds; it travels in the message.
        let firstTry: Int64
        var tries: Int
    }

    let options: SendOptions
    let mail: SendMail
    let loop = DrillLoop()
    private(set) var figures = SendFigures()
    private let book: DrillBook?
    private var signals: DrillSignals?
    private var sessions: [ObjectIdentifier: SendSession] = [:]
    private var resting: [SendSession] = []
    private var isWakeSet = false
    private var nextNumber: Int
    private var isStopping = false
    private var nextServer = 0
    /// Numbers to send again, oldest first, each with the time from which it may go.
    private var again: [(message: Message, from: Int64)] = []
    private var pending = 0
    /// Connections lost since the last 250.
    private var losses = 0
    private let started: Int64
    private var lastAccepted: Int64

    /// How long a refused message and a lost connection wait: short beside the gaps that a drill measures.
    private static let pause = Duration.milliseconds(50)

    init(_ options: SendOptions, book: DrillBook?) {
        self.options = options
        self.book = book
        mail = SendMail(
            seed: options.seed, from: options.from, to: options.to, size: options.size, run: options.run)
        nextNumber = options.first
        started = loop.now
        lastAccepted = loop.now
    }

    func run() {
        signals = DrillSignals(
            on: loop, stop: { [self] in isStopping = true },
            report: { [self] in drillPrint(figures.text(options, seconds: elapsed)) })
        loop.endOfTurn = { [self] in
            book?.flush()
            if isFinished { loop.isStopped = true }
        }
        figures.startedAt = DrillClock.wall()
        for _ in 0..<options.sessions { connect() }
        watchProgress()
        loop.run()
        for item in again { settle(item.message, "unsent", reply: "given up") }
        book?.flush()
        figures.endedAt = DrillClock.wall()
    }

    var elapsed: Double { Double(DrillClock.monotonic() - started) / 1e9 }

    private var isExhausted: Bool {
        if nextNumber - options.first >= options.count { return true }
        guard let limit = options.limit else { return false }
        return loop.now - started >= limit
    }

    private var isFinished: Bool { pending == 0 && (isStopping || isExhausted && again.isEmpty) }

    // MARK: What goes next

    /// The next message that may go now.
    func next() -> Message? {
        if let first = again.first, first.from <= loop.now {
            again.removeFirst()
            pending += 1
            return first.message
        }
        guard !isStopping, !isExhausted, dueAt(nextNumber) <= loop.now else { return nil }
        defer { nextNumber += 1 }
        pending += 1
        return Message(number: nextNumber, firstTry: DrillClock.wall(), tries: 0)
    }

    private func dueAt(_ number: Int) -> Int64 {
        guard let rate = options.rate else { return 0 }
        return started + Int64(Double(number - options.first) / rate * 1e9)
    }

    /// A session found nothing to do: it is woken when there is.
    func rest(_ session: SendSession) {
        if session.isIdle { resting.append(session) }
        setWake()
    }

    private func setWake() {
        guard !isWakeSet, !resting.isEmpty else { return }
        var time = again.first?.from ?? .max
        if !isStopping, !isExhausted { time = min(time, dueAt(nextNumber)) }
        guard time != .max else { return }
        isWakeSet = true
        loop.after(.nanoseconds(max(0, time - loop.now))) { [self] in
            isWakeSet = false
            // The first to rest is the first to go, so that all sessions share the work.
            let woken = resting.prefix(options.rate == nil ? resting.count : 1)
            resting.removeFirst(woken.count)
            for session in woken where !session.isClosed {
                session.takeNext()
                session.flush()
            }
            setWake()
        }
    }

    // MARK: What became of it

    func accepted(_ flight: SendSession.Flight, reply: String) {
        pending -= 1
        let latency = loop.now - flight.dotSentAt
        lastAccepted = loop.now
        losses = 0
        figures.accepted += 1
        figures.acceptedBytes += flight.size
        figures.latencies.add(nanoseconds: latency)
        if let book {
            let words = reply.split(separator: " ")
            let id = words.lastIndex { $0 == "as" }.flatMap { words.dropFirst($0 + 1).first } ?? ""
            book.add(
                line(
                    flight.message, "accepted", id: String(id), digest: flight.digest, size: flight.size,
                    latency: latency, recipients: flight.acceptedRecipients, reply: reply))
        }
    }

    /// The server said no: certainly not accepted.
    func refused(_ flight: SendSession.Flight) {
        let (code, text) = flight.objection ?? (0, "no reply")
        figures.refusals[code, default: 0] += 1
        if options.retries, code < 500 {
            later(flight.message)
        } else {
            pending -= 1
            settle(flight.message, "refused", reply: text)
        }
    }

    /// The connection ended before the final dot was sent: certainly not accepted.
    func interrupted(_ flight: SendSession.Flight, _ why: String) {
        figures.interrupted += 1
        if options.retries {
            later(flight.message)
        } else {
            pending -= 1
            settle(flight.message, "interrupted", reply: why)
        }
    }

    /// The final dot was sent and never answered: accepted or not, nobody here can tell.
    func unanswered(_ flight: SendSession.Flight, _ why: String) {
        figures.unanswered += 1
        if options.resendsUnanswered {
            later(flight.message)
        } else {
            pending -= 1
            if let book {
                book.add(
                    line(
                        flight.message, "unanswered", id: "", digest: flight.digest, size: flight.size,
                        latency: loop.now - flight.dotSentAt, recipients: flight.acceptedRecipients, reply: why))
            }
        }
    }

    private func later(_ message: Message) {
        pending -= 1
        var message = message
        message.tries += 1
        again.append((message, loop.now + Int64(SendRun.pause.components.attoseconds / 1_000_000_000)))
        setWake()
    }

    private func settle(_ message: Message, _ status: String, reply: String) {
        figures.unsent += 1
        if figures.lastWord.isEmpty || status == "refused" { figures.lastWord = reply }
        book?.add(
            line(message, status, id: "", digest: 0, size: 0, latency: 0, recipients: 0, reply: reply))
    }

    static let header =
        "number,id,status,started,ended,latency_ms,tries,recipients,digest,size,from,reply"

    private func line(
        _ message: Message, _ status: String, id: String, digest: UInt32, size: Int, latency: Int64, recipients: Int,
        reply: String
    ) -> String {
        let times = "\(SendRun.seconds(message.firstTry)),\(SendRun.seconds(DrillClock.wall()))"
        return "\(mail.run)-\(message.number),\(id),\(status),\(times),\(drillDecimal(Double(latency) / 1e6, 3)),"
            + "\(message.tries + 1),\(recipients),\(String(digest, radix: 16)),\(size),"
            + "\(mail.sender(message.number)),\(drillField(reply))\n"
    }

    private static func seconds(_ wall: Int64) -> String { drillDecimal(Double(wall) / 1e9, 6) }

    // MARK: Connections

    private func connect() {
        let server = options.servers[nextServer % options.servers.count]
        nextServer += 1
        guard let descriptor = server.connect() else { return reconnect() }
        let session = SendSession(descriptor: descriptor, run: self)
        sessions[ObjectIdentifier(session)] = session
    }

    func ended(_ session: SendSession, why: String?) {
        sessions[ObjectIdentifier(session)] = nil
        resting.removeAll { $0 === session }
        guard let why else { return connect() }
        figures.lostConnections += 1
        figures.lastLoss = why
        reconnect()
    }

    private func reconnect() {
        losses += 1
        // Without retries a server that cannot be reached ends the run, once every session has tried it.
        if !options.retries, losses > 2 * options.sessions + options.servers.count {
            isStopping = true
            figures.lastWord = figures.lastLoss
        }
        loop.after(SendRun.pause) { [self] in
            if !isStopping { connect() }
        }
    }

    /// Once a second: sessions whose server fell silent, and whether there is any hope left.
    private func watchProgress() {
        loop.after(.seconds(1)) { [self] in
            let patience = options.timeout
            for session in Array(sessions.values) where session.isWaiting {
                if loop.now - session.lastProgress > patience { session.giveUpWaiting() }
            }
            // With a slow --rate there may be nothing to accept for a while: that is no reason.
            let isOverdue = !isExhausted && dueAt(nextNumber) < loop.now - options.giveUp
            if loop.now - lastAccepted > max(patience, options.giveUp), pending > 0 || !again.isEmpty || isOverdue {
                figures.lastWord = "nothing accepted for \(options.giveUp / 1_000_000_000) s"
                for session in Array(sessions.values) { session.giveUpWaiting() }
                isStopping = true
            }
            watchProgress()
        }
    }
}
