package import Primitives

/// What each end of a connection says first (`protocol.md`, 'Messages' and 'Addressed').
///
/// `Hello` itself never changes but by fields at its end: it is what two versions find out about each other with.
package struct Hello: Hashable, Sendable {
    static let kind: UInt8 = 0xff
    /// No text in it is longer.
    static let maximumText = 255

    package var cluster: String
    package var from: ReplicaID
    /// Whom the sender means to speak to. The disk is nil until it has met it; the name is empty too when all that it knows
    /// is an address.
    package var toNode: String
    package var toDisk: DiskID?
    package var incarnation: UInt64
    /// Of the process before this one on the same disk; 0 when there was none.
    package var previousIncarnation: UInt64
    /// Where the sender listens: what a knock tries.
    package var address: String
    package var protocols: ClosedRange<UInt32>
    package var formats: ClosedRange<UInt32>
    /// By the sender's wall clock, to warn about clocks that are far apart.
    package var wall: WallTime
    /// Why the sender will not speak to the receiver, in words for the receiver's log; empty when it will. At most
    /// `maximumText` bytes of it travel.
    package var refusal: String

    package init(
        cluster: String, from: ReplicaID, toNode: String, toDisk: DiskID?, incarnation: UInt64,
        previousIncarnation: UInt64, address: String, protocols: ClosedRange<UInt32>, formats: ClosedRange<UInt32>,
        wall: WallTime, refusal: String = ""
    ) {
        self.cluster = cluster
        self.from = from
        self.toNode = toNode
        self.toDisk = toDisk
        self.incarnation = incarnation
        self.previousIncarnation = previousIncarnation
        self.address = address
        self.protocols = protocols
        self.formats = formats
        self.wall = wall
        self.refusal = refusal
    }

    /// The newest protocol that both ends understand; nil when there is none.
    package func sharedProtocol(with other: ClosedRange<UInt32>) -> UInt32? {
        let newest = min(protocols.upperBound, other.upperBound)
        return newest >= max(protocols.lowerBound, other.lowerBound) ? newest : nil
    }

    func write(to writer: inout ByteWriter) {
        writer.writeString(cluster)
        writer.write(from)
        writer.writeString(toNode)
        writer.write(toDisk?.bits ?? .zero)
        writer.write(incarnation)
        writer.write(previousIncarnation)
        writer.writeString(address)
        for number in [protocols.lowerBound, protocols.upperBound, formats.lowerBound, formats.upperBound] {
            writer.write(number)
        }
        writer.write(wall.milliseconds)
        writer.writeString(refusal.utf8.prefix(Hello.maximumText))
    }

    init(from reader: inout ByteReader) throws(MalformedBytes) {
        cluster = try reader.readShortText()
        from = try reader.readReplica()
        toNode = try reader.readShortText()
        let disk = try reader.readULID()
        toDisk = disk == .zero ? nil : DiskID(disk)
        incarnation = try reader.read()
        previousIncarnation = try reader.read()
        address = try reader.readShortText()
        protocols = try reader.readRange()
        formats = try reader.readRange()
        wall = WallTime(milliseconds: try reader.read())
        refusal = try reader.readShortText()
    }
}

extension ByteReader {
    fileprivate mutating func readShortText() throws(MalformedBytes) -> String {
        let range = try readStringRange()
        guard range.count <= Hello.maximumText else { throw MalformedBytes("a name of \(range.count) bytes") }
        return String(decoding: bytes[range], as: UTF8.self)
    }

    fileprivate mutating func readRange() throws(MalformedBytes) -> ClosedRange<UInt32> {
        let lowest: UInt32 = try read()
        let highest: UInt32 = try read()
        guard lowest <= highest else { throw MalformedBytes("a range of versions that ends before it begins") }
        return lowest...highest
    }
}

/// Who has greeted this node, and whether a new greeting may be believed.
package struct Acquaintances: Sendable {
    /// What is wrong with a greeting, in words for both ends' logs.
    package enum Refusal: Hashable, Sendable, Error {
        case otherCluster(String)
        case ourselves
        /// It means another disk of this node, or another node: answered `NotHere`.
        case notHere
        /// A process older than one that has greeted: a copied disk, or a connection that was long under way.
        case olderProcess(known: UInt64)
        /// It has forgotten a process that we have met: its disk was rolled back.
        case rolledBack(known: UInt64)
        /// A live node of the same name has another disk.
        case nameTaken(by: ReplicaID)
        case noSharedProtocol(ClosedRange<UInt32>)
    }

    package let me: ReplicaID
    package let cluster: String
    package let protocols: ClosedRange<UInt32>
    private var incarnations: [ReplicaID: UInt64] = [:]

    package init(me: ReplicaID, cluster: String, protocols: ClosedRange<UInt32>) {
        self.me = me
        self.cluster = cluster
        self.protocols = protocols
    }

    package func incarnation(of peer: ReplicaID) -> UInt64? { incarnations[peer] }

    /// Takes a greeting. `live` are the (node, disk id) pairs that gossip holds alive now.
    package mutating func greet(_ hello: Hello, live: some Collection<ReplicaID>) throws(Refusal) {
        guard hello.cluster == cluster else { throw .otherCluster(hello.cluster) }
        guard hello.from != me else { throw .ourselves }
        guard hello.toNode.isEmpty || hello.toNode == me.node, hello.toDisk ?? me.disk == me.disk else {
            throw .notHere
        }
        guard hello.sharedProtocol(with: protocols) != nil else { throw .noSharedProtocol(hello.protocols) }
        if hello.from.node == me.node { throw .nameTaken(by: me) }
        if let other = live.first(where: { $0.node == hello.from.node && $0.disk != hello.from.disk }) {
            throw .nameTaken(by: other)
        }
        if let known = incarnations[hello.from] {
            guard hello.incarnation >= known else { throw .olderProcess(known: known) }
            if hello.incarnation > known, hello.previousIncarnation < known { throw .rolledBack(known: known) }
        }
        incarnations[hello.from] = hello.incarnation
    }
}
