import Primitives

/// The body of each kind of frame. `RecordDecoding.swift` reads what is written here.
///
/// Fixed fields first, in this order for ever; then tagged fields, of which readers skip (in an accept: keep) the unknown.
extension Record {
    func write<Sink: FieldSink>(to sink: inout Sink) {
        switch self {
        case .open(let open):
            sink.string(open.cluster)
            sink.replica(open.origin)
            sink.replicas(open.replicas)
            sink.time(open.time)
        case .takeover(let takeover):
            sink.replica(takeover.owner)
            sink.time(takeover.time)
        case .replicas(let replicas): sink.replicas(replicas)
        case .seal, .retire: break
        case .body(let stream, let bytes):
            // The content is all the rest, so that it ends where the frame ends.
            sink.variable(stream.number)
            bytes.withUnsafeBytes { sink.copy($0) }
        case .abort(let stream): sink.variable(stream.number)
        case .accept(let accept): accept.write(to: &sink)
        case .attempt(let attempt): attempt.write(to: &sink)
        case .outcome(let outcome): outcome.write(to: &sink)
        case .hold(let command), .release(let command), .cancel(let command): command.write(to: &sink)
        case .redirect(let command, let upstream):
            command.write(to: &sink)
            sink.string(upstream)
        case .unknown: preconditionFailure("a frame of an unknown kind is copied, never encoded")
        }
    }
}

extension AcceptRecord {
    func write<Sink: FieldSink>(to sink: inout Sink) {
        switch content {
        case .inline(let bytes):
            writeHead(to: &sink, contentCount: bytes.count)
            bytes.withUnsafeBytes { sink.copy($0) }
        case .pieces(let stream, let pieces):
            writeEnvelope(to: &sink)
            sink.variable(AcceptTag.pieces)
            var count = CountingSink()
            count.pieces(stream, pieces)
            sink.variable(UInt64(count.count))
            sink.pieces(stream, pieces)
        case .range:
            preconditionFailure("an accept is written with its content's bytes, not with where they once were")
        }
    }

    /// Everything up to inline content of this length.
    func writeHead<Sink: FieldSink>(to sink: inout Sink, contentCount: Int) {
        writeEnvelope(to: &sink)
        sink.variable(AcceptTag.content)
        sink.variable(UInt64(contentCount))
    }

    private func writeEnvelope<Sink: FieldSink>(to sink: inout Sink) {
        sink.id(id.ulid)
        sink.time(time)
        if let reversePath { sink.field(AcceptTag.reversePath, reversePath) }
        for recipient in recipients { sink.field(AcceptTag.recipient, recipient) }
        sink.flag(AcceptTag.eightBit, isEightBit)
        sink.flag(AcceptTag.internationalized, isInternationalized)
        if prefixCount > 0 {
            sink.variable(AcceptTag.prefixCount)
            sink.variable(sink.length(prefixCount))
            sink.variable(prefixCount)
        }
        sink.variable(AcceptTag.size)
        sink.variable(sink.length(size))
        sink.variable(size)
        sink.optionalField(AcceptTag.digest, digest)
        sink.optionalField(AcceptTag.messageIDField, messageIDField)
        sink.optionalField(AcceptTag.clientAddress, clientAddress)
        sink.optionalField(AcceptTag.helo, helo)
        sink.optionalField(AcceptTag.user, user)
        sink.optionalField(AcceptTag.tls, tls)
        if let concerns {
            sink.variable(AcceptTag.concerns)
            sink.variable(16)
            sink.id(concerns.ulid)
        }
        sink.flag(AcceptTag.uncertain, isUncertain)
        for field in headerFields { sink.field(AcceptTag.headerField, field) }
        for unknown in unknownFields { sink.field(unknown.tag, unknown.bytes) }
    }
}

extension AttemptRecord {
    func write<Sink: FieldSink>(to sink: inout Sink) {
        sink.id(message.ulid)
        sink.variable(UInt64(number))
        sink.time(time)
        sink.string(upstream)
        sink.indices(recipients)
    }
}

extension OutcomeRecord {
    func write<Sink: FieldSink>(to sink: inout Sink) {
        sink.id(message.ulid)
        sink.variable(UInt64(attempt))
        sink.time(time)
        sink.string(upstream)
        sink.string(remote)
        sink.variable(UInt64(results.count))
        for result in results {
            var count = CountingSink()
            result.write(to: &count)
            sink.variable(UInt64(count.count))
            result.write(to: &sink)
        }
        if let notice {
            sink.variable(OutcomeTag.notice)
            var count = CountingSink()
            notice.write(to: &count)
            sink.variable(UInt64(count.count))
            notice.write(to: &sink)
        }
    }
}

extension RecipientResult {
    func write<Sink: FieldSink>(to sink: inout Sink) {
        sink.variable(UInt64(recipient))
        sink.byte(status.rawValue)
        sink.variable(UInt64(code))
        sink.variable(UInt64(tries))
        sink.optionalField(ResultTag.enhanced, enhanced)
        sink.optionalField(ResultTag.reply, reply)
        if let due {
            sink.variable(ResultTag.due)
            sink.variable(8)
            sink.time(due)
        }
        sink.flag(ResultTag.held, isHeld)
        sink.flag(ResultTag.suppressed, isSuppressed)
    }
}

extension CommandRecord {
    func write<Sink: FieldSink>(to sink: inout Sink) {
        sink.id(message.ulid)
        sink.time(time)
        sink.indices(recipients)
        sink.string(by)
        sink.string(reason)
    }
}

extension FieldSink {
    fileprivate mutating func replica(_ replica: ReplicaID) {
        string(replica.node)
        id(replica.disk.bits)
    }

    fileprivate mutating func replicas(_ replicas: [ReplicaID]) {
        variable(UInt64(replicas.count))
        for replica in replicas { self.replica(replica) }
    }

    @inline(__always)
    fileprivate mutating func indices(_ indices: [UInt32]) {
        variable(UInt64(indices.count))
        for index in indices { variable(UInt64(index)) }
    }

    fileprivate mutating func pieces(_ stream: StreamID, _ pieces: [ContentPiece]) {
        variable(stream.number)
        variable(UInt64(pieces.count))
        for piece in pieces {
            variable(piece.offset)
            variable(UInt64(piece.count))
        }
    }
}
