internal import CLinux
internal import CTLS
internal import Glibc
package import Primitives

/// A byte stream to a peer, over TCP or a Unix socket, in the clear or under TLS. Confined to its loop; at most one task
/// reads and one writes at a time.
///
/// Reading: `readMore` appends what has arrived to `input`, from where the caller takes it. Writing: `write` only queues; what
/// is queued goes out in one piece at `flush`, when a read has to wait, or at the end of the turn. A session that answers
/// what it reads calls `flush` after each burst, or a peer that only writes fills its memory with answers.
/// A deadline that passes leaves the connection open (a session may want to say why it closes); cancelling the task closes it.
package final class Connection {
    /// The most input that may wait to be consumed.
    package static let inputLimit = 4 << 20
    /// `flush` returns once no more than this waits to be sent.
    package static let lowWater = 64 << 10
    /// A connection that moved as much in one turn goes on in the next, so that one fast peer cannot hold the loop.
    static let bytesPerTurn = 512 << 10
    /// Reads are offered at least this much room.
    static let smallestRead = 4 << 10

    package let loop: Loop
    package let peer: SocketAddress
    let core: LoopCore
    private var descriptor: Descriptor?
    let raw: Int32
    private(set) var token: UInt64 = 0

    /// What has arrived and is not consumed.
    package var input = StreamBuffer()
    var output = StreamBuffer()
    var stream: TLSStream?

    // Edge-triggered: a flag stays until a call came back short.
    private var readable = false
    private var writable = false
    private var peerFinished = false
    private var readsLarge = false
    var isNotedWritten = false

    /// Why it is closed; nil while it is open.
    package private(set) var closedBecause: ConnectionError?
    /// Nothing can be sent any more; what the peer sent before can still be read.
    package private(set) var writeFailure: ConnectionError?

    private var turn: UInt64 = 0
    private var bytesThisTurn = 0

    enum Wake { case ready, timedOut, closed }
    private var reader: UnsafeContinuation<Wake, Never>?
    private var readDeadline = Instant.distantFuture
    private var writer: UnsafeContinuation<Wake, Never>?
    private var writeDeadline = Instant.distantFuture
    /// The writer goes on when no more than this waits.
    private var writerLevel = 0
    /// When the wheel looks at the deadlines next.
    private var looksAt = Instant.distantFuture

    /// Takes over a connected (or connecting) socket that is non-blocking and close-on-exec.
    package init(adopting descriptor: consuming Descriptor, peer: SocketAddress, on loop: Loop) throws(ConnectionError)
    {
        self.loop = loop
        self.peer = peer
        core = loop.core
        raw = descriptor.raw
        if case .ip = peer { descriptor.set(Int32(TCP_NODELAY), level: Int32(IPPROTO_TCP)) }
        self.descriptor = consume descriptor
        let events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        do {
            token = try core.register(.connection(.passUnretained(self)), descriptor: raw, events: events)
        } catch {
            closedBecause = .system(error)
            throw .system(error)
        }
    }

    deinit { shut(.closed) }

    package var isOpen: Bool { closedBecause == nil }

    /// Protocol and cipher, under TLS.
    package var tls: TLSInfo? { stream?.info }

    package var local: SocketAddress {
        isOpen ? SocketAddress(of: raw, by: { getsockname($0, $1, $2) }) ?? .unix("") : .unix("")
    }

    // MARK: The end

    /// Sends what can be sent at once, then closes. Whoever waits goes on with an error. Closing twice is no mistake.
    package func close() { shut(.closed) }

    /// Closes without a word and without leaving anything behind in the kernel (RST instead of FIN).
    package func abort() {
        guard isOpen else { return }
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        writeFailure = .closed
        shut(.closed)
    }

    func shut(_ reason: ConnectionError) {
        guard closedBecause == nil else { return }
        if writeFailure == nil, !output.isEmpty { sendQueued() }
        if writeFailure == nil { stream?.sayGoodbye() }
        closedBecause = reason
        core.unregister(token, descriptor: raw)
        descriptor = nil
        stream = nil
        input.release(to: core.pool)
        output.release(to: core.pool)
        resumeReader(.closed)
        resumeWriter(.closed)
    }

    /// Tells the peer that nothing more comes; reading goes on. Flush before.
    package func shutdownWrite() {
        guard isOpen, writeFailure == nil else { return }
        sendQueued()
        stream?.sayGoodbye()
        shutdown(raw, Int32(SHUT_WR))
        writeFailure = .closed
    }

    /// Flushes, tells the peer that it was all, waits until the peer closes too, and closes. So a last reply is not lost to
    /// the reset that closing with unread input would send.
    package func finish(deadline: Instant) async {
        do throws(ConnectionError) {
            try await flush(until: .empty, deadline: deadline)
            shutdownWrite()
            input.consumeAll()
            var dropped = 0
            while dropped < Connection.inputLimit, try await readMore(deadline: deadline) {
                dropped += input.count
                input.consumeAll()
            }
        } catch {}
        close()
    }

    // MARK: Reading

    /// Waits until something arrives and appends it to `input`; false at the end of the stream.
    package func readMore(deadline: Instant) async throws(ConnectionError) -> Bool {
        while true {
            if let closedBecause { throw closedBecause }
            guard input.count < Connection.inputLimit else { throw .inputLimit }
            if hadItsShare {
                await untilNextTurn()
                continue
            }
            switch receive() {
            case .moved(let count):
                spend(count)
                return true
            case .end: return false
            case .wouldBlock: try await untilReadable(deadline: deadline)
            case .failed(let error): throw error
            }
        }
    }

    enum Step {
        case moved(Int), end, wouldBlock
        case failed(ConnectionError)
    }

    private func receive() -> Step {
        // A stream of large reads gets large buffers; a dialogue keeps the small one.
        let room = input.reserve(readsLarge ? 64 << 10 : Connection.smallestRead, from: core.pool)
        let step: Step
        if let stream {
            step = stream.read(into: room)
        } else {
            step = receivePlain(into: room)
        }
        if case .moved(let count) = step {
            input.filled(count)
            readsLarge = count == room.count
        }
        return step
    }

    private func receivePlain(into room: UnsafeMutableRawBufferPointer) -> Step {
        while readable {
            let count = recv(raw, room.baseAddress, room.count, 0)
            if count > 0 {
                if count < room.count, !peerFinished { readable = false }
                return .moved(count)
            }
            if count == 0 { return .end }
            switch errno {
            case EINTR: continue
            case EAGAIN: readable = false
            default: return .failed(.reset(errno))
            }
        }
        return .wouldBlock
    }

    func untilReadable(deadline: Instant) async throws(ConnectionError) {
        if !output.isEmpty { sendQueued() }
        if input.isEmpty { input.release(to: core.pool) }
        precondition(reader == nil, "two tasks read from one connection")
        readDeadline = deadline
        look(at: deadline)
        try check(await loop.suspend(OnLoop(self), to: .read))
    }

    // MARK: Writing

    /// Queues bytes; they go out at `flush`, when a read has to wait, or at the end of the turn.
    package func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0) } }

    package func write(_ bytes: ArraySlice<UInt8>) { bytes.withUnsafeBytes { write($0) } }

    package func write(_ bytes: UnsafeRawBufferPointer) {
        guard isOpen, writeFailure == nil, !bytes.isEmpty else { return }
        var rest = bytes
        // A large piece with nothing before it need not be copied.
        if bytes.count >= BufferPool.pieceSize, output.isEmpty, stream == nil {
            if case .moved(let count) = sendPlain(bytes) { rest = UnsafeRawBufferPointer(rebasing: bytes[count...]) }
            if rest.isEmpty || writeFailure != nil { return }
        }
        output.append(rest, from: core.pool)
        if output.count >= Connection.lowWater {
            sendQueued()
        } else if !isNotedWritten {
            isNotedWritten = true
            core.noteWritten(token)
        }
    }

    package enum FlushLevel { case empty, lowWater }

    /// Sends what is queued, and waits until no more is left than the level: that is the backpressure of a slow reader.
    package func flush(until level: FlushLevel = .lowWater, deadline: Instant) async throws(ConnectionError) {
        let limit = level == .empty ? 0 : Connection.lowWater
        if let closedBecause { throw closedBecause }
        if !output.isEmpty { sendQueued() }
        while true {
            if let closedBecause { throw closedBecause }
            if let writeFailure { throw writeFailure }
            if output.count <= limit { break }
            try await untilWritable(level: limit, deadline: deadline)
        }
        if hadItsShare { await untilNextTurn() }
    }

    /// Bytes that wait to be sent.
    package var queuedOutput: Int { output.count }

    func untilWritable(level: Int, deadline: Instant) async throws(ConnectionError) {
        precondition(writer == nil, "two tasks write to one connection")
        writerLevel = level
        writeDeadline = deadline
        look(at: deadline)
        try check(await loop.suspend(OnLoop(self), to: .write))
    }

    /// Sends until nothing is queued or the socket takes no more.
    func sendQueued() {
        while !output.isEmpty, writeFailure == nil {
            let step = output.withUnreadBytes { bytes in stream?.write(bytes) ?? sendPlain(bytes) }
            switch step {
            case .moved(let count):
                output.consume(count)
                spend(count)
            case .wouldBlock: return
            case .end: failWriting(.closed)
            case .failed(let error): failWriting(error)
            }
        }
        output.release(to: core.pool)
    }

    private func sendPlain(_ bytes: UnsafeRawBufferPointer) -> Step {
        while writable {
            let count = send(raw, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            // After a short send the next one says EAGAIN, which makes sure of the edge to come.
            if count >= 0 { return .moved(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: writable = false
            default:
                failWriting(.reset(errno))
                return .failed(.reset(errno))
            }
        }
        return .wouldBlock
    }

    private func failWriting(_ error: ConnectionError) {
        if writeFailure == nil { writeFailure = error }
        resumeWriter(.ready)
    }

    func flushAtEndOfTurn() {
        isNotedWritten = false
        if isOpen, !output.isEmpty { sendQueued() }
    }
}

// MARK: - What the loop calls

extension Connection {
    /// The kernel has news.
    func happened(_ events: UInt32) {
        let ends = EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue
        if events & (EPOLLIN.rawValue | ends) != 0 { becameReadable(ended: events & ends != 0) }
        if events & (EPOLLOUT.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { becameWritable() }
    }

    private func becameReadable(ended: Bool) {
        if ended { peerFinished = true }
        if let stream {
            stream.wire.pointee.readable = 1
            if ended { stream.wire.pointee.hangup = 1 }
            // A write can wait for input (a key update).
            if !output.isEmpty { sendQueued() }
        } else {
            readable = true
        }
        resumeReader(.ready)
    }

    private func becameWritable() {
        if let stream {
            stream.wire.pointee.writable = 1
            if stream.readWaitsForRoom { resumeReader(.ready) }
        } else {
            writable = true
        }
        if !output.isEmpty { sendQueued() }
        if mayWrite { resumeWriter(.ready) }
    }

    private var isReadable: Bool { stream.map { $0.wire.pointee.readable != 0 } ?? readable }

    /// Whether the writer need not wait any more.
    private var mayWrite: Bool {
        let isWritable = stream.map { $0.wire.pointee.writable != 0 } ?? writable
        return writeFailure != nil || isWritable && output.count <= writerLevel
    }

    /// From here on the stream keeps the books of the socket.
    func handOver(to stream: TLSStream) {
        stream.wire.pointee.readable = readable ? 1 : 0
        stream.wire.pointee.writable = writable ? 1 : 0
        stream.wire.pointee.hangup = peerFinished ? 1 : 0
        self.stream = stream
    }

    private func resumeReader(_ wake: Wake) {
        guard let continuation = reader else { return }
        reader = nil
        continuation.resume(returning: wake)
    }

    private func resumeWriter(_ wake: Wake) {
        guard let continuation = writer else { return }
        writer = nil
        continuation.resume(returning: wake)
    }

    private func check(_ wake: Wake) throws(ConnectionError) {
        switch wake {
        case .ready: return
        case .timedOut: throw .timedOut
        case .closed: throw closedBecause ?? .closed
        }
    }

    enum Wait { case read, write }

    /// The task is suspended from here on. Things are looked at once more: it may have changed places since it looked.
    func begin(_ wait: Wait, _ continuation: UnsafeContinuation<Wake, Never>) {
        switch wait {
        case .read:
            reader = continuation
            if !isOpen { resumeReader(.closed) } else if isReadable { resumeReader(.ready) }
        case .write:
            writer = continuation
            if !isOpen { resumeWriter(.closed) } else if mayWrite { resumeWriter(.ready) }
        }
    }

    // MARK: Deadlines

    /// Makes sure that the wheel looks no later than this. Mostly it looks earlier, and nothing is to be done.
    private func look(at deadline: Instant) {
        if deadline < looksAt { looksAt = core.lookAgain(token, at: deadline) }
    }

    func lookAtDeadlines(at now: Instant) {
        guard looksAt <= now else { return }  // an entry that an earlier deadline has replaced
        looksAt = .distantFuture
        if reader != nil {
            if readDeadline <= now { resumeReader(.timedOut) } else { look(at: readDeadline) }
        }
        if writer != nil {
            if writeDeadline <= now { resumeWriter(.timedOut) } else { look(at: writeDeadline) }
        }
    }

    // MARK: Its share of a turn

    private func spend(_ count: Int) {
        if turn != core.turn {
            turn = core.turn
            bytesThisTurn = 0
        }
        bytesThisTurn += count
    }

    private var hadItsShare: Bool { bytesThisTurn >= Connection.bytesPerTurn && turn == core.turn }

    private func untilNextTurn() async {
        await withUnsafeContinuation { core.postpone($0) }
    }
}

extension Loop {
    /// Suspends the task until the connection wakes it. The closure must name its isolation: it would not be isolated
    /// otherwise, and each wait would change places and cost two jobs instead of one (measured).
    fileprivate func suspend(_ connection: OnLoop<Connection>, to wait: Connection.Wait) async -> Connection.Wake {
        let token = connection.value.token
        return await withTaskCancellationHandler {
            await withUnsafeContinuation(isolation: self) { connection.value.begin(wait, $0) }
        } onCancel: {
            post { $0.core.connection(token)?.shut(.cancelled) }
        }
    }
}
