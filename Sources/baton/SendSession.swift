internal import CLinux
internal import Glibc

/// One connection of `baton send`: an SMTP client that pipelines (RFC 2920), if asked also the next envelope
/// behind a final dot.
final class SendSession: DrillSocket {
    /// A message on its way through this connection.
    struct Flight {
        let message: SendRun.Message
        var acceptedRecipients = 0
        /// The first reply that speaks against it.
        var objection: (code: Int, text: String)?
        var digest: UInt32 = 0
        var size = 0
        var dotSentAt: Int64 = 0
        /// `queuedBytes` behind the final dot.
        var dotEnd = 0
    }

    private enum Awaited { case greeting, ehlo, helo, reset, mail, recipient, data, dot, quit }

    private unowned let run: SendRun
    private var awaited: [Awaited] = []
    /// The envelope that is being agreed on, and the content that waits for its answer.
    private var opening: Flight?
    private var finishing: Flight?
    /// Commands that wait for an answer to the one before, when the server does not pipeline.
    private var held: [(String, Awaited)] = []
    private var pipelines = false
    private var pipelinesAhead = false
    private var isReady = false
    private var mustReset = false
    private var messages = 0
    private(set) var lastProgress: Int64

    init(descriptor: Int32, run: SendRun) {
        self.run = run
        lastProgress = run.loop.now
        awaited = [.greeting]
        super.init(descriptor: descriptor, loop: run.loop, isConnecting: true)
    }

    var isIdle: Bool { isReady && opening == nil && finishing == nil && awaited.isEmpty }
    var isWaiting: Bool { !awaited.isEmpty }

    /// Takes a message if there is one to send; the caller flushes.
    func takeNext() {
        guard isReady, opening == nil, held.isEmpty, finishing == nil || pipelinesAhead else { return }
        if let limit = run.options.messagesPerSession, messages >= limit {
            if finishing == nil, awaited.isEmpty { command("QUIT", .quit) }
            return
        }
        guard let message = run.next() else { return run.rest(self) }
        messages += 1
        opening = Flight(message: message)
        if mustReset { command("RSET", .reset) }
        mustReset = false
        command("MAIL FROM:<\(run.mail.sender(message.number))>", .mail)
        for recipient in run.mail.recipients(message.number) { command("RCPT TO:<\(recipient)>", .recipient) }
        command("DATA", .data)
    }

    private func command(_ line: String, _ expected: Awaited) {
        if pipelines || awaited.isEmpty {
            output.append(contentsOf: line.utf8)
            output.append(contentsOf: [0x0d, 0x0a])
            awaited.append(expected)
        } else {
            held.append((line, expected))
        }
    }

    override func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        lastProgress = loop.now
        var start = 0
        while !isClosed, let end = bytes[start...].firstIndex(of: 0x0a) {
            let line = UnsafeRawBufferPointer(rebasing: bytes[start...end])
            start = end + 1
            guard let code = SendSession.code(of: line) else {
                abandon("an answer that is no SMTP reply")
                break
            }
            if line.count > 3, line[3] == 0x2d {
                noteExtension(line)
            } else {
                noteExtension(line)
                answered(code, line)
            }
        }
        if !isClosed { flush() }
        return start
    }

    private func answered(_ code: Int, _ line: UnsafeRawBufferPointer) {
        guard !awaited.isEmpty else { return abandon(SendSession.text(line)) }
        let fine = code < 400
        switch awaited.removeFirst() {
        case .greeting:
            guard fine else { return abandon(SendSession.text(line)) }
            command("EHLO \(run.options.helo)", .ehlo)
        case .ehlo:
            if !fine { return command("HELO \(run.options.helo)", .helo) }
            isReady = true
        case .helo:
            guard fine else { return abandon(SendSession.text(line)) }
            isReady = true
        case .reset: break
        case .mail:
            if !fine { object(code, line) }
        case .recipient:
            if fine { opening?.acceptedRecipients += 1 } else { object(code, line) }
        case .data: dataAnswered(code, line)
        case .dot: dotAnswered(code, line)
        case .quit:
            close()
            return run.ended(self, why: nil)
        }
        if code == 421, !isClosed { return abandon(SendSession.text(line)) }
        if awaited.isEmpty, !held.isEmpty {
            let (next, expected) = held.removeFirst()
            command(next, expected)
        }
        takeNext()
    }

    private func object(_ code: Int, _ line: UnsafeRawBufferPointer) {
        if opening?.objection == nil { opening?.objection = (code, SendSession.text(line)) }
    }

    private func dataAnswered(_ code: Int, _ line: UnsafeRawBufferPointer) {
        guard var flight = opening else { return }
        opening = nil
        guard code == 354 else {
            if flight.objection == nil { flight.objection = (code, SendSession.text(line)) }
            mustReset = true
            return run.refused(flight)
        }
        (flight.digest, flight.size) = run.mail.append(
            flight.message.number, stamp: flight.message.firstTry, to: &output)
        flight.dotEnd = queuedBytes
        flight.dotSentAt = loop.now
        awaited.append(.dot)
        finishing = flight
    }

    private func dotAnswered(_ code: Int, _ line: UnsafeRawBufferPointer) {
        guard var flight = finishing else { return }
        finishing = nil
        if code < 400 {
            run.accepted(flight, reply: SendSession.text(line))
        } else {
            flight.objection = (code, SendSession.text(line))
            run.refused(flight)
        }
    }

    /// The server said something that ends this connection.
    private func abandon(_ why: String) {
        close()
        lost(why)
    }

    override func lost(_ why: String) {
        if let flight = finishing {
            // A dot that is still here, behind what the kernel would not take, was never sent.
            if sentBytes >= flight.dotEnd { run.unanswered(flight, why) } else { run.interrupted(flight, why) }
        }
        if let flight = opening { run.interrupted(flight, why) }
        finishing = nil
        opening = nil
        run.ended(self, why: why)
    }

    /// The run's answer to a server that has gone silent.
    func giveUpWaiting() { abandon("no answer in time") }

    private func noteExtension(_ line: UnsafeRawBufferPointer) {
        guard awaited.first == .ehlo, line.count >= 14 else { return }
        if SendSession.text(line).dropFirst(4).uppercased() == "PIPELINING" {
            pipelines = run.options.pipelining != .off
            pipelinesAhead = run.options.pipelining == .ahead
        }
    }

    private static func code(of line: UnsafeRawBufferPointer) -> Int? {
        guard line.count >= 4 else { return nil }
        var code = 0
        for index in 0..<3 {
            guard line[index] >= 0x30, line[index] <= 0x39 else { return nil }
            code = code * 10 + Int(line[index] - 0x30)
        }
        return code
    }

    private static func text(_ line: UnsafeRawBufferPointer) -> String {
        var end = line.count
        while end > 0, line[end - 1] <= 0x20 { end -= 1 }
        return String(decoding: UnsafeRawBufferPointer(rebasing: line[..<end]), as: UTF8.self)
    }
}
