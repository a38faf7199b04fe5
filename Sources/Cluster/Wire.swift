package import Primitives

/// Messages as bytes on a connection: body length 4, CRC-32C 4, kind 1, body (little-endian).
///
/// The checksum covers kind and body. TLS protects against others, this against ourselves and bad memory. Bytes are
/// untrusted: a wrong checksum, an unknown kind or a length beyond the bound ends the connection, nothing else.
package enum Wire {
    static let headerSize = 9
    /// The longest is an `Append` of `Append.maximumBytes` with its fields.
    package static let maximumBody = Append.maximumBytes + 4096

    package static func encode(_ message: Message) -> [UInt8] {
        encode(kind: message.kind.rawValue, reserving: message.sizeHint) { message.write(to: &$0) }
    }

    package static func encode(_ hello: Hello) -> [UInt8] {
        encode(kind: Hello.kind, reserving: 256) { hello.write(to: &$0) }
    }

    private static func encode(
        kind: UInt8, reserving size: Int, _ write: (inout ByteWriter) -> Void
    ) -> [UInt8] {
        var writer = ByteWriter(reserving: headerSize + size)
        writer.write(UInt64(0))
        writer.write(kind)
        write(&writer)
        let length = writer.bytes.count - headerSize
        precondition(length <= maximumBody, "a message longer than every receiver's bound")
        var checksum = CRC32C()
        writer.bytes.withUnsafeBytes { all in
            checksum.update(UnsafeRawBufferPointer(rebasing: all[(headerSize - 1)...]).bytes)
        }
        writer.bytes.withUnsafeMutableBytes { all in
            all.storeBytes(of: UInt32(length).littleEndian, toByteOffset: 0, as: UInt32.self)
            all.storeBytes(of: checksum.value.littleEndian, toByteOffset: 4, as: UInt32.self)
        }
        return writer.bytes
    }
}

/// The numbers travel between versions: they are fixed for ever.
enum MessageKind: UInt8, CaseIterable {
    case pulse = 1
    case pulseReply = 2
    case append = 3
    case durable = 4
    case mismatch = 5
    case fenced = 6
    case buried = 7
    case probe = 8
    case claim = 9
    case claimAnswers = 10
    case fetch = 11
    case fetched = 12
    case release = 13
    case bury = 14
    case lateOutcome = 15
    case ask = 16
    case answer = 17
    case notHere = 18
    case recordsDigest = 19
    case recordsDelta = 20
}

extension Message {
    var kind: MessageKind {
        switch self {
        case .pulse: .pulse
        case .pulseReply: .pulseReply
        case .append: .append
        case .durable: .durable
        case .mismatch: .mismatch
        case .fenced: .fenced
        case .buried: .buried
        case .probe: .probe
        case .claim: .claim
        case .claimAnswers: .claimAnswers
        case .fetch: .fetch
        case .fetched: .fetched
        case .release: .release
        case .bury: .bury
        case .lateOutcome: .lateOutcome
        case .ask: .ask
        case .answer: .answer
        case .recordsDigest: .recordsDigest
        case .recordsDelta: .recordsDelta
        case .notHere: .notHere
        }
    }

    fileprivate var sizeHint: Int {
        switch self {
        case .append(let append): append.bytes.count + 128
        case .fetched(let fetched): fetched.bytes.count + 128
        case .answer(let answer): answer.what.count + 64
        case .recordsDelta: RecordsDelta.maximumBytes
        default: 128
        }
    }
}

/// Takes a connection's bytes as they come and gives its messages in order.
package struct WireReader: Sendable {
    package enum Item: Hashable, Sendable {
        case hello(Hello)
        case message(Message)
    }

    private var buffer: [UInt8] = []
    private var start = 0
    /// Set once the bytes made no sense: what follows them has no beginning.
    private var failure: MalformedBytes?

    package init() {}

    /// What is kept of messages that are not complete, at most `Wire.maximumBody` and one read.
    package var buffered: Int { buffer.count - start }

    package mutating func push(_ bytes: some Collection<UInt8>) { buffer.append(contentsOf: bytes) }

    /// The next whole message; nil until more bytes have come.
    package mutating func next() throws(MalformedBytes) -> Item? {
        if let failure { throw failure }
        do {
            guard let (item, end) = try read() else { return nil }
            // Only now does nothing else hold the buffer: dropping copies none of it.
            drop(through: end)
            return item
        } catch {
            failure = error
            buffer = []
            start = 0
            throw error
        }
    }

    /// The first whole message, and where it ends in the buffer.
    private func read() throws(MalformedBytes) -> (item: Item, end: Int)? {
        guard buffered >= Wire.headerSize else { return nil }
        var header = ByteReader(buffer, in: start..<start + Wire.headerSize)
        let length: UInt32 = try header.read()
        let checksum: UInt32 = try header.read()
        let kind: UInt8 = try header.read()
        guard length <= UInt32(Wire.maximumBody) else { throw MalformedBytes("a message of \(length) bytes") }
        guard buffered >= Wire.headerSize + Int(length) else { return nil }
        let body = start + Wire.headerSize..<start + Wire.headerSize + Int(length)
        var found = CRC32C()
        buffer.withUnsafeBytes { all in
            found.update(UnsafeRawBufferPointer(rebasing: all[(body.lowerBound - 1)..<body.upperBound]).bytes)
        }
        guard found.value == checksum else { throw MalformedBytes("a message's checksum is wrong") }
        var reader = ByteReader(buffer, in: body)
        let item: Item
        if kind == Hello.kind {
            item = .hello(try Hello(from: &reader))
        } else if let kind = MessageKind(rawValue: kind) {
            item = .message(try Message(kind: kind, from: &reader))
        } else {
            throw MalformedBytes("a message of kind \(kind)")
        }
        return (item, body.upperBound)
    }

    private mutating func drop(through end: Int) {
        start = end
        guard start == buffer.count || start > 1 << 16 else { return }
        buffer.removeFirst(start)
        start = 0
    }
}
