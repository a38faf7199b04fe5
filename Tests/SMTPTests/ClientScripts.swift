/// Beginnings of dialogues that many tests share (`ClientTranscript`).
enum ClientScripts {
    static let pipelinedPrelude = """
        S: 220 mx.example
        C: EHLO us.example
        S: 250-mx.example|250-PIPELINING|250-SIZE|250 8BITMIME
        = ready PIPELINING 8BITMIME SIZE

        """
    static let plainPrelude = """
        S: 220 mx.example
        C: EHLO us.example
        S: 250 mx.example
        = ready

        """
    /// Three recipients, all commands in one write.
    static let three = """
        > begin 1 a@x.example b@y.example,c@y.example,d@y.example
        C: MAIL FROM:<a@x.example> SIZE=1234|RCPT TO:<b@y.example>|RCPT TO:<c@y.example>|RCPT TO:<d@y.example>|DATA

        """
    /// One transaction up to its content.
    static let one = """
        > begin 1 a@x.example b@y.example
        C: MAIL FROM:<a@x.example> SIZE=1234|RCPT TO:<b@y.example>|DATA
        S: 250 ok|250 ok|354 go
        = content 1

        """
    static let oneDone = """
        > contentSent 1
        > mayFinish 1
        = dot 1
        S: 250 2.0.0 queued
        = finished 1
        =   delivered at final dot: 250 2.0.0 queued

        """
    static let second = """
        > begin 2 a@x.example c@y.example
        C: MAIL FROM:<a@x.example> SIZE=1234|RCPT TO:<c@y.example>|DATA

        """
}

extension String {
    /// The first lines, to go on in another way.
    func prefixLines(_ count: Int) -> String {
        split(separator: "\n").prefix(count).map { $0 + "\n" }.joined()
    }
}
