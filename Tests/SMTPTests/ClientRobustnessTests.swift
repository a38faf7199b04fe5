import Primitives
import Testing

@testable import SMTP

@Suite("A client session under chance")
struct ClientRobustnessTests {
    /// What a shell keeps, and what must hold for every action.
    struct Books {
        var begun: Set<UInt64> = []
        var finished: [UInt64: TransactionResult] = [:]
        var dots: Set<UInt64> = []
        var permitted: Set<UInt64> = []
        var contentAsked: Set<UInt64> = []
        var contentSent: Set<UInt64> = []
        var closes = 0

        mutating func take(_ actions: [ClientSession.Action], recipients: Int) {
            for action in actions {
                #expect(closes == 0 || action.isFinished, "\(action) after close")
                switch action {
                case .sendContent(let id):
                    #expect(contentAsked.insert(id).inserted)
                case .writeDot(let id):
                    #expect(dots.insert(id).inserted)
                    #expect(permitted.contains(id) && contentSent.contains(id) && finished[id] == nil)
                case .finished(let result):
                    #expect(begun.contains(result.id))
                    #expect(finished.updateValue(result, forKey: result.id) == nil)
                    #expect(result.recipients.count == recipients)
                    for one in result.recipients { check(one, result) }
                case .close: closes += 1
                default: break
                }
            }
        }

        func check(_ one: RecipientResult, _ result: TransactionResult) {
            switch one.outcome {
            case .delivered(let reply):
                #expect(dots.contains(result.id) && reply.isSuccess && one.stage == .finalDot)
            case .unanswered: #expect(dots.contains(result.id) && !result.connectionUsable)
            case .notSent(.undecided, _): Issue.record("undecided left the session")
            case .notSent(.tooManyRecipients, _): break
            case .notSent: #expect(!dots.contains(result.id))
            case .deferred, .failed: break
            }
            if result.staleConnection { #expect(!dots.contains(result.id) && !contentAsked.contains(result.id)) }
        }
    }

    static let replies = [
        "250 ok", "250 ok", "250 ok", "250 2.0.0 ok", "354 go", "354 go", "550 5.1.1 no", "451 4.7.1 later",
        "452 4.5.3 many",
        "421 bye", "220 hi", "250-mx\r\n250 PIPELINING", "250-mx\r\n250 STARTTLS", "xyz",
    ]

    /// A reply that leads on.
    func helpful(_ stage: Stage) -> String {
        switch stage {
        case .greeting, .startTLS: "220 go"
        case .data: "354 go"
        // Here a reply would end the transaction early: it gets what comes next instead.
        case .content: ""
        default: "250 2.0.0 ok"
        }
    }

    @Test("whatever comes in whatever order, each transaction finishes once and a dot is never unpermitted")
    func chance() {
        var random = SeededRandom(seed: 5)
        var outcomes: Set<String> = []
        for _ in 0..<4000 {
            let tls: ClientSession.TLS = random.chance(0.2) ? .opportunistic : .off
            var session = ClientSession(.init(helo: "us.example", tls: tls, pipelining: random.chance(0.8)))
            var books = Books()
            var nextID: UInt64 = 1
            let prelude = random.chance(0.9) ? ["220 hi", "250-mx\r\n250 PIPELINING"] : []
            for index in 0..<60 {
                var actions: [ClientSession.Action] = []
                let line =
                    index < prelude.count
                    ? prelude[index]
                    : random.chance(0.7) ? helpful(session.stage) : Self.replies.randomElement(using: &random)!
                let roll = index < prelude.count ? 0 : random.fraction()
                let id = UInt64.random(in: 1...max(1, nextID), using: &random)
                switch roll {
                case ..<0.5:
                    if line.isEmpty { break }
                    Array((line + "\r\n").utf8).withUnsafeBytes { session.receive($0, &actions) }
                case ..<0.65:
                    if session.mayBegin {
                        books.begun.insert(nextID)
                        let address = Address(parsed: Array("b@y.example".utf8))
                        session.handle(
                            .begin(
                                TransactionRequest(
                                    id: nextID, reversePath: nil, recipients: [address, address], size: 1)),
                            &actions)
                        nextID += 1
                    }
                case ..<0.8:
                    if let id = books.contentAsked.subtracting(books.contentSent).min() {
                        books.contentSent.insert(id)
                        session.handle(.contentSent(id), &actions)
                    }
                case ..<0.95:
                    books.permitted.insert(id)
                    session.handle(.mayFinish(id), &actions)
                case ..<0.96: if random.chance(0.3) { session.handle(.mayNotFinish(id), &actions) }
                case ..<0.97: session.handle(.tlsStarted, &actions)
                case ..<0.98: session.handle(.timedOut, &actions)
                case ..<0.99: session.handle(.connectionEnded("chance"), &actions)
                default: session.handle(.quit, &actions)
                }
                books.take(actions, recipients: 2)
            }
            var actions: [ClientSession.Action] = []
            session.handle(.connectionEnded("the end"), &actions)
            books.take(actions, recipients: 2)
            #expect(books.closes == 1 && session.isClosed)
            #expect(Set(books.finished.keys) == books.begun)
            for result in books.finished.values { outcomes.formUnion(result.recipients.map { "\($0.stage)" }) }
        }
        #expect(outcomes.isSuperset(of: ["MAIL", "RCPT", "DATA", "content", "final dot"]))
    }

    @Test("random bytes never crash it")
    func rubbish() {
        var random = SeededRandom(seed: 6)
        for _ in 0..<3000 {
            var session = ClientSession(.init(helo: "us.example"))
            var actions: [ClientSession.Action] = []
            for _ in 0..<5 {
                let bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                bytes.withUnsafeBytes { session.receive($0, &actions) }
            }
            #expect(actions.count(where: { $0 == .close }) <= 1)
        }
    }
}

extension ClientSession.Action {
    fileprivate var isFinished: Bool {
        if case .finished = self { true } else { false }
    }
}
