internal import Primitives
internal import SMTP

/// Whose turn it is to try an upstream that is down, and what the peers say of it.
///
/// The nodes that see it down form a ring, in the order of their names. Each tells when it last tried; the one after it tries
/// one gap later, the one after that two gaps. So the phases stay locked though gossip is late or lost, a node that died costs
/// one gap, and no more than one probe a gap reaches the upstream from the whole cluster.
struct UpstreamProbes: Hashable, Sendable {
    /// What one node says.
    struct View: Hashable, Sendable {
        var heard: Instant
        /// Nil while it is up there.
        var downSince: Instant?
        var lastContact: Instant?
        var lastProbe: Instant?
        var stage: Stage?
        var reason = ""
    }

    static let shortGap = Duration.milliseconds(1100)
    /// Once an outage has lasted a minute: still little enough for traffic within 5 s of the return, if one node of the ring
    /// has died.
    static let longGap = Duration.milliseconds(1750)
    static let shortGapEnds = Duration.minutes(1)
    /// Whose turn was before may have taken it, though nothing was heard of it yet.
    static let grace = Duration.milliseconds(500)
    /// At first it is not known who else sees it down.
    static let uncertainty = Duration.seconds(2)
    static let uncertainRanks = 3
    /// A peer that was not heard for so long has no turn, and says nothing any more.
    static let patience = Duration.seconds(40)
    static let refresh = Duration.seconds(15)
    static let urgentRefresh = Duration.seconds(1)
    static let maximumPeers = 1024
    static let maximumReason = 120
    /// How long an outage must have lasted here before peers that work prove that it is one's own.
    static let ownFaultAfter = Duration.seconds(3)
    /// What peers had under way when it began proves nothing.
    static let contactMargin = Duration.seconds(1)

    let me: String
    var gap = UpstreamProbes.shortGap
    private var began = Instant(nanoseconds: 0)
    /// This node's last probe in this outage.
    var last: Instant?
    /// No probe of this node comes before this.
    var earliest: Instant?
    /// A peer has got through: this node may try without waiting for its turn.
    var invited: Instant?
    /// The last probe's end was not told yet.
    var isProbing = false
    /// Who is alive, in order.
    var alive: [String] = []
    /// The view changed: it is told at the next pulse.
    var hasNews = false
    private(set) var views: [String: View] = [:]
    /// The bytes of each view, so that one that is told twice is not taken for a new one.
    private var values: [String: [UInt8]] = [:]
    private var published: Instant?
    private var sequence: UInt8 = 0

    init(me: String) { self.me = me }

    mutating func outageBegan(at now: Instant) {
        began = now
        last = nil
    }

    mutating func began(at now: Instant) {
        last = now
        earliest = nil
        invited = nil
        isProbing = true
        hasNews = true
    }

    mutating func outageEnded() {
        gap = UpstreamProbes.shortGap
        last = nil
        earliest = nil
        invited = nil
        isProbing = false
        hasNews = true
    }

    // MARK: Turns

    func next(at now: Instant) -> Instant {
        let step = now - began >= UpstreamProbes.shortGapEnds ? max(gap, UpstreamProbes.longGap) : gap
        var before = 0
        var after = 0
        for (node, view) in views where isFresh(view, now) && view.downSince != nil {
            if node < me { before += 1 } else { after += 1 }
        }
        let count = before + after + 1
        var next: Instant
        if let last {
            next = last + step * count + (count > 1 ? UpstreamProbes.grace : .zero)
        } else if now - began < UpstreamProbes.uncertainty {
            let rank = alive.count { $0 < me }
            next = began + step * (1 + min(rank, UpstreamProbes.uncertainRanks))
        } else {
            next = began + step * (1 + before)
        }
        for (node, view) in views where isFresh(view, now) && view.downSince != nil {
            guard let probe = view.lastProbe else { continue }
            let rank = views.count { $0.key < node && isFresh($0.value, now) && $0.value.downSince != nil }
            let its = rank + (me < node ? 1 : 0)
            let distance = (before - its + count) % count
            next = max(next, probe + step * distance + (distance > 1 ? UpstreamProbes.grace : .zero))
        }
        next = max(next, earliest ?? next)
        return min(next, invited ?? next)
    }

    private func isFresh(_ view: View, _ now: Instant) -> Bool { now - view.heard < UpstreamProbes.patience }

    /// Peers that have had an answer from it since, by name.
    func working(since: Instant, at now: Instant) -> [String] {
        guard now - since >= UpstreamProbes.ownFaultAfter else { return [] }
        return views.filter { _, view in
            isFresh(view, now) && view.downSince == nil
                && (view.lastContact.map { $0 > since + UpstreamProbes.contactMargin } ?? false)
        }.keys.sorted()
    }

    // MARK: Telling

    mutating func publish(_ view: View, at now: Instant) -> [UInt8]? {
        let silence = published.map { now - $0 } ?? .days(1)
        // A healthy one needs no words, but for a peer that sees it down.
        let isDue =
            view.downSince == nil
            ? silence >= UpstreamProbes.urgentRefresh
                && view.lastContact.map { $0 > published ?? Instant(nanoseconds: .min) } ?? false
                && views.values.contains { isFresh($0, now) && $0.downSince != nil }
            : silence >= UpstreamProbes.refresh
        guard hasNews || isDue else { return nil }
        hasNews = false
        published = now
        sequence &+= 1
        return view.encoded(sequence: sequence, at: now)
    }

    mutating func absorb(from node: String, value: [UInt8], at now: Instant) -> View? {
        guard node != me, values[node] != value, values[node] != nil || values.count < UpstreamProbes.maximumPeers,
            let view = View(value, at: now)
        else { return nil }
        values[node] = value
        views[node] = view
        return view
    }

    mutating func forget(_ node: String) {
        values[node] = nil
        views[node] = nil
    }
}

extension UpstreamProbes.View {
    private static let version: UInt8 = 1
    private static let maximumBytes = 512

    /// Times as ages, in milliseconds: clocks of different machines have nothing in common.
    fileprivate func encoded(sequence: UInt8, at now: Instant) -> [UInt8] {
        var writer = ByteWriter(reserving: 32)
        writer.write(Self.version)
        writer.write(sequence)
        for instant in [downSince, lastContact, lastProbe] {
            writer.writeVariable(instant.map { UInt64(max(0, (now - $0).milliseconds)) + 1 } ?? 0)
        }
        writer.write(stage?.rawValue ?? .max)
        writer.writeString(reason.utf8.prefix(UpstreamProbes.maximumReason))
        return writer.bytes
    }

    fileprivate init?(_ value: [UInt8], at now: Instant) {
        guard value.count <= Self.maximumBytes else { return nil }
        var reader = ByteReader(value)
        do {
            guard try reader.read(UInt8.self) == Self.version else { return nil }
            _ = try reader.read(UInt8.self)
            func instant(_ age: UInt64) -> Instant? {
                age == 0 ? nil : now + .milliseconds(-Int64(clamping: min(age - 1, 1 << 40)))
            }
            heard = now
            downSince = instant(try reader.readVariable())
            lastContact = instant(try reader.readVariable())
            lastProbe = instant(try reader.readVariable())
            stage = Stage(rawValue: try reader.read(UInt8.self))
            reason = try reader.readText()
        } catch {
            return nil
        }
    }
}
