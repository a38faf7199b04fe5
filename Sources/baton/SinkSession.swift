internal import CLinux
internal import Glibc

/// One connection to `baton sink`: an SMTP server that takes everything unless told otherwise.
final class SinkSession: DrillSocket {
    private enum State { case command, content(SinkContent) }

    private unowned let run: SinkRun
    private let number: Int
    private var state = State.command
    private var isInTransaction = false
    private var sender: [UInt8] = []
    private var recipients: [UInt8] = []
    private var recipientCount = 0
    /// Nothing more is read or said: the goodbye is on its way, or silence was asked for.
    private var isLeaving = false
    private var isSilent = false
    /// The message is to be taken without an answer.
    private var isLosing = false

    init(descriptor: Int32, run: SinkRun, number: Int) {
        self.run = run
        self.number = number
        super.init(descriptor: descriptor, loop: run.loop)
        if !answered(at: .connect) { say("220 sink.invalid ESMTP baton sink\r\n") }
        respond()
    }

    override func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        var start = 0
        while start < bytes.count, !isLeaving, !isSilent, !isClosed {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            switch state {
            case .command:
                guard let end = memchr(rest.baseAddress.unsafelyUnwrapped, 0x0a, rest.count) else {
                    if rest.count > 8192 { leave("500 5.5.2 Line too long\r\n") }
                    respond()
                    return start
                }
                let length = UnsafeRawPointer(end) - rest.baseAddress.unsafelyUnwrapped + 1
                command(UnsafeRawBufferPointer(rebasing: rest[..<length]))
                start += length
            case .content(var content):
                state = .command
                let (taken, isComplete) = content.take(rest)
                start += taken
                if isComplete {
                    arrived(content)
                } else {
                    state = .content(content)
                    respond()
                    return start
                }
            }
        }
        respond()
        return isLeaving || isSilent ? bytes.count : start
    }

    private func command(_ line: UnsafeRawBufferPointer) {
        switch SinkSession.verb(line) {
        case "EHLO":
            if !answered(at: .ehlo) { output.append(contentsOf: run.extensions) }
            isInTransaction = false
        case "HELO":
            if !answered(at: .ehlo) { say("250 sink.invalid\r\n") }
            isInTransaction = false
        case "MAIL":
            if isInTransaction { return say("503 5.5.1 Nested MAIL\r\n") }
            if answered(at: .mail) { return }
            isInTransaction = true
            SinkSession.path(line, into: &sender)
            recipients.removeAll(keepingCapacity: true)
            recipientCount = 0
            say("250 2.1.0 Ok\r\n")
        case "RCPT":
            if !isInTransaction { return say("503 5.5.1 MAIL first\r\n") }
            if answered(at: .rcpt) { return }
            if recipientCount > 0 { recipients.append(0x20) }
            recipientCount += 1
            SinkSession.path(line, into: &recipients, keeping: true)
            say("250 2.1.5 Ok\r\n")
        case "DATA":
            if recipientCount == 0 || !isInTransaction { return say("554 5.5.1 No valid recipients\r\n") }
            if answered(at: .data) { return }
            say("354 Go on\r\n")
            state = .content(SinkContent(keeps: run.keeps))
        case "RSET":
            isInTransaction = false
            say("250 2.0.0 Ok\r\n")
        case "NOOP": say("250 2.0.0 Ok\r\n")
        case "QUIT": leave("221 2.0.0 Bye\r\n")
        default: say("500 5.5.2 Not understood\r\n")
        }
    }

    private func arrived(_ content: SinkContent) {
        isInTransaction = false
        if answered(at: .dot) {
            if !isLosing { return }
            isLosing = false
            return run.arrived(content, from: sender, to: recipients, recipients: recipientCount, connection: number)
        }
        run.arrived(content, from: sender, to: recipients, recipients: recipientCount, connection: number)
        output.append(contentsOf: "250 2.0.0 Ok: queued as ".utf8)
        output.append(contentsOf: String(run.figures.arrived).utf8)
        output.append(contentsOf: [0x0d, 0x0a])
    }

    /// Carries out what the rules want at this stage, if anything.
    private func answered(at stage: SinkReplies.Stage) -> Bool {
        switch run.replies.answer(at: stage) {
        case nil: return false
        case .reply(let bytes, let code):
            run.figures.replies["\(stage.rawValue) \(code)", default: 0] += 1
            output.append(contentsOf: bytes)
            if code == 421 || stage == .connect && code >= 400 { isLeaving = true }
        case .lose:
            run.figures.replies["\(stage.rawValue) lose", default: 0] += 1
            isLosing = true
            output.removeAll()
            isLeaving = true
        case .drop:
            run.figures.replies["\(stage.rawValue) drop", default: 0] += 1
            output.removeAll()
            isLeaving = true
        case .silence:
            run.figures.replies["\(stage.rawValue) silence", default: 0] += 1
            isSilent = true
        }
        return true
    }

    private func say(_ text: StaticString) { text.withUTF8Buffer { output.append(contentsOf: $0) } }

    private func leave(_ text: StaticString) {
        say(text)
        isLeaving = true
    }

    /// Sends what was said in this turn, at once or after the delay that was asked for.
    private func respond() {
        guard run.delay > .zero, !output.isEmpty else { return send() }
        let replies = output
        output.removeAll(keepingCapacity: true)
        loop.after(run.delay) { [self] in
            if isClosed { return }
            output.append(contentsOf: replies)
            send()
        }
    }

    private func send() {
        flush()
        // The books hold what this turn answered before the loop waits again; only a goodbye closes here.
        if isLeaving, output.isEmpty { end() }
    }

    override func writable() {
        super.writable()
        if isLeaving, output.isEmpty { end() }
    }

    private func end() {
        if isClosed { return }
        close()
        run.ended(self)
    }

    override func lost(_ why: String) { run.ended(self) }

    /// The first four letters in upper case.
    private static func verb(_ line: UnsafeRawBufferPointer) -> String {
        guard line.count >= 4 else { return "" }
        let word = line.loadUnaligned(as: UInt32.self) & 0xdfdf_dfdf
        return String(unsafeUninitializedCapacity: 4) { target in
            for index in 0..<4 { target[index] = UInt8(truncatingIfNeeded: word >> (8 * UInt32(index))) }
            return 4
        }
    }

    /// What stands between the angle brackets.
    private static func path(_ line: UnsafeRawBufferPointer, into target: inout [UInt8], keeping: Bool = false) {
        if !keeping { target.removeAll(keepingCapacity: true) }
        guard let open = line.firstIndex(of: 0x3c), let end = line[open...].firstIndex(of: 0x3e) else { return }
        target.append(contentsOf: UnsafeRawBufferPointer(rebasing: line[(open + 1)..<end]))
    }
}
