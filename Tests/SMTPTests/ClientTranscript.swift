import Primitives
import Testing

@testable import SMTP

/// A dialogue with a `ClientSession`, written down. The lines of a script that begin with `S:` (the server says) or `>` (an
/// event) are played to a new session; what it does follows each of them as `C:` (it writes) and `=` (other actions).
/// So a test is a whole transcript, and must come out as it went in.
struct ClientTranscript {
    var session: ClientSession
    private(set) var text = ""
    private(set) var actions: [ClientSession.Action] = []
    var showsWaits = false

    init(tls: ClientSession.TLS = .off, pipelining: Bool = true) {
        session = ClientSession(.init(helo: "us.example", tls: tls, pipelining: pipelining))
    }

    static func play(
        _ script: String, tls: ClientSession.TLS = .off, pipelining: Bool = true, waits: Bool = false
    ) throws -> String {
        var transcript = ClientTranscript(tls: tls, pipelining: pipelining)
        transcript.showsWaits = waits
        transcript.start()
        for line in script.split(separator: "\n") { try transcript.step(String(line)) }
        return transcript.text
    }

    mutating func start() {
        session.start(&actions)
        if showsWaits { render() } else { actions = [] }
    }

    mutating func step(_ line: String) throws {
        if line.hasPrefix("S: ") {
            text += line + "\n"
            // A bar divides lines that come in one read.
            receive(line.dropFirst(3).split(separator: "|").map { $0 + "\r\n" }.joined())
        } else if line.hasPrefix("> ") {
            text += line + "\n"
            session.handle(try event(line.dropFirst(2).split(separator: " ").map(String.init)), &actions)
        } else {
            return
        }
        render()
    }

    mutating func receive(_ bytes: String) {
        Array(bytes.utf8).withUnsafeBytes { session.receive($0, &actions) }
    }

    private func event(_ words: [String]) throws -> ClientSession.Event {
        func id() throws -> UInt64 { try #require(UInt64(words[1])) }
        switch words[0] {
        case "begin":
            let recipients = words[3].split(separator: ",").map { Address(parsed: Array($0.utf8)) }
            return .begin(
                TransactionRequest(
                    id: try id(), reversePath: words[2] == "<>" ? nil : Address(parsed: Array(words[2].utf8)),
                    recipients: recipients, size: 1234, body: words.contains("8bit") ? .eightBit : .sevenBit,
                    smtputf8: words.contains("utf8")))
        case "contentSent": return .contentSent(try id())
        case "mayFinish": return .mayFinish(try id())
        case "mayNotFinish": return .mayNotFinish(try id())
        case "tlsStarted": return .tlsStarted
        case "timedOut": return .timedOut
        case "ended": return .connectionEnded(words.dropFirst().joined(separator: " "))
        case "quit": return .quit
        default:
            Issue.record("unknown event \(words)")
            return .quit
        }
    }

    private mutating func render() {
        for action in actions { text += render(action) }
        actions = []
    }

    private func render(_ action: ClientSession.Action) -> String {
        switch action {
        case .write(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            return "C: " + (text.hasSuffix("\r\n") ? text.dropLast() : text + "…").replacing("\r\n", with: "|") + "\n"
        case .sendContent(let id): return "= content \(id)\n"
        case .writeDot(let id): return "= dot \(id)\n"
        case .startTLS: return "= handshake\n"
        case .ready(let offers): return "= ready\(offers.words)\n"
        case .wait(let deadline): return showsWaits ? "= wait \(deadline)\n" : ""
        case .failed(let failure): return "= failed \(failure)\n"
        case .close: return "= close\n"
        case .finished(let result):
            let head = "= finished \(result.id)\(result.connectionUsable ? "" : " unusable")"
            return head + (result.staleConnection ? " stale" : "") + "\n"
                + result.recipients.map { "=   \($0.words)\n" }.joined()
        }
    }
}

extension Capabilities {
    fileprivate var words: String {
        (pipelining ? " PIPELINING" : "") + (eightBitMIME ? " 8BITMIME" : "") + (smtputf8 ? " SMTPUTF8" : "")
            + (enhancedStatusCodes ? " ENHANCEDSTATUSCODES" : "") + (startTLS ? " STARTTLS" : "")
            + (size ? " SIZE" : "") + (sizeLimit.map { " \($0)" } ?? "")
    }
}

extension RecipientResult {
    fileprivate var words: String {
        switch outcome {
        case .delivered(let reply): "delivered at \(stage): \(reply)"
        case .deferred(let reply): "deferred at \(stage): \(reply)"
        case .failed(let reply): "failed at \(stage): \(reply)"
        case .notSent(let reason, let reply): "not sent at \(stage): \(reason)\(reply.map { ": \($0)" } ?? "")"
        case .unanswered(let text): "unanswered at \(stage): \(text)"
        }
    }
}
