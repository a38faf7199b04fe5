internal import Glibc
internal import Primitives

/// `baton send`: a test client and load source that keeps books.
enum SendCommand {
    static func run(_ arguments: [String]) async -> Int32 {
        var given = DrillOptions(arguments, known: names, flags: flags)
        if given.has("help") {
            drillPrint(help)
            return 0
        }
        let options = SendOptions(&given)
        if let problem = given.problem {
            drillPrint("baton send: \(problem) (baton send --help)", to: 2)
            return 2
        }
        var book: DrillBook?
        if let path = given.text("book") {
            book = DrillBook(path: path, header: SendRun.header)
            guard book != nil else {
                drillPrint("baton send: cannot write \(path): \(DrillSocket.text(of: errno))", to: 2)
                return 2
            }
        }
        let run = SendRun(options, book: book)
        run.run()
        let seconds = run.elapsed
        drillPrint(
            given.has("json")
                ? run.figures.json(options, seconds: seconds) : run.figures.text(options, seconds: seconds))
        if run.figures.accepted == 0, run.figures.unanswered == 0, run.figures.refusals.isEmpty { return 3 }
        return run.figures.unsent == 0 && run.figures.unanswered == 0 && run.figures.lastWord.isEmpty ? 0 : 1
    }

    private static let flags: Set<String> = ["help", "json", "retry", "resend-unanswered"]
    private static let names: Set<String> = [
        "server", "count", "for", "first", "sessions", "size", "rate", "from", "to", "messages-per-session", "seed",
        "run", "book", "timeout", "give-up", "helo", "pipelining",
    ]

    static let help = """
        baton send: sends numbered test mail and keeps books of what was accepted

          baton send --server 127.0.0.1:2525 --count 10000 --sessions 50 --size 4KiB

          --server HOST:PORT         where to (default 127.0.0.1:2525); repeat it and sessions take turns
          --count N                  how many messages (default 1); or --for 60s: as many as go in that time
          --sessions S               connections at a time (default 1)
          --size 4KiB                of each message (default 4KiB)
          --rate 200/s               no faster than that (default: as fast as answers come)
          --from, --to ADDRESS       %n becomes the number; --to may be repeated for more recipients
          --messages-per-session N   then QUIT and connect anew (default: no limit)
          --seed N, --run NAME       what bodies are made of (default 1); the name before each number
          --first N                  the first number (default 1)
          --book FILE                appends a CSV line a message: number, id from the 250, status, times, digest
          --retry                    sends again after 4xx and lost connections, until a 250 comes; never after an
                                     unanswered final dot (it may have been accepted), unless --resend-unanswered
          --timeout 60s              patience with a silent server; --give-up 60s: and without any acceptance
          --pipelining HOW           off; envelope: MAIL, RCPT and DATA at once, as most servers send (default);
                                     ahead: also the next envelope behind a final dot
          --helo NAME, --json

        Each message begins with 'X-Baton-Number: RUN-NUMBER'; from there to its end 'baton sink' digests it.
        Exit status: 0 all accepted, 1 not all, 2 wrong usage, 3 no server answered.
        """
}

/// What the user asked of `baton send`.
struct SendOptions {
    enum Pipelining: String { case off, envelope, ahead }

    var servers: [DrillAddress] = []
    var count: Int
    /// Nanoseconds of sending, with `--for`.
    var limit: Int64?
    var first: Int
    var sessions: Int
    var size: Int
    var rate: Double?
    var from: String
    var to: [String]
    var messagesPerSession: Int?
    var seed: UInt64
    var run: String
    var timeout: Int64
    var giveUp: Int64
    var helo: String
    var pipelining: Pipelining
    var retries: Bool
    var resendsUnanswered: Bool

    init(_ given: inout DrillOptions) {
        let limit = given.duration("for")
        self.limit = limit.map(\.nanoseconds)
        count = given.integer("count", default: limit == nil ? 1 : .max, atLeast: 1)
        first = given.integer("first", default: 1)
        sessions = min(given.integer("sessions", default: 1, atLeast: 1), count)
        size = given.size("size", default: 4096)
        rate = given.perSecond("rate")
        from = given.text("from") ?? "sender%n@example.com"
        to = given.has("to") ? given.texts("to") : ["recipient%n@example.net"]
        messagesPerSession =
            given.has("messages-per-session") ? given.integer("messages-per-session", default: 1, atLeast: 1) : nil
        seed = UInt64(given.integer("seed", default: 1))
        // Runs are told apart by their start unless they are named, so that two of them never count as one.
        run = given.text("run") ?? String(DrillClock.wall() / 1_000_000, radix: 36)
        timeout = (given.duration("timeout") ?? .seconds(60)).nanoseconds
        giveUp = (given.duration("give-up") ?? .seconds(60)).nanoseconds
        helo = given.text("helo") ?? "send.invalid"
        pipelining = .envelope
        resendsUnanswered = given.has("resend-unanswered")
        retries = given.has("retry") || resendsUnanswered
        for text in given.has("server") ? given.texts("server") : ["127.0.0.1:2525"] {
            guard let address = DrillAddress(text) else {
                given.refuse("server", text, "HOST:PORT with a known host")
                continue
            }
            servers.append(address)
        }
        if let text = given.text("pipelining") {
            if let how = Pipelining(rawValue: text) {
                pipelining = how
            } else {
                given.refuse("pipelining", text, "off, envelope or ahead")
            }
        }
        if run.contains(where: { !$0.isLetter && !$0.isNumber && $0 != "_" }) {
            given.refuse("run", run, "a name of letters, digits and _")
        }
    }
}
