internal import Primitives

/// The numbered mail that `baton send` makes: what a number says is decided by the run's seed alone.
///
/// `X-Baton-Number` is the first line, so that everything from it to the end must arrive unaltered, whatever a relay puts on
/// top. `baton sink` digests the same range.
struct SendMail {
    /// What stands in `X-Baton-Number` before the number, and names the run.
    let run: String
    private let from: String
    private let to: [String]
    private let size: Int
    /// Bodies to choose from, so that one in another's place is noticed.
    private var bodies: [[UInt8]] = []
    private static let variants = 8

    init(seed: UInt64, from: String, to: [String], size: Int, run: String) {
        self.run = run
        self.from = from
        self.to = to
        self.size = size
        var random = SeededRandom(seed: seed)
        for _ in 0..<SendMail.variants { bodies.append(SendMail.body(size: size, &random)) }
    }

    /// `a%n@example.com` → `a17@example.com`.
    static func filled(_ pattern: String, _ number: Int) -> String {
        pattern.split(separator: "%n", omittingEmptySubsequences: false).joined(separator: String(number))
    }

    func sender(_ number: Int) -> String { SendMail.filled(from, number) }

    func recipients(_ number: Int) -> [String] { to.map { SendMail.filled($0, number) } }

    /// Appends a message in wire form, with its final dot; returns the digest of it and its size without the dot.
    /// `stamp` is the time of the first try, which the sink reads for its latencies.
    func append(_ number: Int, stamp: Int64, to output: inout [UInt8]) -> (digest: UInt32, size: Int) {
        let start = output.count
        output.append(contentsOf: "X-Baton-Number: ".utf8)
        output.append(contentsOf: run.utf8)
        output.append(0x2d)
        SendMail.append(number, to: &output)
        output.append(contentsOf: "\r\nX-Baton-Sent: ".utf8)
        SendMail.append(Int(stamp / 1000), to: &output)
        output.append(contentsOf: "\r\nFrom: <".utf8)
        output.append(contentsOf: sender(number).utf8)
        output.append(contentsOf: ">\r\nTo: <".utf8)
        output.append(contentsOf: (recipients(number).first ?? "").utf8)
        output.append(contentsOf: ">\r\nMessage-ID: <".utf8)
        output.append(contentsOf: run.utf8)
        output.append(0x2e)
        SendMail.append(number, to: &output)
        output.append(contentsOf: "@send.invalid>\r\nDate: ".utf8)
        output.append(contentsOf: WallTime(milliseconds: stamp / 1_000_000).rfc5322.utf8)
        output.append(contentsOf: "\r\nSubject: test mail\r\n\r\n".utf8)
        output.append(contentsOf: bodies[number % bodies.count])
        output.append(contentsOf: "end of ".utf8)
        SendMail.append(number, to: &output)
        output.append(contentsOf: [0x0d, 0x0a])
        var checksum = CRC32C()
        output.withUnsafeBytes { checksum.update(UnsafeRawBufferPointer(rebasing: $0[start...]).bytes) }
        let size = output.count - start
        output.append(contentsOf: [0x2e, 0x0d, 0x0a])
        return (checksum.value, size)
    }

    /// Printable lines in wire form; one in twenty begins with a stuffed dot.
    private static func body(size: Int, _ random: inout SeededRandom) -> [UInt8] {
        // What the headers and the last line take.
        let wanted = max(0, size - 300)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(wanted + 80)
        while bytes.count < wanted {
            if random.chance(0.05) { bytes.append(contentsOf: [0x2e, 0x2e]) }
            var word = random.next()
            for column in 0..<min(72, wanted - bytes.count) {
                if column % 10 == 0 { word = random.next() }
                // Letters, digits and some signs; never a dot at the start, a blank at the end or a bare CR or LF.
                bytes.append(UInt8(0x30 + word & 63))
                word >>= 6
            }
            bytes.append(contentsOf: [0x0d, 0x0a])
        }
        return bytes
    }

    private static func append(_ number: Int, to output: inout [UInt8]) {
        output.append(contentsOf: String(number).utf8)
    }
}
