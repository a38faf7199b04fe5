internal import Glibc

/// `baton sink`: a test upstream that answers as told and keeps books.
enum SinkCommand {
    static func run(_ arguments: [String]) async -> Int32 {
        var given = DrillOptions(arguments, known: names, flags: ["help", "json"])
        if given.has("help") {
            drillPrint(help)
            return 0
        }
        var replies = SinkReplies(seed: UInt64(given.integer("seed", default: 1)))
        for text in given.texts("reply") where !replies.add(text) {
            given.refuse("reply", text, "STAGE=CODE TEXT@PERCENT% with a stage of connect, ehlo, mail, rcpt, data, dot")
        }
        let without = Set(given.texts("without").map { $0.uppercased() })
        let delay = given.duration("delay") ?? .zero
        let limit = given.has("count") ? given.integer("count", default: 1, atLeast: 1) : nil
        let text = given.text("listen") ?? "127.0.0.1:2555"
        let address = DrillAddress(text)
        if address == nil { given.refuse("listen", text, "HOST:PORT with a known host") }
        guard let address, given.problem == nil else {
            drillPrint("baton sink: \(given.problem ?? "") (baton sink --help)", to: 2)
            return 2
        }
        var book: DrillBook?
        if let path = given.text("book") {
            book = DrillBook(path: path, header: SinkRun.header)
            guard book != nil else {
                drillPrint("baton sink: cannot write \(path): \(DrillSocket.text(of: errno))", to: 2)
                return 2
            }
        }
        let (descriptor, port, failure) = address.listen()
        if let failure {
            drillPrint("baton sink: cannot listen on \(text): \(failure)", to: 2)
            return 2
        }
        let run = SinkRun(
            replies: replies, delay: delay, extensions: extensions.filter { !without.contains($0) }, book: book,
            keepDirectory: given.text("keep"), limit: limit)
        if !given.has("json") { drillPrint("baton sink: listening on \(text.prefix { $0 != ":" }):\(port)") }
        run.run(listening: descriptor)
        drillPrint(given.has("json") ? run.figures.json : run.figures.text)
        return 0
    }

    private static let names: Set<String> = [
        "listen", "reply", "delay", "count", "book", "keep", "without", "seed",
    ]
    private static let extensions = ["PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]

    static let help = """
        baton sink: a test upstream that takes all mail, answers as told, and keeps books of what arrived

          baton sink --listen 127.0.0.1:2555 --reply 'rcpt=450 4.7.1 later@20%' --delay 50ms

          --listen HOST:PORT   where (default 127.0.0.1:2555; port 0: any, and it says which)
          --reply STAGE=ANSWER a stage (connect, ehlo, mail, rcpt, data, dot) and what is answered there instead of yes:
                               a reply, 'drop', 'silence', or for dot 'lose' (takes the message, then drops), then @20%
                               for one in five; may be repeated, the first whose chance comes up counts
          --delay 50ms         before each answer
          --count N            exit after N messages
          --book FILE          appends a CSV line a message: number, time, from, recipients, digest, size, connection
          --keep DIRECTORY     writes each message there as N.eml
          --without EXTENSION  not to be offered (PIPELINING, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES)
          --seed N             of the chances (default 1); --json

        SIGTERM prints the figures and ends it (status 0); SIGUSR1 prints them and goes on.
        """
}
